/* verify_callback HOST PORT [tls1.2] [accept-all] [null] [peer] [per-connection]: a client with its own verification of the
 * whole chain. accept-all: one that accepts everything; null: the library's own again; per-connection: swapped in when the SSL
 * is there. */

#include "paths.h"

static int calls;

static int accept_all(X509_STORE_CTX *store, void *arg)
{
    (*(int *)arg)++;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    bool connected;
    SSL *ssl;

    if (argc < 3)
        return 2;
    if (word(argv, "accept-all"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, &calls);
    if (word(argv, "null"))
        SSL_CTX_set_cert_verify_callback(ctx, NULL, NULL);
    if (word(argv, "peer"))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (word(argv, "per-connection"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, &calls);
    connected = show("SSL_connect", ssl, SSL_connect(ssl)) == 1;
    printf("own verification called: %d\n", calls);
    return fetch(ssl) && connected ? 0 : 1;
}
