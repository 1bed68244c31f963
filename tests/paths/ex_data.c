/* ex_data HOST PORT [late] [session] [tls1.2]: a client that keeps data on what OpenSSL has made: at an index that it asked for, at the two after
 * it, for which it did not ask, and at 0; "late": it asks when OpenSSL has made something already; "session": on sessions as well. Two connections,
 * the second with the session of the first, on a copy of an SSL. It prints how often its functions were called, and for what. */

#include "paths.h"

#define KINDS 4
static const char *const names[KINDS] = {"SSL", "SSL_CTX", "SSL_SESSION", "X509"};
static const int kinds[KINDS] = {CRYPTO_EX_INDEX_SSL, CRYPTO_EX_INDEX_SSL_CTX, CRYPTO_EX_INDEX_SSL_SESSION, CRYPTO_EX_INDEX_X509};
static int indexes[KINDS];
static struct count {
    int made;
    int copied;
    int copied_nothing;
    int freed;
    int freed_nothing;
} counts[KINDS];

static char own[4][24] = {"the program's", "the program's, 1", "the program's, 2", "the program's, at 0"};

static void note_made(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long kind, void *arg)
{
    (void)data;
    (void)all;
    (void)index;
    (void)arg;
    counts[kind].made++;
    if (kinds[kind] == CRYPTO_EX_INDEX_SSL && SSL_get_SSL_CTX(parent) == parent)
        die("SSL_get_SSL_CTX");
}

/* A void ** from 3.0 on. */
static int note_copied(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from,
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    void **data,
#else
    void *data,
#endif
    int index, long kind, void *arg)
{
    (void)to;
    (void)from;
    (void)index;
    (void)arg;
    counts[kind].copied++;
    counts[kind].copied_nothing += *(void **)data == NULL;
    return 1;
}

static void note_freed(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long kind, void *arg)
{
    (void)all;
    (void)arg;
    counts[kind].freed++;
    counts[kind].freed_nothing += data == NULL;
    if (kinds[kind] != CRYPTO_EX_INDEX_SSL)
        return;
    SSL_set_shutdown(parent, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    if (SSL_get_ex_data(parent, index) != data)
        die("SSL_get_ex_data");
}

static void ask(void)
{
    for (int kind = 0; kind < KINDS; kind++)
        indexes[kind] = CRYPTO_get_ex_new_index(kinds[kind], kind, NULL, note_made, note_copied, note_freed);
}

static int place(int kind, int k)
{
    return k == 3 ? 0 : indexes[kind] + k;
}

#define KEEP(kind, set, object) \
    for (int k = 0; k < 4; k++) { \
        if (set(object, place(kind, k), own[k]) != 1) \
            die(#set); \
    }
#define CHECK(kind, get, object) \
    for (int k = 0; k < 4; k++) { \
        if (get(object, place(kind, k)) != own[k]) \
            printf("%s: %s is lost\n", #get, own[k]); \
    }

/* A copy of a new SSL. */
static SSL *copy(SSL_CTX *ctx)
{
    SSL *first = SSL_new(ctx);
    SSL *second;

    if (first == NULL)
        die("SSL_new");
    KEEP(0, SSL_set_ex_data, first);
    second = SSL_dup(first);
    if (second == NULL)
        die("SSL_dup");
    SSL_free(first);
    return second;
}

static bool connection(SSL_CTX *ctx, char **argv, SSL_SESSION **session)
{
    SSL *ssl = copy(ctx);
    X509 *peer;
    bool done;

    if (SSL_set_tlsext_host_name(ssl, PINNED) != 1 || SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM)) != 1)
        die("SSL_set_fd");
    if (*session != NULL)
        SSL_set_session(ssl, *session);
    SSL_SESSION_free(*session);
    done = show("SSL_connect", ssl, SSL_connect(ssl)) == 1;
    peer = done ? SSL_get_peer_certificate(ssl) : NULL;
    if (peer != NULL) {
        KEEP(3, X509_set_ex_data, peer);
    }
    if (done && word(argv, "session")) {
        KEEP(2, SSL_SESSION_set_ex_data, SSL_get_session(ssl));
    }
    done = done && fetch(ssl);
    CHECK(0, SSL_get_ex_data, ssl);
    if (peer != NULL) {
        CHECK(3, X509_get_ex_data, peer);
    }
    if (done && word(argv, "session")) {
        CHECK(2, SSL_SESSION_get_ex_data, SSL_get_session(ssl));
    }
    X509_free(peer);
    printf("\nreused: %d\n", SSL_session_reused(ssl));
    SSL_shutdown(ssl);
    *session = SSL_get1_session(ssl);
    SSL_free(ssl);
    return done;
}

int main(int argc, char **argv)
{
    SSL_SESSION *session = NULL;
    SSL_CTX *ctx;
    bool done;

    if (argc < 3)
        return 2;
    if (!word(argv, "late"))
        ask();
    ctx = context(argv);
    if (word(argv, "late"))
        ask();
    KEEP(1, SSL_CTX_set_ex_data, ctx);
    done = connection(ctx, argv, &session) && connection(ctx, argv, &session);
    CHECK(1, SSL_CTX_get_ex_data, ctx);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    for (int kind = 0; kind < KINDS; kind++) {
        printf("%s: made %d, copied %d, of these nothing %d, freed %d, of these nothing %d\n", names[kind], counts[kind].made,
            counts[kind].copied, counts[kind].copied_nothing, counts[kind].freed, counts[kind].freed_nothing);
    }
    return done ? 0 : 1;
}
