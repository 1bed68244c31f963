#include "told.h"

#include "decide.h"
#include "refuse.h"
#include "session.h"
#include "verify_param.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define EXPECTED 16

/* Certificates that peers of this thread's connections have presented. By value: a connection may be gone, and its memory be another one's. */
static _Thread_local struct expected {
    const X509 *leaf; /* NULL: none */
    uint64_t signature; /* its digest, to know a copy by */
    SSL *ssl;
} expected[EXPECTED];
static _Thread_local unsigned next_expected;

static uint64_t signature_of(const struct ossl *ossl, const X509 *certificate)
{
    const ASN1_BIT_STRING *signature = NULL;

    ossl->X509_get0_signature(&signature, NULL, certificate);
    if (signature == NULL)
        return 0;
    return digest_short(ossl->ASN1_STRING_get0_data(signature), (size_t)ossl->ASN1_STRING_length(signature));
}

void told_expect(const struct ossl *ossl, SSL *ssl, X509 *leaf)
{
    struct expected *last = &expected[(next_expected - 1) % EXPECTED];

    if (leaf == NULL)
        return;
    session_presented(ossl, leaf);
    if (last->leaf != leaf || last->ssl != ssl)
        expected[next_expected++ % EXPECTED] = (struct expected) {leaf, signature_of(ossl, leaf), ssl};
}

/* Return the state of the SSL if it is still one whose peer has presented `leaf`. */
static struct conn *conn_with(const struct ossl *ossl, SSL *ssl, const X509 *leaf)
{
    struct conn *conn = conn_of(ossl, ssl);

    return conn != NULL && leaf != NULL && (conn->verifying == leaf || conn->leaf == leaf) ? conn : NULL;
}

/* Find this thread's connection whose peer has presented the certificate: of several (resumed ones share it), the last. */
static struct conn *find_conn(const struct ossl *ossl, const X509 *certificate, SSL **ssl)
{
    struct conn *conn = NULL;
    uint64_t signature = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 1; i <= EXPECTED; i++) {
            const struct expected *one = &expected[(next_expected - i) % EXPECTED];

            if (one->leaf == NULL || (pass == 0 ? one->leaf != certificate : signature == 0 || one->signature != signature))
                continue;
            *ssl = one->ssl;
            conn = conn_with(ossl, one->ssl, one->leaf);
            if (conn != NULL)
                return conn;
        }
        signature = signature_of(ossl, certificate);
    }
    return NULL;
}

/* The handshake, or at least its verification, is over: judge the peer for all that is known of the target now. */
static bool judge_again(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    struct presented presented;
    X509 *leaf = decide_presented(ossl, ssl, &presented);
    bool continues = leaf == NULL || decide(ossl, ssl, conn, &presented, true, NULL) != DECISION_REFUSE;
    SSL_SESSION *session = continues ? NULL : ossl->SSL_get_session(ssl);

    if (!continues) {
        session_spoil(ossl, leaf);
        conn_set_phase(conn, PHASE_REFUSED);
        refuse_socket(ossl, ssl, conn, false);
        if (session != NULL)
            (void)ossl->SSL_CTX_remove_session(ossl->SSL_get_SSL_CTX(ssl), session);
        if (!conn_is_quic(ossl, ssl))
            ossl->SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
    }
    if (leaf != NULL)
        ossl->X509_free(leaf);
    return continues;
}

/* The certificate is that of another thread's connection, which may be in use or end at any moment: it is judged for this name alone, and what it
 * presented besides is not known. */
static bool judge_apart(const struct ossl *ossl, const X509 *certificate, const char *name, size_t length)
{
    const struct presented presented = {.leaf = certs_from(certificate)};
    struct evaluation *evaluation = evaluation_new();
    struct logged logged = {.refusal = false};
    struct host host;
    bool continues;

    if (evaluation == NULL)
        return false;
    host_parse(name, length, &host);
    evaluation->target.named = true;
    evaluation->target_final = true;
    memset(&evaluation->address, 0, sizeof(evaluation->address));
    (void)target_add(&evaluation->target, &host);
    continues = evaluate(&ossl->tls, &presented, evaluation) == VERDICT_ACCEPT
        || evaluation_decide(&ossl->tls, &presented, evaluation, false, &logged) != DECISION_REFUSE;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    return continues;
}

bool told_name(const struct ossl *ossl, const X509 *certificate, const char *name, size_t length)
{
    int saved = errno;
    bool continues = true;
    struct conn *conn;
    SSL *ssl = NULL;

    if (certificate == NULL || name == NULL)
        return true;
    /* As libcrypto reads it. */
    if (length > 1 && name[length - 1] == '\0')
        length--;
    (void)ossl->ERR_set_mark();
    conn = find_conn(ossl, certificate, &ssl);
    if (conn != NULL && conn->phase == PHASE_REFUSED) {
        continues = false;
    } else if (conn != NULL && target_note_told(&conn->facts.told, name, length)) {
        if (conn->verifying != NULL)
            conn_keep_leaf(ossl, conn, NULL); /* a verdict that came before the name does not count */
        else
            continues = judge_again(ossl, ssl, conn);
        session_was_told(ossl, certificate, name, length);
    } else if (conn == NULL && session_is_peers(ossl, certificate)) {
        continues = judge_apart(ossl, certificate, name, length);
        session_was_told(ossl, certificate, name, length);
    }
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return continues;
}

bool told_address(const struct ossl *ossl, const X509 *certificate, const unsigned char *address, size_t length)
{
    char printed[INET6_ADDRSTRLEN];

    if (address == NULL || (length != 4 && length != 16) || inet_ntop(length == 4 ? AF_INET : AF_INET6, address, printed, sizeof(printed)) == NULL)
        return true;
    return told_name(ossl, certificate, printed, strlen(printed));
}

bool told_param(const struct ossl *ossl, X509_STORE_CTX *ctx)
{
    X509 *certificate = ossl->X509_STORE_CTX_get0_cert(ctx);
    X509_VERIFY_PARAM *param = ossl->X509_STORE_CTX_get0_param(ctx);
    char address[64];
    struct text text = text_over(address, sizeof(address));
    bool continues = true;
    const char *name;
    size_t length;

    if (certificate == NULL || param == NULL)
        return true;
    for (int i = 0; (name = param_host(ossl, param, i, &length)) != NULL; i++)
        continues &= told_name(ossl, certificate, name, length);
    for (int i = 0; param_address(ossl, param, i, &text); i++) {
        continues &= told_name(ossl, certificate, address, text.length);
        text = text_over(address, sizeof(address));
    }
    if (!continues)
        ossl->X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
    return continues;
}
