/* Handshakes in many threads at once, all with one client context: with the good server, with the impostor, with sessions that
 * another thread got, with contexts made and freed meanwhile, over BIOs in memory and over sockets.
 *
 * usage: threads GOOD IMPOSTOR THREADS SECONDS      (NAME.pem and NAME.key)
 * Exits with 0 if every handshake came out as the pins say. Linked with the shim's own objects, it interposes libssl itself, so
 * that the thread sanitizer sees all of it (tests/soak). */

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *client_ctx;
static SSL_CTX *good;
static SSL_CTX *impostor;
static _Atomic long accepted;
static _Atomic long refused;
static _Atomic long resumed;
static _Atomic int faults;
static time_t end;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static SSL_SESSION *shared;
static pthread_barrier_t barrier;

static void die(const char *what)
{
    fprintf(stderr, "threads: %s: %s\n", what, strerror(errno));
    exit(2);
}

static SSL_CTX *server_of(const char *name)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char path[4096];

    snprintf(path, sizeof(path), "%s.pem", name);
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        die(path);
    snprintf(path, sizeof(path), "%s.key", name);
    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
        die(path);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"threads", 7);
    return ctx;
}

static void swap_session(SSL_SESSION *session)
{
    pthread_mutex_lock(&lock);
    SSL_SESSION_free(shared);
    shared = session;
    pthread_mutex_unlock(&lock);
}

static SSL_SESSION *take_session(void)
{
    SSL_SESSION *session;

    pthread_mutex_lock(&lock);
    session = shared;
    shared = NULL;
    pthread_mutex_unlock(&lock);
    return session;
}

static int trust_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static void join(SSL *client, SSL *server, bool memory)
{
    BIO *left;
    BIO *right;
    int pair[2];

    if (memory) {
        if (BIO_new_bio_pair(&left, 65536, &right, 65536) != 1)
            die("BIO_new_bio_pair");
        SSL_set_bio(client, left, left);
        SSL_set_bio(server, right, right);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0 || SSL_set_fd(client, pair[0]) != 1
        || SSL_set_fd(server, pair[1]) != 1)
        die("socketpair");
}

static void shake(SSL_CTX *from, SSL_CTX *to, bool memory, bool older)
{
    SSL *client = SSL_new(from);
    SSL *server = SSL_new(to);
    SSL_SESSION *session = take_session();
    char byte = 0;
    bool done;

    join(client, server, memory);
    SSL_set_accept_state(server);
    SSL_set_tlsext_host_name(client, "www.pinned.example");
    if (older)
        SSL_set_max_proto_version(client, TLS1_2_VERSION);
    if (session != NULL)
        SSL_set_session(client, session);
    SSL_SESSION_free(session);
    for (int i = 0; i < 4; i++) {
        (void)SSL_connect(client);
        (void)SSL_do_handshake(server);
    }
    done = SSL_write(client, "x", 1) == 1 && SSL_read(server, &byte, 1) == 1 && byte == 'x';
    (void)SSL_read(client, &byte, 1);
    if (done != (to == good))
        atomic_fetch_add(&faults, 1);
    atomic_fetch_add(done ? &accepted : &refused, 1);
    if (SSL_session_reused(client) == 1)
        atomic_fetch_add(&resumed, 1);
    SSL_shutdown(client);
    if (done)
        swap_session(SSL_get1_session(client));
    if (!memory) {
        close(SSL_get_fd(client));
        close(SSL_get_fd(server));
    }
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
}

static void *run(void *arg)
{
    unsigned turn = *(unsigned *)arg;

    /* All at once: the first of them finds the library and reads the pins. */
    pthread_barrier_wait(&barrier);
    SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (; time(NULL) < end; turn++) {
        struct addrinfo *found = NULL;
        SSL_CTX *own = NULL;

        if (turn % 5 == 0 && (own = SSL_CTX_new(TLS_client_method())) != NULL)
            SSL_CTX_set_cert_verify_callback(own, trust_all, &turn);
        if (turn % 7 == 0 && getaddrinfo("localhost", NULL, NULL, &found) == 0)
            freeaddrinfo(found);
        shake(own != NULL ? own : client_ctx, turn % 3 == 0 ? impostor : good, turn % 2 == 0, turn % 4 == 0);
        SSL_CTX_free(own);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc > 4 ? atoi(argv[3]) : 0;
    pthread_t threads[64];
    unsigned turns[64];

    if (count < 1 || count > 64)
        die("usage: threads GOOD IMPOSTOR THREADS SECONDS");
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        turns[i] = (unsigned)i;
        if (pthread_create(&threads[i], NULL, run, &turns[i]) != 0)
            die("pthread_create");
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    good = server_of(argv[1]);
    impostor = server_of(argv[2]);
    client_ctx = SSL_CTX_new(TLS_client_method());
    end = time(NULL) + atoi(argv[4]);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    SSL_SESSION_free(shared);
    printf("%d threads: %ld accepted, %ld refused, %ld resumed, %d not as the pins say\n", count, accepted, refused, resumed,
        (int)faults);
    return faults == 0 && accepted > 0 && refused > 0 && resumed > 0 ? 0 : 1;
}
