/* The security callback. It shows the start of each client's handshake. And if the target's rule needs a certificate, suites whose peer presents none
 * are not offered, or are refused when the server has chosen one. */
#ifndef PINSHIM_SECURITY_H
#define PINSHIM_SECURITY_H

#include "callbacks.h"

/* Install it on an SSL_CTX. */
void security_watch(const struct ossl *ossl, SSL_CTX *ctx);

/* The same for a new SSL_CTX: nothing is kept for it yet. */
void security_context_made(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if the callback will see the start of the SSL's handshake. */
MUST_CHECK bool security_is_watched(const struct ossl *ossl, const SSL *ssl);

/* Remove it while a handshake function runs: libssl would call it for every suite and signature. Not if the client could offer a suite
 * without authentication. Return true if security_resume must follow. */
MUST_CHECK bool security_suspend(const struct ossl *ossl, SSL *ssl);
void security_resume(const struct ossl *ossl, SSL *ssl);

/* Say before and after a query about suites that no handshake starts in it; afterwards with the value returned before. */
bool security_asking(bool asking);

/* The SSL now shares the callbacks of another SSL, or has those of another SSL_CTX. */
void security_share(const struct ossl *ossl, SSL *ssl, const SSL *from);
void security_change_context(const struct ossl *ossl, SSL *ssl);

/* Set or get the program's own, of `ssl`, or of `ctx` if `ssl` is NULL. */
void security_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback);
ossl_security_callback security_get(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl);

#endif
