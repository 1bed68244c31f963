/* The facts that identify the target: what the program told OpenSSL, its socket, and the names that it resolved. */
#ifndef PINSHIM_FACTS_H
#define PINSHIM_FACTS_H

#include "ossl.h"
#include "proxy.h"
#include "sent.h"
#include "target.h"

/* What was recorded of one handshake. */
struct facts {
    bool begun; /* the handshake start was seen: the SNI is known */
    char *sni; /* the SNI that the program had set then; NULL: none */
    bool random_known; /* sent.h knows its client random */
    uint64_t random; /* a part of that */
    struct sent sent; /* where its ClientHello was sent, once that is known */
    bool is_within; /* it runs within another SSL */
    struct proxied within; /* what that one has asked a proxy for (through.h) */
    const char *hidden; /* how a name may have been given that is not known, if no address is; NULL: it cannot have been */
    struct host peer; /* the peer's address that the program set for QUIC */
    struct told told; /* names that the program has checked the certificate for by itself (told.h) */
    X509_VERIFY_PARAM *verifying; /* of the verification that is running; NULL: none is */
};

/* Find out where the ClientHello was sent, if that was not known yet. */
void facts_follow(const struct ossl *ossl, SSL *ssl, struct facts *facts);

/* Gather the target of a client connection. `address` becomes the address that it leads to, or HOST_UNREADABLE. Return true if the address is known,
 * or never will be. The caller marks the error queue. */
MUST_CHECK bool facts_read(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct target *out, struct host *address);

#endif
