/* What the program meant to reach: read from what it told OpenSSL, from its socket and from the names that it resolved. */
#ifndef PINSHIM_FACTS_H
#define PINSHIM_FACTS_H

#include "ossl.h"
#include "policy.h"

/* What was taken down of one handshake. */
struct facts {
    bool begun; /* the handshake was seen to begin: the SNI is known */
    char *sni; /* what the program had set then; NULL: nothing */
    struct host wire; /* where it was seen to be sent to (wire.h); HOST_UNREADABLE: nowhere */
    struct host peer; /* where the program told OpenSSL to send datagrams to (QUIC) */
    X509_VERIFY_PARAM *verifying; /* of the verification that runs; NULL: none runs */
};

/* Gather the target of a client connection. `address` becomes where the socket is connected to, HOST_UNREADABLE where there is none.
 * Return true if the address is known, or never will be (BIOs in memory). The caller marks the error queue. */
MUST_CHECK bool facts_read(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct target *out, struct host *address);

#endif
