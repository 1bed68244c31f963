#include "client_cert.h"

#include "context.h"
#include "decide.h"
#include "report.h"
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the callback of SSL_set_cert_cb returns to libssl. */
enum answer { ANSWER_FAIL = 0, ANSWER_GO_ON = 1 };

/* Return true if the server has proven its key when it asks: it has signed its part of the key exchange. With RSA key exchange it
 * proves its key only after the client's certificate was sent. */
static bool server_has_proven(const struct ossl *ossl, const SSL *ssl)
{
    const SSL_CIPHER *suite = ossl->SSL_get_pending_cipher(ssl);
    int exchange = suite != NULL ? ossl->SSL_CIPHER_get_kx_nid(suite) : NID_undef;

    return exchange == NID_kx_any || exchange == NID_kx_ecdhe || exchange == NID_kx_dhe;
}

static ossl_client_callback older_callback(const struct ossl *ossl, const SSL *ssl)
{
    ossl_client_callback callback = ossl->SSL_CTX_get_client_cert_cb(ossl->SSL_get_SSL_CTX(ssl));

    return callback;
}

/* Call the older callback, of the SSL_CTX, as libssl does when no certificate was set. Return false if it gives none. It may not come back: nothing
 * may be held. */
static bool ask_program(const struct ossl *ossl, SSL *ssl, int *answer)
{
    ossl_client_callback callback = older_callback(ossl, ssl);
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    int given = callback != NULL ? callback(ssl, &certificate, &key) : 0;

    *answer = given < 0 ? given : ANSWER_GO_ON;
    if (given == 1 && certificate != NULL && key != NULL)
        (void)(ossl->SSL_use_certificate(ssl, certificate) == 1 && ossl->SSL_use_PrivateKey(ssl, key) == 1);
    if (certificate != NULL)
        ossl->X509_free(certificate);
    if (key != NULL)
        ossl->EVP_PKEY_free(key);
    return given != 0;
}

/* Set the certificate on the SSL, with its chain and key. Return the leaf, as a reference; or NULL with the reason in `problem`. */
static X509 *set_certificate(const struct ossl *ossl, SSL *ssl, const struct client_cert *client, struct text *problem)
{
    const unsigned char *at = client->chain;
    const unsigned char *key_at = client->key;
    EVP_PKEY *key = ossl->d2i_AutoPrivateKey(NULL, &key_at, (long)client->key_length);
    X509 *leaf = ossl->d2i_X509(NULL, &at, (long)client->chain_length);
    void *chain = ossl->OPENSSL_sk_new_null();
    bool fine = key != NULL && leaf != NULL && chain != NULL;
    const char *reason;

    while (fine && at < client->chain + client->chain_length) {
        X509 *issuer = ossl->d2i_X509(NULL, &at, (long)(client->chain + client->chain_length - at));

        fine = issuer != NULL && ossl->OPENSSL_sk_push(chain, issuer) > 0;
        if (!fine && issuer != NULL)
            ossl->X509_free(issuer);
    }
    fine = fine && ossl->SSL_use_cert_and_key(ssl, leaf, key, chain, 1) == 1;
    if (!fine) {
        reason = ossl->ERR_reason_error_string(ossl->ERR_peek_last_error());
        text_add(problem, "%s", reason != NULL ? reason : "out of memory");
    }
    for (int i = 0; chain != NULL && i < ossl->OPENSSL_sk_num(chain); i++)
        ossl->X509_free(ossl->OPENSSL_sk_value(chain, i));
    if (chain != NULL)
        ossl->OPENSSL_sk_free(chain);
    if (key != NULL)
        ossl->EVP_PKEY_free(key);
    if (fine)
        return leaf;
    if (leaf != NULL)
        ossl->X509_free(leaf);
    return NULL;
}

/* Log why the certificate is not offered. */
static __attribute__((cold)) void log_problem(const struct ossl *ossl, SSL *ssl, const struct client_cert *client, const char *problem, enum event_verdict verdict,
    struct evaluation *evaluation)
{
    static const struct presented nothing;
    char buffer[800];
    struct text remark = text_over(buffer, sizeof(buffer));

    report_client((unsigned)client->line, problem, &remark);
    evaluation->remark = buffer;
    decide_report(ossl, ssl, &nothing, evaluation, verdict);
}

static void let_go(struct evaluation **evaluation)
{
    if (*evaluation != NULL)
        evaluation_end(*evaluation);
    evaluation_free(*evaluation);
    *evaluation = NULL;
}

static const struct client_cert *evaluate_again(const struct ossl *ossl, SSL *ssl, struct evaluation *out)
{
    struct conn *conn = conn_of(ossl, ssl);
    const struct client_cert *client = NULL;
    struct presented presented;
    X509 *leaf;

    /* A peer that only knows a session need not be the server that presented the certificate. */
    if (conn == NULL || conn->phase == PHASE_REFUSED
        || (ossl->SSL_session_reused(ssl) == 1 && !session_is_proven(ossl, ossl->SSL_get_session(ssl))))
        return NULL;
    leaf = decide_presented(ossl, ssl, &presented);
    if (decide_evaluate(ossl, ssl, conn, &presented, out) == VERDICT_ACCEPT)
        client = pins_client(out->store->pins, out->judgement.client);
    if (leaf != NULL)
        ossl->X509_free(leaf);
    return client;
}

/* Return the certificate of the server's rule, with `*evaluation`; NULL: none, and nothing is held. */
static __attribute__((noinline, cold)) const struct client_cert *find_certificate(const struct ossl *ossl, SSL *ssl, struct evaluation **evaluation)
{
    const struct client_cert *client;
    int saved = errno;

    *evaluation = evaluation_new();
    (void)ossl->ERR_set_mark();
    client = *evaluation != NULL ? evaluate_again(ossl, ssl, *evaluation) : NULL;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    if (client == NULL)
        let_go(evaluation);
    return client;
}

static void note_offered(const struct ossl *ossl, SSL *ssl, X509 *leaf, struct evaluation *evaluation)
{
    struct conn *conn = conn_of(ossl, ssl);
    struct presented presented;

    if (conn->client != NULL)
        ossl->X509_free(conn->client);
    conn->client = leaf;
    conn->client_is_set = true;
    atomic_store(&conn_looks_at_reads, true);
    /* If a wrapper drives the handshake, or its end is followed, this is logged at handshake completion. */
    if ((conn->driven || conn->followed) && !conn->logged.acceptance)
        return;
    conn->logged.acceptance = true;
    evaluation->client = certs_from(leaf);
    leaf = decide_presented(ossl, ssl, &presented);
    decide_report(ossl, ssl, &presented, evaluation, EVENT_ACCEPTED);
    if (leaf != NULL)
        ossl->X509_free(leaf);
}

/* Offer the certificate of the server's rule. */
static enum answer offer_certificate(const struct ossl *ossl, SSL *ssl, SSL *connection, const struct client_cert *client, struct evaluation *evaluation)
{
    char buffer[200];
    struct text problem = text_over(buffer, sizeof(buffer));
    X509 *leaf;

    if (!server_has_proven(ossl, ssl)) {
        text_add(&problem, "is not offered: with the suite %s the server has not proven its key yet",
            ossl->SSL_CIPHER_get_name(ossl->SSL_get_pending_cipher(ssl)));
        log_problem(ossl, connection, client, buffer, EVENT_FAULT, evaluation);
        return ANSWER_GO_ON;
    }
    text_add(&problem, "cannot be used: ");
    leaf = set_certificate(ossl, ssl, client, &problem);
    if (leaf == NULL) {
        log_problem(ossl, connection, client, buffer, EVENT_REFUSED, evaluation);
        return ANSWER_FAIL;
    }
    note_offered(ossl, connection, leaf, evaluation);
    return ANSWER_GO_ON;
}

/* Offer the certificate of the server's rule, unless the program's older callback gives one. It is asked only where libssl would ask it: if the server has asked
 * for one. What it gives stays on the SSL, as when libssl asks. */
static int offer_or_ask(const struct ossl *ossl, SSL *ssl, SSL *connection, bool asked)
{
    struct evaluation *evaluation;
    const struct client_cert *client = find_certificate(ossl, connection, &evaluation);
    int answer = ANSWER_GO_ON;
    int saved;

    if (client != NULL && older_callback(ossl, ssl) != NULL) {
        let_go(&evaluation);
        client = NULL;
        /* Under TLS 1.3 it is known by then, if the server's signature is about to be checked. */
        if ((asked || ossl->SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL) > 0) && !ask_program(ossl, ssl, &answer))
            client = find_certificate(ossl, connection, &evaluation);
    }
    if (client == NULL)
        return asked ? answer : ANSWER_GO_ON;
    saved = errno;
    (void)ossl->ERR_set_mark();
    answer = offer_certificate(ossl, ssl, connection, client, evaluation);
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    let_go(&evaluation);
    return answer;
}

/* libssl asks for a certificate because the server does. On QUIC, libssl passes the inner TLS object; `arg` is the connection. */
static int answer_request(SSL *ssl, void *arg)
{
    SSL *connection = arg != NULL ? arg : ssl;
    const struct ossl *ossl = ossl_of(connection);
    const struct callbacks *callbacks = ossl != NULL ? conn_callbacks(ossl, connection) : NULL;
    const struct callbacks *context_of;
    int answer = ANSWER_GO_ON;

    if (ossl == NULL)
        return ANSWER_GO_ON;
    conn_take_client_cert_back(ossl, connection);
    if (callbacks != NULL && callbacks->cert != NULL)
        answer = callbacks->cert(ssl, callbacks->cert_arg);
    if (answer <= 0 || ossl->SSL_is_server(ssl) || ossl->SSL_get_certificate(ssl) != NULL || ossl->SSL_get_privatekey(ssl) != NULL)
        return answer;
    context_of = context_callbacks(ossl, ossl->SSL_get_SSL_CTX(ssl));
    if (context_of != NULL && context_of->engine)
        return answer;
    return offer_or_ask(ossl, ssl, connection, true);
}

void client_cert_arm(const struct ossl *ossl, SSL *ssl)
{
    struct callbacks *place = conn_callbacks_make(ossl, ssl);

    /* A callback of the program's own, set unseen, would be lost: see client_cert_offer_unseen. */
    if (context_is_unseen(ossl, ssl))
        return;
    /* If two SSLs share their certificates, the other one would present what is set for this one. */
    if (place == NULL || place->cert_watched || place->certs_shared)
        return;
    place->cert_watched = true;
    ossl->SSL_set_cert_cb(ssl, answer_request, ossl->SSL_is_quic != NULL && ossl->SSL_is_quic(ssl) ? ssl : NULL);
}

bool client_cert_offer_unseen(const struct ossl *ossl, SSL *ssl)
{
    if (!pinstore_had_client() || ossl->SSL_get_certificate(ssl) != NULL || ossl->SSL_get_privatekey(ssl) != NULL)
        return true;
    return offer_or_ask(ossl, ssl, ssl, false) == ANSWER_GO_ON;
}

static void disarm(const struct ossl *ossl, SSL *ssl)
{
    struct callbacks *place = conn_callbacks_make(ossl, ssl);

    conn_take_client_cert_back(ossl, ssl);
    if (place == NULL)
        return;
    if (place->cert_watched)
        ossl->SSL_set_cert_cb(ssl, place->cert, place->cert_arg);
    place->cert_watched = false;
    place->certs_shared = true;
}

void client_cert_share(const struct ossl *ossl, SSL *to, SSL *from)
{
    disarm(ossl, from);
    disarm(ossl, to);
}

/* Log what happened to the client certificate, whose name goes between the two texts, and forget it. */
static __attribute__((cold)) void log_outcome(const struct ossl *ossl, SSL *ssl, struct conn *conn, const char *before, const char *after)
{
    static const struct presented nothing;
    struct evaluation *evaluation = evaluation_new();
    struct certificate_text client;
    char buffer[500];
    struct text remark = text_over(buffer, sizeof(buffer));

    conn_take_client_cert_back(ossl, ssl);
    (void)ossl->ERR_set_mark();
    if (evaluation != NULL) {
        (void)decide_evaluate(ossl, ssl, conn, &nothing, evaluation);
        ossl->tls.describe(&ossl->tls, certs_from(conn->client), &client);
        text_add(&remark, "%s \"%s\"%s", before, client.subject, after);
        evaluation->remark = buffer;
        decide_report(ossl, ssl, &nothing, evaluation, EVENT_FAULT);
        evaluation_end(evaluation);
        evaluation_free(evaluation);
    }
    (void)ossl->ERR_pop_to_mark();
    ossl->X509_free(conn->client);
    conn->client = NULL;
}

/* The server may end the connection because of the client certificate, in the handshake or, in TLS 1.3, at the first read after it. libssl turns
 * alerts into errors: their number (RFC 8446, section 6.2) plus 1000. */
static void note_refused(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int alert = (int)(ossl->ERR_peek_last_error() & 0xfff) - 1000;
    bool of_certificates = (alert >= 40 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
    char buffer[100];
    struct text problem = text_over(buffer, sizeof(buffer));

    /* The error may be another connection's. A fatal alert has ended this connection, and then its handshake no longer counts as finished. */
    if (!of_certificates || (ossl->SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) == 0 || ossl->SSL_is_init_finished(ssl))
        return;
    text_add(&problem, ": alert %d, %s", alert, ossl->SSL_alert_desc_string_long(alert));
    log_outcome(ossl, ssl, conn, "the server refused the client certificate", buffer);
}

/* A client certificate was set on the SSL, and libssl waits for the server or has finished: it has used the certificate, or found that it does not
 * fit the server's request. */
void client_cert_settle(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    int nid;

    if (!conn->client_is_set || (!ossl->SSL_is_init_finished(ssl) && ossl->SSL_want(ssl) != SSL_READING))
        return;
    conn_take_client_cert_back(ossl, ssl);
    if (ossl->SSL_get_signature_type_nid(ssl, &nid) != 1)
        log_outcome(ossl, ssl, conn, "the client certificate", " was not sent: it does not fit the server's request");
}

void client_cert_follow(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result)
{
    int saved = errno;

    client_cert_settle(ossl, ssl, conn);
    if (conn->client != NULL && result <= 0)
        note_refused(ossl, ssl, conn);
    errno = saved;
}

/* If the target's rule has a client certificate, let the server ask for it after the handshake, too (RFC 8446, section 4.2.6): most
 * programs without a client certificate do not offer that. */
void client_cert_allow_requests(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    static const struct presented nothing;
    struct evaluation *evaluation = pinstore_had_client() ? evaluation_new() : NULL;
    const struct rule *rule;

    /* Whether the program lets the server ask after the handshake is not known then. */
    if (context_is_unseen(ossl, ssl)) {
        evaluation_free(evaluation);
        return;
    }
    /* The rule of the last target had one: restore the program's own setting. */
    if (conn->post_handshake_auth)
        ossl->SSL_set_post_handshake_auth(ssl, conn->callbacks.post_handshake_auth);
    conn->post_handshake_auth = false;
    if (evaluation == NULL)
        return;
    (void)decide_evaluate(ossl, ssl, conn, &nothing, evaluation);
    rule = evaluation->judgement.rules.first;
    while (rule != NULL && rule->client == 0)
        rule = pins_next_rule(evaluation->store->pins, evaluation->judgement.rules, rule);
    if (rule != NULL) {
        client_cert_arm(ossl, ssl);
        ossl->SSL_set_post_handshake_auth(ssl, 1);
        conn->post_handshake_auth = true;
    }
    evaluation_end(evaluation);
    evaluation_free(evaluation);
}

void client_cert_set_callback(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_cert_callback callback, void *arg)
{
    struct callbacks *place = conn_callbacks_of(ossl, ctx, ssl);

    if (place != NULL) {
        place->cert = callback;
        place->cert_arg = arg;
    }
    if (ssl == NULL)
        ossl->SSL_CTX_set_cert_cb(ctx, callback, arg);
    else if (place == NULL || !place->cert_watched)
        ossl->SSL_set_cert_cb(ssl, callback, arg);
}

void client_cert_leave_to_engine(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_make(ossl, ctx);

    if (context != NULL)
        context->callbacks.engine = true;
}

void client_cert_set_post_handshake_auth(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, int enabled)
{
    struct callbacks *place = conn_callbacks_of(ossl, ctx, ssl);

    if (place != NULL)
        place->post_handshake_auth = enabled != 0;
    if (ssl != NULL)
        ossl->SSL_set_post_handshake_auth(ssl, enabled);
    else
        ossl->SSL_CTX_set_post_handshake_auth(ctx, enabled);
}
