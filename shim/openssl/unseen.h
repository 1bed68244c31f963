/* Clients whose calls of OpenSSL do not come through the shim, because it is within the program, in a namespace of its own, or found by dlsym(RTLD_NEXT).
 * libssl calls the shim back for them: for a new SSL_CTX, at the start of a handshake, for the peer's certificate, before the peer's signature is checked, for
 * a new session, and when the handshake is finished. */
#ifndef PINSHIM_UNSEEN_H
#define PINSHIM_UNSEEN_H

#include "conn.h"

/* An SSL_CTX was made; and it has turned out that the program's calls for it come through the shim. Until then libssl says when a handshake starts, unless the
 * program asks to be told itself. */
void unseen_context_made(const struct ossl *ossl, SSL_CTX *ctx);
void unseen_context_seen(const struct ossl *ossl, SSL_CTX *ctx);

/* A handshake starts, with this session (NULL: none). */
void unseen_start(const struct ossl *ossl, SSL *ssl, struct conn *conn, SSL_SESSION *session);

/* libssl asks whether this operation is allowed (SSL_SECOP_...). Return false if not. */
MUST_CHECK bool unseen_may_continue(const struct ossl *ossl, SSL *ssl, int operation);

/* Its handshake fails. */
void unseen_failed(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* What is done just before its handshake starts, when it is finished, and when it has received or sent a fatal alert; handshake.c sets them. */
struct unseen_events {
    void (*starts)(const struct ossl *ossl, SSL *ssl);
    void (*ends)(const struct ossl *ossl, SSL *ssl);
    void (*finished)(const struct ossl *ossl, SSL *ssl, struct conn *conn);
    void (*failed)(const struct ossl *ossl, SSL *ssl, struct conn *conn);
};
extern _Atomic(const struct unseen_events *) unseen_events;

#endif
