/* Pre-shared keys, and secrets of the program's own: not offered where the target's rule needs a certificate. They matter where no later check is
 * reached: over a BIO chain, and with early data. */
#ifndef PINSHIM_PSK_H
#define PINSHIM_PSK_H

#include "callbacks.h"

/* Set a callback of the program's. With `ssl` NULL the one of `ctx`. */
void psk_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_callback *callback);
void psk_set_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_session_callback *callback);

/* Set the callback by which a client resumes with a secret of its own (EAP-FAST, RFC 4851). Return what the real call does. */
int psk_set_secret(const struct ossl *ossl, SSL *ssl, tls_session_secret_cb_fn callback, void *arg);

/* A handshake begins: take that callback off where the target needs a certificate. */
void psk_withhold_secret(const struct ossl *ossl, SSL *ssl);

#endif
