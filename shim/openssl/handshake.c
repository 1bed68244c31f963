#include "handshake.h"

#include "client_cert.h"
#include "decide.h"
#include "refuse.h"
#include "security.h"
#include "session.h"
#include "start.h"
#include "told.h"
#include "unseen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Judge a finished handshake: the peer has proven its key now, and if there was no certificate to verify (resumption, PSK, anonymous suites),
 * this is the first judgement. Return true if the connection may continue. The caller preserves errno. */
static bool judge_finished(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    struct presented presented;
    SSL_SESSION *session;
    X509 *leaf;
    bool continues;

    if (conn != NULL)
        client_cert_settle(ossl, ssl, conn);
    leaf = decide_presented(ossl, ssl, &presented);
    session = ossl->SSL_get_session(ssl);
    continues = conn != NULL && leaf != NULL && (conn->leaf == leaf || (ossl->SSL_session_reused(ssl) == 1 && conn->judged == session))
        && (conn->proven || !log_wants(EVENT_ACCEPTED));
    if (!continues) {
        enum decision decision;

        (void)ossl->ERR_set_mark();
        decision = decide(ossl, ssl, conn, &presented, true, NULL);
        continues = decision != DECISION_REFUSE;
        if (decision == DECISION_ACCEPT_WITH_CLIENT_CERT)
            client_cert_arm(ossl, ssl);
        (void)ossl->ERR_pop_to_mark();
    }
    if (conn != NULL) {
        conn_set_phase(conn, continues ? PHASE_CONFIRMED : PHASE_REFUSED);
        if (conn->leaf != leaf)
            conn_keep_leaf(ossl, conn, leaf);
        conn->proven = continues;
        conn_keep_judged(ossl, conn, NULL);
        told_expect(ossl, ssl, leaf);
    }
    if (leaf != NULL)
        ossl->X509_free(leaf);
    if (!continues && session != NULL) {
        (void)ossl->ERR_set_mark();
        (void)ossl->SSL_CTX_remove_session(ossl->SSL_get_SSL_CTX(ssl), session);
        (void)ossl->ERR_pop_to_mark();
    }
    return continues;
}

static bool confirm(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int saved = errno;
    bool continues;

    continues = judge_finished(ossl, ssl, conn);
    if (!continues) {
        (void)ossl->ERR_set_mark();
        (void)ossl->SSL_shutdown(ssl);
        (void)ossl->ERR_pop_to_mark();
        refuse_again(ossl, ssl);
    }
    if (!continues && conn != NULL)
        refuse_socket(ossl, ssl, conn, true);
    errno = saved;
    return continues;
}

/* Evaluate a peer without a certificate, and append why `what` was not offered. */
static __attribute__((cold)) void explain_withheld(const struct ossl *ossl, SSL *ssl, struct conn *conn, const char *what, struct evaluation *evaluation, struct text *out)
{
    static const struct presented nothing;
    bool demands = decide_evaluate(ossl, ssl, conn, &nothing, evaluation) != VERDICT_ACCEPT;

    text_add(out, "%s was not offered: ", what);
    if (demands && evaluation->judgement.rule != NULL) {
        policy_print_rule(config_get()->pins, &evaluation->judgement, out);
        text_add(out, " asks for a certificate that this process has accepted before");
    } else {
        text_add(out, "when the handshake started, a rule of ");
        text_add_escaped(out, config_get()->pins, strlen(config_get()->pins), 300);
        text_add(out, " could still have demanded a certificate; a pins file with nothing but allow would allow it");
    }
}

/* Log what was not offered, even if a peer without a certificate would be accepted now that more is known of the target. */
static __attribute__((cold)) void log_withheld(const struct ossl *ossl, SSL *ssl, struct conn *conn, const char *what, enum event_verdict verdict)
{
    static const struct presented nothing;
    struct evaluation *evaluation = evaluation_new();
    char buffer[700];
    struct text remark = text_over(buffer, sizeof(buffer));

    if (evaluation == NULL)
        return;
    explain_withheld(ossl, ssl, conn, what, evaluation, &remark);
    evaluation->remark = buffer;
    /* What the program may not even have is not worth a line where nothing is asked of the target. */
    if (verdict == EVENT_REFUSED || evaluation->judgement.verdict != VERDICT_ACCEPT)
        decide_report(ossl, ssl, &nothing, evaluation, verdict);
    evaluation_end(evaluation);
    evaluation_free(evaluation);
}

/* Early data could not be written. Most programs continue with the handshake, whose outcome says everything. This is logged only if the program gives
 * up. */
static __attribute__((cold)) void keep_early_failure(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    struct evaluation *evaluation = evaluation_new();
    struct text target;
    struct text reason;

    if (evaluation == NULL)
        return;
    if (conn->early_failure == NULL)
        conn->early_failure = malloc(sizeof(*conn->early_failure));
    if (conn->early_failure != NULL) {
        target = text_over(conn->early_failure->target, sizeof(conn->early_failure->target));
        reason = text_over(conn->early_failure->reason, sizeof(conn->early_failure->reason));
        explain_withheld(ossl, ssl, conn, "the session for early data", evaluation, &reason);
        host_print(&evaluation->judgement.host, &target);
        if (target.length == 0)
            text_add(&target, "unknown target");
        evaluation_end(evaluation);
    }
    evaluation_free(evaluation);
}

/* A handshake failed, perhaps because of what was not offered. If a suite was refused, that is the reason, and the handshake fails as a refusal does.
 * SSL_want does not help: an alert from the server does not change it. */
static void explain_failure(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    static const struct presented nothing;
    int saved = errno;
    int error;

    if (!conn->withheld || conn->logged.refusal || conn->leaf != NULL)
        return;
    /* A callback of the program may have emptied the queue: libcoap's does. */
    error = ossl->SSL_get_error(ssl, result);
    if (error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL && !conn_has_failed(ossl, ssl))
        return;
    (void)ossl->ERR_set_mark();
    if (decide(ossl, ssl, conn, &nothing, false, NULL) != DECISION_REFUSE && !conn->logged.refusal)
        log_withheld(ossl, ssl, conn, "authentication without a certificate (a pre-shared key, or an anonymous suite)", EVENT_REFUSED);
    conn->logged.refusal = true;
    (void)ossl->ERR_pop_to_mark();
    if (conn->suite_refused) {
        conn_set_phase(conn, PHASE_REFUSED);
        ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
        /* libssl cleared the queue when the handshake function was called, so its errors are about the suite. */
        ossl->ERR_clear_error();
        refuse_push_error(ossl);
    }
    errno = saved;
}

/* Return true if a read has driven the handshake until only the client's last flight is missing: the server has proven its key, and early data
 * may still be written. This is the only point at which libssl stops between two states. */
static bool is_paused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn)
{
    return conn->early == EARLY_FLOWS && ossl->SSL_in_init(ssl) == 0 && !ossl->SSL_is_init_finished(ssl)
        && ossl->SSL_get_state(ssl) != conn->early_state;
}

static int judge_drive(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    if (conn->phase == PHASE_REFUSED) {
        conn_restore_mode(ossl, ssl, conn);
        return result > 0 ? -1 : result;
    }
    if (ossl->SSL_is_init_finished(ssl) || is_paused(ossl, ssl, conn))
        return confirm(ossl, ssl, conn) ? result : -1;
    if (result <= 0) {
        client_cert_follow(ossl, ssl, conn, result);
        explain_failure(ossl, ssl, conn, result);
    }
    return result;
}

/* A handshake function has returned `result`. Return that, or -1 for a refusal: then the alert has been written. */
static int after_drive(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    result = judge_drive(ossl, ssl, conn, result);
    if (conn->phase == PHASE_REFUSED)
        refuse_socket(ossl, ssl, conn, true);
    return result;
}

bool handshake_was_read(const struct ossl *ossl, SSL *ssl, int result)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn == NULL)
        return true;
    if (conn->early == EARLY_FLOWS && conn->phase != PHASE_CONFIRMED)
        return after_drive(ossl, ssl, conn, result) == result;
    client_cert_follow(ossl, ssl, conn, result);
    return true;
}

/* Log that early data was stopped, although nothing refuses the session's peer by itself: as a rule because a key was revoked, and the session does not
 * keep the peer's issuers. */
static __attribute__((cold)) void log_stopped(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented)
{
    struct evaluation *evaluation = evaluation_new();

    if (evaluation == NULL)
        return;
    (void)decide_evaluate(ossl, ssl, conn, presented, evaluation);
    evaluation->remark = "more early data is to be written, but under the rules now in force its session would not be offered: only the peer's certificate "
                         "is known, and not its issuers, which may be revoked";
    decide_report(ossl, ssl, presented, evaluation, EVENT_REFUSED);
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    conn->logged.refusal = true;
}

/* More early data is to be written: a name may have been set since, or the pins have changed. Return true if the session would still be offered;
 * else the connection is refused. */
static bool still_offered(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    SSL_SESSION *session = ossl->SSL_get_session(ssl);
    const struct presented presented = {.leaf = session != NULL ? certs_from(ossl->SSL_SESSION_get0_peer(session)) : NULL, .sent = ossl->SSL_get_peer_cert_chain(ssl)};
    int saved = errno;
    bool accepted;

    (void)ossl->ERR_set_mark();
    accepted = decide(ossl, ssl, conn, &presented, false, NULL) != DECISION_REFUSE;
    if (accepted && session != NULL && !decide_may_resume(ossl, ssl, session)) {
        accepted = false;
        if (!conn->logged.refusal)
            log_stopped(ossl, ssl, conn, &presented);
    }
    (void)ossl->ERR_pop_to_mark();
    if (!accepted) {
        conn_set_phase(conn, PHASE_REFUSED);
        refuse_again(ossl, ssl);
        refuse_socket(ossl, ssl, conn, true);
    }
    errno = saved;
    return accepted;
}

/* What has begun on the SSL before, and may have been left by a jump, is over: it is in its initial state. */
static __attribute__((noinline)) void begin_anew(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    security_put_back(ossl, ssl);
    if (conn == NULL)
        return;
    conn->left |= conn->driven || conn->writes_early;
    conn->driven = conn->writes_early = false;
}

bool handshake_ready_early(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;
    int saved = errno;

    if (!refuse_unless_open(ossl, &ssl, &conn))
        return false;
    if (ossl->SSL_is_server(ssl))
        return true;
    conn = conn_make(ossl, ssl);
    if (conn == NULL)
        return false;
    if (ossl->SSL_in_before(ssl)) {
        begin_anew(ossl, ssl, conn);
        conn->early = EARLY_NONE;
        (void)ossl->ERR_set_mark();
        start_known(ossl, ssl, conn);
        (void)ossl->ERR_pop_to_mark();
        errno = saved;
        conn->early = EARLY_BEGINS;
        atomic_store(&conn_looks_at_reads, true);
    } else if (conn->early == EARLY_FLOWS && ossl->SSL_in_init(ssl) == 0 && conn->phase != PHASE_CONFIRMED && !still_offered(ossl, ssl, conn)) {
        return false;
    }
    /* A read has started the handshake: libssl would finish it in the same call. */
    if (conn->early == EARLY_FLOWS && ossl->SSL_in_init(ssl) != 0 && !conn_has_failed(ossl, ssl)
        && handshake_run(ossl, ssl, ossl->SSL_do_handshake) <= 0)
        return false;
    conn->writes_early = true;
    return true;
}

void handshake_was_early(const struct ossl *ossl, SSL *ssl, int result)
{
    struct conn *conn = conn_of(ossl, ssl);
    int saved = errno;

    if (conn != NULL)
        conn->writes_early = false;
    if (conn == NULL || conn->early != EARLY_BEGINS)
        return;
    if (ossl->SSL_in_before(ssl)) {
        conn->early = EARLY_NONE; /* no session allows it */
    } else if (ossl->SSL_in_init(ssl) == 0) {
        conn->early = EARLY_FLOWS;
        conn->early_state = ossl->SSL_get_state(ssl);
    }
    if (result <= 0 && conn->early != EARLY_BEGINS && (conn->taken_off || conn->withheld)) {
        (void)ossl->ERR_set_mark();
        keep_early_failure(ossl, ssl, conn);
        (void)ossl->ERR_pop_to_mark();
    }
    errno = saved;
}

int handshake_run(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *))
{
    SSL *called = ssl;
    bool driven_before;
    struct conn *conn;
    int result;

    if (refuse_spares(ossl, ssl) && real != ossl->SSL_connect)
        return real(ssl);
    if (!refuse_unless_open(ossl, &ssl, &conn))
        return -1;
    if (ossl->SSL_in_before(ssl))
        begin_anew(ossl, ssl, conn);
    /* An SSL of TLS_method() counts as a server until its role is fixed, which SSL_connect may do. */
    if (ossl->SSL_is_server(ssl) && (real != ossl->SSL_connect || !ossl->SSL_in_before(ssl))) {
        bool suspended = security_suspend(ossl, ssl);

        result = real(called);
        if (suspended)
            security_resume(ossl, ssl);
        return result;
    }
    if (ossl->SSL_is_init_finished(ssl) && conn != NULL && conn->phase == PHASE_CONFIRMED)
        return real(called);
    conn = conn_make(ossl, ssl);
    if (conn == NULL) {
        refuse_push_error(ossl);
        return -1;
    }
    conn_set_phase(conn, PHASE_UNJUDGED);
    /* The program asks for the complete handshake: no more early data. */
    if (conn->early == EARLY_BEGINS || (conn->early == EARLY_FLOWS && (ossl->SSL_in_before(ssl) || ossl->SSL_in_init(ssl) == 0)))
        conn->early = EARLY_NONE;
    driven_before = conn->driven;
    conn->driven = true;
    conn->starting = false;
    result = real(called);
    if (conn->callbacks.suspended)
        security_resume(ossl, ssl);
    if (ossl->SSL_is_server(ssl)) {
        conn->driven = driven_before;
        return result;
    }
    result = after_drive(ossl, ssl, conn, result);
    conn->driven = driven_before;
    return result;
}

/* Return true if the real call fails before it looks at the handshake: its direction is shut down, or there is no kernel TLS. */
static bool fails_at_once(const struct ossl *ossl, SSL *ssl, enum handshake_call call)
{
    if (conn_is_quic(ossl, ssl))
        return false;
    if (call == CALL_SENDS_FILE)
        return ossl->BIO_ctrl(ossl->SSL_get_wbio(ssl), BIO_CTRL_GET_KTLS_SEND, 0, NULL) == 0;
    return (ossl->SSL_get_shutdown(ssl) & (call == CALL_READS ? SSL_RECEIVED_SHUTDOWN : SSL_SENT_SHUTDOWN)) != 0;
}

/* Drive a handshake that an I/O call implies. Return true if that call may run: the handshake is finished and judged, or the call can only fail.
 * libssl's state machine clears errno and the error queue when it starts. It does not start after a failure, nor before the SSL has a role: then no
 * byte moves, and the call fails as it does without the shim. */
static bool drive(const struct ossl *ossl, SSL *ssl)
{
    static const int untouched = 0x5afe; /* no error has this number */
    /* A callback calls this, or has left an earlier handshake by a jump, or a thread was cancelled in that: libssl takes itself to be in its midst,
     * and would write in clear text. */
    struct conn *conn = conn_make(ossl, ssl);
    bool within = conn != NULL && (conn->driven || conn->writes_early || conn->left);
    int saved = errno;
    bool finished;

    if (conn == NULL) {
        refuse_push_error(ossl);
        return false;
    }
    (void)ossl->ERR_set_mark();
    errno = untouched;
    finished = handshake_run(ossl, ssl, ossl->SSL_do_handshake) > 0;
    if (errno != untouched)
        return finished;
    errno = saved;
    (void)ossl->ERR_pop_to_mark();
    return finished || (!conn_is_quic(ossl, ssl) && !within);
}

bool handshake_ensure(const struct ossl *ossl, SSL *ssl, enum handshake_call call)
{
    uint64_t epoch = atomic_load(&conn_epoch);
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL && conn->phase == PHASE_CONFIRMED && ossl->SSL_is_init_finished(ssl)) {
        /* The epoch was read first: if the phase changes meanwhile, that epoch is over. */
        *conn_known_place(ssl) = (struct conn_known) {ssl, ossl, epoch, false};
        return true;
    }
    if (refuse_spares(ossl, ssl))
        return true;
    if (!refuse_unless_open(ossl, &ssl, &conn))
        return false;
    if (conn != NULL && conn->phase == PHASE_CONFIRMED && ossl->SSL_is_init_finished(ssl))
        return true;
    if (ossl->SSL_is_server(ssl)) {
        *conn_known_place(ssl) = (struct conn_known) {ssl, ossl, epoch, true};
        return true;
    }
    if (ossl->SSL_is_init_finished(ssl))
        return confirm(ossl, ssl, conn_make(ossl, ssl));
    if (call == CALL_INNER || (call == CALL_READS && conn != NULL && conn->phase == PHASE_CONFIRMED && !ossl->SSL_in_before(ssl)))
        return true;
    /* SSL_do_handshake would end the early data; the read itself does not, and handshake_was_read judges the result. Until the ClientHello is out,
     * libssl does neither. */
    if (conn != NULL && !conn->writes_early && !ossl->SSL_in_before(ssl) && (conn->early == EARLY_BEGINS || (conn->early == EARLY_FLOWS && call == CALL_READS)))
        return true;
    if (fails_at_once(ossl, ssl, call))
        return true;
    while (drive(ossl, ssl)) {
        conn = conn_of(ossl, ssl);
        if (conn == NULL || !is_paused(ossl, ssl, conn))
            return true;
    }
    return false;
}

int handshake_clear(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL) {
        conn->early = EARLY_NONE;
        conn_start_afresh(ossl, ssl, conn);
    }
    if (ossl->kind == OSSL_USABLE)
        begin_anew(ossl, ssl, conn);
    return ossl->SSL_clear(ssl);
}

/* No call returns through the shim that could fail: what is left is to let nothing more leave, nor be read. */
static void finish_unseen(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int saved = errno;

    if (conn->phase == PHASE_REFUSED)
        return;
    (void)ossl->ERR_set_mark();
    if (judge_finished(ossl, ssl, conn)) {
        session_written(ossl, ossl->SSL_get_session(ssl));
    } else {
        ossl->SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
        refuse_socket(ossl, ssl, conn, true);
    }
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

static void fail_unseen(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int saved = errno;

    /* The alert has been written. */
    if (conn->phase == PHASE_REFUSED)
        refuse_socket(ossl, ssl, conn, true);
    if (!conn->lacks_offer || !(conn->withheld || conn->callbacks_removed) || conn->is_without || conn->logged.refusal || conn->leaf != NULL
        || conn->phase == PHASE_REFUSED)
        return;
    (void)ossl->ERR_set_mark();
    if (conn->withheld)
        log_withheld(ossl, ssl, conn, "authentication without a certificate (a pre-shared key, or an anonymous suite)", EVENT_REFUSED);
    else
        log_withheld(ossl, ssl, conn, "the server has ended the handshake and shown no certificate; if the program has a pre-shared key, it", EVENT_NOTICE);
    conn->logged.refusal = true;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

/* What libssl calls for clients whose calls are not seen. */
__attribute__((constructor)) static void follow_unseen(void)
{
    static const struct unseen_events events = {security_follow, security_restore, finish_unseen, fail_unseen};

    atomic_store(&unseen_events, &events);
    atomic_store(&ossl_context_made, security_context_made);
}
