#include "offer.h"

#include "conn.h"
#include "state.h"

#include <stdlib.h>

/* What is kept of an SSL_CTX. */
struct watched {
    struct ossl_attached attached;
    struct offer offer;
    ossl_security_callback initial; /* the library's own */
    struct verification verification;
};

static void release(const struct ossl *ossl, void *attached)
{
    (void)ossl;
    free(attached);
}

static struct watched *of_ctx(const struct ossl *ossl, const SSL_CTX *ctx)
{
    (void)ossl;
    return ctx != NULL ? state_of(ctx) : NULL;
}

static struct watched *make_of_ctx(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct watched *watched = of_ctx(ossl, ctx);

    if (watched != NULL)
        return watched;
    watched = calloc(1, sizeof(*watched));
    if (watched == NULL)
        return NULL;
    watched->attached.release = release;
    watched->verification.ossl = ossl;
    if (!state_keep(ossl, ctx, &watched->attached)) {
        free(watched);
        return NULL;
    }
    return watched;
}

bool offer_is_empty(const struct offer *offer)
{
    return offer->psk == NULL && offer->psk_session == NULL && offer->security == NULL && offer->secret == NULL && offer->cert == NULL
        && !offer->later && !offer->engine;
}

const struct offer *offer_of_ctx(const struct ossl *ossl, const SSL_CTX *ctx)
{
    const struct watched *watched = of_ctx(ossl, ctx);

    return watched != NULL && !offer_is_empty(&watched->offer) ? &watched->offer : NULL;
}

struct verification *offer_verification(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct watched *watched = make_of_ctx(ossl, ctx);

    return watched != NULL ? &watched->verification : NULL;
}

/* The security callback of an SSL_CTX, or (`ssl`) of an SSL: what the program had set, else the library's own. NULL: neither is known,
 * for want of memory. */
static ossl_security_callback security_of(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl)
{
    const struct watched *watched = of_ctx(ossl, ssl != NULL ? ossl->SSL_get_SSL_CTX(ssl) : ctx);
    const struct offer *own = ssl != NULL ? conn_offer(ossl, ssl) : NULL;

    if (own == NULL && watched != NULL)
        own = &watched->offer;
    if (own != NULL && own->security != NULL)
        return own->security;
    return watched != NULL ? watched->initial : NULL;
}

static unsigned int give_psk(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, unsigned char *key,
    unsigned int key_size)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct offer *offer = ossl != NULL ? conn_offer(ossl, ssl) : NULL;
    offer_psk *callback = offer != NULL ? offer->psk : NULL;

    if (callback == NULL || conn_withholds(ossl, ssl))
        return 0;
    return callback(ssl, hint, identity, identity_size, key, key_size);
}

static int give_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length, SSL_SESSION **session)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct offer *offer = ossl != NULL ? conn_offer(ossl, ssl) : NULL;
    offer_psk_session *callback = offer != NULL ? offer->psk_session : NULL;
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

static int give_secret(SSL *ssl, void *secret, int *length, STACK_OF(SSL_CIPHER) *suites, const SSL_CIPHER **suite, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct offer *offer = ossl != NULL ? conn_offer(ossl, ssl) : NULL;

    (void)arg;
    if (offer == NULL || offer->secret == NULL || (!ossl->SSL_is_server(ssl) && conn_withholds(ossl, ssl)))
        return 0;
    return offer->secret(ssl, secret, length, suites, suite, offer->secret_arg);
}

/* Suites whose peer shows no certificate. With RSA-PSK it does; a TLS 1.3 suite says nothing of it. */
static bool is_unauthenticated(const struct ossl *ossl, const SSL_CIPHER *suite)
{
    int authentication = ossl->SSL_CIPHER_get_auth_nid(suite);

    return authentication == NID_auth_null || authentication == NID_auth_psk || authentication == NID_auth_srp;
}

static _Thread_local bool only_asking;

bool offer_asking(bool asking)
{
    bool before = only_asking;

    only_asking = asking;
    return before;
}

static int judge_suite(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl != NULL ? (const void *)ssl : (const void *)ctx);
    ossl_security_callback callback = ossl != NULL ? security_of(ossl, ctx, ssl) : NULL;
    SSL *mine = (SSL *)(uintptr_t)ssl;

    if (callback == NULL || callback(ssl, ctx, operation, bits, nid, other, arg) == 0)
        return 0;
    if (ssl == NULL || ossl->SSL_is_server(ssl))
        return 1;
    /* libssl asks whether the version will do when its state machine starts, whoever starts it and before it looks at the session. */
    if (operation == SSL_SECOP_VERSION && ossl->SSL_in_before(ssl) && !only_asking) {
        conn_begin(ossl, mine);
        if (conn_is_driven(ossl, ssl) && offer_suspend(ossl, mine))
            conn_offer(ossl, ssl)->suspended = true;
    }
    if ((operation & SSL_SECOP_OTHER_TYPE) != SSL_SECOP_OTHER_CIPHER || !is_unauthenticated(ossl, other))
        return 1;
    if (!conn_is_driven(ossl, ssl))
        return !conn_withholds(ossl, mine);
    /* Where a wrapper drives the handshake, an anonymous suite is refused when the server has chosen it, and the program told why; and so is one
     * with a pre-shared key where the socket is only known when something was sent. */
    if (operation == SSL_SECOP_CIPHER_CHECK)
        return !conn_refuses_suite(ossl, mine);
    return ossl->SSL_CIPHER_get_auth_nid(other) == NID_auth_null || conn_judges_suite(ossl, mine) || !conn_withholds(ossl, mine);
}

bool offer_watches(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->SSL_get_security_callback(ssl) == judge_suite;
}

/* Return true if the client, with this security callback, could offer a suite whose peer shows no certificate. Those with a pre-shared
 * key, which are in the list by default, need a callback that gives one; those with SRP a user. */
static bool offers_unauthenticated(const struct ossl *ossl, const SSL *ssl, ossl_security_callback callback)
{
    const struct offer *offer = conn_offer(ossl, ssl);
    const struct watched *watched = of_ctx(ossl, ossl->SSL_get_SSL_CTX(ssl));
    const void *suites;

    if ((offer != NULL && offer->psk != NULL) || (ossl->SSL_get_srp_username != NULL && ossl->SSL_get_srp_username((SSL *)(uintptr_t)ssl) != NULL))
        return true;
    /* Above level 0 the library's own callback lets none pass. */
    if (watched != NULL && callback == watched->initial && ossl->SSL_get_security_level(ssl) > 0)
        return false;
    suites = ossl->SSL_get_ciphers(ssl);
    for (int i = 0; suites != NULL && i < ossl->OPENSSL_sk_num(suites); i++) {
        if (ossl->SSL_CIPHER_get_auth_nid(ossl->OPENSSL_sk_value(suites, i)) == NID_auth_null)
            return true;
    }
    return false;
}

bool offer_suspend(const struct ossl *ossl, SSL *ssl)
{
    ossl_security_callback callback = security_of(ossl, NULL, ssl);
    const struct offer *own = conn_offer(ossl, ssl);

    /* The callback stands where the certificates are: if it were gone for one that shares them, so it would for the other. */
    if (own != NULL && own->certs_shared)
        return false;
    if (!offer_watches(ossl, ssl) || callback == NULL || (!ossl->SSL_is_server(ssl) && offers_unauthenticated(ossl, ssl, callback)))
        return false;
    ossl->SSL_set_security_callback(ssl, callback);
    return true;
}

void offer_resume(const struct ossl *ossl, SSL *ssl)
{
    struct offer *offer = conn_offer(ossl, ssl);

    ossl->SSL_set_security_callback(ssl, judge_suite);
    /* One that nothing was set on is shared, and never written to. */
    if (offer != NULL && offer->suspended)
        offer->suspended = false;
}

void offer_watch(const struct ossl *ossl, SSL_CTX *ctx)
{
    ossl_security_callback callback = ossl->SSL_CTX_get_security_callback(ctx);
    struct watched *watched = make_of_ctx(ossl, ctx);

    /* SSL_CTX_new may come here twice, through SSL_CTX_new_ex. Without memory no callback is found, and nothing at all passes. */
    if (callback == judge_suite)
        return;
    if (watched != NULL)
        watched->initial = callback;
    ossl->SSL_CTX_set_security_callback(ctx, judge_suite);
}

void offer_made(const struct ossl *ossl, SSL_CTX *ctx)
{
    /* Of one that was at this address before, whose end was missed. Not where SSL_CTX_new has come here through SSL_CTX_new_ex. */
    if (ossl->SSL_CTX_get_security_callback(ctx) != judge_suite)
        state_drop(ossl, ctx);
    offer_watch(ossl, ctx);
}

void offer_share(const struct ossl *ossl, SSL *ssl, const SSL *from)
{
    struct offer *place = conn_offer_make(ossl, ssl);
    const struct offer *shared;

    if (place == NULL)
        return;
    place->security = security_of(ossl, NULL, from);
    shared = conn_offer(ossl, from);
    place->cert = shared != NULL ? shared->cert : NULL;
    place->cert_arg = shared != NULL ? shared->cert_arg : NULL;
    /* In the middle of the other's handshake. */
    if (shared != NULL && shared->suspended)
        ossl->SSL_set_security_callback(ssl, judge_suite);
}

void offer_change_ctx(const struct ossl *ossl, SSL *ssl)
{
    const struct offer *inherited = offer_of_ctx(ossl, ossl->SSL_get_SSL_CTX(ssl));
    struct offer *place = inherited != NULL ? conn_offer_make(ossl, ssl) : conn_offer(ossl, ssl);

    if (place == NULL)
        return;
    place->security = inherited != NULL ? inherited->security : NULL;
    place->cert = inherited != NULL ? inherited->cert : NULL;
    place->cert_arg = inherited != NULL ? inherited->cert_arg : NULL;
    place->cert_watched = false;
    place->certs_shared = false;
}

void offer_withhold_secret(const struct ossl *ossl, SSL *ssl)
{
    const struct offer *offer = conn_offer(ossl, ssl);

    /* The trampoline cannot withhold it: libssl takes its no for an error. */
    if (offer != NULL && offer->secret != NULL)
        (void)ossl->SSL_set_session_secret_cb(ssl, conn_withholds(ossl, ssl) ? NULL : give_secret, NULL);
}

int offer_set_secret(const struct ossl *ossl, SSL *ssl, tls_session_secret_cb_fn callback, void *arg)
{
    struct offer *place = conn_offer_make(ossl, ssl);

    if (place == NULL)
        return 0;
    place->secret = callback;
    place->secret_arg = arg;
    return ossl->SSL_set_session_secret_cb(ssl, callback != NULL ? give_secret : NULL, NULL);
}

/* Where the callback is kept for the trampoline. Return NULL if it cannot be kept; then nothing may be offered. */
static struct offer *place_of(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl)
{
    struct watched *watched = ssl == NULL ? make_of_ctx(ossl, ctx) : NULL;

    return ssl != NULL ? conn_offer_make(ossl, ssl) : watched != NULL ? &watched->offer : NULL;
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

    if (place != NULL)
        place->security = callback;
    if (ssl != NULL)
        ossl->SSL_set_security_callback(ssl, judge_suite);
    else
        ossl->SSL_CTX_set_security_callback(ctx, judge_suite);
}

void offer_set_cert(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_cert_callback callback, void *arg)
{
    struct offer *place = place_of(ossl, ctx, ssl);

    if (place != NULL) {
        place->cert = callback;
        place->cert_arg = arg;
    }
    if (ssl == NULL)
        ossl->SSL_CTX_set_cert_cb(ctx, callback, arg);
    else if (place == NULL || !place->cert_watched)
        ossl->SSL_set_cert_cb(ssl, callback, arg);
}

void offer_leave_to_engine(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct watched *watched = make_of_ctx(ossl, ctx);

    if (watched != NULL)
        watched->offer.engine = true;
}

void offer_set_later(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, int enabled)
{
    struct offer *place = place_of(ossl, ctx, ssl);

    if (place != NULL)
        place->later = enabled != 0;
    if (ssl != NULL)
        ossl->SSL_set_post_handshake_auth(ssl, enabled);
    else
        ossl->SSL_CTX_set_post_handshake_auth(ctx, enabled);
}

ossl_security_callback offer_get_security(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl)
{
    ossl_security_callback callback;

    if (ssl != NULL)
        callback = ossl->SSL_get_security_callback(ssl);
    else
        callback = ossl->SSL_CTX_get_security_callback(ctx);
    return callback == judge_suite ? security_of(ossl, ctx, ssl) : callback;
}
