/* bio_chain HOST PORT [read|handshake|buffer] [cipher=LIST] [tls1.2] [accept-all] [first=NAME] [resolved=NAME] [text=TEXT]: a
 * client that calls no function on its SSL: it speaks through a chain of BIOs. It sends TEXT, else a request, and prints the
 * answer to that. "first": with the session of a connection for NAME. "resolved": it gives no name, but goes to the address
 * of NAME. */

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
    const char *first = option(argv, "first", NULL);
    const char *resolved = option(argv, "resolved", NULL);
    SSL_SESSION *session = NULL;
    char answer[4096];
    bool any = false;
    SSL *ssl = NULL;
    BIO *chain;
    int result;

    if (argc < 3)
        return 2;
    if (word(argv, "accept-all"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    if (first != NULL) {
        ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), first);
        if (SSL_connect(ssl) != 1 || !fetch(ssl))
            return 2;
        SSL_shutdown(ssl);
        session = SSL_get1_session(ssl);
    }
    chain = chain_to(ctx, resolved != NULL ? resolve(resolved) : argv[1], argv[2], &ssl);
    if ((resolved == NULL && SSL_set_tlsext_host_name(ssl, PINNED) != 1) || (session != NULL && SSL_set_session(ssl, session) != 1))
        die("SSL_set_session");
    printf("the chain:\n");
    if (word(argv, "buffer"))
        chain = BIO_push(BIO_new(BIO_f_buffer()), chain);
    if (word(argv, "handshake"))
        printf("BIO_do_handshake: %ld\n", BIO_do_handshake(chain));
    result = BIO_puts(chain, text != NULL ? text : REQUEST);
    printf("BIO_puts: %d\n", result);
    if (BIO_flush(chain) <= 0)
        result = 0;
    if (text != NULL || result <= 0) {
        if (session != NULL)
            printf("reused: %d\n", SSL_session_reused(ssl));
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
    if (session != NULL)
        printf("\nreused: %d\n", SSL_session_reused(ssl));
    BIO_free_all(chain);
    return any ? 0 : 1;
}
