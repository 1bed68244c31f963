/* library_context HOST PORT [tls1.2]: a client whose algorithms stand in a library context of its own; the default one has none. Exits with
 * 77 where OpenSSL has no such thing (before 3.0). */

#include "paths.h"
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/provider.h>

int main(int argc, char **argv)
{
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    SSL_CTX *ctx;
    SSL *ssl;

    if (argc < 3)
        return 2;
    if (OSSL_PROVIDER_load(NULL, "null") == NULL || OSSL_PROVIDER_load(library, "default") == NULL)
        die("OSSL_PROVIDER_load");
    ctx = SSL_CTX_new_ex(library, NULL, TLS_client_method());
    if (ctx == NULL)
        die("SSL_CTX_new_ex");
    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
#else
int main(void)
{
    return 77;
}
#endif
