#include "client.h"

#include "conn.h"
#include "hearing.h"
#include "offer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What libssl takes from the callback of SSL_set_cert_cb. */
enum answer { ANSWER_FAIL = 0, ANSWER_GO_ON = 1 };

/* Return true if the server has proven its key by the time that it asks: it signed its part of the key exchange. With RSA key exchange it
 * proves it only after the client's certificate was sent. */
static bool server_has_proven(const struct ossl *ossl, const SSL *ssl)
{
    const SSL_CIPHER *suite = ossl->SSL_get_pending_cipher(ssl);
    int exchange = suite != NULL ? ossl->SSL_CIPHER_get_kx_nid(suite) : NID_undef;

    return exchange == NID_kx_any || exchange == NID_kx_ecdhe || exchange == NID_kx_dhe;
}

/* Ask as libssl asks when no certificate was set: the older callback, of the SSL_CTX. Return false where it has none to give. */
static bool ask_program(const struct ossl *ossl, SSL *ssl, int *answer)
{
    ossl_client_callback callback = ossl->SSL_CTX_get_client_cert_cb(ossl->SSL_get_SSL_CTX(ssl));
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
static X509 *put(const struct ossl *ossl, SSL *ssl, const struct client_cert *client, struct text *problem)
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

/* Log what hinders the certificate from being offered. */
static void tell(const struct ossl *ossl, SSL *ssl, const struct client_cert *client, const char *problem, enum event_verdict verdict,
    struct hearing *hearing)
{
    static const struct shown nothing;
    const char *path = config_get()->pins;
    char buffer[800];
    struct text remark = text_over(buffer, sizeof(buffer));

    text_add(&remark, "the client certificate of ");
    text_add_escaped(&remark, path, strlen(path), 300);
    text_add(&remark, ":%u %s", (unsigned)client->line, problem);
    hearing->remark = buffer;
    hearing_log(ossl, ssl, &nothing, hearing, verdict);
}

/* Offer the certificate of the server's rule. */
static enum answer offer_own(const struct ossl *ossl, SSL *ssl, SSL *connection, const struct client_cert *client, struct hearing *hearing)
{
    char buffer[200];
    struct text problem = text_over(buffer, sizeof(buffer));
    X509 *leaf;

    if (!server_has_proven(ossl, ssl)) {
        text_add(&problem, "is not offered: with the suite %s the server has not proven its key yet",
            ossl->SSL_CIPHER_get_name(ossl->SSL_get_pending_cipher(ssl)));
        tell(ossl, connection, client, buffer, EVENT_FAULT, hearing);
        return ANSWER_GO_ON;
    }
    text_add(&problem, "cannot be used: ");
    leaf = put(ossl, ssl, client, &problem);
    if (leaf == NULL) {
        tell(ossl, connection, client, buffer, EVENT_REFUSED, hearing);
        return ANSWER_FAIL;
    }
    conn_gave_client(ossl, connection, leaf, hearing);
    return ANSWER_GO_ON;
}

/* libssl asks for a certificate, because the server does. A QUIC connection's state hangs on `arg`; what libssl gives is the TLS within. */
static int answer_request(SSL *ssl, void *arg)
{
    SSL *connection = arg != NULL ? arg : ssl;
    const struct ossl *ossl = ossl_of(connection);
    const struct offer *offer = ossl != NULL ? conn_offer(ossl, connection) : NULL;
    const struct client_cert *client;
    const struct offer *of_ctx;
    struct hearing *hearing;
    int answer = ANSWER_GO_ON;
    int saved = errno;

    if (ossl == NULL)
        return ANSWER_GO_ON;
    conn_take_client_back(ossl, connection);
    if (offer != NULL && offer->cert != NULL)
        answer = offer->cert(ssl, offer->cert_arg);
    if (answer <= 0 || ossl->SSL_is_server(ssl) || ossl->SSL_get_certificate(ssl) != NULL || ossl->SSL_get_privatekey(ssl) != NULL)
        return answer;
    of_ctx = offer_of_ctx(ossl, ossl->SSL_get_SSL_CTX(ssl));
    if (of_ctx != NULL && of_ctx->engine)
        return answer;
    hearing = hearing_make();
    (void)ossl->ERR_set_mark();
    client = hearing != NULL ? conn_hear_client(ossl, connection, hearing) : NULL;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    if (client != NULL && !ask_program(ossl, ssl, &answer)) {
        (void)ossl->ERR_set_mark();
        answer = offer_own(ossl, ssl, connection, client, hearing);
        (void)ossl->ERR_pop_to_mark();
        errno = saved;
    }
    if (hearing != NULL)
        hearing_end(hearing);
    hearing_discard(hearing);
    return answer;
}

void client_stand_ready(const struct ossl *ossl, SSL *ssl)
{
    struct offer *place = conn_offer_make(ossl, ssl);

    /* What is set for one of two that share their certificates would be shown by the other. */
    if (place == NULL || place->cert_watched || place->certs_shared)
        return;
    place->cert_watched = true;
    ossl->SSL_set_cert_cb(ssl, answer_request, ossl->SSL_is_quic != NULL && ossl->SSL_is_quic(ssl) ? ssl : NULL);
}

static void stand_aside(const struct ossl *ossl, SSL *ssl)
{
    struct offer *place = conn_offer_make(ossl, ssl);

    conn_take_client_back(ossl, ssl);
    if (place == NULL)
        return;
    if (place->cert_watched)
        ossl->SSL_set_cert_cb(ssl, place->cert, place->cert_arg);
    place->cert_watched = false;
    place->certs_shared = true;
}

void client_share(const struct ossl *ossl, SSL *to, SSL *from)
{
    stand_aside(ossl, from);
    stand_aside(ossl, to);
}

void client_take_back(const struct ossl *ossl, SSL *ssl, const X509 *given)
{
    /* There was none before, and what the program sets takes it back first. */
    if (ossl->SSL_get_certificate(ssl) == given)
        ossl->SSL_certs_clear(ssl);
}
