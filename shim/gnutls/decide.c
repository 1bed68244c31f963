#include "decide.h"

#include "report.h"

#include <errno.h>
#include <string.h>

void gtls_decide_gather(const struct conn *conn, const gnutls_datum_t *sent, unsigned count, struct gathered *out)
{
    void *credentials = NULL;

    memset(out, 0, sizeof(*out));
    if (sent == NULL || count == 0)
        return;
    (void)conn->gtls->gnutls_credentials_get(conn->session, GNUTLS_CRD_CERTIFICATE, &credentials);
    out->leaf = (struct certificate) {.owners = 1, .der = {sent[0].data, sent[0].size}};
    out->sent = (struct certificates) {.sent = sent, .sent_count = count};
    out->verified = (struct certificates) {.sent = sent, .sent_count = count, .trusted = credentials};
    out->presented.leaf = &out->leaf;
    out->presented.sent = &out->sent;
    out->presented.verified = credentials != NULL ? &out->verified : NULL;
}

void gtls_decide_presented(const struct conn *conn, struct gathered *out)
{
    unsigned count = 0;
    const gnutls_datum_t *sent = conn->gtls->gnutls_certificate_get_peers(conn->session, &count);

    if (sent == NULL || count == 0 || conn->gtls->gnutls_certificate_type_get2(conn->session, GNUTLS_CTYPE_SERVER) == GNUTLS_CRT_X509) {
        gtls_decide_gather(conn, sent, count, out);
        return;
    }
    memset(out, 0, sizeof(*out));
    out->key.spki = (struct bytes) {sent[0].data, sent[0].size};
    out->presented.raw_key = &out->key;
}

void gtls_decide_forget(const struct conn *conn, struct gathered *gathered)
{
    gtls_certs_forget_one(conn->gtls, &gathered->leaf);
    gtls_certs_forget(conn->gtls, &gathered->sent);
    gtls_certs_forget(conn->gtls, &gathered->verified);
}

enum verdict gtls_decide_evaluate(struct conn *conn, const struct presented *presented, struct evaluation *out)
{
    gtls_facts_follow(&conn->facts);
    out->target_final = gtls_facts_read(conn->gtls, conn->session, &conn->facts, &out->target, &out->address);
    return evaluate(&conn->gtls->tls, presented, out);
}

/* As OpenSSL names them. */
static const char *version_of(const struct conn *conn)
{
    switch (conn->gtls->gnutls_protocol_get_version(conn->session)) {
    case GNUTLS_SSL3: return "SSLv3";
    case GNUTLS_TLS1_0: return "TLSv1";
    case GNUTLS_TLS1_1: return "TLSv1.1";
    case GNUTLS_TLS1_2: return "TLSv1.2";
    case GNUTLS_TLS1_3: return "TLSv1.3";
    case GNUTLS_DTLS0_9:
    case GNUTLS_DTLS1_0: return "DTLSv1";
    case GNUTLS_DTLS1_2: return "DTLSv1.2";
    default: return NULL;
    }
}

/* Add what only the log shows. */
static struct presented complete(const struct conn *conn, const struct presented *presented)
{
    struct presented complete = *presented;

    complete.version = version_of(conn);
    complete.resumed = conn->gtls->gnutls_session_is_resumed(conn->session) != 0;
    return complete;
}

void gtls_decide_report(const struct conn *conn, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict)
{
    const struct presented shown = complete(conn, presented);

    report(&conn->gtls->tls, &shown, evaluation, verdict);
}

struct certificate gtls_decide_client(const struct conn *conn)
{
    struct bytes rest = {conn->client, conn->client != NULL ? conn->client_length : 0};

    return (struct certificate) {.owners = 1, .der = der_take(&rest, DER_SEQUENCE)};
}

enum decision gtls_decide(struct conn *conn, const struct presented *presented, bool last)
{
    struct evaluation *evaluation = evaluation_new();
    const struct presented shown = complete(conn, presented);
    struct certificate client = gtls_decide_client(conn);
    struct event event = {.verdict = EVENT_REFUSED, .reason = "out of memory"};
    enum decision decision;

    if (evaluation == NULL) {
        log_event(&event);
        return DECISION_REFUSE;
    }
    (void)gtls_decide_evaluate(conn, &shown, evaluation);
    if (evaluation_needs_proof(evaluation) && shown.resumed && !(conn->offered && conn->held_proven))
        evaluation_refuse_unproven(evaluation);
    /* To a server that is refused it is not sent. */
    evaluation->client = client.der.at != NULL && evaluation->judgement.verdict == VERDICT_ACCEPT ? &client : NULL;
    decision = evaluation_decide(&conn->gtls->tls, &shown, evaluation, last, &conn->logged);
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    gtls_certs_forget_one(conn->gtls, &client);
    return decision;
}

struct outlook gtls_decide_predict(struct conn *conn, const struct presented *presented, struct peer_digests *digests)
{
    struct evaluation *evaluation = evaluation_new();
    struct outlook outlook = {.accepted = false};

    if (evaluation != NULL) {
        (void)gtls_decide_evaluate(conn, presented, evaluation);
        outlook = evaluation_predict(evaluation, false);
        *digests = evaluation->digests;
        evaluation_end(evaluation);
    }
    evaluation_free(evaluation);
    return outlook;
}
