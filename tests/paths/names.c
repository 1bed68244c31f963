/* names HOST PORT WHERE [count=N] [address=ADDRESS [second-address=ADDRESS]] [sni=NAME] [ca=FILE] [resume] [tls1.2]: a client that has N names verified, the last of
 * them www.pinned.example, or one or two addresses (two from OpenSSL 4.0 on; before, it ends with 77). They stand WHERE: on the SSL (ssl), on its SSL_CTX (ctx), on its trust store (store), or on a store
 * that is only verified with (verify-store, of the SSL_CTX; own-store, of the SSL). "ca": the client verifies. "resume": the session is that of a
 * connection of a context that names nothing. */

#include "paths.h"
#include <openssl/x509v3.h>

static void set_names(X509_VERIFY_PARAM *param, char **argv)
{
    int count = atoi(option(argv, "count", "1"));
    const char *address = option(argv, "address", NULL);
    char name[64];

    if (address != NULL && X509_VERIFY_PARAM_set1_ip_asc(param, address) != 1)
        die(address);
#if OPENSSL_VERSION_NUMBER >= 0x40000000L
    address = option(argv, "second-address", address);
    if (address != NULL && X509_VERIFY_PARAM_add1_ip_asc(param, address) != 1)
        die(address);
#else
    if (option(argv, "second-address", NULL) != NULL)
        exit(77);
#endif
    for (int i = 1; address == NULL && i <= count; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        if (X509_VERIFY_PARAM_add1_host(param, i < count ? name : PINNED, 0) != 1)
            die(name);
    }
}

static X509_STORE *store_of(const char *ca)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL || (ca != NULL && X509_STORE_load_locations(store, ca, NULL) != 1))
        die("X509_STORE_new");
    return store;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *where = argc > 3 ? argv[3] : "";
    const char *ca = option(argv, "ca", NULL);
    const char *sni = option(argv, "sni", NULL);
    X509_STORE *store = store_of(ca);
    bool done;
    SSL *ssl;

    if (ca != NULL) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
            die(ca);
    }
    if (strcmp(where, "ctx") == 0)
        set_names(SSL_CTX_get0_param(ctx), argv);
    if (strcmp(where, "store") == 0)
        set_names(X509_STORE_get0_param(SSL_CTX_get_cert_store(ctx)), argv);
    if (strcmp(where, "verify-store") == 0 && SSL_CTX_set1_verify_cert_store(ctx, store) != 1)
        die(where);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), sni);
    if (strcmp(where, "own-store") == 0 && SSL_set1_verify_cert_store(ssl, store) != 1)
        die(where);
    if (strstr(where, "-store") != NULL)
        set_names(X509_STORE_get0_param(store), argv);
    if (strcmp(where, "ssl") == 0)
        set_names(SSL_get0_param(ssl), argv);
    if (word(argv, "resume")) {
        SSL *first = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), sni);

        if (SSL_connect(first) != 1 || !fetch(first))
            return 2;
        printf("\n");
        SSL_shutdown(first);
        if (SSL_set_session(ssl, SSL_get1_session(first)) != 1)
            die("SSL_set_session");
        SSL_free(first);
    }
    done = show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl);
    printf("\nreused: %d\n", SSL_session_reused(ssl));
    return done ? 0 : 1;
}
