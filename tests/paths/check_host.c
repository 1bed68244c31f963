/* check_host HOST PORT HOW [name=NAME] [address=ADDRESS] [chain] [again=FILE]: a client that gives OpenSSL no name, and checks the peer's certificate for
 * NAME (www.pinned.example), or ADDRESS, by itself, HOW:
 *   after, after-asc, after-ip   by X509_check_host and its kin, when the handshake is over
 *   copy                         the same, of a copy of the certificate
 *   thread                       the same, in another thread
 *   verify                       in the callback of SSL_set_verify
 *   callback                     in that of SSL_CTX_set_cert_verify_callback
 *   called                       likewise, after having called X509_verify_cert itself
 *   own, own-after               on the parameter of an X509_STORE_CTX of its own: in that callback; when the handshake is over
 *   other                        of another certificate, which nobody has presented
 * It goes on whatever comes out. "chain": through a chain of BIOs. "again=FILE": FILE then becomes the pins file, and a second connection, which checks
 * nothing, is to resume the session. */

#include "paths.h"
#include <openssl/x509v3.h>
#include <pthread.h>

static const char *how;
static const char *name;
static const char *address;
static int result = -2;

static int check(X509 *certificate)
{
    unsigned char bytes[4];

    if (strstr(how, "-asc") != NULL)
        return X509_check_ip_asc(certificate, address, 0);
    if (strstr(how, "-ip") != NULL) {
        ASN1_OCTET_STRING *octets = a2i_IPADDRESS(address);

        memcpy(bytes, ASN1_STRING_get0_data(octets), sizeof(bytes));
        ASN1_OCTET_STRING_free(octets);
        return X509_check_ip(certificate, bytes, sizeof(bytes), 0);
    }
    return X509_check_host(certificate, name, 0, 0, NULL);
}

/* Return what a verification of its own says. */
static int verify(X509 *certificate)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE *store = X509_STORE_new();
    int verified;

    if (ctx == NULL || store == NULL || X509_STORE_CTX_init(ctx, store, certificate, NULL) != 1)
        die("X509_STORE_CTX_init");
    X509_STORE_add_cert(store, certificate);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), name, 0);
    verified = X509_verify_cert(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return verified;
}

static int accept_all(int preverified, X509_STORE_CTX *ctx)
{
    (void)preverified;
    if (X509_STORE_CTX_get_error_depth(ctx) == 0)
        result = check(X509_STORE_CTX_get_current_cert(ctx));
    return 1;
}

static int callback(X509_STORE_CTX *ctx, void *arg)
{
    (void)arg;
    if (strcmp(how, "called") == 0)
        (void)X509_verify_cert(ctx);
    result = strcmp(how, "own") == 0 ? verify(X509_STORE_CTX_get0_cert(ctx)) : check(X509_STORE_CTX_get0_cert(ctx));
    return 1;
}

static void *check_there(void *certificate)
{
    result = check(certificate);
    return NULL;
}

static void check_after(X509 *peer, const char *other)
{
    X509 *certificate = peer;
    pthread_t thread;
    FILE *file;

    if (strcmp(how, "copy") == 0)
        certificate = X509_dup(peer);
    if (strcmp(how, "other") == 0 && ((file = fopen(other, "r")) == NULL || (certificate = PEM_read_X509(file, NULL, NULL, NULL)) == NULL))
        die(other);
    if (strcmp(how, "own-after") == 0)
        result = verify(certificate);
    else if (strcmp(how, "thread") != 0)
        result = check(certificate);
    else if (pthread_create(&thread, NULL, check_there, certificate) != 0 || pthread_join(thread, NULL) != 0)
        die("pthread_create");
}

static int connect_again(SSL_CTX *ctx, char **argv, SSL *first)
{
    SSL *ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), NULL);

    if (rename(option(argv, "again", NULL), getenv("PINSHIM_PINS")) != 0 || SSL_set_session(ssl, SSL_get1_session(first)) != 1)
        die("rename");
    SSL_shutdown(first);
    if (SSL_connect(ssl) != 1)
        return 1;
    printf("reused: %d\n", SSL_session_reused(ssl));
    return fetch(ssl) ? 0 : 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    BIO *chain = NULL;
    X509 *peer;
    SSL *ssl;
    int done;

    if (argc < 4)
        return 2;
    how = argv[3];
    name = option(argv, "name", PINNED);
    address = option(argv, "address", "127.0.0.1");
    if (strcmp(how, "verify") == 0)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_all);
    if (strcmp(how, "callback") == 0 || strcmp(how, "called") == 0 || strcmp(how, "own") == 0)
        SSL_CTX_set_cert_verify_callback(ctx, callback, NULL);
    if (word(argv, "chain")) {
        chain = chain_to(ctx, argv[1], argv[2], &ssl);
        done = BIO_do_handshake(chain);
    } else {
        ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), NULL);
        done = SSL_connect(ssl);
    }
    peer = SSL_get_peer_certificate(ssl);
    if (result == -2 && peer != NULL)
        check_after(peer, option(argv, "certificate", ""));
    printf("handshake: %d, check: %d\n", done, result);
    /* Of a connection that another thread may use only the check fails. */
    if (strcmp(how, "thread") == 0 && result == 0)
        return 1;
    if (chain != NULL) {
        char answer[4096];
        int got = 0;

        if (BIO_write(chain, REQUEST, (int)strlen(REQUEST)) <= 0)
            return 1;
        while ((done = BIO_read(chain, answer, sizeof(answer))) > 0)
            got += (int)fwrite(answer, 1, (size_t)done, stdout);
        return got > 0 ? 0 : 1;
    }
    if (!fetch(ssl))
        return 1;
    return option(argv, "again", NULL) != NULL ? connect_again(ctx, argv, ssl) : 0;
}
