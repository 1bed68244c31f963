/* ech HOST PORT TEXT [keys=FILE] [peer] [ca=FILE] [identity=NAME]: a client of www.pinned.example that hides that name by ECH, with the keys of
 * FILE, else with keys that no server has, for public.example. It sends TEXT, and tells whether the server gave new keys. Ends with 77 where
 * OpenSSL has no ECH. */

#include "paths.h"

#if OPENSSL_VERSION_NUMBER < 0x40000000L || defined(OPENSSL_NO_ECH)
int main(void)
{
    return 77;
}
#else
#include <openssl/ech.h>

static OSSL_ECHSTORE *keys_of(const char *path)
{
    const OSSL_HPKE_SUITE suite = OSSL_HPKE_SUITE_DEFAULT;
    OSSL_ECHSTORE *store = OSSL_ECHSTORE_new(NULL, NULL);
    BIO *file = path != NULL ? BIO_new_file(path, "r") : NULL;

    if (store == NULL || (path != NULL && file == NULL))
        die("keys");
    if ((file != NULL ? OSSL_ECHSTORE_read_pem(store, file, OSSL_ECH_NO_RETRY)
                      : OSSL_ECHSTORE_new_config(store, OSSL_ECH_CURRENT_VERSION, 0, "public.example", suite)) != 1)
        die("keys");
    BIO_free(file);
    return store;
}

int main(int argc, char **argv)
{
    const char *ca = option(argv, "ca", NULL);
    const char *name = option(argv, "identity", NULL);
    unsigned char *keys = NULL;
    size_t length = 0;
    SSL_CTX *ctx;
    bool done;
    SSL *ssl;

    if (argc < 4)
        return 2;
    ctx = context(argv);
    if (ca != NULL && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        die(ca);
    if (word(argv, "peer"))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (SSL_set1_echstore(ssl, keys_of(option(argv, "keys", NULL))) != 1 || SSL_set1_dnsname(ssl, PINNED) != 1)
        die("SSL_set1_echstore");
    if (name != NULL)
        identity(ssl, name);
    show("SSL_connect", ssl, SSL_connect(ssl));
    done = show("SSL_write", ssl, SSL_write(ssl, argv[3], (int)strlen(argv[3]))) > 0;
    (void)SSL_ech_get1_retry_config(ssl, &keys, &length);
    printf("new keys: %s\n", length > 0 ? "some" : "none");
    return done ? 0 : 1;
}
#endif
