/* What the program meant to reach: read from what it told OpenSSL, from its socket and from the names that it resolved. */
#ifndef PINSHIM_INTENT_H
#define PINSHIM_INTENT_H

#include "ossl.h"
#include "policy.h"

/* Gather the target of a client connection. `begun`: `sni` is what the program had set when the handshake began, NULL for nothing;
 * `wire` where the handshake was seen to be sent to (wire.h), NULL or HOST_UNREADABLE where it was not. `address` becomes
 * where the socket is connected to, HOST_UNREADABLE where there is none. The caller marks the error queue. */
void intent_read(const struct ossl *ossl, SSL *ssl, bool begun, const char *sni, const struct host *wire,
    struct target *out, struct host *address);

#endif
