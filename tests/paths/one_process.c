/* one_process SERVER anonymous|secret [plain] [sni=NAME]: a TLS 1.2 client and its server with SERVER.pem in one process,
 * over memory BIOs. anonymous: the client would do without a certificate; it begins the handshake with SSL_connect and
 * finishes it through a BIO_f_ssl. secret: it has the master secret already (EAP-FAST), and uses the BIO_f_ssl alone. The
 * server does as the client wishes; plain: it shows its certificate. It prints what it receives. */

#include "paths.h"

/* Of client and server. */
static int give_secret(SSL *ssl, void *secret, int *length, STACK_OF(SSL_CIPHER) *offered, const SSL_CIPHER **cipher, void *arg)
{
    (void)arg;
    memset(secret, 7, 48);
    *length = 48;
    for (int i = 0; SSL_is_server(ssl) && i < sk_SSL_CIPHER_num(offered); i++) {
        if (strncmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(offered, i)), "ECDHE-ECDSA-", 12) == 0) {
            *cipher = sk_SSL_CIPHER_value(offered, i);
            break;
        }
    }
    return 1;
}

static SSL *make_server(char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool plain = word(argv, "plain");
    SSL *ssl;

    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (!plain && word(argv, "anonymous"))
        SSL_CTX_set_cipher_list(ctx, "aNULL:@SECLEVEL=0");
    ssl = SSL_new(ctx);
    identity(ssl, argv[1]);
    if (!plain && word(argv, "secret"))
        SSL_set_session_secret_cb(ssl, give_secret, NULL);
    return ssl;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    BIO *there = BIO_new(BIO_s_mem());
    BIO *back = BIO_new(BIO_s_mem());
    BIO *bio = BIO_new(BIO_f_ssl());
    char text[64];
    int accepted = 0;
    int sent = 0;
    int got;
    SSL *ssl;
    SSL *server;

    if (argc < 3)
        return 2;
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (word(argv, "anonymous"))
        SSL_CTX_set_cipher_list(ctx, "aNULL:ECDHE:@SECLEVEL=0");
    ssl = client(ctx, -1, option(argv, "sni", PINNED));
    server = make_server(argv);
    BIO_up_ref(there);
    BIO_up_ref(back);
    SSL_set_bio(ssl, back, there);
    SSL_set_bio(server, there, back);
    SSL_set_connect_state(ssl);
    if (word(argv, "secret")) {
        SSL_set_session_ticket_ext(ssl, (char[]) {"an opaque ticket"}, 16);
        SSL_set_session_secret_cb(ssl, give_secret, NULL);
    } else {
        SSL_connect(ssl);
        SSL_accept(server);
        SSL_connect(ssl);
        /* The rest waits until the client is at its BIO. */
        accepted = SSL_accept(server);
        ERR_clear_error();
    }
    BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    for (int i = 0; i < 6 && (sent <= 0 || accepted != 1); i++) {
        if (sent <= 0)
            sent = BIO_puts(bio, "SECRET");
        ERR_clear_error();
        if (accepted != 1)
            accepted = SSL_accept(server);
        ERR_clear_error();
    }
    got = SSL_read(server, text, sizeof(text));
    if (got > 0)
        printf("the server received %.*s with %s\n", got, text, SSL_get_cipher(server));
    return got > 0 ? 0 : 1;
}
