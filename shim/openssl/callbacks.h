/* Callbacks that a program sets and that the shim wraps with its own. */
#ifndef PINSHIM_CALLBACKS_H
#define PINSHIM_CALLBACKS_H

#include "ossl.h"

typedef unsigned int psk_callback(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int);
typedef int psk_session_callback(SSL *, const EVP_MD *, const unsigned char **, size_t *, SSL_SESSION **);
typedef int verify_function(X509_STORE_CTX *, void *);

/* The same for an SSL_CTX and for an SSL, which starts with a copy of its SSL_CTX's. Zero: nothing was set. */
struct callbacks {
    psk_callback *psk;
    psk_session_callback *psk_session;
    ossl_security_callback security;
    tls_session_secret_cb_fn secret; /* of an SSL only, with its argument */
    void *secret_arg;
    ossl_cert_callback cert; /* called for a client certificate, with its argument */
    void *cert_arg;
    bool cert_watched; /* of an SSL only: client_cert.c has wrapped it */
    bool certs_shared; /* of an SSL only: it shares its certificates with another SSL */
    bool engine; /* of an SSL_CTX only: an engine chooses the certificate */
    bool post_handshake_auth; /* the program lets the server ask for a certificate after the handshake */
    bool suspended; /* see security_suspend */
};

#define VERIFY_PLACES 16

/* The verification callbacks of an SSL_CTX, with their arguments: libssl sets the two one after the other, and programs change them for each
 * connection. */
struct verification {
    const struct ossl *ossl;
    int word; /* of the SSL_CTX, in which libssl keeps the callback, with the argument after it; 0: not found */
    _Atomic uint64_t tickets; /* the last one drawn, to set a callback */
    _Atomic uint64_t current; /* the ticket of the callback in force; 0: none */
    struct verify_place {
        _Atomic uint64_t ticket; /* of the callback in this place */
        _Atomic(verify_function *) function; /* NULL: X509_verify_cert */
        _Atomic(void *) arg;
    } places[VERIFY_PLACES];
};

#endif
