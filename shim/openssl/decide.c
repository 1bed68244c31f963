#include "decide.h"

#include "session.h"

#include <errno.h>

enum verdict decide_evaluate(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, struct evaluation *out)
{
    facts_follow(ossl, ssl, &conn->facts);
    return evaluate(ossl, ssl, &conn->facts, presented, out);
}

enum decision decide(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, bool last,
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
    refused = decide_evaluate(ossl, ssl, conn, presented, evaluation) != VERDICT_ACCEPT;
    /* A callback in the handshake has set this session after start_handshake. */
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
        evaluation_log(ossl, ssl, presented, evaluation, decision == DECISION_REFUSE ? EVENT_REFUSED : EVENT_REPORTED);
    conn->logged |= refused;
    if (!refused && last && !conn->acceptance_logged) {
        conn->acceptance_logged = true;
        evaluation_log(ossl, ssl, presented, evaluation, EVENT_ACCEPTED);
    }
    if (digests != NULL)
        *digests = evaluation->digests;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    return decision;
}

/* What the peer has presented up to now, as libssl keeps it. Return the leaf, a reference. */
X509 *decide_presented(const struct ossl *ossl, SSL *ssl, struct presented *out)
{
    X509 *leaf = ossl->SSL_get1_peer_certificate != NULL ? ossl->SSL_get1_peer_certificate(ssl) : ossl->SSL_get_peer_certificate(ssl);

    *out = (struct presented) {.leaf = leaf, .chain = ossl->SSL_get_peer_cert_chain(ssl), .verified = ossl->SSL_get0_verified_chain(ssl)};
    if (leaf == NULL && ossl->SSL_get0_peer_rpk != NULL)
        out->raw_key = ossl->SSL_get0_peer_rpk(ssl);
    return leaf;
}

/* What would be decided on a peer. */
struct outlook {
    bool accepted;
    bool by_pin; /* accepted by a pin or pkix, which needs proof of the key */
    bool final; /* nothing that may yet become known of the target could change the decision */
    bool open; /* not final, and nothing that is known by now refuses */
};

/* Evaluate in advance a peer that would present this. The caller marks the error queue and preserves errno. */
static void predict(const struct ossl *ossl, SSL *ssl, const struct presented *presented, struct outlook *out)
{
    struct conn *conn = conn_make(ossl, ssl);
    struct evaluation *evaluation = conn != NULL ? evaluation_new() : NULL;

    *out = (struct outlook) {.by_pin = true};
    if (evaluation != NULL) {
        out->accepted = decide_evaluate(ossl, ssl, conn, presented, evaluation) == VERDICT_ACCEPT || evaluation_only_reported(evaluation);
        /* One of the names may have a pin that is enforced. */
        out->by_pin = evaluation->judgement.pinned;
        out->final = evaluation_is_final(evaluation);
        /* A session does not keep its peer's issuers, so what is revoked cannot be checked. */
        if (presented->leaf != NULL && evaluation->store != NULL && evaluation->store->pins != NULL && pins_revoked(evaluation->store->pins) != NULL)
            out->final = false;
        if (out->accepted && config_get()->mode == MODE_REPORT)
            *out = (struct outlook) {.accepted = true, .final = true};
        out->open = !out->final && (out->accepted || evaluation->judgement.reason == REASON_UNIDENTIFIABLE);
        evaluation_end(evaluation);
    }
    evaluation_free(evaluation);
}

/* Only if nothing more can become known of the target: there may be no check at handshake completion, because a program can continue
 * through a BIO chain what it started by SSL_connect. */
bool decide_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct presented presented = {.leaf = ossl->SSL_SESSION_get0_peer(session), .digests = session_digests(ossl, session)};
    struct outlook outlook;

    /* The certificates that were sent belong to the session, too, but only this getter gives them. */
    if (session == ossl->SSL_get_session(ssl))
        presented.chain = ossl->SSL_get_peer_cert_chain(ssl);
    predict(ossl, ssl, &presented, &outlook);
    return outlook.accepted && outlook.final && (!outlook.by_pin || session_is_proven(ossl, session));
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
    static const struct presented nothing;
    struct conn *conn = conn_make(ossl, ssl);
    int saved = errno;
    struct outlook outlook;

    if (conn == NULL)
        return true;
    (void)ossl->ERR_set_mark();
    predict(ossl, ssl, &nothing, &outlook);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    conn->withheld |= !outlook.accepted || !outlook.final;
    return !outlook.accepted || !outlook.final;
}

bool decide_when_chosen(const struct ossl *ossl, SSL *ssl)
{
    static const struct presented nothing;
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
