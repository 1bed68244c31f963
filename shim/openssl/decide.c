#include "decide.h"

#include "session.h"
#include "wire.h"

#include <errno.h>

enum verdict decide_evaluate(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct shown *shown, struct evaluation *out)
{
    if (conn->driven)
        wire_read(&conn->facts.wire, ossl->SSL_get_rfd(ssl));
    return evaluate(ossl, ssl, &conn->facts, shown, out);
}

enum decision decide(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct shown *shown, bool last,
    struct peer_digests *digests)
{
    struct evaluation *evaluation = conn != NULL ? evaluation_new() : NULL;
    struct event event = {.verdict = EVENT_REFUSED, .reason = "out of memory"};
    enum decision decision = DECISION_ACCEPT;
    bool refused;

    if (evaluation == NULL) {
        log_event(&event);
        return DECISION_REFUSE;
    }
    refused = decide_evaluate(ossl, ssl, conn, shown, evaluation) != VERDICT_ACCEPT;
    /* It came in behind the back of begin: set by a callback in the handshake. */
    if ((!refused || evaluation_only_reported(evaluation)) && evaluation->judgement.pinned && ossl->SSL_session_reused(ssl) == 1
        && !session_is_proven(ossl, ossl->SSL_get_session(ssl))) {
        evaluation->judgement.reason = REASON_UNPROVEN;
        evaluation->judgement.report = false;
        refused = true;
    }
    if (refused && !evaluation_only_reported(evaluation))
        decision = DECISION_REFUSE;
    evaluation_notice(evaluation);
    evaluation->client = conn->client;
    if (!refused && pins_client(evaluation->store->pins, evaluation->judgement.client) != NULL)
        decision = DECISION_ACCEPT_WITH_CLIENT_CERT;
    if (refused && !conn->logged)
        evaluation_log(ossl, ssl, shown, evaluation, decision == DECISION_REFUSE ? EVENT_REFUSED : EVENT_REPORTED);
    conn->logged |= refused;
    if (!refused && last && !conn->acceptance_logged) {
        conn->acceptance_logged = true;
        evaluation_log(ossl, ssl, shown, evaluation, EVENT_ACCEPTED);
    }
    if (digests != NULL)
        *digests = evaluation->digests;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    return decision;
}

/* What the peer has shown up to now, as libssl keeps it. Return the leaf, a reference. */
X509 *decide_presented(const struct ossl *ossl, SSL *ssl, struct shown *out)
{
    X509 *leaf = ossl->SSL_get1_peer_certificate != NULL ? ossl->SSL_get1_peer_certificate(ssl) : ossl->SSL_get_peer_certificate(ssl);

    *out = (struct shown) {.leaf = leaf, .chain = ossl->SSL_get_peer_cert_chain(ssl), .verified = ossl->SSL_get0_verified_chain(ssl)};
    if (leaf == NULL && ossl->SSL_get0_peer_rpk != NULL)
        out->raw_key = ossl->SSL_get0_peer_rpk(ssl);
    return leaf;
}

/* What it takes to be accepted. */
struct outlook {
    bool accepted;
    bool by_pin; /* a pin was needed */
    bool settled; /* nothing more will be known of the target that could change it */
    bool open; /* it is not, and nothing that is known by now refuses */
};

/* Hear a peer that would show this, before there is one. The caller marks the error queue and keeps errno. */
static void predict(const struct ossl *ossl, SSL *ssl, const struct shown *shown, struct outlook *out)
{
    struct conn *conn = conn_make(ossl, ssl);
    struct evaluation *evaluation = conn != NULL ? evaluation_new() : NULL;

    *out = (struct outlook) {.by_pin = true};
    if (evaluation != NULL) {
        out->accepted = decide_evaluate(ossl, ssl, conn, shown, evaluation) == VERDICT_ACCEPT || evaluation_only_reported(evaluation);
        /* One of the names may have a pin that is enforced. */
        out->by_pin = evaluation->judgement.pinned;
        out->settled = evaluation_is_settled(evaluation);
        /* Of a session it cannot be told any more who its peer's issuers were. */
        if (shown->leaf != NULL && evaluation->store != NULL && evaluation->store->pins != NULL && pins_revoked(evaluation->store->pins) != NULL)
            out->settled = false;
        if (out->accepted && config_get()->mode == MODE_REPORT)
            *out = (struct outlook) {.accepted = true, .settled = true};
        out->open = !out->settled && (out->accepted || evaluation->judgement.reason == REASON_UNIDENTIFIABLE);
        evaluation_end(evaluation);
    }
    evaluation_free(evaluation);
}

/* Not before all is known of the target: nobody may look again when the handshake is finished. A program can go on through a chain of
 * BIOs with what it began by SSL_connect. */
bool decide_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct shown shown = {.leaf = ossl->SSL_SESSION_get0_peer(session), .digests = session_digests(ossl, session)};
    struct outlook outlook;

    /* The certificates that were sent are the session's too, but have no other getter. */
    if (session == ossl->SSL_get_session(ssl))
        shown.chain = ossl->SSL_get_peer_cert_chain(ssl);
    predict(ossl, ssl, &shown, &outlook);
    return outlook.accepted && outlook.settled && (!outlook.by_pin || session_is_proven(ossl, session));
}

bool decide_offers_session(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct conn *conn = conn_of(ossl, ssl);
    int saved = errno;
    bool may;

    (void)ossl->ERR_set_mark();
    may = decide_may_resume(ossl, ssl, session);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    if (conn != NULL)
        conn->withheld |= !may;
    return may;
}

bool decide_withholds(const struct ossl *ossl, SSL *ssl)
{
    static const struct shown nothing;
    struct conn *conn = conn_make(ossl, ssl);
    int saved = errno;
    struct outlook outlook;

    if (conn == NULL)
        return true;
    (void)ossl->ERR_set_mark();
    predict(ossl, ssl, &nothing, &outlook);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    conn->withheld |= !outlook.accepted || !outlook.settled;
    return !outlook.accepted || !outlook.settled;
}

bool decide_when_chosen(const struct ossl *ossl, SSL *ssl)
{
    static const struct shown nothing;
    int saved = errno;
    struct outlook outlook;

    (void)ossl->ERR_set_mark();
    predict(ossl, ssl, &nothing, &outlook);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return outlook.open;
}

bool decide_refuses_suite(const struct ossl *ossl, SSL *ssl)
{
    struct conn *conn = conn_make(ossl, ssl);
    bool refuses = decide_withholds(ossl, ssl);

    if (conn != NULL)
        conn->suite_refused = refuses;
    return refuses;
}
