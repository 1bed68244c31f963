/* reset HOST PORT SECOND-PORT [first=NAME] [read|connect] [fixed] [tls1.2]: a client of a chain of BIOs that speaks to HOST:PORT as NAME, and
 * after BIO_reset, on the same SSL and with the session that it still holds, to HOST:SECOND-PORT as www.pinned.example. "read": then it leaves
 * the chain and calls SSL_write and SSL_read; "connect": SSL_connect before that. "fixed": with a method for TLS 1.2 alone. */

#include "paths.h"

static bool exchange(BIO *chain)
{
    char answer[4096];
    bool any = false;
    int got;

    if (BIO_puts(chain, REQUEST) <= 0)
        return false;
    while ((got = BIO_read(chain, answer, sizeof(answer))) > 0) {
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    return any;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = word(argv, "fixed") ? trusting(SSL_CTX_new(TLSv1_2_client_method())) : context(argv);
    SSL *ssl = NULL;
    BIO *chain;
    bool done;

    if (argc < 4)
        return 2;
    chain = chain_to(ctx, argv[1], argv[2], &ssl);
    SSL_set_tlsext_host_name(ssl, option(argv, "first", PINNED));
    if (!exchange(chain))
        return 2;
    printf("\n");
    if (BIO_reset(chain) < 0)
        die("BIO_reset");
    BIO_set_conn_port(chain, argv[3]);
    if (SSL_set_tlsext_host_name(ssl, PINNED) != 1)
        die("SSL_set_tlsext_host_name");
    printf("the second answer:\n");
    if (word(argv, "connect"))
        show("SSL_connect", ssl, SSL_connect(ssl));
    done = word(argv, "read") || word(argv, "connect") ? fetch(ssl) : exchange(chain);
    printf("\nreused: %d\n", SSL_session_reused(ssl));
    return done ? 0 : 1;
}
