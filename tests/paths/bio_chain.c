/* bio_chain HOST PORT [read|handshake|buffer] [cipher=LIST] [tls1.2] [accept-all] [text=TEXT]: a client that calls no function
 * on its SSL: it speaks through a chain of BIOs. It sends TEXT, else a request, and prints the answer to that. */

#include "paths.h"

static int accept_all(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *text = option(argv, "text", NULL);
    char answer[4096];
    bool any = false;
    SSL *ssl = NULL;
    BIO *chain;
    int result;

    if (argc < 3)
        return 2;
    if (word(argv, "accept-all"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    chain = BIO_new_ssl_connect(ctx);
    if (chain == NULL || BIO_get_ssl(chain, &ssl) != 1 || SSL_set_tlsext_host_name(ssl, PINNED) != 1)
        die("BIO_new_ssl_connect");
    BIO_set_conn_hostname(chain, argv[1]);
    BIO_set_conn_port(chain, argv[2]);
    if (word(argv, "buffer"))
        chain = BIO_push(BIO_new(BIO_f_buffer()), chain);
    if (word(argv, "handshake"))
        printf("BIO_do_handshake: %ld\n", BIO_do_handshake(chain));
    result = BIO_puts(chain, text != NULL ? text : REQUEST);
    printf("BIO_puts: %d\n", result);
    if (BIO_flush(chain) <= 0)
        result = 0;
    if (text != NULL || result <= 0) {
        BIO_free_all(chain);
        return result > 0 ? 0 : 1;
    }
    if (word(argv, "buffer")) {
        while ((result = BIO_gets(chain, answer, sizeof(answer))) > 0) {
            any = true;
            fputs(answer, stdout);
        }
    } else {
        while ((result = BIO_read(chain, answer, sizeof(answer))) > 0) {
            any = true;
            fwrite(answer, 1, (size_t)result, stdout);
        }
    }
    BIO_free_all(chain);
    return any ? 0 : 1;
}
