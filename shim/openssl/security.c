#include "security.h"

#include "context.h"
#include "decide.h"
#include "start.h"
#include "unseen.h"
#include "verify.h"
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The security callback of an SSL_CTX, or of an SSL: the one that the program set, else the library's own. NULL: neither is known,
 * because memory ran out. */
static ossl_security_callback security_of(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl)
{
    const struct context *context = context_of(ossl, ssl != NULL ? ossl->SSL_get_SSL_CTX(ssl) : ctx);
    const struct callbacks *own = ssl != NULL ? conn_callbacks(ossl, ssl) : NULL;

    if (own == NULL && context != NULL)
        own = &context->callbacks;
    if (own != NULL && own->security != NULL)
        return own->security;
    return context != NULL ? context->initial : NULL;
}

/* Return true for a suite whose peer presents no certificate. With RSA-PSK it does; a TLS 1.3 suite does not determine it. */
static bool is_unauthenticated(const struct ossl *ossl, const SSL_CIPHER *suite)
{
    int authentication = ossl->SSL_CIPHER_get_auth_nid(suite);

    return authentication == NID_auth_null || authentication == NID_auth_psk || authentication == NID_auth_srp;
}

/* libssl asks about signatures and suites when it makes the ClientHello, which has its random by then: 1.1.1 to 4.0. From here on a driven handshake
 * needs this callback no longer. */
static void note_random(const struct ossl *ossl, SSL *ssl)
{
    static const uint8_t none[HELLO_RANDOM];
    struct conn *conn = conn_of(ossl, ssl);
    uint8_t random[HELLO_RANDOM];

    if (conn != NULL)
        conn->starting = false;
    if (conn == NULL || !conn->facts.begun || ossl->SSL_get_client_random(ssl, random, sizeof(random)) != sizeof(random)
        || memcmp(random, none, sizeof(random)) == 0)
        return;
    /* Another one if this is a renegotiation. */
    memcpy(&conn->facts.random, random + 8, sizeof(conn->facts.random));
    if (conn->facts.random_known)
        return;
    conn->facts.random_known = true;
    sent_made(random);
    if (conn->driven && security_suspend(ossl, ssl))
        conn->callbacks.suspended = true;
}

/* Set `*alone` if only the library's own callback was asked, and not from within the program's. */
static bool allows(const struct ossl *ossl, const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg, bool *alone)
{
    const void *object = ssl != NULL ? (const void *)ssl : (const void *)ctx;
    ossl_security_callback callback = security_of(ossl, ctx, ssl);
    const struct context *context = context_of(ossl, ssl != NULL ? ossl->SSL_get_SSL_CTX(ssl) : ctx);
    unsigned before;
    bool allowed;

    *alone = false;
    if (callback == NULL)
        return false;
    if (!callbacks_enter(object, &before))
        return context != NULL && context->initial(ssl, ctx, operation, bits, nid, other, arg) != 0;
    *alone = context != NULL && callback == context->initial;
    allowed = callback(ssl, ctx, operation, bits, nid, other, arg) != 0;
    callbacks_leave(before);
    return allowed;
}

/* What is asked by libssl, and allowed by the program or, if it has set nothing, by libssl itself. `asked`: see start_is_asked. */
static __attribute__((noinline)) int judge(const struct ossl *ossl, const SSL *ssl, int operation, void *other, bool asked, bool alone)
{
    SSL *mine = (SSL *)(uintptr_t)ssl;

    if (ssl == NULL || ossl->SSL_is_server(ssl))
        return 1;
    /* libssl asks whether the version is allowed when its state machine starts, whatever drives the handshake, and before it looks at the session. */
    if (operation != SSL_SECOP_VERSION || !ossl->SSL_in_before(ssl))
        note_random(ossl, mine);
    else if (!asked)
        start_handshake(ossl, mine, alone);
    if (context_is_unseen(ossl, ssl) && !unseen_may_continue(ossl, mine, operation))
        return 0;
    if ((operation & SSL_SECOP_OTHER_TYPE) != SSL_SECOP_OTHER_CIPHER || !is_unauthenticated(ossl, other))
        return 1;
    if (!conn_is_driven(ossl, ssl))
        return !decide_withholds(ossl, mine);
    /* If a wrapper drives the handshake, an anonymous suite is refused when the server has chosen it, so that the log can say why; so is a suite
     * with a pre-shared key if the socket is known only after something was sent. */
    if (operation == SSL_SECOP_CIPHER_CHECK)
        return !decide_refuses_suite(ossl, mine);
    return ossl->SSL_CIPHER_get_auth_nid(other) == NID_auth_null || decide_when_chosen(ossl, mine) || !decide_withholds(ossl, mine);
}

static int security_callback(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl != NULL ? (const void *)ssl : (const void *)ctx);
    bool asked = start_is_asked();
    bool alone;

    if (ossl == NULL || !allows(ossl, ssl, ctx, operation, bits, nid, other, arg, &alone))
        return 0;
    if (asked)
        (void)start_asking();
    return judge(ossl, ssl, operation, other, asked, alone);
}

/* The same on a new SSL_CTX. A program may find it there, if its calls are not seen, and call it from its own: it means the library's own. */
static int security_found(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    const struct ossl *ossl = ossl_of(ssl != NULL ? (const void *)ssl : (const void *)ctx);
    const struct context *context = ossl != NULL ? context_of(ossl, ssl != NULL ? ossl->SSL_get_SSL_CTX(ssl) : ctx) : NULL;

    if (context == NULL || context->initial == NULL || context->initial(ssl, ctx, operation, bits, nid, other, arg) == 0)
        return 0;
    /* If it is the SSL's, libssl has called it, and none of the program's is asked. */
    return judge(ossl, ssl, operation, other, start_is_asked(), ssl != NULL && ossl->SSL_get_security_callback(ssl) == security_found);
}

static bool is_own(ossl_security_callback callback)
{
    return callback == security_callback || callback == security_found;
}

bool security_watches(const struct ossl *ossl, const SSL_CTX *ctx)
{
    return is_own(ossl->SSL_CTX_get_security_callback(ctx));
}

bool security_is_watched(const struct ossl *ossl, const SSL *ssl)
{
    return is_own(ossl->SSL_get_security_callback(ssl));
}

/* Return true if the client, with this security callback, could offer a suite whose peer presents no certificate. Suites with a pre-shared
 * key are in the list by default, but need a callback that gives the key; those with SRP need a user name. */
static bool offers_unauthenticated(const struct ossl *ossl, const SSL *ssl, ossl_security_callback callback)
{
    const struct callbacks *callbacks = conn_callbacks(ossl, ssl);
    const struct context *context = context_of(ossl, ossl->SSL_get_SSL_CTX(ssl));
    const void *suites;

    if ((callbacks != NULL && callbacks->psk != NULL) || (ossl->SSL_get_srp_username != NULL && ossl->SSL_get_srp_username((SSL *)(uintptr_t)ssl) != NULL))
        return true;
    /* Above level 0 the library's own callback allows none. */
    if (context != NULL && callback == context->initial && ossl->SSL_get_security_level(ssl) > 0)
        return false;
    suites = ossl->SSL_get_ciphers(ssl);
    for (int i = 0; suites != NULL && i < ossl->OPENSSL_sk_num(suites); i++) {
        if (ossl->SSL_CIPHER_get_auth_nid(ossl->OPENSSL_sk_value(suites, i)) == NID_auth_null)
            return true;
    }
    return false;
}

bool security_suspend(const struct ossl *ossl, SSL *ssl)
{
    ossl_security_callback callback = security_of(ossl, NULL, ssl);
    const struct callbacks *own = conn_callbacks(ossl, ssl);

    /* libssl keeps the callback with the certificates: removed for one SSL, it would be gone for the other that shares them. */
    if (own != NULL && own->certs_shared)
        return false;
    if (!security_is_watched(ossl, ssl) || callback == NULL || (!ossl->SSL_is_server(ssl) && offers_unauthenticated(ossl, ssl, callback)))
        return false;
    ossl->SSL_set_security_callback(ssl, callback);
    return true;
}

void security_follow(const struct ossl *ossl, SSL *ssl)
{
    ossl_security_callback callback = ossl->SSL_get_security_callback(ssl);
    struct callbacks *place = !is_own(callback) ? conn_callbacks_make(ossl, ssl) : NULL;

    if (place == NULL)
        return;
    place->security = callback;
    ossl->SSL_set_security_callback(ssl, security_callback);
}

void security_restore(const struct ossl *ossl, SSL *ssl)
{
    struct callbacks *place = conn_callbacks(ossl, ssl);

    /* A record on which nothing was set is shared and must not be written to. */
    if (place == NULL || place->security == NULL || !security_is_watched(ossl, ssl))
        return;
    ossl->SSL_set_security_callback(ssl, place->security);
    place->security = NULL;
}

void security_put_back(const struct ossl *ossl, SSL *ssl)
{
    ossl_security_callback callback = ossl->SSL_get_security_callback(ssl);

    if (!is_own(callback) && callback == security_of(ossl, NULL, ssl))
        security_resume(ossl, ssl);
}

void security_resume(const struct ossl *ossl, SSL *ssl)
{
    struct callbacks *callbacks = conn_callbacks(ossl, ssl);

    ossl->SSL_set_security_callback(ssl, security_callback);
    /* A record on which nothing was set is shared and must not be written to. */
    if (callbacks != NULL && callbacks->suspended)
        callbacks->suspended = false;
}

static void watch(const struct ossl *ossl, SSL_CTX *ctx)
{
    ossl_security_callback callback = ossl->SSL_CTX_get_security_callback(ctx);
    struct context *context = context_make(ossl, ctx);

    /* If memory runs out, no callback is found, and nothing is allowed. */
    if (context != NULL)
        context->initial = callback;
    ossl->SSL_CTX_set_security_callback(ctx, security_found);
}

void security_context_made(const struct ossl *ossl, SSL_CTX *ctx)
{
    int saved = errno;

    /* If two threads have met the library at once, it calls twice. */
    if (ossl->kind != OSSL_USABLE || security_watches(ossl, ctx))
        return;
    (void)ossl->ERR_set_mark();
    pinstore_release(evaluation_pins(&ossl->tls));
    /* An earlier SSL_CTX was at this address, and its end was missed. */
    state_drop(ossl, ctx);
    watch(ossl, ctx);
    unseen_context_made(ossl, ctx);
    /* A second verify hook, for a libssl whose call of X509_verify_cert cannot be interposed: one that contains its libcrypto. */
    verify_arm(ossl, ctx);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

void security_share(const struct ossl *ossl, SSL *ssl, const SSL *from)
{
    struct callbacks *place = conn_callbacks_make(ossl, ssl);
    const struct callbacks *shared;

    if (place == NULL)
        return;
    place->security = security_of(ossl, NULL, from);
    shared = conn_callbacks(ossl, from);
    place->cert = shared != NULL ? shared->cert : NULL;
    place->cert_arg = shared != NULL ? shared->cert_arg : NULL;
    /* The other SSL is in the middle of its handshake. */
    if (shared != NULL && shared->suspended)
        ossl->SSL_set_security_callback(ssl, security_callback);
}

void security_change_context(const struct ossl *ossl, SSL *ssl)
{
    const struct callbacks *inherited = context_callbacks(ossl, ossl->SSL_get_SSL_CTX(ssl));
    struct callbacks *place = inherited != NULL ? conn_callbacks_make(ossl, ssl) : conn_callbacks(ossl, ssl);

    if (place == NULL)
        return;
    place->security = inherited != NULL ? inherited->security : NULL;
    place->cert = inherited != NULL ? inherited->cert : NULL;
    place->cert_arg = inherited != NULL ? inherited->cert_arg : NULL;
    place->cert_watched = false;
    place->certs_shared = false;
}

void security_set(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_security_callback callback)
{
    struct callbacks *place = conn_callbacks_of(ossl, ctx, ssl);

    if (place != NULL)
        place->security = callback;
    if (ssl != NULL)
        ossl->SSL_set_security_callback(ssl, security_callback);
    else
        ossl->SSL_CTX_set_security_callback(ctx, security_callback);
}

ossl_security_callback security_get(const struct ossl *ossl, const SSL_CTX *ctx, const SSL *ssl)
{
    ossl_security_callback callback;

    if (ssl != NULL)
        callback = ossl->SSL_get_security_callback(ssl);
    else
        callback = ossl->SSL_CTX_get_security_callback(ctx);
    return is_own(callback) ? security_of(ossl, ctx, ssl) : callback;
}
