#include "unseen.h"

#include "client_cert.h"
#include "context.h"
#include "session.h"
#include "verify.h"
#include "within.h"

USED_AT_START _Atomic(const struct unseen_events *) unseen_events;

/* libssl has a new session for the program, which may write it as DER. Return what the program's callback returns. */
static __attribute__((noinline)) int tell_session(SSL *ssl, SSL_SESSION *session, int which)
{
    const struct ossl *ossl = ossl_of(ssl);
    const struct context *context = ossl != NULL && which >= 0 ? context_of(ossl, ossl->SSL_get_SSL_CTX(ssl)) : NULL;
    ossl_session_callback callback = context != NULL ? atomic_load(&context->new_session[which]) : NULL;
    unsigned before;
    int keeps;

    if (ossl != NULL && !ossl->SSL_is_server(ssl))
        session_written(ossl, session);
    if (callback == NULL || !callbacks_enter(ssl, &before))
        return 0;
    keeps = callback(ssl, session);
    callbacks_leave(before);
    return keeps;
}

/* The program may find these on its SSL_CTX, and call them from another one: each always means the same of the program's. */
static int note_alone(SSL *ssl, SSL_SESSION *session)
{
    return tell_session(ssl, session, -1);
}

static int note_session(SSL *ssl, SSL_SESSION *session)
{
    return tell_session(ssl, session, 0);
}

static int note_session_too(SSL *ssl, SSL_SESSION *session)
{
    return tell_session(ssl, session, 1);
}

static void follow_sessions(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_make(ossl, ctx);
    ossl_session_callback callback;
    int which;

    if (context == NULL || ossl->SSL_CTX_sess_get_new_cb == NULL || ossl->SSL_CTX_sess_set_new_cb == NULL)
        return;
    callback = ossl->SSL_CTX_sess_get_new_cb(ctx);
    if (callback == note_alone || callback == note_session || callback == note_session_too)
        return;
    if (callback == NULL) {
        ossl->SSL_CTX_sess_set_new_cb(ctx, note_alone);
        return;
    }
    which = atomic_load(&context->last_session);
    if (atomic_load(&context->new_session[which]) != NULL && atomic_load(&context->new_session[which]) != callback)
        which = !which;
    atomic_store(&context->new_session[which], callback);
    atomic_store(&context->last_session, which);
    ossl->SSL_CTX_sess_set_new_cb(ctx, which == 0 ? note_session : note_session_too);
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

static void info_callback(const SSL *ssl, int where, int value);

static __attribute__((noinline)) void follow_info(const struct ossl *ossl, const SSL *ssl, int where, int value)
{
    const struct unseen_events *events = atomic_load(&unseen_events);
    struct conn *conn = conn_of(ossl, ssl);
    SSL *mine = (SSL *)(uintptr_t)ssl;

    if ((where & SSL_CB_HANDSHAKE_START) != 0 && !ossl->SSL_is_server(ssl) && context_is_unseen(ossl, ssl))
        events->starts(ossl, mine);
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && conn != NULL && ossl->SSL_get_info_callback(ssl) == info_callback)
        ossl->SSL_set_info_callback(mine, conn->info);
    if (conn == NULL || conn->driven || ossl->SSL_is_server(ssl))
        return;
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
        events->ends(ossl, mine);
        events->finished(ossl, mine, conn);
    } else if ((where & SSL_CB_ALERT) != 0 && value >> 8 == SSL3_AL_FATAL) {
        conn->lacks_offer = lacks_offer(where, value & 0xff);
        unseen_failed(ossl, mine, conn);
    }
}

/* On a new SSL_CTX, where there is none. The program may find it there, and call it from its own. */
static void info_found(const SSL *ssl, int where, int value)
{
    const struct ossl *ossl = ossl_of(ssl);

    if (ossl != NULL)
        follow_info(ossl, ssl, where, value);
}

/* On an SSL: it calls the program's. */
static void info_callback(const SSL *ssl, int where, int value)
{
    const struct ossl *ossl = ossl_of(ssl);
    struct conn *conn = ossl != NULL ? conn_of(ossl, ssl) : NULL;
    ossl_info_callback callback = conn != NULL ? conn->info : NULL;
    unsigned before;

    if (ossl == NULL)
        return;
    follow_info(ossl, ssl, where, value);
    if (callback == NULL && ossl->SSL_CTX_get_info_callback != NULL)
        callback = ossl->SSL_CTX_get_info_callback(ossl->SSL_get_SSL_CTX(ssl));
    if (callback == NULL || callback == info_callback || callback == info_found || !callbacks_enter(ssl, &before))
        return;
    callback(ssl, where, value);
    callbacks_leave(before);
}

void unseen_context_made(const struct ossl *ossl, SSL_CTX *ctx)
{
    if (ossl->SSL_CTX_get_info_callback != NULL && ossl->SSL_CTX_set_info_callback != NULL && atomic_load(&unseen_events) != NULL
        && ossl->SSL_CTX_get_info_callback(ctx) == NULL)
        ossl->SSL_CTX_set_info_callback(ctx, info_found);
}

void unseen_context_seen(const struct ossl *ossl, SSL_CTX *ctx)
{
    if (ossl->SSL_CTX_get_info_callback != NULL && ossl->SSL_CTX_get_info_callback(ctx) == info_found)
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
