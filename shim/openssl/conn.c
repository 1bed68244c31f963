#include "conn.h"

#include "context.h"
#include "state.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SHUTDOWN_BOTH (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)

_Atomic uint64_t conn_epoch = 1;
_Thread_local struct conn_known conn_known[CONN_KNOWN];
_Atomic bool conn_looks_at_reads;

void conn_set_phase(struct conn *conn, enum phase phase)
{
    if (phase != conn->phase && (conn->phase == PHASE_CONFIRMED || phase == PHASE_REFUSED))
        atomic_fetch_add(&conn_epoch, 1);
    conn->phase = phase;
}

void conn_keep_leaf(const struct ossl *ossl, struct conn *conn, X509 *leaf)
{
    if (conn->leaf != NULL)
        ossl->X509_free(conn->leaf);
    conn->leaf = leaf != NULL && ossl->X509_up_ref(leaf) == 1 ? leaf : NULL;
    conn->proven = false;
}

void conn_keep_judged(const struct ossl *ossl, struct conn *conn, SSL_SESSION *session)
{
    if (conn->judged != NULL)
        ossl->SSL_SESSION_free(conn->judged);
    conn->judged = session != NULL && ossl->SSL_SESSION_up_ref(session) == 1 ? session : NULL;
}

static void forget_handshake(const struct ossl *ossl, struct conn *conn)
{
    conn_keep_leaf(ossl, conn, NULL);
    conn_keep_judged(ossl, conn, NULL);
    if (conn->client != NULL)
        ossl->X509_free(conn->client);
    conn->client = NULL;
    conn->client_is_on = false;
    free(conn->facts.sni);
    conn->facts.sni = NULL;
    conn->facts.begun = false;
    conn->facts.wire.kind = HOST_UNREADABLE;
    conn->withheld = false;
    conn->suite_refused = false;
    free(conn->unsaid);
    conn->unsaid = NULL;
    /* Writing early data begins a handshake twice: by itself, and in the security callback. */
    if (conn->early != EARLY_BEGINS) {
        conn->early = EARLY_NONE;
        conn->taken_off = false;
    }
    conn->acceptance_logged = false;
    conn->logged = false;
}

static void release(const struct ossl *ossl, void *attached)
{
    const struct unsaid *unsaid = ((struct conn *)attached)->unsaid;

    if (unsaid != NULL)
        log_event(&(struct event) {.verdict = EVENT_NOTICE, .target = unsaid->target, .reason = unsaid->reason});
    conn_set_phase(attached, PHASE_UNJUDGED);
    forget_handshake(ossl, attached);
    free(attached);
}

static void release_nothing(const struct ossl *ossl, void *attached)
{
    (void)ossl;
    (void)attached;
}

/* Kept of an SSL that was made when nothing was set on its SSL_CTX: what is set there later is not the SSL's. */
static struct ossl_attached plain = {release_nothing};

struct conn *conn_of(const struct ossl *ossl, const SSL *ssl)
{
    void *state = state_of(ssl);

    (void)ossl;
    return state != &plain ? state : NULL;
}

/* What the SSL_CTX has when the SSL is made is what libssl copies into it; or as early as can be after that. */
static void inherit(const struct ossl *ossl, const SSL *ssl, struct conn *conn)
{
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);
    const struct callbacks *inherited = ctx != NULL ? context_callbacks(ossl, ctx) : NULL;

    if (inherited != NULL)
        conn->callbacks = *inherited;
}

/* Return the SSL's state, made if there is none; NULL when memory ran out, which the callers take for a refusal. */
struct conn *conn_make(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL)
        return conn;
    conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->attached.release = release;
    if (state_of(ssl) != &plain)
        inherit(ossl, ssl, conn);
    if (!state_keep(ossl, ssl, &conn->attached)) {
        free(conn);
        return NULL;
    }
    return conn;
}

void conn_restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    if (conn->mode_changed)
        ossl->SSL_set_verify(ssl, conn->mode, NULL);
    conn->mode_changed = false;
}

/* The callbacks of a QUIC connection run under its engine's lock, which does not nest: see docs/design.md for what may be called there. */
bool conn_is_quic(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->SSL_is_quic != NULL && ossl->SSL_is_quic(ssl) == 1;
}

/* Return true if libssl has ended the handshake or the connection for good: every call fails, and moves nothing. */
bool conn_has_failed(const struct ossl *ossl, const SSL *ssl)
{
    return strcmp(ossl->SSL_state_string(ssl), "SSLERR") == 0;
}

static void take_off(const struct ossl *ossl, SSL *ssl, const X509 *given)
{
    /* There was none before, and what the program sets takes it back first. */
    if (ossl->SSL_get_certificate(ssl) == given)
        ossl->SSL_certs_clear(ssl);
}

void conn_take_client_cert_back(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL && conn->client_is_on)
        take_off(ossl, ssl, conn->client);
    if (conn != NULL)
        conn->client_is_on = false;
}

/* Nothing of the last handshake is left. */
void conn_start_afresh(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    conn_restore_mode(ossl, ssl, conn);
    conn_take_client_cert_back(ossl, ssl);
    forget_handshake(ossl, conn);
    conn_set_phase(conn, PHASE_UNJUDGED);
}

/* Return true if the connection was refused. A refused SSL is back in its first state only where somebody has reset it: by SSL_clear,
 * SSL_set_connect_state, SSL_set_accept_state, BIO_reset. Then it can only begin a new handshake. */
bool conn_is_refused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn)
{
    return conn != NULL && conn->phase == PHASE_REFUSED && !ossl->SSL_in_before(ssl);
}

bool conn_is_driven(const struct ossl *ossl, const SSL *ssl)
{
    const struct conn *conn = conn_of(ossl, ssl);

    return conn != NULL && conn->driven;
}

struct callbacks *conn_callbacks(const struct ossl *ossl, const SSL *ssl)
{
    static struct callbacks nothing;
    void *state = state_of(ssl);

    (void)ossl;
    if (state == &plain)
        return &nothing;
    return state != NULL ? &((struct conn *)state)->callbacks : NULL;
}

struct callbacks *conn_callbacks_make(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_make(ossl, ssl);

    return conn != NULL ? &conn->callbacks : NULL;
}

/* Where the callback is kept for the trampoline. Return NULL if it cannot be kept; then nothing may be offered. */
struct callbacks *conn_callbacks_of(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl)
{
    struct context *context = ssl == NULL ? context_make(ossl, ctx) : NULL;

    return ssl != NULL ? conn_callbacks_make(ossl, ssl) : context != NULL ? &context->callbacks : NULL;
}

int conn_shutdown_mode(const struct ossl *ossl, const SSL *ssl, int mode)
{
    const struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    return conn_is_refused(ossl, ssl, conn) ? mode | SHUTDOWN_BOTH : mode;
}

void conn_forget_mode(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL)
        conn->mode_changed = false;
}

void conn_set_peer(const struct ossl *ossl, SSL *ssl, const BIO_ADDR *address)
{
    struct conn *conn = conn_make(ossl, ssl);
    /* A union of socket addresses. */
    const struct sockaddr *socket_address = (const struct sockaddr *)(const void *)address;

    if (conn != NULL
        && !host_from_sockaddr(socket_address,
            socket_address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), &conn->facts.peer))
        conn->facts.peer.kind = HOST_UNREADABLE;
}

/* The SSL that libssl has last begun to make in this thread. */
static _Thread_local const SSL *begun;

static void keep_new(const struct ossl *ossl, SSL *ssl)
{
    /* From 3.5 on it is not there yet when libssl begins. */
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);

    if (ctx == NULL || state_of(ssl) != NULL)
        return;
    if (context_callbacks(ossl, ctx) != NULL || !state_keep(ossl, ssl, &plain))
        (void)conn_make(ossl, ssl);
}

static void made(const struct ossl *ossl, SSL *ssl)
{
    /* The end of one that was at this address may have been missed: libcrypto tells it only to threads with the library context (3.0) in which
     * the shim asked for it. */
    state_drop(ossl, ssl);
    keep_new(ossl, ssl);
    begun = ssl;
}

void conn_made(const struct ossl *ossl, SSL *ssl)
{
    if (begun != ssl)
        state_drop(ossl, ssl);
    begun = NULL;
    keep_new(ossl, ssl);
}

/* libssl copies an SSL before its handshake, with the callbacks that stand where its certificates are. What else a program set is the new SSL's
 * own, from its SSL_CTX. */
void conn_copied(const struct ossl *ossl, SSL *copy, const SSL *from)
{
    const struct callbacks *offer = conn_callbacks(ossl, from);
    struct callbacks *place = conn_callbacks(ossl, copy);

    if (offer == NULL || (callbacks_are_empty(offer) && (place == NULL || callbacks_are_empty(place))))
        return;
    place = conn_callbacks_make(ossl, copy);
    if (place == NULL)
        return;
    place->security = offer->security;
    place->cert = offer->cert;
    place->cert_arg = offer->cert_arg;
    place->cert_watched = offer->cert_watched;
    place->certs_shared = offer->certs_shared;
}

const struct ossl_watch ossl_watch = {made, state_drop};
