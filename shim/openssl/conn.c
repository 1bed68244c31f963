#include "conn.h"

#include "client.h"
#include "session.h"
#include "state.h"
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define WANT_RETRY_VERIFY 8 /* SSL_RETRY_VERIFY, 3.0 */
#define REASON_CERTIFICATE_VERIFY_FAILED 134 /* SSL_R_CERTIFICATE_VERIFY_FAILED */
#define ECH_REJECTED (-105) /* SSL_ECH_STATUS_FAILED_ECH, 4.0: there are new keys */
#define ECH_REJECTED_BAD_NAME (-106) /* the same, and the program's verification has failed */
#define SHUTDOWN_BOTH (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)

enum phase { PHASE_UNJUDGED = 0, PHASE_REFUSED, PHASE_CONFIRMED };

/* Early data: whether the program may go on to write it. A read does not end it. */
enum early { EARLY_NONE = 0, EARLY_BEGINS /* the ClientHello is not out yet */, EARLY_FLOWS };

/* Why early data could not be written, and for which target. */
struct unsaid {
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    char reason[700];
};

/* What is kept of a client's SSL. */
struct conn {
    struct ossl_attached attached;
    enum phase phase;
    bool logged; /* this connection's refusal or report */
    bool mode_changed; /* the verify mode below is the program's, and to be restored */
    int mode;
    X509 *leaf; /* the certificate that was accepted last; a reference */
    bool proven; /* its handshake was finished and confirmed */
    struct offer offer; /* what the program set on this SSL itself */
    bool driven; /* see conn_is_driven */
    bool withheld; /* something that needs no certificate was not offered */
    bool suite_refused; /* that the server has chosen */
    bool taken_off; /* a session, that may not be resumed */
    struct unsaid *unsaid; /* see keep_unsaid */
    enum early early;
    OSSL_HANDSHAKE_STATE early_state; /* of libssl, where nothing was read yet */
    bool told; /* that the peer was accepted */
    X509 *client; /* the certificate that was offered to the server; a reference */
    bool client_is_on; /* the SSL */
    bool later; /* see allow_requests */
    SSL_SESSION *judged; /* what may be resumed; a reference */
    struct clues clues;
};

_Atomic uint64_t conn_epoch = 1;
_Thread_local struct conn_known conn_known[CONN_KNOWN];

static void set_phase(struct conn *conn, enum phase phase)
{
    if (phase != conn->phase && (conn->phase == PHASE_CONFIRMED || phase == PHASE_REFUSED))
        atomic_fetch_add(&conn_epoch, 1);
    conn->phase = phase;
}

static void keep_leaf(const struct ossl *ossl, struct conn *conn, X509 *leaf)
{
    if (conn->leaf != NULL)
        ossl->X509_free(conn->leaf);
    conn->leaf = leaf != NULL && ossl->X509_up_ref(leaf) == 1 ? leaf : NULL;
    conn->proven = false;
}

static void keep_judged(const struct ossl *ossl, struct conn *conn, SSL_SESSION *session)
{
    if (conn->judged != NULL)
        ossl->SSL_SESSION_free(conn->judged);
    conn->judged = session != NULL && ossl->SSL_SESSION_up_ref(session) == 1 ? session : NULL;
}

static void forget_handshake(const struct ossl *ossl, struct conn *conn)
{
    keep_leaf(ossl, conn, NULL);
    keep_judged(ossl, conn, NULL);
    if (conn->client != NULL)
        ossl->X509_free(conn->client);
    conn->client = NULL;
    conn->client_is_on = false;
    free(conn->clues.sni);
    conn->clues.sni = NULL;
    conn->clues.begun = false;
    conn->clues.wire.kind = HOST_UNREADABLE;
    conn->withheld = false;
    conn->suite_refused = false;
    free(conn->unsaid);
    conn->unsaid = NULL;
    /* Writing early data begins a handshake twice: by itself, and in the security callback. */
    if (conn->early != EARLY_BEGINS) {
        conn->early = EARLY_NONE;
        conn->taken_off = false;
    }
    conn->told = false;
    conn->logged = false;
}

static void release(const struct ossl *ossl, void *attached)
{
    const struct unsaid *unsaid = ((struct conn *)attached)->unsaid;

    if (unsaid != NULL)
        log_event(&(struct event) {.verdict = EVENT_NOTICE, .target = unsaid->target, .reason = unsaid->reason});
    set_phase(attached, PHASE_UNJUDGED);
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

static struct conn *conn_of(const struct ossl *ossl, const SSL *ssl)
{
    void *state = state_of(ssl);

    (void)ossl;
    return state != &plain ? state : NULL;
}

/* What the SSL_CTX has when the SSL is made is what libssl copies into it; or as early as can be after that. */
static void inherit(const struct ossl *ossl, const SSL *ssl, struct conn *conn)
{
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);
    const struct offer *inherited = ctx != NULL ? offer_of_ctx(ossl, ctx) : NULL;

    if (inherited != NULL)
        conn->offer = *inherited;
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
    if (state_of(ssl) != &plain)
        inherit(ossl, ssl, conn);
    if (!state_keep(ossl, ssl, &conn->attached)) {
        free(conn);
        return NULL;
    }
    return conn;
}

static enum verdict hear(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct shown *shown, struct hearing *out)
{
    if (conn->driven)
        wire_read(&conn->clues.wire, ossl->SSL_get_rfd(ssl));
    return hearing_hold(ossl, ssl, &conn->clues, shown, out);
}

/* Hear the peer; log a refusal once, and an acceptance if nothing is heard after this (`last`). Return true if the connection may live; then
 * `digests` (NULL: not wanted) become those of its leaf. */
static bool admit(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct shown *shown, bool last, struct peer_digests *digests)
{
    struct hearing *hearing = conn != NULL ? hearing_make() : NULL;
    struct event event = {.verdict = EVENT_REFUSED, .reason = "out of memory"};
    bool refused;
    bool dies;

    if (hearing == NULL) {
        log_event(&event);
        return false;
    }
    refused = hear(ossl, ssl, conn, shown, hearing) != VERDICT_ACCEPT;
    /* It came in behind the back of begin: set by a callback in the handshake. */
    if ((!refused || hearing_only_reported(hearing)) && hearing->judgement.pinned && ossl->SSL_session_reused(ssl) == 1
        && !session_is_proven(ossl, ossl->SSL_get_session(ssl))) {
        hearing->judgement.reason = REASON_UNPROVEN;
        hearing->judgement.report = false;
        refused = true;
    }
    dies = refused && !hearing_only_reported(hearing);
    hearing_notice(hearing);
    hearing->client = conn->client;
    if (!refused && pins_client(hearing->store->pins, hearing->judgement.client) != NULL)
        client_stand_ready(ossl, ssl);
    if (refused && !conn->logged)
        hearing_log(ossl, ssl, shown, hearing, dies ? EVENT_REFUSED : EVENT_REPORTED);
    conn->logged |= refused;
    if (!refused && last && !conn->told) {
        conn->told = true;
        hearing_log(ossl, ssl, shown, hearing, EVENT_ACCEPTED);
    }
    if (digests != NULL)
        *digests = hearing->digests;
    hearing_end(hearing);
    hearing_discard(hearing);
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

static void refuse_library(void)
{
    static atomic_flag logged = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&logged))
        log_fault("this OpenSSL is too old or incomplete; expected 1.1.1 or newer");
}

/* Return true if the call can be told to be a server's, in a library that is not usable. An SSL of TLS_method() counts as one until
 * SSL_connect. */
static bool serves(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->kind == OSSL_UNUSABLE && ossl->SSL_is_server != NULL && ossl->SSL_is_server(ssl);
}

static void restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    if (conn->mode_changed)
        ossl->SSL_set_verify(ssl, conn->mode, NULL);
    conn->mode_changed = false;
}

/* The callbacks of a QUIC connection run under its engine's lock, which does not nest: see docs/design.md for what may be called there. */
static bool is_quic(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->SSL_is_quic != NULL && ossl->SSL_is_quic(ssl) == 1;
}

/* Nothing of the last handshake is left. */
static void start_afresh(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    restore_mode(ossl, ssl, conn);
    conn_take_client_back(ossl, ssl);
    forget_handshake(ossl, conn);
    set_phase(conn, PHASE_UNJUDGED);
}

/* Return true if the connection was refused. A refused SSL is back in its first state only where somebody has reset it: by SSL_clear,
 * SSL_set_connect_state, SSL_set_accept_state, BIO_reset. Then it can only begin a new handshake. */
static bool is_refused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn)
{
    return conn != NULL && conn->phase == PHASE_REFUSED && !ossl->SSL_in_before(ssl);
}

/* Return true if `*ssl` is of a usable library and was not refused; else the call fails here. `*ssl` becomes its connection, where it
 * was a stream of one (QUIC); `*conn` is the connection's state, NULL where there is none yet. */
static bool may_go_on(const struct ossl *ossl, SSL **ssl, struct conn **conn)
{
    SSL *called = *ssl;
    SSL *connection;

    if (ossl->kind != OSSL_USABLE) {
        refuse_library();
        return false;
    }
    *conn = conn_of(ossl, called);
    if (*conn == NULL && ossl->SSL_get0_connection != NULL) {
        connection = ossl->SSL_get0_connection(called);
        if (connection != NULL && connection != called) {
            *ssl = connection;
            *conn = conn_of(ossl, connection);
        }
    }
    if (is_refused(ossl, *ssl, *conn)) {
        fail_again(ossl, called);
        return false;
    }
    if (*conn != NULL && (*conn)->phase == PHASE_REFUSED)
        start_afresh(ossl, *ssl, *conn);
    return true;
}

/* Return true if libssl has ended the handshake or the connection for good: every call fails, and moves nothing. */
static bool has_failed(const struct ossl *ossl, const SSL *ssl)
{
    return strcmp(ossl->SSL_state_string(ssl), "SSLERR") == 0;
}

void conn_door_open(const struct ossl *ossl, X509_STORE_CTX *ctx, bool own, struct door *door)
{
    memset(door, 0, sizeof(*door));
    door->own = own;
    if (ossl->X509_STORE_CTX_get_ex_data != NULL && ossl->SSL_get_ex_data_X509_STORE_CTX_idx != NULL)
        door->ssl = ossl->X509_STORE_CTX_get_ex_data(ctx, ossl->SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ossl->kind != OSSL_USABLE || door->ssl == NULL)
        return;
    door->shown.leaf = ossl->X509_STORE_CTX_get0_cert(ctx);
    door->shown.chain = ossl->X509_STORE_CTX_get0_untrusted(ctx);
    if (door->shown.leaf == NULL && ossl->X509_STORE_CTX_get0_rpk != NULL)
        door->shown.raw_key = ossl->X509_STORE_CTX_get0_rpk(ctx);
}

/* Where a server has rejected ECH and gives new keys for it, what it shows is the certificate of the public name, and libssl ends the handshake
 * with the alert ech_required whatever is said of that (RFC 9849, section 6.1.6; seen with 4.0.3: before a client certificate or data goes out).
 * The program is to get the keys. Return true if it is so, and the certificate satisfies the rules for that name. Not where the server asks for
 * a client certificate: then it is judged as what the program meant. */
static bool only_gives_keys(const struct ossl *ossl, SSL *ssl, const struct conn *conn, const struct shown *shown)
{
    const struct clues outer = {.wire = conn->clues.wire, .peer = conn->clues.peer, .verifying = conn->clues.verifying};
    struct hearing *hearing;
    char *names[2] = {NULL, NULL};
    bool gives;
    int status;

    if (ossl->SSL_ech_get1_status == NULL || is_quic(ossl, ssl))
        return false;
    status = ossl->SSL_ech_get1_status(ssl, &names[0], &names[1]);
    ossl->CRYPTO_free(names[0], "", 0);
    ossl->CRYPTO_free(names[1], "", 0);
    if ((status != ECH_REJECTED && status != ECH_REJECTED_BAD_NAME) || ossl->SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL) != 0)
        return false;
    hearing = hearing_make();
    if (hearing == NULL)
        return false;
    gives = hearing_hold(ossl, ssl, &outer, shown, hearing) == VERDICT_ACCEPT;
    hearing_end(hearing);
    hearing_discard(hearing);
    return gives;
}

int conn_door_judge(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct door *door, int result)
{
    SSL *ssl = door->ssl;
    struct shown shown = door->shown;
    struct peer_digests digests;
    int saved = errno;
    struct conn *conn;

    if (ossl->kind == OSSL_FOREIGN || ssl == NULL || serves(ossl, ssl))
        return result;
    if (ossl->kind == OSSL_UNUSABLE) {
        refuse_library();
        return 0;
    }
    if (ossl->SSL_is_server(ssl))
        return result;
    /* "Ask me again" (SSL_set_retry_verify) is no answer yet. */
    if (result > 0 && !is_quic(ossl, ssl) && ossl->SSL_want(ssl) == WANT_RETRY_VERIFY)
        return result;
    /* There is a certificate: whatever was not offered, it is not what the handshake may fail for. */
    conn = conn_of(ossl, ssl);
    if (conn != NULL) {
        conn->withheld = false;
        free(conn->unsaid);
        conn->unsaid = NULL;
    }
    /* The program refuses by itself. */
    if (result <= 0 && (ossl->SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        return result;
    (void)ossl->ERR_set_mark();
    /* Where the context was not seen to be made (by a library that asks dlsym for what is next after it): so that no later SSL resumes
     * the session that comes of this without being judged. */
    offer_watch(ossl, ossl->SSL_get_SSL_CTX(ssl));
    conn = conn_make(ossl, ssl);
    shown.verified = ossl->X509_STORE_CTX_get0_chain(ctx);
    if (conn != NULL)
        conn->clues.verifying = ossl->X509_STORE_CTX_get0_param(ctx);
    if (conn != NULL && conn->leaf != NULL && conn->leaf == door->shown.leaf) {
        /* Already accepted: the program's callback ran the library's verification, which was judged. */
        if (door->own)
            session_mark(ossl, door->shown.leaf, NULL);
    } else if (conn != NULL && only_gives_keys(ossl, ssl, conn, &shown)) {
        /* Nothing is kept of it. If libssl finished the handshake nevertheless, confirm would judge it as what the program meant. */
    } else if (admit(ossl, ssl, conn, &shown, conn == NULL || !conn->driven, &digests)) {
        /* Already here, not when the handshake is finished: programs store the session before that call returns. */
        if (door->own)
            session_mark(ossl, door->shown.leaf, &digests);
        keep_leaf(ossl, conn, door->shown.leaf);
    } else {
        /* Under SSL_VERIFY_NONE libssl would ignore the 0 and go on to send a client certificate. It reads the mode only after
         * this returns; a NULL callback keeps the program's. */
        int mode = ossl->SSL_get_verify_mode(ssl);

        if (conn != NULL) {
            set_phase(conn, PHASE_REFUSED);
            conn->mode = conn->mode_changed ? conn->mode : mode;
            conn->mode_changed = true;
        }
        ossl->SSL_set_verify(ssl, mode | SSL_VERIFY_PEER, NULL);
        ossl->X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
        result = 0;
    }
    if (conn != NULL)
        conn->clues.verifying = NULL;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return result;
}

/* Log what has become of the client certificate, whose name goes between the two texts, and forget it. */
static void remark_client(const struct ossl *ossl, SSL *ssl, struct conn *conn, const char *before, const char *after)
{
    static const struct shown nothing;
    struct hearing *hearing = hearing_make();
    char subject[320];
    char buffer[500];
    struct text remark = text_over(buffer, sizeof(buffer));

    conn_take_client_back(ossl, ssl);
    (void)ossl->ERR_set_mark();
    if (hearing != NULL) {
        (void)hear(ossl, ssl, conn, &nothing, hearing);
        peer_show_subject(ossl, conn->client, subject, sizeof(subject));
        text_add(&remark, "%s \"%s\"%s", before, subject, after);
        hearing->remark = buffer;
        hearing_log(ossl, ssl, &nothing, hearing, EVENT_FAULT);
        hearing_end(hearing);
        hearing_discard(hearing);
    }
    (void)ossl->ERR_pop_to_mark();
    ossl->X509_free(conn->client);
    conn->client = NULL;
}

/* The server may end the connection over the client certificate, in the handshake or, in TLS 1.3, at the first read after it. libssl makes
 * errors of alerts: their number (RFC 8446, section 6.2) and 1000. */
static void note_client_refused(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int alert = (int)(ossl->ERR_peek_last_error() & 0xfff) - 1000;
    bool of_certificates = (alert >= 40 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
    char buffer[100];
    struct text problem = text_over(buffer, sizeof(buffer));

    /* The error may be of another connection; a fatal alert has ended this one, which is not finished any more then. */
    if (!of_certificates || (ossl->SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) == 0 || ossl->SSL_is_init_finished(ssl))
        return;
    text_add(&problem, ": alert %d, %s", alert, ossl->SSL_alert_desc_string_long(alert));
    remark_client(ossl, ssl, conn, "the server refused the client certificate", buffer);
}

/* A client certificate was put on the SSL, and libssl waits for the server, or has finished: it has used it, or found that it does not suit what the
 * server asks for. */
static void settle_client(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int nid;

    if (!conn->client_is_on || (!ossl->SSL_is_init_finished(ssl) && ossl->SSL_want(ssl) != SSL_READING))
        return;
    conn_take_client_back(ossl, ssl);
    if (ossl->SSL_get_signature_type_nid(ssl, &nid) != 1)
        remark_client(ossl, ssl, conn, "the client certificate", " was not sent: it does not suit what the server asks for");
}

/* What the peer has shown up to now, as libssl keeps it. Return the leaf, a reference. */
static X509 *look_at(const struct ossl *ossl, SSL *ssl, struct shown *out)
{
    X509 *leaf = ossl->SSL_get1_peer_certificate != NULL ? ossl->SSL_get1_peer_certificate(ssl) : ossl->SSL_get_peer_certificate(ssl);

    *out = (struct shown) {.leaf = leaf, .chain = ossl->SSL_get_peer_cert_chain(ssl), .verified = ossl->SSL_get0_verified_chain(ssl)};
    if (leaf == NULL && ossl->SSL_get0_peer_rpk != NULL)
        out->raw_key = ossl->SSL_get0_peer_rpk(ssl);
    return leaf;
}

/* Judge a handshake that is finished: the peer has proven its key now, and this is the first look where there was no certificate
 * to verify (resumption, PSK, anonymous suites). Return true if the connection may live. */
static bool confirm(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    struct shown shown;
    SSL_SESSION *session;
    X509 *leaf;
    bool lives;
    int saved = errno;

    (void)ossl->ERR_set_mark();
    if (conn != NULL)
        settle_client(ossl, ssl, conn);
    leaf = look_at(ossl, ssl, &shown);
    session = ossl->SSL_get_session(ssl);
    lives = conn != NULL && leaf != NULL && (conn->leaf == leaf || (ossl->SSL_session_reused(ssl) == 1 && conn->judged == session))
        && (conn->proven || !log_wants(EVENT_ACCEPTED));
    lives = lives || admit(ossl, ssl, conn, &shown, true, NULL);
    if (conn != NULL) {
        set_phase(conn, lives ? PHASE_CONFIRMED : PHASE_REFUSED);
        if (conn->leaf != leaf)
            keep_leaf(ossl, conn, leaf);
        conn->proven = lives;
        keep_judged(ossl, conn, NULL);
    }
    if (leaf != NULL)
        ossl->X509_free(leaf);
    if (!lives) {
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

/* What it takes to be accepted. */
struct outlook {
    bool accepted;
    bool by_pin; /* a pin was needed */
    bool settled; /* nothing more will be known of the target that could change it */
    bool open; /* it is not, and nothing that is known by now refuses */
};

/* Hear a peer that would show this, before there is one. The caller marks the error queue and keeps errno. */
static void would_admit(const struct ossl *ossl, SSL *ssl, const struct shown *shown, struct outlook *out)
{
    struct conn *conn = conn_make(ossl, ssl);
    struct hearing *hearing = conn != NULL ? hearing_make() : NULL;

    *out = (struct outlook) {.by_pin = true};
    if (hearing != NULL) {
        out->accepted = hear(ossl, ssl, conn, shown, hearing) == VERDICT_ACCEPT || hearing_only_reported(hearing);
        /* One of the names may have a pin that is enforced. */
        out->by_pin = hearing->judgement.pinned;
        out->settled = hearing_is_settled(hearing);
        /* Of a session it cannot be told any more who its peer's issuers were. */
        if (shown->leaf != NULL && hearing->store != NULL && hearing->store->pins != NULL && pins_revoked(hearing->store->pins) != NULL)
            out->settled = false;
        if (out->accepted && config_get()->mode == MODE_REPORT)
            *out = (struct outlook) {.accepted = true, .settled = true};
        out->open = !out->settled && (out->accepted || hearing->judgement.reason == REASON_UNIDENTIFIABLE);
        hearing_end(hearing);
    }
    hearing_discard(hearing);
}

/* Not before all is known of the target: nobody may look again when the handshake is finished. A program can go on through a chain of
 * BIOs with what it began by SSL_connect. */
static bool may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct shown shown = {.leaf = ossl->SSL_SESSION_get0_peer(session), .digests = session_digests(ossl, session)};
    struct outlook outlook;

    /* The certificates that were sent are the session's too, but have no other getter. */
    if (session == ossl->SSL_get_session(ssl))
        shown.chain = ossl->SSL_get_peer_cert_chain(ssl);
    would_admit(ossl, ssl, &shown, &outlook);
    return outlook.accepted && outlook.settled && (!outlook.by_pin || session_is_proven(ossl, session));
}

bool conn_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct conn *conn = conn_of(ossl, ssl);
    int saved = errno;
    bool may;

    (void)ossl->ERR_set_mark();
    may = may_resume(ossl, ssl, session);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    if (conn != NULL)
        conn->withheld |= !may;
    return may;
}

bool conn_withholds(const struct ossl *ossl, SSL *ssl)
{
    static const struct shown nothing;
    struct conn *conn = conn_make(ossl, ssl);
    int saved = errno;
    struct outlook outlook;

    if (conn == NULL)
        return true;
    (void)ossl->ERR_set_mark();
    would_admit(ossl, ssl, &nothing, &outlook);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    conn->withheld |= !outlook.accepted || !outlook.settled;
    return !outlook.accepted || !outlook.settled;
}

bool conn_judges_suite(const struct ossl *ossl, SSL *ssl)
{
    static const struct shown nothing;
    int saved = errno;
    struct outlook outlook;

    (void)ossl->ERR_set_mark();
    would_admit(ossl, ssl, &nothing, &outlook);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return outlook.open;
}

bool conn_refuses_suite(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_make(ossl, ssl);
    bool refuses = conn_withholds(ossl, ssl);

    if (conn != NULL)
        conn->suite_refused = refuses;
    return refuses;
}

bool conn_is_driven(const struct ossl *ossl, const SSL *ssl)
{
    const struct conn *conn = conn_of(ossl, ssl);

    return conn != NULL && conn->driven;
}

struct offer *conn_offer(const struct ossl *ossl, const SSL *ssl)
{
    static struct offer nothing;
    void *state = state_of(ssl);

    (void)ossl;
    if (state == &plain)
        return &nothing;
    return state != NULL ? &((struct conn *)state)->offer : NULL;
}

struct offer *conn_offer_make(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_make(ossl, ssl);

    return conn != NULL ? &conn->offer : NULL;
}

/* Where the target's rule has a client certificate, let the server ask for it after the handshake, too (RFC 8446, section 4.2.6): most
 * programs that have none do not say that they could answer. */
static void allow_requests(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    static const struct shown nothing;
    struct hearing *hearing = pinstore_had_client() ? hearing_make() : NULL;
    const struct rule *rule;

    /* As the program had set it, for the last target. */
    if (conn->later)
        ossl->SSL_set_post_handshake_auth(ssl, conn->offer.later);
    conn->later = false;
    if (hearing == NULL)
        return;
    (void)hear(ossl, ssl, conn, &nothing, hearing);
    rule = hearing->judgement.rules.first;
    while (rule != NULL && rule->client == 0)
        rule = pins_next_rule(hearing->store->pins, hearing->judgement.rules, rule);
    if (rule != NULL) {
        client_stand_ready(ossl, ssl);
        ossl->SSL_set_post_handshake_auth(ssl, 1);
        conn->later = true;
    }
    hearing_end(hearing);
    hearing_discard(hearing);
}

/* Take down what the handshake that begins is to be judged by, and take off a session that it may not resume: then it becomes a
 * full one. During a resumption under TLS 1.2 SSL_get_servername gives the session's name, so what the program set is taken now. */
static void begin(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    SSL_SESSION *session = ossl->SSL_get_session(ssl);
    const char *sni = ossl->SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    start_afresh(ossl, ssl, conn);
    /* Where the program set none, the name of a session for TLS 1.2 is given; it is not sent. */
    if (session != NULL && sni == ossl->SSL_SESSION_get0_hostname(session))
        sni = NULL;
    conn->clues.sni = sni != NULL ? strdup(sni) : NULL;
    conn->clues.begun = true;
    /* Without memory for the name a resumption would be judged without. */
    if (session != NULL && ((sni != NULL && conn->clues.sni == NULL) || !may_resume(ossl, ssl, session))) {
        (void)ossl->SSL_set_session(ssl, NULL);
        session = NULL;
        conn->taken_off = true;
    }
    keep_judged(ossl, conn, session);
    offer_withhold_secret(ossl, ssl);
    allow_requests(ossl, ssl, conn);
}

void conn_begin(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;
    int saved = errno;

    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    if (conn != NULL)
        begin(ossl, ssl, conn);
    else
        (void)ossl->SSL_set_session(ssl, NULL); /* and the certificate is refused */
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}

/* Judge a peer without a certificate, and append why `what` was not offered. */
static void explain_withheld(const struct ossl *ossl, SSL *ssl, struct conn *conn, const char *what, struct hearing *hearing, struct text *out)
{
    static const struct shown nothing;
    bool demands = hear(ossl, ssl, conn, &nothing, hearing) != VERDICT_ACCEPT;

    text_add(out, "%s was not offered: ", what);
    if (demands && hearing->judgement.rule != NULL) {
        policy_print_rule(config_get()->pins, &hearing->judgement, out);
        text_add(out, " asks for a certificate that this process has seen accepted");
    } else {
        text_add(out, "when the handshake began, a rule of ");
        text_add_escaped(out, config_get()->pins, strlen(config_get()->pins), 300);
        text_add(out, " could still have asked for a certificate; a pins file with nothing but allow would let it pass");
    }
}

/* A peer without a certificate would be accepted, now that more is known of the target. */
static void log_withheld(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    static const struct shown nothing;
    struct hearing *hearing = hearing_make();
    char buffer[700];
    struct text remark = text_over(buffer, sizeof(buffer));

    if (hearing == NULL)
        return;
    explain_withheld(ossl, ssl, conn, "what needs no certificate (a pre-shared key, or a suite without authentication)", hearing, &remark);
    hearing->remark = buffer;
    hearing_log(ossl, ssl, &nothing, hearing, EVENT_REFUSED);
    hearing_end(hearing);
    hearing_discard(hearing);
}

/* Early data could not be written. Most programs go on with the handshake, and all is said by what becomes of it: this is logged where the program gives
 * up. */
static void keep_unsaid(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    struct hearing *hearing = hearing_make();
    struct text target;
    struct text reason;

    if (hearing == NULL)
        return;
    if (conn->unsaid == NULL)
        conn->unsaid = malloc(sizeof(*conn->unsaid));
    if (conn->unsaid != NULL) {
        target = text_over(conn->unsaid->target, sizeof(conn->unsaid->target));
        reason = text_over(conn->unsaid->reason, sizeof(conn->unsaid->reason));
        explain_withheld(ossl, ssl, conn, "the session for early data", hearing, &reason);
        host_print(&hearing->judgement.host, &target);
        if (target.length == 0)
            text_add(&target, "unknown target");
        hearing_end(hearing);
    }
    hearing_discard(hearing);
}

/* A handshake failed, and what was not offered may be why. A suite that was refused surely is: then it fails as a refusal does. SSL_want does not
 * tell: after an alert of the server's it is as before. */
static void explain_failure(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    static const struct shown nothing;
    int saved = errno;
    int error;

    if (!conn->withheld || conn->logged || conn->leaf != NULL)
        return;
    /* A callback of the program's may have emptied the queue: libcoap's does. */
    error = ossl->SSL_get_error(ssl, result);
    if (error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL && !has_failed(ossl, ssl))
        return;
    (void)ossl->ERR_set_mark();
    if (admit(ossl, ssl, conn, &nothing, false, NULL) && !conn->logged)
        log_withheld(ossl, ssl, conn);
    conn->logged = true;
    (void)ossl->ERR_pop_to_mark();
    if (conn->suite_refused) {
        set_phase(conn, PHASE_REFUSED);
        ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
        /* libssl has cleared the queue when the handshake function was called: what is there tells of the suite. */
        ossl->ERR_clear_error();
        push_error(ossl);
    }
    errno = saved;
}

_Atomic bool conn_looks_at_reads;

static void look_after_client(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    int saved = errno;

    settle_client(ossl, ssl, conn);
    if (conn->client != NULL && result <= 0)
        note_client_refused(ossl, ssl, conn);
    errno = saved;
}

/* Return true if a read has driven the handshake up to where only the client's last words are missing: the server has proven its key, and early data
 * may still be written. Only there libssl stops between two states. */
static bool is_paused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn)
{
    return conn->early == EARLY_FLOWS && ossl->SSL_in_init(ssl) == 0 && !ossl->SSL_is_init_finished(ssl)
        && ossl->SSL_get_state(ssl) != conn->early_state;
}

/* The handshake was driven, with that result. Return it, or -1 for a refusal. */
static int after_drive(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    if (conn->phase == PHASE_REFUSED) {
        restore_mode(ossl, ssl, conn);
        return result > 0 ? -1 : result;
    }
    if (ossl->SSL_is_init_finished(ssl) || is_paused(ossl, ssl, conn))
        return confirm(ossl, ssl, conn) ? result : -1;
    if (result <= 0) {
        look_after_client(ossl, ssl, conn, result);
        explain_failure(ossl, ssl, conn, result);
    }
    return result;
}

bool conn_was_read(const struct ossl *ossl, SSL *ssl, int result)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn == NULL)
        return true;
    if (conn->early == EARLY_FLOWS && conn->phase != PHASE_CONFIRMED)
        return after_drive(ossl, ssl, conn, result) == result;
    look_after_client(ossl, ssl, conn, result);
    return true;
}

const struct client_cert *conn_hear_client(const struct ossl *ossl, SSL *ssl, struct hearing *out)
{
    struct conn *conn = conn_of(ossl, ssl);
    const struct client_cert *client = NULL;
    struct shown shown;
    X509 *leaf;

    /* Who only knows a session need not be the server that has shown the certificate. */
    if (conn == NULL || conn->phase == PHASE_REFUSED
        || (ossl->SSL_session_reused(ssl) == 1 && !session_is_proven(ossl, ossl->SSL_get_session(ssl))))
        return NULL;
    leaf = look_at(ossl, ssl, &shown);
    if (hear(ossl, ssl, conn, &shown, out) == VERDICT_ACCEPT)
        client = pins_client(out->store->pins, out->judgement.client);
    if (leaf != NULL)
        ossl->X509_free(leaf);
    return client;
}

void conn_gave_client(const struct ossl *ossl, SSL *ssl, X509 *leaf, struct hearing *hearing)
{
    struct conn *conn = conn_of(ossl, ssl);
    struct shown shown;

    if (conn->client != NULL)
        ossl->X509_free(conn->client);
    conn->client = leaf;
    conn->client_is_on = true;
    atomic_store(&conn_looks_at_reads, true);
    /* Where a wrapper drives the handshake, this is said when it is finished. */
    if (conn->driven && !conn->told)
        return;
    conn->told = true;
    hearing->client = leaf;
    leaf = look_at(ossl, ssl, &shown);
    hearing_log(ossl, ssl, &shown, hearing, EVENT_ACCEPTED);
    if (leaf != NULL)
        ossl->X509_free(leaf);
}

void conn_take_client_back(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_of(ossl, ssl);

    if (conn != NULL && conn->client_is_on)
        client_take_back(ossl, ssl, conn->client);
    if (conn != NULL)
        conn->client_is_on = false;
}

bool conn_ready_early(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn;
    int saved = errno;

    if (!may_go_on(ossl, &ssl, &conn))
        return false;
    if (ossl->SSL_is_server(ssl))
        return true;
    conn = conn_make(ossl, ssl);
    if (conn == NULL)
        return false;
    if (ossl->SSL_in_before(ssl)) {
        conn->early = EARLY_NONE;
        (void)ossl->ERR_set_mark();
        begin(ossl, ssl, conn);
        (void)ossl->ERR_pop_to_mark();
        errno = saved;
        conn->early = EARLY_BEGINS;
        atomic_store(&conn_looks_at_reads, true);
    }
    /* In the middle of what a read has begun: libssl would finish it in the same call. */
    if (conn->early == EARLY_FLOWS && ossl->SSL_in_init(ssl) != 0 && !has_failed(ossl, ssl))
        return conn_handshake(ossl, ssl, ossl->SSL_do_handshake) > 0;
    return true;
}

void conn_was_early(const struct ossl *ossl, SSL *ssl, int result)
{
    struct conn *conn = conn_of(ossl, ssl);
    int saved = errno;

    if (conn == NULL || conn->early != EARLY_BEGINS)
        return;
    if (ossl->SSL_in_before(ssl)) {
        conn->early = EARLY_NONE; /* there is no session to send it with */
    } else if (ossl->SSL_in_init(ssl) == 0) {
        conn->early = EARLY_FLOWS;
        conn->early_state = ossl->SSL_get_state(ssl);
    }
    if (result <= 0 && conn->early != EARLY_BEGINS && (conn->taken_off || conn->withheld)) {
        (void)ossl->ERR_set_mark();
        keep_unsaid(ossl, ssl, conn);
        (void)ossl->ERR_pop_to_mark();
    }
    errno = saved;
}

int conn_handshake(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *))
{
    struct wire watched_before;
    SSL *called = ssl;
    bool driven_before;
    struct conn *conn;
    int result;

    if (serves(ossl, ssl) && real != ossl->SSL_connect)
        return real(ssl);
    if (!may_go_on(ossl, &ssl, &conn))
        return -1;
    /* An SSL of TLS_method() counts as a server until its role is fixed, which SSL_connect may do. */
    if (ossl->SSL_is_server(ssl) && (real != ossl->SSL_connect || !ossl->SSL_in_before(ssl))) {
        bool suspended = offer_suspend(ossl, ssl);

        result = real(called);
        if (suspended)
            offer_resume(ossl, ssl);
        return result;
    }
    if (ossl->SSL_is_init_finished(ssl) && conn != NULL && conn->phase == PHASE_CONFIRMED)
        return real(called);
    conn = conn_make(ossl, ssl);
    if (conn == NULL) {
        push_error(ossl);
        return -1;
    }
    set_phase(conn, PHASE_UNJUDGED);
    /* The program asks for the whole handshake: no more early data. */
    if (conn->early == EARLY_BEGINS || (conn->early == EARLY_FLOWS && (ossl->SSL_in_before(ssl) || ossl->SSL_in_init(ssl) == 0)))
        conn->early = EARLY_NONE;
    driven_before = conn->driven;
    conn->driven = true;
    /* Of a context that was not seen to be made. */
    if (ossl->SSL_in_before(ssl) && !offer_watches(ossl, ssl))
        conn_begin(ossl, ssl);
    wire_begin(&watched_before);
    result = real(called);
    wire_read(&conn->clues.wire, ossl->SSL_get_rfd(ssl));
    wire_end(&watched_before);
    if (conn->offer.suspended)
        offer_resume(ossl, ssl);
    if (ossl->SSL_is_server(ssl)) {
        conn->driven = driven_before;
        return result;
    }
    result = after_drive(ossl, ssl, conn, result);
    conn->driven = driven_before;
    return result;
}

/* Return true if the real call fails before it looks at the handshake: in the direction that is shut down, or without kernel TLS. */
static bool fails_at_once(const struct ossl *ossl, SSL *ssl, enum conn_call call)
{
    if (is_quic(ossl, ssl))
        return false;
    if (call == CONN_SENDS_FILE)
        return ossl->BIO_ctrl(ossl->SSL_get_wbio(ssl), BIO_CTRL_GET_KTLS_SEND, 0, NULL) == 0;
    return (ossl->SSL_get_shutdown(ssl) & (call == CONN_READS ? SSL_RECEIVED_SHUTDOWN : SSL_SENT_SHUTDOWN)) != 0;
}

/* Drive a handshake that an I/O call implies. Return true if that call may run: the handshake is finished and judged, or nothing can come of it.
 * libssl's state machine clears errno and the error queue when it starts, but not after a failure, nor before the SSL has a role: then no byte
 * moves, and the call fails as it does by itself. */
static bool drive(const struct ossl *ossl, SSL *ssl)
{
    static const int untouched = 0x5afe; /* no error has this number */
    int saved = errno;
    bool finished;

    if (conn_make(ossl, ssl) == NULL) {
        push_error(ossl);
        return false;
    }
    (void)ossl->ERR_set_mark();
    errno = untouched;
    finished = conn_handshake(ossl, ssl, ossl->SSL_do_handshake) > 0;
    if (errno != untouched)
        return finished;
    errno = saved;
    (void)ossl->ERR_pop_to_mark();
    return finished || !is_quic(ossl, ssl);
}

bool conn_ready(const struct ossl *ossl, SSL *ssl, enum conn_call call)
{
    uint64_t epoch = atomic_load(&conn_epoch);
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL && conn->phase == PHASE_CONFIRMED && ossl->SSL_is_init_finished(ssl)) {
        /* The epoch first: if the phase changes meanwhile, it is an old one. */
        *conn_known_place(ssl) = (struct conn_known) {ssl, ossl, epoch, false};
        return true;
    }
    if (serves(ossl, ssl))
        return true;
    if (!may_go_on(ossl, &ssl, &conn))
        return false;
    if (conn != NULL && conn->phase == PHASE_CONFIRMED && ossl->SSL_is_init_finished(ssl))
        return true;
    if (ossl->SSL_is_server(ssl)) {
        *conn_known_place(ssl) = (struct conn_known) {ssl, ossl, epoch, true};
        return true;
    }
    if (ossl->SSL_is_init_finished(ssl))
        return confirm(ossl, ssl, conn_make(ossl, ssl));
    if (call == CONN_INNER || (call == CONN_READS && conn != NULL && conn->phase == PHASE_CONFIRMED && !ossl->SSL_in_before(ssl)))
        return true;
    /* A handshake that is asked for would end the early data; the read's own does not, and conn_was_read judges what comes of it. Before the
     * ClientHello is out libssl does neither. */
    if (conn != NULL && !ossl->SSL_in_before(ssl) && (conn->early == EARLY_BEGINS || (conn->early == EARLY_FLOWS && call == CONN_READS)))
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

int conn_shutdown_mode(const struct ossl *ossl, const SSL *ssl, int mode)
{
    const struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    return is_refused(ossl, ssl, conn) ? mode | SHUTDOWN_BOTH : mode;
}

void conn_forget_mode(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL)
        conn->mode_changed = false;
}

int conn_clear(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = ossl->kind == OSSL_USABLE ? conn_of(ossl, ssl) : NULL;

    if (conn != NULL) {
        conn->early = EARLY_NONE;
        start_afresh(ossl, ssl, conn);
    }
    return ossl->SSL_clear(ssl);
}

void conn_set_peer(const struct ossl *ossl, SSL *ssl, const BIO_ADDR *address)
{
    struct conn *conn = conn_make(ossl, ssl);
    /* A union of socket addresses. */
    const struct sockaddr *socket_address = (const struct sockaddr *)(const void *)address;

    if (conn != NULL
        && !host_from_sockaddr(socket_address,
            socket_address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), &conn->clues.peer))
        conn->clues.peer.kind = HOST_UNREADABLE;
}

/* The SSL that libssl has last begun to make in this thread. */
static _Thread_local const SSL *begun;

static void keep_new(const struct ossl *ossl, SSL *ssl)
{
    /* From 3.5 on it is not there yet when libssl begins. */
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);

    if (ctx == NULL || state_of(ssl) != NULL)
        return;
    if (offer_of_ctx(ossl, ctx) != NULL || !state_keep(ossl, ssl, &plain))
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
    const struct offer *offer = conn_offer(ossl, from);
    struct offer *place = conn_offer(ossl, copy);

    if (offer == NULL || (offer_is_empty(offer) && (place == NULL || offer_is_empty(place))))
        return;
    place = conn_offer_make(ossl, copy);
    if (place == NULL)
        return;
    place->security = offer->security;
    place->cert = offer->cert;
    place->cert_arg = offer->cert_arg;
    place->cert_watched = offer->cert_watched;
    place->certs_shared = offer->certs_shared;
}

const struct ossl_watch ossl_watch = {made, state_drop};
