#include "conn.h"

#include "context.h"
#include "within.h"

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
    conn->verifying = NULL;
    conn_keep_judged(ossl, conn, NULL);
    if (conn->client != NULL)
        ossl->X509_free(conn->client);
    conn->client = NULL;
    conn->client_is_set = false;
    free(conn->facts.sni);
    conn->facts.sni = NULL;
    target_forget_told(&conn->facts.told);
    conn->starting = false;
    conn->facts.begun = false;
    conn->facts.random_known = false;
    conn->facts.sent.state = SENT_UNKNOWN;
    free(conn->request);
    conn->request = NULL;
    if (conn->unseen)
        within_unseen(-1);
    conn->unseen = false;
    conn->withheld = false;
    conn->callbacks_removed = false;
    conn->lacks_offer = false;
    conn->suite_refused = false;
    free(conn->early_failure);
    conn->early_failure = NULL;
    /* Writing early data passes a handshake start twice: in SSL_write_early_data, and in the security callback. */
    if (conn->early != EARLY_BEGINS) {
        conn->early = EARLY_NONE;
        conn->taken_off = false;
    }
    conn->logged.acceptance = false;
    conn->logged.refusal = false;
}

/* `library` tells of the end, and may be another libssl with the same libcrypto. */
static void release(const void *library, void *attached)
{
    struct conn *conn = attached;
    const struct early_failure *early_failure = conn->early_failure;

    (void)library;
    if (early_failure != NULL)
        log_event(&(struct event) {.verdict = EVENT_NOTICE, .target = early_failure->target, .reason = early_failure->reason});
    conn_set_phase(conn, PHASE_UNJUDGED);
    forget_handshake(conn->ossl, conn);
    free(conn);
}

static void release_nothing(const void *library, void *attached)
{
    (void)library;
    (void)attached;
}

/* For an SSL that was made when nothing was set on its SSL_CTX: what is set there later does not apply to the SSL. */
static struct attached plain = {release_nothing};

struct conn *conn_of(const struct ossl *ossl, const SSL *ssl)
{
    void *state = state_of(ssl);

    (void)ossl;
    return state != &plain ? state : NULL;
}

/* libssl copies what the SSL_CTX has when the SSL is made; do the same then, or as soon as possible afterwards. */
static void inherit(const struct ossl *ossl, const SSL *ssl, struct conn *conn)
{
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);
    const struct callbacks *inherited = ctx != NULL ? context_callbacks(ossl, ctx) : NULL;

    if (inherited != NULL)
        conn->callbacks = *inherited;
}

/* Return the SSL's state, made if there is none; NULL when memory ran out, which callers treat as a refusal. */
struct conn *conn_make(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL)
        return conn;
    conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->attached.release = release;
    conn->ossl = ossl;
    if (state_of(ssl) != &plain)
        inherit(ossl, ssl, conn);
    if (!state_keep(ossl, ssl, &conn->attached)) {
        free(conn);
        return NULL;
    }
    return conn;
}

static bool has_own_memory(const struct ossl *ossl)
{
    void *(*new)(size_t, const char *, int) = NULL;

    if (ossl->CRYPTO_get_mem_functions != NULL)
        ossl->CRYPTO_get_mem_functions(&new, NULL, NULL);
    return new == NULL || new != ossl->CRYPTO_malloc;
}

void conn_forget_others(const struct ossl *ossl, const SSL *ssl)
{
    static const uint8_t none[HELLO_RANDOM];
    const struct conn *conn = conn_of(ossl, ssl);
    uint8_t random[HELLO_RANDOM];

    if (conn == NULL || !conn->facts.random_known || conn->driven || !has_own_memory(ossl) || ossl->SSL_in_before(ssl)
        || ossl->SSL_get_client_random(ssl, random, sizeof(random)) != sizeof(random) || memcmp(random, none, sizeof(random)) == 0)
        return;
    if (memcmp(&conn->facts.random, random + 8, sizeof(conn->facts.random)) != 0)
        state_drop(ossl, ssl);
}

void conn_restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    if (conn->mode_changed)
        ossl->SSL_set_verify(ssl, conn->mode, NULL);
    conn->mode_changed = false;
}

/* The callbacks of a QUIC connection run under its engine's lock, which is not recursive: docs/design.md lists what they may call. */
bool conn_is_quic(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->SSL_is_quic != NULL && ossl->SSL_is_quic(ssl) == 1;
}

/* Return true if the handshake or the connection has failed for good: every call fails, and moves no data. */
bool conn_has_failed(const struct ossl *ossl, const SSL *ssl)
{
    return strcmp(ossl->SSL_state_string(ssl), "SSLERR") == 0;
}

static void take_off(const struct ossl *ossl, SSL *ssl, const X509 *given)
{
    /* There was no certificate before; and before the program sets one, this is called. */
    if (ossl->SSL_get_certificate(ssl) == given)
        ossl->SSL_certs_clear(ssl);
}

void conn_take_client_cert_back(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL && conn->client_is_set)
        take_off(ossl, ssl, conn->client);
    if (conn != NULL)
        conn->client_is_set = false;
}

/* Forget everything about the last handshake. */
void conn_start_afresh(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    conn_restore_mode(ossl, ssl, conn);
    conn_take_client_cert_back(ossl, ssl);
    forget_handshake(ossl, conn);
    conn_set_phase(conn, PHASE_UNJUDGED);
}

/* Return true if the connection was refused. A refused SSL is in its initial state again only if it was reset: by SSL_clear,
 * SSL_set_connect_state, SSL_set_accept_state or BIO_reset. Then it can only start a new handshake. */
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

/* Where the program's callback is kept for the shim's own to call. Return NULL if it cannot be kept; then nothing may be offered. */
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
    /* BIO_ADDR is a union of socket addresses. */
    const struct sockaddr *socket_address = (const struct sockaddr *)(const void *)address;

    if (conn != NULL
        && !host_from_sockaddr(socket_address,
            socket_address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), &conn->facts.peer))
        conn->facts.peer.kind = HOST_UNREADABLE;
}

/* The last SSL that libssl started to make in this thread. */
static _Thread_local const SSL *begun;

static void keep_new(const struct ossl *ossl, SSL *ssl)
{
    /* From 3.5 on, it is not set yet at this point, and neither is the method. */
    const SSL_CTX *ctx = ossl_has_made(ossl, ssl) ? ossl->SSL_get_SSL_CTX(ssl) : NULL;

    if (ctx == NULL || state_of(ssl) != NULL)
        return;
    if (context_callbacks(ossl, ctx) != NULL || !state_keep(ossl, ssl, &plain))
        (void)conn_make(ossl, ssl);
}

static void made(const struct ossl *ossl, SSL *ssl)
{
    /* The end of an earlier SSL at this address may have been missed: libcrypto calls back only in threads with the library context (3.0) in which
     * the shim registered. */
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

/* When libssl copies an SSL before its handshake, it copies the callbacks that are kept with its certificates. All others come from the
 * SSL_CTX. */
void conn_copied(const struct ossl *ossl, SSL *copy, const SSL *from)
{
    const struct callbacks *callbacks = conn_callbacks(ossl, from);
    struct callbacks *place = conn_callbacks(ossl, copy);

    if (callbacks == NULL || (callbacks_are_empty(callbacks) && (place == NULL || callbacks_are_empty(place))))
        return;
    place = conn_callbacks_make(ossl, copy);
    if (place == NULL)
        return;
    place->security = callbacks->security;
    place->cert = callbacks->cert;
    place->cert_arg = callbacks->cert_arg;
    place->cert_watched = callbacks->cert_watched;
    place->certs_shared = callbacks->certs_shared;
}

const struct ossl_watch ossl_watch = {made, state_drop};
