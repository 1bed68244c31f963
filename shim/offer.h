/* What a client could offer instead of a certificate check: pre-shared keys and suites without authentication. Where the target's rule
 * needs a certificate they are not offered. They matter where no later check is reached: over a BIO chain, and with early data. */
#ifndef PINSHIM_OFFER_H
#define PINSHIM_OFFER_H

#include "ossl.h"

typedef unsigned int offer_psk(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int);
typedef int offer_psk_session(SSL *, const EVP_MD *, const unsigned char **, size_t *, SSL_SESSION **);

/* What a program set: the same for an SSL_CTX and for an SSL. Zero: nothing. */
struct offer {
    offer_psk *psk;
    offer_psk_session *psk_session;
    ossl_security_callback security;
};

/* Stand before the suites that clients of a new SSL_CTX offer. */
void offer_watch(const struct ossl *ossl, SSL_CTX *ctx);

/* Stand aside while a handshake function of conn.c runs, which judges at the beginning and at the end; the callback is asked for
 * every suite and signature. Not where a client has a pre-shared key for TLS 1.2: its suites would be offered. Return true if
 * offer_resume is to follow. */
MUST_CHECK bool offer_suspend(const struct ossl *ossl, SSL *ssl);
void offer_resume(const struct ossl *ossl, SSL *ssl);

/* Set or get a callback of the program's. With `ssl` NULL the one of `ctx`. */
void offer_set_psk(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk *callback);
void offer_set_psk_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk_session *callback);
void offer_set_security(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback);
ossl_security_callback offer_get_security(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl);

#endif
