/* verify_other HOST PORT ca=FILE other=FILE: a client that verifies another certificate, as of an OCSP responder, with its SSL in the ex_data of the
 * X509_STORE_CTX: before its handshake, and on the connection that it has then. */

#include "paths.h"
#include <openssl/pem.h>

static void verify(SSL *ssl, X509 *certificate, X509_STORE *store)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (X509_STORE_CTX_init(ctx, store, certificate, NULL) != 1 || X509_STORE_CTX_set_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) != 1)
        die("X509_STORE_CTX_init");
    printf("X509_verify_cert: %d\n", X509_verify_cert(ctx));
    X509_STORE_CTX_free(ctx);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    X509_STORE *store = X509_STORE_new();
    FILE *file = fopen(option(argv, "other", ""), "r");
    X509 *certificate = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    SSL *ssl;
    bool done;

    if (argc < 3 || certificate == NULL || X509_STORE_load_locations(store, option(argv, "ca", ""), NULL) != 1)
        return 2;
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    SSL_set_connect_state(ssl);
    verify(ssl, certificate, store);
    done = show("SSL_connect", ssl, SSL_connect(ssl)) == 1;
    verify(ssl, certificate, store);
    return (done & fetch(ssl)) ? 0 : 1;
}
