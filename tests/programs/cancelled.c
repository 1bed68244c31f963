/* Threads that are cancelled while the shim works for them.
 *
 * cancelled pending CERT KEY   one whose cancellation is due when it begins a handshake in memory, in which OpenSSL itself makes no call at
 *                              which it could happen; prints "refused", if the handshake was, and then "cancelled"
 * cancelled at-once N          N processes in which one that may be cancelled at any instruction makes an SSL_CTX, or begins a handshake; prints
 *                              how many of them it left with another number of descriptors */

#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS 256

static SSL *client;
static SSL *server;
static _Atomic int begun;

static void set_up(const char *certificate, const char *key)
{
    SSL_CTX *clients = SSL_CTX_new(TLS_client_method());
    SSL_CTX *servers = SSL_CTX_new(TLS_server_method());
    BIO *to_server = BIO_new(BIO_s_mem());
    BIO *to_client = BIO_new(BIO_s_mem());

    if (SSL_CTX_use_certificate_file(servers, certificate, SSL_FILETYPE_PEM) != 1 || SSL_CTX_use_PrivateKey_file(servers, key, SSL_FILETYPE_PEM) != 1)
        exit(2);
    client = SSL_new(clients);
    server = SSL_new(servers);
    SSL_set_tlsext_host_name(client, "www.pinned.example");
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    SSL_set_bio(client, to_client, to_server);
    SSL_set_bio(server, to_server, to_client);
    SSL_set_accept_state(server);
}

static void *hand_shake(void *unused)
{
    int result = -1;

    (void)unused;
    pthread_cancel(pthread_self());
    for (int i = 0; i < 10 && result != 1; i++) {
        result = SSL_connect(client);
        if (SSL_get_error(client, result) == SSL_ERROR_SSL)
            break;
        SSL_do_handshake(server);
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    puts(SSL_get_error(client, result) == SSL_ERROR_SSL ? "refused" : "not refused");
    fflush(stdout);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    puts("not cancelled");
    return NULL;
}

static int open_descriptors(void)
{
    int count = 0;

    for (int i = 0; i < DESCRIPTORS; i++)
        count += fcntl(i, F_GETFD) != -1;
    return count;
}

static void *make_context(void *unused)
{
    (void)unused;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    begun = 1;
    return SSL_CTX_new(TLS_client_method());
}

static void *begin(void *ssl)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    begun = 1;
    SSL_connect(ssl);
    return NULL;
}

/* One with a session, which is judged when the handshake begins. */
static SSL *idle(void)
{
    SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));

    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_session(ssl, SSL_SESSION_new());
    return ssl;
}

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* What was cancelled at any instruction may hold the heap's lock: nothing but system calls after that, and where the thread is stuck in its own
 * end, nobody waits for it. */
static int try(unsigned wait, bool handshake)
{
    const struct itimerval stuck = {.it_value = {0, 150000}};
    SSL *ssl = handshake ? idle() : NULL;
    int before = open_descriptors();
    pthread_t thread;

    setitimer(ITIMER_REAL, &stuck, NULL);
    if (pthread_create(&thread, NULL, handshake ? begin : make_context, ssl) != 0)
        return 2;
    while (!begun)
        ;
    for (volatile unsigned i = 0; i < wait; i++)
        ;
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    return open_descriptors() != before;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *result;
    int leaking = 0;
    int ended = 0;

    if (argc == 4) {
        set_up(argv[2], argv[3]);
        if (pthread_create(&thread, NULL, hand_shake, NULL) != 0 || pthread_join(thread, &result) != 0)
            return 2;
        puts(result == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
        return 0;
    }
    if (argc != 3)
        return 2;
    OPENSSL_init_ssl(0, NULL);
    /* What unwinds a thread is loaded when the first is cancelled; not under a lock. */
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0 || pthread_cancel(thread) != 0 || pthread_join(thread, NULL) != 0)
        return 2;
    for (int i = 0; i < atoi(argv[2]); i++) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
            _exit(try((unsigned)i * 2654435761U % 3000000, i % 2 == 1));
        waitpid(pid, &status, 0);
        leaking += WIFEXITED(status) && WEXITSTATUS(status) != 0;
        ended += WIFEXITED(status);
    }
    printf("%d %s\n", leaking, ended > atoi(argv[2]) / 4 ? "of enough" : "of too few");
    return 0;
}
