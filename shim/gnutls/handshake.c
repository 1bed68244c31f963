#include "handshake.h"

#include "client_cert.h"
#include "decide.h"
#include "refuse.h"
#include "session.h"
#include "told.h"
#include "verify.h"

#include <errno.h>

/* Judge a finished handshake: the peer has proven its key now, and if there was no certificate to verify (resumption, PSK, anonymous suites), this is the
 * first judgement. Return true if the connection may continue. */
static bool confirm(struct conn *conn)
{
    struct gathered gathered;
    int saved = errno;
    bool continues;

    gtls_decide_presented(conn, &gathered);
    gtls_told_expect(conn, gathered.presented.leaf);
    /* What is resumed has the leaf of the session. */
    if (conn->offered && conn->held_digested && conn->gtls->gnutls_session_is_resumed(conn->session) != 0)
        gathered.presented.digests = &conn->held_digests;
    continues = gtls_conn_has_leaf(conn, gathered.presented.leaf) && (conn->proven || !log_wants(EVENT_ACCEPTED));
    if (!continues) {
        continues = gtls_decide(conn, &gathered.presented, true) != DECISION_REFUSE;
        if (continues && !gtls_conn_has_leaf(conn, gathered.presented.leaf))
            gtls_conn_keep_leaf(conn, gathered.presented.leaf);
    }
    conn->proven = continues;
    conn->phase = continues ? PHASE_CONFIRMED : PHASE_REFUSED;
    gtls_decide_forget(conn, &gathered);
    errno = saved;
    return continues;
}

/* A function that drives a handshake has returned `result`. Return that, or REFUSED. */
static int after_drive(struct conn *conn, int result)
{
    if (conn->phase == PHASE_REFUSED)
        return gtls_refuse(conn);
    if (result != 0) {
        gtls_client_cert_follow(conn, result);
        return result;
    }
    gtls_client_cert_settle(conn);
    /* With a false start there is more to come, within a call that receives. */
    conn->false_start = !conn->false_start && (conn->gtls->gnutls_session_get_flags(conn->session) & GNUTLS_SFLAGS_FALSE_START) != 0;
    if (!confirm(conn))
        return gtls_refuse(conn);
    conn->begun = conn->false_start;
    return result;
}

int gtls_handshake_run(struct conn *conn)
{
    gnutls_session_t before = gtls_conn_driven;
    int saved = errno;
    int result;

    if (conn->phase == PHASE_REFUSED)
        return gtls_refuse(conn);
    if (!conn->begun) {
        /* Whatever has become of it. */
        conn->gtls->gnutls_session_set_verify_function(conn->session, gtls_verify);
        gtls_client_cert_arm(conn);
    }
    /* A later handshake starts with its ClientHello; under TLS 1.3 there is none. */
    if (!conn->begun && conn->phase != PHASE_CONFIRMED) {
        gtls_conn_start_afresh(conn);
        conn->begun = true;
        if (!gtls_session_offer(conn, false))
            return gtls_refuse(conn);
    }
    errno = saved;
    gtls_conn_driven = conn->session;
    result = conn->gtls->gnutls_handshake(conn->session);
    gtls_conn_driven = before;
    if (!conn->begun || !conn->facts.random_known)
        (void)gtls_conn_hear_hello(conn);
    if (conn->phase == PHASE_CONFIRMED && !conn->begun) {
        gtls_client_cert_follow(conn, result);
        return result;
    }
    return after_drive(conn, result);
}

/* Return true if GnuTLS may send it as early data. A session that may be resumed says nothing of a peer that only has a pre-shared key. */
static bool may_be_early(const struct conn *conn)
{
    void *shared;

    return conn->offered && (conn->flags & GNUTLS_ENABLE_EARLY_DATA) != 0
        && (conn->held == NULL || conn->gtls->gnutls_credentials_get(conn->session, GNUTLS_CRD_PSK, &shared) < 0);
}

bool gtls_handshake_may_send_early(struct conn *conn)
{
    int saved = errno;

    if (conn->phase == PHASE_REFUSED)
        return false;
    if (!gtls_session_offer(conn, true)) {
        (void)gtls_refuse(conn);
        return false;
    }
    errno = saved;
    return true;
}

/* Return true if GnuTLS itself sends the early data that it was given before, by its own function within gnutls_handshake. No other thread comes here. A
 * callback of the program might, by a jump at its end; what it sends is early data, too: TLS 1.3 calls none once it is finished, and under TLS 1.2 GnuTLS fails
 * (3.7.9) after it has sent early data. */
static bool is_early(const struct conn *conn, bool by_library)
{
    return by_library && conn->offered && gtls_conn_driven == conn->session;
}

int gtls_handshake_may_write(struct conn *conn, bool by_library)
{
    enum phase phase = __atomic_load_n(&conn->phase, __ATOMIC_ACQUIRE);

    if (phase == PHASE_REFUSED)
        return REFUSED;
    /* The peer of before has been confirmed; or the handshake was not seen. */
    if (phase == PHASE_CONFIRMED || conn->again || (!conn->begun && conn->facts.random_known))
        return 0;
    if (may_be_early(conn) || is_early(conn, by_library))
        return gtls_handshake_may_send_early(conn) ? 0 : REFUSED;
    /* GnuTLS says so, too, but stops when its handshake is finished, before there is a verdict: another thread could send then. */
    return GNUTLS_E_UNAVAILABLE_DURING_HANDSHAKE;
}

bool gtls_handshake_was_read(struct conn *conn, ssize_t result)
{
    if (conn->phase == PHASE_REFUSED) {
        (void)gtls_refuse(conn);
        return false;
    }
    /* Data has come after a handshake that was finished unseen, in a libgnutls that is linked with -Bsymbolic. */
    if (conn->phase == PHASE_UNJUDGED && conn->begun && result > 0)
        return after_drive(conn, 0) == 0;
    gtls_client_cert_follow(conn, result);
    return true;
}

void gtls_handshake_was_written(struct conn *conn, const void *bytes, size_t size)
{
    int saved = errno;

    within_written(&conn->request, bytes, size);
    errno = saved;
}
