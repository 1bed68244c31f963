#include "psk.h"

#include "decide.h"

static unsigned int give_psk(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, unsigned char *key,
    unsigned int key_size)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct callbacks *callbacks = ossl != NULL ? conn_callbacks(ossl, ssl) : NULL;
    psk_callback *callback = callbacks != NULL ? callbacks->psk : NULL;

    if (callback == NULL || decide_withholds(ossl, ssl))
        return 0;
    return callback(ssl, hint, identity, identity_size, key, key_size);
}

static int give_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length, SSL_SESSION **session)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct callbacks *callbacks = ossl != NULL ? conn_callbacks(ossl, ssl) : NULL;
    psk_session_callback *callback = callbacks != NULL ? callbacks->psk_session : NULL;
    int result;

    *session = NULL;
    if (callback == NULL)
        return 1;
    result = callback(ssl, md, identity, length, session);
    /* A program may pass an ordinary session in this way, too. */
    if (result == 1 && *session != NULL && !decide_offers_session(ossl, ssl, *session)) {
        ossl->SSL_SESSION_free(*session);
        *session = NULL;
        *identity = NULL;
        *length = 0;
    }
    return result;
}

static int give_secret(SSL *ssl, void *secret, int *length, STACK_OF(SSL_CIPHER) *suites, const SSL_CIPHER **suite, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct callbacks *callbacks = ossl != NULL ? conn_callbacks(ossl, ssl) : NULL;

    (void)arg;
    if (callbacks == NULL || callbacks->secret == NULL || (!ossl->SSL_is_server(ssl) && decide_withholds(ossl, ssl)))
        return 0;
    return callbacks->secret(ssl, secret, length, suites, suite, callbacks->secret_arg);
}

void psk_withhold_secret(const struct ossl *ossl, SSL *ssl)
{
    const struct callbacks *callbacks = conn_callbacks(ossl, ssl);

    /* The shim's callback cannot withhold it: libssl treats a refusal by the callback as an error. */
    if (callbacks != NULL && callbacks->secret != NULL)
        (void)ossl->SSL_set_session_secret_cb(ssl, decide_withholds(ossl, ssl) ? NULL : give_secret, NULL);
}

int psk_set_secret(const struct ossl *ossl, SSL *ssl, tls_session_secret_cb_fn callback, void *arg)
{
    struct callbacks *place = conn_callbacks_make(ossl, ssl);

    if (place == NULL)
        return 0;
    place->secret = callback;
    place->secret_arg = arg;
    return ossl->SSL_set_session_secret_cb(ssl, callback != NULL ? give_secret : NULL, NULL);
}

void psk_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_callback *callback)
{
    struct callbacks *place = conn_callbacks_of(ossl, ctx, ssl);
    psk_callback *ours = callback != NULL && place != NULL ? give_psk : NULL;

    if (place != NULL)
        place->psk = callback;
    if (ssl != NULL)
        ossl->SSL_set_psk_client_callback(ssl, ours);
    else
        ossl->SSL_CTX_set_psk_client_callback(ctx, ours);
}

void psk_set_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, psk_session_callback *callback)
{
    struct callbacks *place = conn_callbacks_of(ossl, ctx, ssl);
    psk_session_callback *ours = callback != NULL && place != NULL ? give_psk_session : NULL;

    if (place != NULL)
        place->psk_session = callback;
    if (ssl != NULL)
        ossl->SSL_set_psk_use_session_callback(ssl, ours);
    else
        ossl->SSL_CTX_set_psk_use_session_callback(ctx, ours);
}
