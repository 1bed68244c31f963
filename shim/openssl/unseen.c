#include "unseen.h"

#include "client_cert.h"
#include "context.h"
#include "session.h"
#include "verify.h"
#include "within.h"

_Atomic(const struct unseen_events *) unseen_events;

/* libssl has a new session for the program, which may write it as DER. */
static int note_session(SSL *ssl, SSL_SESSION *session)
{
    static _Thread_local bool within; /* the program's own callback may call this one, if it found it on its SSL_CTX */
    const struct ossl *ossl = ossl_of(ssl);
    const struct context *context = ossl != NULL ? context_of(ossl, ossl->SSL_get_SSL_CTX(ssl)) : NULL;
    ossl_session_callback callback = context != NULL && !within ? atomic_load(&context->new_session) : NULL;
    int keeps = 0;

    if (ossl != NULL && !ossl->SSL_is_server(ssl))
        session_written(ossl, session);
    if (callback != NULL) {
        within = true;
        keeps = callback(ssl, session);
        within = false;
    }
    return keeps;
}

static void follow_sessions(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_make(ossl, ctx);
    ossl_session_callback callback;

    if (context == NULL || ossl->SSL_CTX_sess_get_new_cb == NULL || ossl->SSL_CTX_sess_set_new_cb == NULL)
        return;
    callback = ossl->SSL_CTX_sess_get_new_cb(ctx);
    if (callback == note_session)
        return;
    atomic_store(&context->new_session, callback);
    ossl->SSL_CTX_sess_set_new_cb(ctx, note_session);
}

/* The alerts of a server for which too little was offered: handshake_failure, insufficient_security, unknown_psk_identity (RFC 8446, section 6.2). */
static bool lacks_offer(int where, int alert)
{
    return (where & SSL_CB_READ) != 0 && (alert == 40 || alert == 71 || alert == 115);
}

void unseen_failed(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    const struct unseen_events *events = atomic_load(&unseen_events);

    if (events != NULL)
        events->failed(ossl, ssl, conn);
}

static void info_callback(const SSL *ssl, int where, int value)
{
    static _Thread_local const SSL *told; /* as in note_session */
    const SSL *before = told;
    const struct unseen_events *events = atomic_load(&unseen_events);
    const struct ossl *ossl = ossl_of(ssl);
    struct conn *conn = ossl != NULL ? conn_of(ossl, ssl) : NULL;
    SSL *mine = (SSL *)(uintptr_t)ssl;
    ossl_info_callback callback = conn != NULL ? conn->info : NULL;

    if (ossl == NULL)
        return;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && !ossl->SSL_is_server(ssl) && context_is_unseen(ossl, ssl))
        atomic_load(&unseen_events)->starts(ossl, mine);
    if (callback == NULL && ossl->SSL_CTX_get_info_callback != NULL)
        callback = ossl->SSL_CTX_get_info_callback(ossl->SSL_get_SSL_CTX(ssl));
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && conn != NULL && ossl->SSL_get_info_callback(ssl) == info_callback)
        ossl->SSL_set_info_callback(mine, conn->info);
    if (conn != NULL && !conn->driven && !ossl->SSL_is_server(ssl)) {
        if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
            events->ends(ossl, mine);
            events->finished(ossl, mine, conn);
        } else if ((where & SSL_CB_ALERT) != 0 && value >> 8 == SSL3_AL_FATAL) {
            conn->lacks_offer = lacks_offer(where, value & 0xff);
            unseen_failed(ossl, mine, conn);
        }
    }
    if (callback == NULL || callback == info_callback || before == ssl)
        return;
    told = ssl;
    callback(ssl, where, value);
    told = before;
}

void unseen_context_made(const struct ossl *ossl, SSL_CTX *ctx)
{
    if (ossl->SSL_CTX_get_info_callback != NULL && ossl->SSL_CTX_set_info_callback != NULL && atomic_load(&unseen_events) != NULL
        && ossl->SSL_CTX_get_info_callback(ctx) == NULL)
        ossl->SSL_CTX_set_info_callback(ctx, info_callback);
}

void unseen_context_seen(const struct ossl *ossl, SSL_CTX *ctx)
{
    if (ossl->SSL_CTX_get_info_callback != NULL && ossl->SSL_CTX_get_info_callback(ctx) == info_callback)
        ossl->SSL_CTX_set_info_callback(ctx, NULL);
}

static void follow_handshake(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    ossl_info_callback callback;

    if (conn_is_quic(ossl, ssl) || ossl->SSL_get_info_callback == NULL || ossl->SSL_set_info_callback == NULL || atomic_load(&unseen_events) == NULL)
        return;
    conn->followed = true;
    callback = ossl->SSL_get_info_callback(ssl);
    if (callback == info_callback)
        return;
    conn->info = callback;
    /* If the program has none, the SSL_CTX's may be the shim's, too. */
    ossl->SSL_set_info_callback(ssl, info_callback);
}

void unseen_start(const struct ossl *ossl, SSL *ssl, struct conn *conn, SSL_SESSION *session)
{
    SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);

    conn->unseen = true;
    within_unseen(1);
    verify_follow(ossl, ctx);
    follow_sessions(ossl, ctx);
    follow_handshake(ossl, ssl, conn);
    /* It may come from DER, or have been read into another one: then it has a certificate without a mark. */
    if (session != NULL && !session_is_proven(ossl, session))
        session_was_read(ossl, session);
}

bool unseen_may_continue(const struct ossl *ossl, SSL *ssl, int operation)
{
    /* For another connection of the same SSL_CTX, the program may have set another callback. */
    verify_follow(ossl, ossl->SSL_get_SSL_CTX(ssl));
    /* The peer's signature is about to be checked. */
    return operation != SSL_SECOP_SIGALG_CHECK || (verify_before_signature(ossl, ssl) && client_cert_offer_unseen(ossl, ssl));
}
