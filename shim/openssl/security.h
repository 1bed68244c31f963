/* The security callback: by it the start of each client's handshake is seen, and suites whose peer shows no certificate are not offered, or refused
 * when the server has chosen one, where the target's rule needs a certificate. */
#ifndef PINSHIM_SECURITY_H
#define PINSHIM_SECURITY_H

#include "callbacks.h"

/* Put it on an SSL_CTX. */
void security_watch(const struct ossl *ossl, SSL_CTX *ctx);

/* The same for an SSL_CTX that was just made: nothing is kept of it yet. */
void security_context_made(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if the start of the SSL's handshake will be seen here. */
MUST_CHECK bool security_is_watched(const struct ossl *ossl, const SSL *ssl);

/* Take it off while a handshake function runs: it would be asked for every suite and signature. Not where a client could offer a suite
 * without authentication. Return true if security_resume is to follow. */
MUST_CHECK bool security_suspend(const struct ossl *ossl, SSL *ssl);
void security_resume(const struct ossl *ossl, SSL *ssl);

/* A question about suites, in which no handshake starts: say so before and after, with what it returned before. */
bool security_asking(bool asking);

/* The SSL shares the callbacks of another, or has those of another SSL_CTX now. */
void security_share(const struct ossl *ossl, SSL *ssl, const SSL *from);
void security_change_context(const struct ossl *ossl, SSL *ssl);

/* Set or get the program's own. With `ssl` NULL the one of `ctx`. */
void security_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback);
ossl_security_callback security_get(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl);

#endif
