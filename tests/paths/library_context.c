/* library_context HOST PORT [default] [before=PORT] [tls1.2]: a client whose algorithms stand in a library context of its own; the default one has
 * none. "default": from its first SSL_CTX on it makes its own context this thread's default. "before": first it connects there, in vain, frees
 * that SSL, and makes new ones until one has its address. Exits with 77 where OpenSSL has no such thing (before 3.0). */

#include "paths.h"
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/provider.h>

int main(int argc, char **argv)
{
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    SSL_CTX *ctx;
    const SSL *before = NULL;
    SSL *ssl = NULL;

    if (argc < 3)
        return 2;
    if (OSSL_PROVIDER_load(NULL, "null") == NULL || OSSL_PROVIDER_load(library, "default") == NULL)
        die("OSSL_PROVIDER_load");
    ctx = trusting(SSL_CTX_new_ex(library, NULL, TLS_client_method()));
    if (word(argv, "default"))
        OSSL_LIB_CTX_set0_default(library);
    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (option(argv, "before", NULL) != NULL) {
        ssl = client(ctx, open_socket(argv[1], option(argv, "before", NULL), SOCK_STREAM), PINNED);
        printf("before: %d\n", SSL_connect(ssl));
        SSL_free(ssl);
        ERR_clear_error();
        before = ssl;
    }
    for (int i = 0; i < 1000 && (ssl = SSL_new(ctx)) != before && before != NULL; i++)
        ;
    printf("the same address: %d\n", ssl == before);
    SSL_set_tlsext_host_name(ssl, PINNED);
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
#else
int main(void)
{
    return 77;
}
#endif
