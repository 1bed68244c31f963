#include "offer.h"

#include "conn.h"

#include <stdlib.h>

/* What hangs on an SSL_CTX. */
struct watched {
    struct ossl_attached attached;
    struct offer offer;
};

static void release(const struct ossl *ossl, void *attached)
{
    (void)ossl;
    free(attached);
}

static struct offer *of_ctx(const struct ossl *ossl, const SSL_CTX *ctx)
{
    struct watched *watched = ctx != NULL ? ossl->SSL_CTX_get_ex_data(ctx, ossl->ctx_index) : NULL;

    return watched != NULL ? &watched->offer : NULL;
}

static struct offer *make_of_ctx(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct offer *offer = of_ctx(ossl, ctx);
    struct watched *watched;

    if (offer != NULL)
        return offer;
    watched = calloc(1, sizeof(*watched));
    if (watched == NULL)
        return NULL;
    watched->attached.release = release;
    if (ossl->SSL_CTX_set_ex_data(ctx, ossl->ctx_index, watched) != 1) {
        free(watched);
        return NULL;
    }
    return &watched->offer;
}

/* The callback for `ssl`: what was set on the SSL itself stands before what its SSL_CTX has. */
#define CALLBACK_OF(ossl, ssl, member) callback_of_##member(conn_offer(ossl, ssl), of_ctx(ossl, (ossl)->SSL_get_SSL_CTX(ssl)))
#define LOOK_UP(member, type) \
    static type callback_of_##member(const struct offer *own, const struct offer *inherited) \
    { \
        return own != NULL && own->member != NULL ? own->member : inherited != NULL ? inherited->member : NULL; \
    }

LOOK_UP(psk, offer_psk *)
LOOK_UP(psk_session, offer_psk_session *)
LOOK_UP(security, ossl_security_callback)

static unsigned int give_psk(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, unsigned char *key,
    unsigned int key_size)
{
    const struct ossl *ossl = ossl_of(ssl);
    offer_psk *callback = ossl != NULL ? CALLBACK_OF(ossl, ssl, psk) : NULL;

    if (callback == NULL || conn_needs_certificate(ossl, ssl))
        return 0;
    return callback(ssl, hint, identity, identity_size, key, key_size);
}

static int give_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length, SSL_SESSION **session)
{
    const struct ossl *ossl = ossl_of(ssl);
    offer_psk_session *callback = ossl != NULL ? CALLBACK_OF(ossl, ssl, psk_session) : NULL;
    int result;

    *session = NULL;
    if (callback == NULL)
        return 1;
    result = callback(ssl, md, identity, length, session);
    /* A program may hand a session over in this way, too. */
    if (result == 1 && *session != NULL && !conn_may_resume(ossl, ssl, *session)) {
        ossl->SSL_SESSION_free(*session);
        *session = NULL;
        *identity = NULL;
        *length = 0;
    }
    return result;
}

/* Suites whose peer shows no certificate. With RSA-PSK it does; a TLS 1.3 suite says nothing of it. */
static bool is_unauthenticated(const struct ossl *ossl, const SSL_CIPHER *suite, bool *anonymous)
{
    int authentication = ossl->SSL_CIPHER_get_auth_nid(suite);

    *anonymous = authentication == NID_auth_null;
    return *anonymous || authentication == NID_auth_psk || authentication == NID_auth_srp;
}

static int judge_suite(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl != NULL ? (const void *)ssl : (const void *)ctx);
    ossl_security_callback callback = NULL;
    bool anonymous;

    if (ossl == NULL)
        return 0;
    if (ssl != NULL)
        callback = CALLBACK_OF(ossl, ssl, security);
    else if (of_ctx(ossl, ctx) != NULL)
        callback = of_ctx(ossl, ctx)->security;
    /* libssl asks whether the version will do when its state machine starts, whoever starts it and before it looks at the session. */
    if (operation == SSL_SECOP_VERSION && ssl != NULL && !ossl->SSL_is_server(ssl) && ossl->SSL_in_before(ssl))
        conn_begin(ossl, (SSL *)(uintptr_t)ssl);
    if (callback == NULL || callback(ssl, ctx, operation, bits, nid, other, arg) == 0)
        return 0;
    if (ssl == NULL || (operation & SSL_SECOP_OTHER_TYPE) != SSL_SECOP_OTHER_CIPHER || ossl->SSL_is_server(ssl)
        || !is_unauthenticated(ossl, other, &anonymous))
        return 1;
    /* Where a wrapper drives the handshake, an anonymous peer is refused when it is finished, and the program told why. */
    if (anonymous && conn_is_driven(ossl, ssl))
        return 1;
    return !conn_needs_certificate(ossl, (SSL *)(uintptr_t)ssl);
}

bool offer_suspend(const struct ossl *ossl, SSL *ssl)
{
    ossl_security_callback callback;

    if (ossl->SSL_get_security_callback(ssl) != judge_suite || (!ossl->SSL_is_server(ssl) && CALLBACK_OF(ossl, ssl, psk) != NULL))
        return false;
    callback = CALLBACK_OF(ossl, ssl, security);
    if (callback == NULL)
        return false;
    ossl->SSL_set_security_callback(ssl, callback);
    return true;
}

void offer_resume(const struct ossl *ossl, SSL *ssl)
{
    ossl->SSL_set_security_callback(ssl, judge_suite);
}

void offer_watch(const struct ossl *ossl, SSL_CTX *ctx)
{
    offer_set_security(ossl, ctx, NULL, ossl->SSL_CTX_get_security_callback(ctx));
}

/* Keep the callback where the trampoline finds it. Return false if it cannot be kept; then nothing may be offered. */
static struct offer *place_of(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl)
{
    return ssl != NULL ? conn_offer_make(ossl, ssl) : make_of_ctx(ossl, ctx);
}

void offer_set_psk(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk *callback)
{
    struct offer *place = place_of(ossl, ctx, ssl);
    offer_psk *ours = callback != NULL && place != NULL ? give_psk : NULL;

    if (place != NULL)
        place->psk = callback;
    if (ssl != NULL)
        ossl->SSL_set_psk_client_callback(ssl, ours);
    else
        ossl->SSL_CTX_set_psk_client_callback(ctx, ours);
}

void offer_set_psk_session(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, offer_psk_session *callback)
{
    struct offer *place = place_of(ossl, ctx, ssl);
    offer_psk_session *ours = callback != NULL && place != NULL ? give_psk_session : NULL;

    if (place != NULL)
        place->psk_session = callback;
    if (ssl != NULL)
        ossl->SSL_set_psk_use_session_callback(ssl, ours);
    else
        ossl->SSL_CTX_set_psk_use_session_callback(ctx, ours);
}

void offer_set_security(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback)
{
    struct offer *place = place_of(ossl, ctx, ssl);

    /* SSL_CTX_new may come here twice, through SSL_CTX_new_ex. */
    if (callback == judge_suite)
        return;
    /* Without memory the trampoline finds no callback, and nothing at all passes. */
    if (place != NULL)
        place->security = callback;
    if (ssl != NULL)
        ossl->SSL_set_security_callback(ssl, judge_suite);
    else
        ossl->SSL_CTX_set_security_callback(ctx, judge_suite);
}

ossl_security_callback offer_get_security(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl)
{
    ossl_security_callback callback;

    if (ssl != NULL)
        callback = ossl->SSL_get_security_callback(ssl);
    else
        callback = ossl->SSL_CTX_get_security_callback(ctx);
    if (callback != judge_suite)
        return callback;
    if (ssl != NULL)
        return CALLBACK_OF(ossl, ssl, security);
    return of_ctx(ossl, ctx) != NULL ? of_ctx(ossl, ctx)->security : NULL;
}
