#include "client_cert.h"

#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_CHAIN 16

/* Return true if the server has proven its key when it asks: it has signed its part of the key exchange. With RSA key exchange it proves its key only
 * after the client's certificate was sent. */
static bool server_has_proven(const struct conn *conn)
{
    switch (conn->gtls->gnutls_kx_get(conn->session)) {
    case GNUTLS_KX_DHE_DSS:
    case GNUTLS_KX_DHE_RSA:
    case GNUTLS_KX_ECDHE_RSA:
    case GNUTLS_KX_ECDHE_ECDSA: return true;
    default: return false;
    }
}

/* Return true if GnuTLS asks for a client certificate before the server has shown its own. What is chosen then leaves only after the verify hook. */
static bool asks_early(const struct conn *conn)
{
    return conn->phase == PHASE_UNJUDGED && conn->gtls->gnutls_protocol_get_version(conn->session) == GNUTLS_TLS1_3;
}

/* Log why the certificate is not offered. */
static void log_problem(const struct conn *conn, const struct client_cert *client, const char *problem, enum event_verdict verdict,
    struct evaluation *evaluation)
{
    static const struct presented nothing;
    char buffer[800];
    struct text remark = text_over(buffer, sizeof(buffer));

    report_client((unsigned)client->line, problem, &remark);
    evaluation->remark = buffer;
    gtls_decide_report(conn, &nothing, evaluation, verdict);
}

/* Find the certificate for the server, which is known; NULL: none. */
static const struct client_cert *evaluate_again(struct conn *conn, struct evaluation *out)
{
    const struct client_cert *client = NULL;
    struct gathered gathered;

    /* A peer that only knows a session need not be the server that presented the certificate. */
    if (conn->phase == PHASE_REFUSED || (conn->gtls->gnutls_session_is_resumed(conn->session) != 0 && !(conn->offered && conn->held_proven)))
        return NULL;
    gtls_decide_presented(conn, &gathered);
    if (gtls_decide_evaluate(conn, &gathered.presented, out) == VERDICT_ACCEPT)
        client = pins_client(out->store->pins, out->judgement.client);
    gtls_decide_forget(conn, &gathered);
    return client;
}

/* Find the certificate that the rules of the target have. */
static const struct client_cert *foresee(struct conn *conn, struct evaluation *out)
{
    static const struct presented nothing;
    const struct client_cert *client;
    const struct rule *rule;

    (void)gtls_decide_evaluate(conn, &nothing, out);
    rule = out->judgement.rules.first;
    while (rule != NULL && rule->client == 0)
        rule = pins_next_rule(out->store->pins, out->judgement.rules, rule);
    client = rule != NULL ? pins_client(out->store->pins, rule->client) : NULL;
    if (client == NULL || !evaluation_only_reported(out))
        return client;
    log_problem(conn, client, "is not offered: refusals are only reported, and under TLS 1.3 GnuTLS asks for it before the server has shown its own"
                              " certificate, and cannot take it back",
        EVENT_FAULT, out);
    return NULL;
}

/* What was chosen, in memory that GnuTLS will free. */
struct chosen {
    gnutls_pcert_st *certificates;
    unsigned count;
    gnutls_privkey_t key;
};

static void forget_chosen(const struct gtls *gtls, struct chosen *chosen)
{
    for (unsigned i = 0; i < chosen->count; i++)
        gtls->gnutls_pcert_deinit(&chosen->certificates[i]);
    if (chosen->certificates != NULL)
        (*gtls->free)(chosen->certificates);
    if (chosen->key != NULL)
        gtls->gnutls_privkey_deinit(chosen->key);
    *chosen = (struct chosen) {.key = NULL};
}

/* Return 0, or GnuTLS's error. */
static int read_chosen(const struct gtls *gtls, const struct client_cert *client, struct chosen *out)
{
    const gnutls_datum_t key = {client->key, (unsigned)client->key_length};
    struct bytes rest = {client->chain, client->chain_length};
    struct bytes der;
    int result = gtls->gnutls_privkey_init(&out->key);

    if (result >= 0)
        result = gtls->gnutls_privkey_import_x509_raw(out->key, &key, GNUTLS_X509_FMT_DER, NULL, 0);
    out->certificates = (*gtls->malloc)(LONGEST_CHAIN * sizeof(*out->certificates));
    if (out->certificates == NULL)
        return GNUTLS_E_MEMORY_ERROR;
    while (result >= 0 && out->count < LONGEST_CHAIN && (der = der_take(&rest, DER_SEQUENCE)).at != NULL) {
        const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)der.at, (unsigned)der.length};

        result = gtls->gnutls_pcert_import_x509_raw(&out->certificates[out->count], &datum, GNUTLS_X509_FMT_DER, 0);
        out->count += result >= 0;
    }
    return result >= 0 ? 0 : result;
}

static bool keep_client(struct conn *conn, const struct client_cert *client)
{
    free(conn->client);
    conn->client = malloc(client->chain_length);
    conn->client_length = conn->client != NULL ? client->chain_length : 0;
    if (conn->client != NULL)
        memcpy(conn->client, client->chain, client->chain_length);
    return conn->client != NULL;
}

/* Choose the certificate of the server's rule. Return 0, or -1 if the handshake must fail. */
static int choose(struct conn *conn, const struct client_cert *client, struct evaluation *evaluation, struct chosen *out)
{
    const struct gtls *gtls = conn->gtls;
    char buffer[200];
    struct text problem = text_over(buffer, sizeof(buffer));
    int result;

    if (conn->phase == PHASE_UNJUDGED && !asks_early(conn) && !server_has_proven(conn)) {
        const char *exchange = gtls->gnutls_kx_get_name(gtls->gnutls_kx_get(conn->session));

        text_add(&problem, "is not offered: with %s key exchange the server has not proven its key yet", exchange != NULL ? exchange : "this");
        log_problem(conn, client, buffer, EVENT_FAULT, evaluation);
        return 0;
    }
    result = read_chosen(gtls, client, out);
    if (result == 0 && !keep_client(conn, client))
        result = GNUTLS_E_MEMORY_ERROR;
    if (result == 0)
        return 0;
    forget_chosen(gtls, out);
    text_add(&problem, "cannot be used: %s", gtls->gnutls_strerror(result));
    log_problem(conn, client, buffer, EVENT_REFUSED, evaluation);
    conn->logged.refusal = true;
    return -1;
}

/* Ask a function of the oldest kind, and read what it gives as GnuTLS does. Return 0, or GnuTLS's error. */
static int ask_oldest(const struct gtls *gtls, gnutls_certificate_retrieve_function *function, gnutls_session_t session,
    const struct gnutls_cert_retr_st *info, struct chosen *out)
{
    struct gnutls_retr2_st given;
    int result;
    unsigned release;

    memset(&given, 0, sizeof(given));
    result = function(session, info->req_ca_rdn, info->nreqs, info->pk_algos, info->pk_algos_length, &given);
    if (result < 0 || given.ncerts == 0)
        return result < 0 ? result : 0;
    release = given.deinit_all != 0 ? GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE : 0;
    out->certificates = (*gtls->malloc)(given.ncerts * sizeof(*out->certificates));
    result = given.cert_type != GNUTLS_CRT_X509 ? GNUTLS_E_INVALID_REQUEST : out->certificates == NULL ? GNUTLS_E_MEMORY_ERROR : 0;
    while (result >= 0 && out->count < given.ncerts) {
        result = gtls->gnutls_pcert_import_x509(&out->certificates[out->count], given.cert.x509[out->count], 0);
        out->count += result >= 0;
    }
    if (result >= 0)
        result = gtls->gnutls_privkey_init(&out->key);
    if (result >= 0 && given.key_type == GNUTLS_PRIVKEY_X509)
        result = gtls->gnutls_privkey_import_x509(out->key, given.key.x509, release);
    else if (result >= 0 && given.key_type == GNUTLS_PRIVKEY_PKCS11 && gtls->gnutls_privkey_import_pkcs11 != NULL)
        result = gtls->gnutls_privkey_import_pkcs11(out->key, given.key.pkcs11, release);
    else if (result >= 0)
        result = GNUTLS_E_INVALID_REQUEST;
    for (unsigned i = 0; given.deinit_all != 0 && given.cert_type == GNUTLS_CRT_X509 && i < given.ncerts; i++)
        gtls->gnutls_x509_crt_deinit(given.cert.x509[i]);
    if (given.deinit_all != 0 && given.cert_type == GNUTLS_CRT_X509)
        (*gtls->free)(given.cert.x509);
    if (result < 0)
        forget_chosen(gtls, out);
    return result < 0 ? result : 0;
}

/* Ask the program's own function. Return false if it gives none. */
static bool ask_program(const struct gtls *gtls, const struct credentials *credentials, gnutls_session_t session,
    const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates, unsigned *count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags,
    int *answer)
{
    gnutls_certificate_retrieve_function3 *function3 = atomic_load(&credentials->retrieve3);
    gnutls_certificate_retrieve_function2 *function2 = atomic_load(&credentials->retrieve2);
    gnutls_certificate_retrieve_function *function = atomic_load(&credentials->retrieve);
    struct chosen chosen = {.key = NULL};

    if (function != NULL) {
        *answer = ask_oldest(gtls, function, session, info, &chosen);
        *certificates = chosen.certificates;
        *count = chosen.count;
        *key = chosen.key;
        *flags = chosen.count > 0 ? GNUTLS_CERT_RETR_DEINIT_ALL : 0;
    } else if (function3 != NULL)
        *answer = function3(session, info, certificates, count, ocsp, ocsp_count, key, flags);
    else if (function2 != NULL)
        *answer = function2(session, info->req_ca_rdn, info->nreqs, info->pk_algos, info->pk_algos_length, certificates, count, key);
    return *answer < 0 || *count > 0;
}

/* GnuTLS asks for a certificate because the server does. */
static int answer_request(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certificates, unsigned *count,
    gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
    struct conn *conn = gtls_conn_of(session);
    const struct credentials *credentials = gtls_credentials_of(info->cred);
    const struct client_cert *client;
    struct evaluation *evaluation;
    struct chosen chosen = {.key = NULL};
    int saved = errno;
    int answer = 0;

    if (credentials == NULL || ask_program(credentials->gtls, credentials, session, info, certificates, count, ocsp, ocsp_count, key, flags, &answer) || conn == NULL
        || (evaluation = evaluation_new()) == NULL)
        return answer;
    free(conn->client);
    conn->client = NULL;
    if (conn->gtls->gnutls_certificate_type_get2(session, GNUTLS_CTYPE_CLIENT) != GNUTLS_CRT_X509) {
        evaluation_free(evaluation);
        return answer; /* raw public keys: it has none */
    }
    client = asks_early(conn) ? foresee(conn, evaluation) : evaluate_again(conn, evaluation);
    if (client != NULL)
        answer = choose(conn, client, evaluation, &chosen);
    if (chosen.count > 0) {
        *certificates = chosen.certificates;
        *count = chosen.count;
        *key = chosen.key;
        *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    }
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    errno = saved;
    return answer;
}

/* Return true if the program has a certificate there itself, which GnuTLS chooses only where no function is set. */
static bool has_own(const struct gtls *gtls, gnutls_certificate_credentials_t object)
{
    gnutls_datum_t first;

    return gtls->gnutls_certificate_get_crt_raw(object, 0, 0, &first) >= 0;
}

static void disarm(const struct gtls *gtls, gnutls_certificate_credentials_t object, struct credentials *credentials)
{
    gnutls_certificate_retrieve_function2 *function2 = atomic_load(&credentials->retrieve2);
    gnutls_certificate_retrieve_function *function = atomic_load(&credentials->retrieve);

    atomic_store(&credentials->armed, false);
    if (function != NULL)
        gtls->gnutls_certificate_set_retrieve_function(object, function);
    else if (function2 != NULL)
        gtls->gnutls_certificate_set_retrieve_function2(object, function2);
    else
        gtls->gnutls_certificate_set_retrieve_function3(object, atomic_load(&credentials->retrieve3));
}

void gtls_client_cert_arm(struct conn *conn)
{
    const struct gtls *gtls = conn->gtls;
    struct credentials *credentials;
    void *object = NULL;

    if (!pinstore_had_client() || gtls->gnutls_credentials_get(conn->session, GNUTLS_CRD_CERTIFICATE, &object) < 0 || object == NULL
        || (credentials = gtls_credentials_make(gtls, object)) == NULL)
        return;
    if (has_own(gtls, object)) {
        if (atomic_load(&credentials->armed))
            disarm(gtls, object, credentials);
    } else if (!atomic_exchange(&credentials->armed, true)) {
        gtls->gnutls_certificate_set_retrieve_function3(object, answer_request);
    }
}

void gtls_client_cert_set(const struct gtls *gtls, gnutls_certificate_credentials_t object, gnutls_certificate_retrieve_function *function,
    gnutls_certificate_retrieve_function2 *function2, gnutls_certificate_retrieve_function3 *function3)
{
    struct credentials *credentials = gtls_credentials_make(gtls, object);

    if (credentials == NULL)
        return;
    atomic_store(&credentials->retrieve, function);
    atomic_store(&credentials->retrieve2, function2);
    atomic_store(&credentials->retrieve3, function3);
    atomic_store(&credentials->armed, false);
}

bool gtls_client_cert_stays(struct conn *conn)
{
    struct evaluation *evaluation = conn->client != NULL && asks_early(conn) ? evaluation_new() : NULL;
    const struct client_cert *client;
    bool stays;

    if (conn->client == NULL || !asks_early(conn))
        return true;
    if (evaluation == NULL)
        return false;
    client = evaluate_again(conn, evaluation);
    stays = client != NULL && client->chain_length == conn->client_length && memcmp(client->chain, conn->client, conn->client_length) == 0;
    if (!stays) {
        evaluation->remark = "the client certificate that was chosen before the server had shown its own is not for this server";
        gtls_decide_report(conn, &(struct presented) {.leaf = NULL}, evaluation, EVENT_REFUSED);
        conn->logged.refusal = true;
    }
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    return stays;
}

/* Log what happened to the client certificate, whose name goes between the two texts, and forget it. */
static void log_outcome(struct conn *conn, const char *before, const char *after)
{
    static const struct presented nothing;
    struct evaluation *evaluation = evaluation_new();
    struct certificate leaf = gtls_decide_client(conn);
    struct certificate_text client = {.subject = ""};
    char buffer[500];
    struct text remark = text_over(buffer, sizeof(buffer));

    if (evaluation != NULL) {
        (void)gtls_decide_evaluate(conn, &nothing, evaluation);
        conn->gtls->tls.describe(&conn->gtls->tls, &leaf, &client);
        text_add(&remark, "%s \"%s\"%s", before, client.subject, after);
        evaluation->remark = buffer;
        gtls_decide_report(conn, &nothing, evaluation, EVENT_FAULT);
        evaluation_end(evaluation);
        evaluation_free(evaluation);
    }
    gtls_certs_forget_one(conn->gtls, &leaf);
    free(conn->client);
    conn->client = NULL;
}

void gtls_client_cert_settle(struct conn *conn)
{
    if (conn->client != NULL && conn->gtls->gnutls_certificate_get_ours(conn->session) == NULL)
        log_outcome(conn, "the client certificate", " was not sent: it does not fit the server's request");
}

void gtls_client_cert_follow(struct conn *conn, ssize_t result)
{
    int alert = result == GNUTLS_E_FATAL_ALERT_RECEIVED ? (int)conn->gtls->gnutls_alert_get(conn->session) : 0;
    bool of_certificates = (alert >= 40 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
    char buffer[100];
    struct text problem = text_over(buffer, sizeof(buffer));
    int saved = errno;
    const char *name;

    if (conn->client == NULL || !of_certificates)
        return;
    name = conn->gtls->gnutls_alert_get_name((gnutls_alert_description_t)alert);
    text_add(&problem, ": alert %d, %s", alert, name != NULL ? name : "unknown");
    log_outcome(conn, "the server refused the client certificate", buffer);
    errno = saved;
}
