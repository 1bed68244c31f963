/* The security callback. It shows the start of each client's handshake. And if the target's rule needs a certificate, suites whose peer presents none
 * are not offered, or are refused when the server has chosen one. */
#ifndef PINSHIM_SECURITY_H
#define PINSHIM_SECURITY_H

#include "callbacks.h"

/* A new SSL_CTX: set it and the verify hook there. The pins are read, while the program still has its rights and its root directory. */
void security_context_made(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if it is set on the SSL_CTX. */
MUST_CHECK bool security_watches(const struct ossl *ossl, const SSL_CTX *ctx);

/* Return true if the callback will see the start of the SSL's handshake. */
MUST_CHECK bool security_is_watched(const struct ossl *ossl, const SSL *ssl);

/* Remove it while a handshake function runs: libssl would call it for every suite and signature. Not if the client could offer a suite
 * without authentication. Return true if security_resume must follow. */
MUST_CHECK bool security_suspend(const struct ossl *ossl, SSL *ssl);
void security_resume(const struct ossl *ossl, SSL *ssl);

/* The SSL is in its initial state: do so if a handshake was left by a jump, or its thread was cancelled in it. */
void security_put_back(const struct ossl *ossl, SSL *ssl);

/* A client whose calls are not seen is about to start its handshake, and has finished it: the program's own callback is wrapped meanwhile. */
void security_follow(const struct ossl *ossl, SSL *ssl);
void security_restore(const struct ossl *ossl, SSL *ssl);

/* The SSL now shares the callbacks of another SSL, or has those of another SSL_CTX. */
void security_share(const struct ossl *ossl, SSL *ssl, const SSL *from);
void security_change_context(const struct ossl *ossl, SSL *ssl);

/* Set or get the program's own, of `ssl`, or of `ctx` if `ssl` is NULL. */
void security_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback);
ossl_security_callback security_get(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl);

#endif
