/* What a client could offer instead of a certificate check: pre-shared keys and suites without authentication. Where the target's rule
 * needs a certificate they are not offered. They matter where no later check is reached: over a BIO chain, and with early data. */
#ifndef PINSHIM_OFFER_H
#define PINSHIM_OFFER_H

#include "ossl.h"
#include "verify.h"

typedef unsigned int offer_psk(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int);
typedef int offer_psk_session(SSL *, const EVP_MD *, const unsigned char **, size_t *, SSL_SESSION **);

/* What a program set: the same for an SSL_CTX and for an SSL, which starts with a copy of its SSL_CTX's. Zero: nothing. */
struct offer {
    offer_psk *psk;
    offer_psk_session *psk_session;
    ossl_security_callback security;
    tls_session_secret_cb_fn secret; /* of an SSL only, with its argument */
    void *secret_arg;
    ossl_cert_callback cert; /* what is asked for a client certificate, with its argument */
    void *cert_arg;
    bool cert_watched; /* of an SSL only: client.c stands before it */
    bool certs_shared; /* of an SSL only: its certificates are another SSL's as well */
    bool engine; /* of an SSL_CTX only: an engine chooses the certificate */
    bool later; /* the program lets the server ask for a certificate after the handshake */
    bool suspended; /* see offer_suspend */
};

/* Stand before the suites that clients of an SSL_CTX offer. */
void offer_watch(const struct ossl *ossl, SSL_CTX *ctx);

/* The same for an SSL_CTX that was just made: nothing is kept of it yet. */
void offer_made(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if the beginning of the SSL's handshake will be seen here. */
MUST_CHECK bool offer_watches(const struct ossl *ossl, const SSL *ssl);

/* Return what the program set on the SSL_CTX; NULL: nothing. */
const struct offer *offer_of_ctx(const struct ossl *ossl, const SSL_CTX *ctx);

/* Return the SSL_CTX's own verification callbacks, made if there are none; NULL where memory ran out. */
struct verification *offer_verification(const struct ossl *ossl, SSL_CTX *ctx);

/* Stand aside while a handshake function runs: the callback is asked for every suite and signature. Not where a client could offer a suite
 * without authentication. Return true if offer_resume is to follow. */
MUST_CHECK bool offer_suspend(const struct ossl *ossl, SSL *ssl);
void offer_resume(const struct ossl *ossl, SSL *ssl);

/* A question about suites, in which no handshake begins: say so before and after, with what it returned before. */
bool offer_asking(bool asking);

/* Return true if the program set nothing of it. */
bool offer_is_empty(const struct offer *offer);

/* The SSL shares the callbacks of another, or has those of another SSL_CTX now. */
void offer_share(const struct ossl *ossl, SSL *ssl, const SSL *from);
void offer_change_ctx(const struct ossl *ossl, SSL *ssl);

/* A handshake begins: take that callback of the next function off where the target needs a certificate. */
void offer_withhold_secret(const struct ossl *ossl, SSL *ssl);

/* Set the callback by which a client resumes with a secret of its own (EAP-FAST, RFC 4851). Return what the real call does. */
int offer_set_secret(const struct ossl *ossl, SSL *ssl, tls_session_secret_cb_fn callback, void *arg);

/* Set or get a callback of the program's. With `ssl` NULL the one of `ctx`. */
void offer_set_psk(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk *callback);
void offer_set_psk_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk_session *callback);
void offer_set_cert(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_cert_callback callback, void *arg);
/* From now on an engine is asked for the client certificates of the SSL_CTX, before anybody else. */
void offer_leave_to_engine(const struct ossl *ossl, SSL_CTX *ctx);

void offer_set_later(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, int enabled);
void offer_set_security(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback);
ossl_security_callback offer_get_security(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl);

#endif
