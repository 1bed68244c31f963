#include "conn.h"

#include "intent.h"
#include "log.h"
#include "peer.h"
#include "pinstore.h"
#include "session.h"
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WANT_RETRY_VERIFY 8 /* SSL_RETRY_VERIFY, 3.0 */
#define REASON_CERTIFICATE_VERIFY_FAILED 134 /* SSL_R_CERTIFICATE_VERIFY_FAILED */
#define SHUTDOWN_BOTH (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)

enum phase { PHASE_UNJUDGED = 0, PHASE_REFUSED, PHASE_CONFIRMED };

/* What hangs on a client's SSL. */
struct conn {
    struct ossl_attached attached;
    enum phase phase;
    bool logged; /* this connection's refusal or report */
    bool mode_changed; /* the verify mode below is the program's, and to be restored */
    int mode;
    X509 *leaf; /* accepted in this handshake, which is not finished yet; a reference */
    SSL_SESSION *kept_back; /* the program's session, not set yet; a reference */
    struct host wire; /* where the handshake was seen to be sent to */
    char *sni; /* what the program had set before the handshake; NULL: nothing */
};

static void forget_handshake(const struct ossl *ossl, struct conn *conn)
{
    if (conn->leaf != NULL)
        ossl->X509_free(conn->leaf);
    free(conn->sni);
    conn->leaf = NULL;
    conn->sni = NULL;
}

static void keep_back(const struct ossl *ossl, struct conn *conn, SSL_SESSION *session)
{
    if (conn->kept_back != NULL)
        ossl->SSL_SESSION_free(conn->kept_back);
    conn->kept_back = session != NULL && ossl->SSL_SESSION_up_ref(session) == 1 ? session : NULL;
}

static void release(const struct ossl *ossl, void *attached)
{
    forget_handshake(ossl, attached);
    keep_back(ossl, attached, NULL);
    free(attached);
}

static struct conn *conn_of(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->SSL_get_ex_data(ssl, ossl->ssl_index);
}

/* Return the SSL's state, made if there is none; NULL when memory ran out, which the callers take for a refusal. */
static struct conn *conn_make(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL)
        return conn;
    conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->attached.release = release;
    if (ossl->SSL_set_ex_data(ssl, ossl->ssl_index, conn) != 1) {
        free(conn);
        return NULL;
    }
    return conn;
}

/* Everything about one judgement, for the verdict and for the log. */
struct hearing {
    const struct pinstore *store;
    struct target target;
    struct host address;
    struct judgement judgement;
};

static enum verdict hear(const struct ossl *ossl, SSL *ssl, const struct conn *conn, X509 *leaf, EVP_PKEY *raw_key,
    struct hearing *out)
{
    struct peer peer;

    memset(&out->judgement, 0, sizeof(out->judgement));
    out->store = pinstore_get();
    intent_read(ossl, ssl, conn != NULL ? conn->sni : NULL, conn != NULL ? &conn->wire : NULL, &out->target, &out->address);
    if (out->target.count > 0)
        out->judgement.host = out->target.identities[0];
    if (conn == NULL || out->store == NULL)
        return VERDICT_REFUSE;
    if (out->store->pins == NULL) {
        out->judgement.reason = REASON_FAULT;
        return VERDICT_REFUSE;
    }
    peer_read(ossl, out->store->pins, leaf, raw_key, &peer);
    policy_judge(out->store->pins, &out->target, &peer, &out->judgement);
    return out->judgement.verdict;
}

static void log_hearing(const struct ossl *ossl, SSL *ssl, X509 *leaf, EVP_PKEY *raw_key, const struct hearing *hearing,
    enum event_verdict verdict)
{
    const char *path = config_get()->pins;
    const struct judgement *judgement = &hearing->judgement;
    const struct pins *pins = hearing->store != NULL ? hearing->store->pins : NULL;
    char target[1100];
    char address[64];
    char rule[1300];
    char reason[1600];
    char matched[160];
    char wanted[480];
    struct text target_text = text_over(target, sizeof(target));
    struct text address_text = text_over(address, sizeof(address));
    struct text rule_text = text_over(rule, sizeof(rule));
    struct text reason_text = text_over(reason, sizeof(reason));
    struct text matched_text = text_over(matched, sizeof(matched));
    struct text wanted_text = text_over(wanted, sizeof(wanted));
    struct peer_shown shown;
    struct event event;

    if (!log_wants(verdict))
        return;
    host_print(&judgement->host, &target_text);
    if (target[0] == '\0')
        text_add(&target_text, "unknown target");
    if (hearing->address.kind == HOST_ADDRESS)
        host_print_bare(&hearing->address, &address_text);
    policy_print_rule(path, judgement, &rule_text);
    if (judgement->reason == REASON_FAULT && hearing->store != NULL)
        text_add(&reason_text, "configuration fault: %s", hearing->store->fault);
    else
        policy_print_reason(pins, path, judgement, &reason_text);
    if (pins != NULL && judgement->matched != NULL)
        pins_print_pin(pins, judgement->matched, &matched_text);
    if (pins != NULL)
        policy_print_wanted(pins, judgement, &wanted_text);
    peer_show(ossl, leaf, raw_key, &shown);
    event = (struct event) {
        .verdict = verdict,
        .target = target,
        .address = address,
        .port = hearing->address.port != 0 ? hearing->address.port : judgement->host.port,
        .rule = rule,
        .reason = reason,
        .matched = matched,
        .wanted = wanted,
        .spki_sha256 = shown.spki,
        .cert_sha256 = shown.cert,
        .subject = leaf != NULL ? shown.subject : NULL,
        .issuer = shown.issuer,
        .not_after = shown.not_after,
        .tls = ossl->SSL_get_version(ssl),
        .resumed = ossl->SSL_session_reused(ssl) == 1,
    };
    log_event(&event);
}

/* A fault is no verdict that report mode could let pass: nothing was judged. */
static bool only_reported(const struct hearing *hearing)
{
    return config_get()->mode == MODE_REPORT && hearing->store != NULL && hearing->store->pins != NULL;
}

/* Hear the peer; log a refusal once. Return true if the connection may live. */
static bool admit(const struct ossl *ossl, SSL *ssl, struct conn *conn, X509 *leaf, EVP_PKEY *raw_key, bool finished)
{
    struct hearing hearing;
    bool refused = hear(ossl, ssl, conn, leaf, raw_key, &hearing) != VERDICT_ACCEPT;
    bool dies = refused && !only_reported(&hearing);

    if (refused && (conn == NULL || !conn->logged))
        log_hearing(ossl, ssl, leaf, raw_key, &hearing, dies ? EVENT_REFUSED : EVENT_REPORTED);
    if (refused && conn != NULL)
        conn->logged = true;
    if (!refused && finished)
        log_hearing(ossl, ssl, leaf, raw_key, &hearing, EVENT_ACCEPTED);
    return !dies;
}

static void push_error(const struct ossl *ossl)
{
    if (ossl->ERR_set_error != NULL) {
        ossl->ERR_new();
        ossl->ERR_set_debug("pinshim", 0, "");
        ossl->ERR_set_error(ERR_LIB_SSL, REASON_CERTIFICATE_VERIFY_FAILED, NULL);
    } else {
        ossl->ERR_put_error(ERR_LIB_SSL, 0, REASON_CERTIFICATE_VERIFY_FAILED, "pinshim", 0);
    }
}

/* Make a call on a refused connection fail as the refusal did. From 4.0 on SSL_get_error no longer looks at the error queue: a
 * real call that fails, on a connection that is shut down and so moves nothing, makes it say SSL_ERROR_SSL. */
static void fail_again(const struct ossl *ossl, SSL *ssl)
{
    ossl->SSL_set_shutdown(ssl, SHUTDOWN_BOTH);
    (void)ossl->ERR_set_mark();
    (void)ossl->SSL_write(ssl, "", 1);
    (void)ossl->ERR_pop_to_mark();
    ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
    push_error(ossl);
}

static void restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    if (conn->mode_changed)
        ossl->SSL_set_verify(ssl, conn->mode, NULL);
    conn->mode_changed = false;
}

int conn_verify(const struct ossl *ossl, X509_STORE_CTX *ctx, int result)
{
    int saved = errno;
    struct conn *conn;
    X509 *leaf;
    EVP_PKEY *raw_key;
    SSL *ssl;

    if (ossl->kind == OSSL_FOREIGN)
        return result;
    if (ossl->kind == OSSL_UNUSABLE) {
        /* It cannot be told whether this is a client. */
        log_fault("this OpenSSL is too old or incomplete; expected 1.1.1 or newer");
        return 0;
    }
    ssl = ossl->X509_STORE_CTX_get_ex_data(ctx, ossl->SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ssl == NULL || ossl->SSL_is_server(ssl))
        return result;
    /* "Ask me again" (SSL_set_retry_verify) is no answer yet. */
    if (result > 0 && ossl->SSL_want(ssl) == WANT_RETRY_VERIFY)
        return result;
    /* The program refuses by itself. */
    if (result <= 0 && (ossl->SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        return result;
    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    leaf = ossl->X509_STORE_CTX_get0_cert(ctx);
    raw_key = leaf == NULL && ossl->X509_STORE_CTX_get0_rpk != NULL ? ossl->X509_STORE_CTX_get0_rpk(ctx) : NULL;
    if (conn != NULL && conn->leaf != NULL && conn->leaf == leaf) {
        /* Already accepted: the program's callback ran the library's verification, which was judged. */
    } else if (admit(ossl, ssl, conn, leaf, raw_key, false)) {
        /* Already here, not when the handshake is finished: programs store the session before that call returns. */
        session_mark(ossl, ossl->SSL_get_session(ssl));
        if (leaf != NULL && ossl->X509_up_ref(leaf) == 1) {
            if (conn->leaf != NULL)
                ossl->X509_free(conn->leaf);
            conn->leaf = leaf;
        }
    } else {
        /* Under SSL_VERIFY_NONE libssl would ignore the 0 and go on to send a client certificate. It reads the mode only after
         * this returns; a NULL callback keeps the program's. */
        int mode = ossl->SSL_get_verify_mode(ssl);

        if (conn != NULL) {
            conn->phase = PHASE_REFUSED;
            conn->mode = conn->mode_changed ? conn->mode : mode;
            conn->mode_changed = true;
        }
        ossl->SSL_set_verify(ssl, mode | SSL_VERIFY_PEER, NULL);
        ossl->X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
        result = 0;
    }
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return result;
}

/* Judge a handshake that is finished: the peer has proven its key now, and this is the first look where there was no certificate
 * to verify (resumption, PSK, anonymous suites). Return true if the connection may live. */
static bool confirm(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    X509 *leaf;
    EVP_PKEY *raw_key;
    SSL_SESSION *session;
    bool lives;
    int saved = errno;

    (void)ossl->ERR_set_mark();
    leaf = ossl->SSL_get1_peer_certificate != NULL ? ossl->SSL_get1_peer_certificate(ssl) : ossl->SSL_get_peer_certificate(ssl);
    raw_key = leaf == NULL && ossl->SSL_get0_peer_rpk != NULL ? ossl->SSL_get0_peer_rpk(ssl) : NULL;
    lives = conn != NULL && conn->leaf != NULL && conn->leaf == leaf && !log_wants(EVENT_ACCEPTED);
    lives = lives || admit(ossl, ssl, conn, leaf, raw_key, true);
    if (conn != NULL) {
        conn->phase = lives ? PHASE_CONFIRMED : PHASE_REFUSED;
        forget_handshake(ossl, conn);
    }
    if (leaf != NULL)
        ossl->X509_free(leaf);
    if (!lives) {
        session = ossl->SSL_get_session(ssl);
        if (session != NULL)
            (void)ossl->SSL_CTX_remove_session(ossl->SSL_get_SSL_CTX(ssl), session);
        (void)ossl->SSL_shutdown(ssl);
    }
    (void)ossl->ERR_pop_to_mark();
    if (!lives)
        fail_again(ossl, ssl);
    errno = saved;
    return lives;
}

/* During a resumption under TLS 1.2, SSL_get_servername gives the session's name: what the program set is taken before. */
static void keep_sni(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    const char *sni = ossl->SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    if (sni == NULL || (conn->sni != NULL && strcmp(conn->sni, sni) == 0))
        return;
    free(conn->sni);
    conn->sni = strdup(sni);
}

/* Return true if the session may be resumed: the rules in force now, for this target, are satisfied by the certificate that its
 * peer has proven. Nothing is logged: without the session the peer has to show its certificate. */
static bool may_resume(const struct ossl *ossl, SSL *ssl, const struct conn *conn, SSL_SESSION *session)
{
    struct hearing hearing;

    if (hear(ossl, ssl, conn, ossl->SSL_SESSION_get0_peer(session), NULL, &hearing) != VERDICT_ACCEPT)
        return only_reported(&hearing);
    return hearing.judgement.reason != REASON_MATCH || session_is_proven(ossl, session);
}

static void judge_session(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    SSL_SESSION *session = ossl->SSL_get_session(ssl);

    if (session == NULL && conn->kept_back != NULL) {
        (void)ossl->SSL_set_session(ssl, conn->kept_back);
        session = ossl->SSL_get_session(ssl);
    }
    keep_back(ossl, conn, NULL);
    if (session != NULL && !may_resume(ossl, ssl, conn, session))
        (void)ossl->SSL_set_session(ssl, NULL);
}

/* Before a client's first message: take down what it is to be judged by, and judge the session that it would offer. */
static void begin(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int saved = errno;

    (void)ossl->ERR_set_mark();
    keep_sni(ossl, ssl, conn);
    judge_session(ossl, ssl, conn);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

void conn_judge_session(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;
    int saved = errno;

    if (ossl->kind != OSSL_USABLE || ossl->SSL_get_session(ssl) == NULL || !ossl->SSL_in_before(ssl))
        return;
    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    if (conn != NULL)
        judge_session(ossl, ssl, conn);
    else
        (void)ossl->SSL_set_session(ssl, NULL);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

int conn_set_session(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct conn *conn;
    int saved = errno;

    if (ossl->kind != OSSL_USABLE || !ossl->SSL_in_before(ssl))
        return ossl->SSL_set_session(ssl, session);
    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    if (conn != NULL)
        keep_back(ossl, conn, NULL);
    if (session == NULL || (conn != NULL && may_resume(ossl, ssl, conn, session))) {
        (void)ossl->ERR_pop_to_mark();
        errno = saved;
        return ossl->SSL_set_session(ssl, session);
    }
    if (conn != NULL) {
        (void)ossl->SSL_set_session(ssl, NULL);
        keep_back(ossl, conn, session);
    }
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return 1;
}

bool conn_ready_early(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;

    if (ossl->kind != OSSL_USABLE)
        return false;
    conn = conn_of(ossl, ssl);
    if (ossl->SSL_is_server(ssl))
        return true;
    if (conn != NULL && conn->phase == PHASE_REFUSED) {
        fail_again(ossl, ssl);
        return false;
    }
    conn = conn_make(ossl, ssl);
    if (conn == NULL)
        return false;
    if (ossl->SSL_in_before(ssl))
        begin(ossl, ssl, conn);
    return true;
}

int conn_handshake(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *))
{
    struct host *watched_before;
    struct conn *conn;
    int result;

    if (ossl->kind != OSSL_USABLE)
        return -1;
    conn = conn_of(ossl, ssl);
    if (conn != NULL && conn->phase == PHASE_REFUSED) {
        fail_again(ossl, ssl);
        return -1;
    }
    /* An SSL of TLS_method() counts as a server until its role is fixed, which SSL_connect may do. */
    if (ossl->SSL_is_server(ssl) && (real != ossl->SSL_connect || !ossl->SSL_in_before(ssl)))
        return real(ssl);
    if (ossl->SSL_is_init_finished(ssl) && conn != NULL && conn->phase == PHASE_CONFIRMED)
        return real(ssl);
    conn = conn_make(ossl, ssl);
    if (conn == NULL)
        return -1;
    conn->phase = PHASE_UNJUDGED;
    if (ossl->SSL_in_before(ssl))
        begin(ossl, ssl, conn);
    watched_before = wire_watch(&conn->wire);
    result = real(ssl);
    (void)wire_watch(watched_before);
    /* The call may have come back through a wrapper and been judged there (1.1.1, 3.0, 3.5: SSL_connect, SSL_do_handshake). */
    if (ossl->SSL_is_server(ssl) || conn->phase == PHASE_CONFIRMED)
        return result;
    if (conn->phase == PHASE_REFUSED) {
        restore_mode(ossl, ssl, conn);
        return result > 0 ? -1 : result;
    }
    if (ossl->SSL_is_init_finished(ssl) && !confirm(ossl, ssl, conn))
        return -1;
    return result;
}

bool conn_ready(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;

    if (ossl->kind != OSSL_USABLE)
        return false;
    conn = conn_of(ossl, ssl);
    if (ossl->SSL_is_server(ssl))
        return true;
    if (conn != NULL && conn->phase == PHASE_REFUSED) {
        fail_again(ossl, ssl);
        return false;
    }
    if (ossl->SSL_is_init_finished(ssl))
        return (conn != NULL && conn->phase == PHASE_CONFIRMED) || confirm(ossl, ssl, conn_make(ossl, ssl));
    return conn_handshake(ossl, ssl, ossl->SSL_do_handshake) > 0;
}

int conn_clear(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL) {
        restore_mode(ossl, ssl, conn);
        forget_handshake(ossl, conn);
        conn->phase = PHASE_UNJUDGED;
        conn->logged = false;
    }
    return ossl->SSL_clear(ssl);
}

/* A program's verification callback with its argument. libssl holds the two apart; published as one pointer they cannot be mixed
 * up while another thread verifies. Pairs are kept for good: a program has few, or swaps the same ones. */
struct callback {
    const struct ossl *ossl;
    int (*function)(X509_STORE_CTX *, void *);
    void *arg;
    struct callback *next;
};

#define CALLBACK_BUCKETS 256
static _Atomic(struct callback *) callbacks[CALLBACK_BUCKETS];

static int call_back(X509_STORE_CTX *ctx, void *arg)
{
    const struct callback *callback = arg;

    return conn_verify(callback->ossl, ctx, callback->function(ctx, callback->arg));
}

/* Stands in where memory for a pair ran out: nothing is accepted. */
static int refuse_all(X509_STORE_CTX *ctx, void *arg)
{
    const struct ossl *ossl = arg;
    SSL *ssl = ossl->X509_STORE_CTX_get_ex_data(ctx, ossl->SSL_get_ex_data_X509_STORE_CTX_idx());

    if (ssl != NULL)
        ossl->SSL_set_verify(ssl, ossl->SSL_get_verify_mode(ssl) | SSL_VERIFY_PEER, NULL);
    ossl->X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
    return 0;
}

void conn_set_verify_callback(const struct ossl *ossl, SSL_CTX *ctx, int (*function)(X509_STORE_CTX *, void *), void *arg)
{
    uintptr_t hash = ((uintptr_t)function >> 4) ^ ((uintptr_t)arg >> 4) ^ ((uintptr_t)arg >> 12);
    _Atomic(struct callback *) *bucket = &callbacks[hash % CALLBACK_BUCKETS];
    struct callback *head = atomic_load(bucket);
    struct callback *callback;

    if (ossl->kind != OSSL_USABLE || function == NULL) {
        ossl->SSL_CTX_set_cert_verify_callback(ctx, function, arg);
        return;
    }
    for (callback = head; callback != NULL; callback = callback->next) {
        if (callback->ossl == ossl && callback->function == function && callback->arg == arg)
            break;
    }
    if (callback == NULL) {
        callback = malloc(sizeof(*callback));
        if (callback == NULL) {
            ossl->SSL_CTX_set_cert_verify_callback(ctx, refuse_all, (void *)(uintptr_t)ossl);
            return;
        }
        *callback = (struct callback) {ossl, function, arg, head};
        while (!atomic_compare_exchange_weak(bucket, &callback->next, callback))
            ;
    }
    ossl->SSL_CTX_set_cert_verify_callback(ctx, call_back, callback);
}
