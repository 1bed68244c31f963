/* verify_callback HOST PORT [tls1.2] [accept-all|reinit|beside|name] [null] [peer] [per-connection] [nameless] [bio] [ca=FILE]
 * [identity=NAME] [text=TEXT]: a client with its own verification of the whole chain. accept-all: one that accepts
 * everything; reinit: one that cleans up the X509_STORE_CTX and verifies with the store of FILE; beside: one that does so with an
 * X509_STORE_CTX of its own; name: one that has
 * www.pinned.example verified; null: the library's own again; per-connection: swapped in when the SSL is there; before=N: but N others with
 * arguments of their own have stood there before, and it is told how many bytes of memory they took. nameless: there is no SNI. It shows NAME.pem if it is asked, sends TEXT, else a request, and prints the answer to that. */

#include "paths.h"
#include <malloc.h>
#include <openssl/x509v3.h>
#include <stdint.h>

static int calls;
static const char *ca;

static int accept_all(X509_STORE_CTX *store, void *arg)
{
    (*(int *)arg)++;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* What the context was made with must outlive it. */
static int verify_again(X509_STORE_CTX *store, void *arg)
{
    X509_STORE *own = X509_STORE_new();
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    STACK_OF(X509) *chain = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store));

    (*(int *)arg)++;
    X509_up_ref(leaf);
    X509_STORE_CTX_cleanup(store);
    if (X509_STORE_load_locations(own, ca, NULL) != 1 || X509_STORE_CTX_init(store, own, leaf, chain) != 1)
        die("X509_STORE_CTX_init");
    return X509_verify_cert(store);
}

static int verify_beside(X509_STORE_CTX *store, void *arg)
{
    X509_STORE *own = X509_STORE_new();
    X509_STORE_CTX *other = X509_STORE_CTX_new();
    int result;

    (*(int *)arg)++;
    if (X509_STORE_load_locations(own, ca, NULL) != 1
        || X509_STORE_CTX_init(other, own, X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get0_untrusted(store)) != 1)
        die("X509_STORE_CTX_init");
    result = X509_verify_cert(other);
    X509_STORE_CTX_set_error(store, X509_STORE_CTX_get_error(other));
    X509_STORE_CTX_free(other);
    X509_STORE_free(own);
    return result;
}

static int verify_name(X509_STORE_CTX *store, void *arg)
{
    (*(int *)arg)++;
    X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(store), PINNED, 0);
    return X509_verify_cert(store);
}

static int refuse(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 0;
}

/* 1.1.1's glibc has no mallinfo2, and musl neither. */
static size_t in_use(void)
{
#ifdef __GLIBC__
    return (size_t)(unsigned)mallinfo().uordblks;
#else
    return 0;
#endif
}

static void swap_often(SSL_CTX *ctx, int times)
{
    size_t before = in_use();

    for (int i = 1; i <= times; i++)
        SSL_CTX_set_cert_verify_callback(ctx, refuse, (void *)(uintptr_t)i);
    printf("memory taken: %zu\n", in_use() - before);
}

/* Return true if the text was sent, and the answer printed where one is awaited. */
static bool through_bio(SSL *ssl, const char *text)
{
    BIO *bio = BIO_new(BIO_f_ssl());
    char answer[4096];
    bool any = false;
    int got;

    SSL_set_connect_state(ssl);
    BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    if (BIO_puts(bio, text != NULL ? text : REQUEST) <= 0)
        return false;
    while (text == NULL && (got = BIO_read(bio, answer, sizeof(answer))) > 0) {
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    return any || text != NULL;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *text = option(argv, "text", NULL);
    const char *name = option(argv, "identity", NULL);
    bool done;
    SSL *ssl;

    if (argc < 3)
        return 2;
    ca = option(argv, "ca", NULL);
    if (ca != NULL && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
        die(ca);
    if (word(argv, "accept-all"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, &calls);
    if (word(argv, "reinit"))
        SSL_CTX_set_cert_verify_callback(ctx, verify_again, &calls);
    if (word(argv, "beside"))
        SSL_CTX_set_cert_verify_callback(ctx, verify_beside, &calls);
    if (word(argv, "name"))
        SSL_CTX_set_cert_verify_callback(ctx, verify_name, &calls);
    if (word(argv, "null"))
        SSL_CTX_set_cert_verify_callback(ctx, NULL, NULL);
    if (word(argv, "peer"))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), word(argv, "nameless") ? NULL : PINNED);
    if (name != NULL)
        identity(ssl, name);
    swap_often(ctx, atoi(option(argv, "before", "0")));
    if (word(argv, "per-connection"))
        SSL_CTX_set_cert_verify_callback(ctx, accept_all, &calls);
    if (word(argv, "bio"))
        done = through_bio(ssl, text);
    else if (text != NULL)
        done = show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && SSL_write(ssl, text, (int)strlen(text)) > 0;
    else
        done = (show("SSL_connect", ssl, SSL_connect(ssl)) == 1) & fetch(ssl);
    printf("own verification called: %d\n", calls);
    return done ? 0 : 1;
}
