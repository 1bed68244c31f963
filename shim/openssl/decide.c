#include "decide.h"

#include "report.h"
#include "session.h"
#include "through.h"
#include "within.h"

#include <errno.h>

enum verdict decide_by_facts(const struct ossl *ossl, SSL *ssl, const struct facts *facts, const struct presented *presented, struct evaluation *out)
{
    out->target_final = facts_read(ossl, ssl, facts, &out->target, &out->address);
    return evaluate(&ossl->tls, presented, out);
}

enum verdict decide_evaluate(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, struct evaluation *out)
{
    facts_follow(ossl, ssl, &conn->facts);
    conn->facts.is_within = through_find(ossl, ssl, &conn->facts.within);
    conn->facts.hidden = conn->facts.random_known && !conn->facts.is_within ? within_hidden(conn->facts.sent.state, conn->unseen) : NULL;
    return decide_by_facts(ossl, ssl, &conn->facts, presented, out);
}

/* Add what only the log shows. */
static struct presented complete(const struct ossl *ossl, SSL *ssl, const struct presented *presented)
{
    struct presented complete = *presented;

    complete.version = ossl->SSL_get_version(ssl);
    complete.resumed = ossl->SSL_session_reused(ssl) == 1;
    return complete;
}

void decide_report(const struct ossl *ossl, SSL *ssl, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict)
{
    const struct presented shown = complete(ossl, ssl, presented);

    report(&ossl->tls, &shown, evaluation, verdict);
}

enum decision decide(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, bool last,
    struct peer_digests *digests)
{
    struct evaluation *evaluation = conn != NULL ? evaluation_new() : NULL;
    const struct presented shown = complete(ossl, ssl, presented);
    struct event event = {.verdict = EVENT_REFUSED, .reason = "out of memory"};
    enum decision decision;

    if (evaluation == NULL) {
        log_event(&event);
        return DECISION_REFUSE;
    }
    /* A callback in the handshake may have set the session after start_handshake. */
    (void)decide_evaluate(ossl, ssl, conn, &shown, evaluation);
    if (evaluation_needs_proof(evaluation) && shown.resumed && !session_is_proven(ossl, ossl->SSL_get_session(ssl)))
        evaluation_refuse_unproven(evaluation);
    evaluation->client = certs_from(conn->client);
    decision = evaluation_decide(&ossl->tls, &shown, evaluation, last, &conn->logged);
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

    *out = (struct presented) {.leaf = certs_from(leaf), .sent = ossl->SSL_get_peer_cert_chain(ssl), .verified = ossl->SSL_get0_verified_chain(ssl)};
    if (leaf == NULL && ossl->SSL_get0_peer_rpk != NULL)
        out->raw_key = certs_from_key(ossl->SSL_get0_peer_rpk(ssl));
    return leaf;
}

/* Evaluate in advance a peer that would present this. The caller marks the error queue and preserves errno. */
static void predict(const struct ossl *ossl, SSL *ssl, const struct presented *presented, struct outlook *out)
{
    struct conn *conn = conn_make(ossl, ssl);
    struct evaluation *evaluation = conn != NULL ? evaluation_new() : NULL;

    *out = (struct outlook) {.by_pin = true};
    if (evaluation != NULL) {
        (void)decide_evaluate(ossl, ssl, conn, presented, evaluation);
        *out = evaluation_predict(evaluation, presented->leaf != NULL);
        evaluation_end(evaluation);
    }
    evaluation_free(evaluation);
}

/* Only if nothing more can become known of the target: there may be no check at handshake completion, because a program can continue
 * through a BIO chain what it started by SSL_connect. */
bool decide_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session)
{
    struct presented presented = {.leaf = certs_from(ossl->SSL_SESSION_get0_peer(session)), .digests = session_digests(ossl, session)};
    struct conn *conn = conn_make(ossl, ssl);
    size_t told = conn != NULL ? conn->facts.told.length : 0;
    const void *cursor = NULL;
    struct outlook outlook;
    const char *name;
    size_t length;

    /* The program may tell these names again only after the handshake. */
    while (conn != NULL && session_next_told(ossl, session, &cursor, &name, &length)) {
        if (!target_note_told(&conn->facts.told, name, length))
            continue;
    }
    /* The certificates that were sent belong to the session, too, but only this getter gives them. */
    if (session == ossl->SSL_get_session(ssl))
        presented.sent = ossl->SSL_get_peer_cert_chain(ssl);
    predict(ossl, ssl, &presented, &outlook);
    if (conn != NULL)
        conn->facts.told.length = told;
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
