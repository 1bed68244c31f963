/* Pre-shared keys and session secrets of the program: not offered if the target's rule needs a certificate. This matters where no later check
 * follows: over a BIO chain, and with early data. */
#ifndef PINSHIM_PSK_H
#define PINSHIM_PSK_H

#include "callbacks.h"

/* Set a callback of the program, on `ssl`, or on `ctx` if `ssl` is NULL. */
void psk_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_callback *callback);
void psk_set_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_session_callback *callback);

/* Set the callback with which a client resumes by a secret of its own (EAP-FAST, RFC 4851). Return the real call's result. */
int psk_set_secret(const struct ossl *ossl, SSL *ssl, tls_session_secret_cb_fn callback, void *arg);

/* At the handshake start: remove that callback if the target needs a certificate. */
void psk_withhold_secret(const struct ossl *ossl, SSL *ssl);

#endif
