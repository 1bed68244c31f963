/* psk HOST PORT [tls1.2] [old-callback] [context] [bio|chain] [to=NAME] [sni=NAME] [text=TEXT]: a client that would let a
 * server with its pre-shared key do without a certificate; "old-callback": under TLS 1.3 by the callback that is meant for
 * TLS 1.2; "context": the callbacks are set on the SSL_CTX; "chain": it speaks through a chain of BIOs that connects only
 * then, to NAME in the place of HOST. It sends TEXT, else a request, and prints the answer to that. */

#include "paths.h"

static const unsigned char key[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const unsigned char name[] = "Client_identity";

static unsigned int give_key(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, unsigned char *psk,
    unsigned int psk_size)
{
    (void)ssl;
    (void)hint;
    if (identity_size < sizeof(name) || psk_size < sizeof(key))
        return 0;
    memcpy(identity, name, sizeof(name));
    memcpy(psk, key, sizeof(key));
    return sizeof(key);
}

static int give_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length, SSL_SESSION **session)
{
    static const unsigned char suite_id[] = {0x13, 0x01};
    const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, suite_id);

    *session = NULL;
    if (md != NULL && SSL_CIPHER_get_handshake_digest(suite) != md)
        return 1;
    *session = SSL_SESSION_new();
    *identity = name;
    *length = sizeof(name) - 1;
    return SSL_SESSION_set1_master_key(*session, key, sizeof(key)) == 1 && SSL_SESSION_set_cipher(*session, suite) == 1
        && SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION) == 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *text = option(argv, "text", NULL);
    const char *sni = option(argv, "sni", PINNED);
    char answer[4096];
    BIO *bio = NULL;
    int result;
    SSL *ssl;

    if (argc < 3)
        return 2;
    if (word(argv, "tls1.2")) {
        SSL_CTX_set_cipher_list(ctx, "PSK:ECDHE+AESGCM:@SECLEVEL=0");
        if (word(argv, "context"))
            SSL_CTX_set_psk_client_callback(ctx, give_key);
    } else if (word(argv, "context") && word(argv, "old-callback")) {
        SSL_CTX_set_psk_client_callback(ctx, give_key);
    } else if (word(argv, "context")) {
        SSL_CTX_set_psk_use_session_callback(ctx, give_session);
    }
    if (word(argv, "chain")) {
        bio = chain_to(ctx, option(argv, "to", argv[1]), argv[2], &ssl);
        SSL_set_tlsext_host_name(ssl, sni);
    } else {
        ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), sni);
        SSL_set_connect_state(ssl);
    }
    if (!word(argv, "context")) {
        if (word(argv, "tls1.2"))
            SSL_set_psk_client_callback(ssl, give_key);
        else if (word(argv, "old-callback"))
            SSL_set_psk_client_callback(ssl, give_key);
        else
            SSL_set_psk_use_session_callback(ssl, give_session);
    }
    if (word(argv, "bio")) {
        bio = BIO_new(BIO_f_ssl());
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    }
    if (bio != NULL) {
        result = BIO_puts(bio, text != NULL ? text : REQUEST);
        printf("BIO_puts: %d\n", result);
        if (result > 0 && text == NULL && (result = BIO_read(bio, answer, sizeof(answer))) > 0)
            fwrite(answer, 1, (size_t)result, stdout);
        return result > 0 ? 0 : 1;
    }
    if (show("SSL_connect", ssl, SSL_connect(ssl)) != 1)
        return 1;
    if (text == NULL)
        return fetch(ssl) ? 0 : 1;
    return SSL_write(ssl, text, (int)strlen(text)) > 0 ? 0 : 1;
}
