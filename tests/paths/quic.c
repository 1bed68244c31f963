/* quic SERVER [first=NAME] [connect|write|stream|thread|poll] [again]: OpenSSL's own QUIC client and its server with SERVER.pem, over loopback. The
 * handshake is run by SSL_connect, by SSL_write, or by a write on a stream; "thread": by OpenSSL's own thread; "poll": without waiting, by SSL_handle_events.
 * "again": a second connection with the session of the first, which was for NAME. The server prints what it receives. "asks": it asks for a
 * client certificate, and prints whose it sees; own=NAME: the client has NAME.pem, and gives it when it is asked. "verifies": it verifies by a
 * function of its own, which says yes; "later": which first asks to be called again. "nameless": it sends no name. Exits with 77 where OpenSSL has no
 * QUIC server (before 3.5). */

#include "paths.h"
#if OPENSSL_VERSION_NUMBER >= 0x30500000L
#include <netinet/in.h>
#include <openssl/quic.h>
#include <signal.h>
#include <sys/wait.h>

#define PATIENCE 20 /* seconds */

static const unsigned char protocols[] = {4, 'p', 'a', 't', 'h'};

static int choose(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned int in_length, void *arg)
{
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)out, length, protocols, sizeof(protocols), in, in_length) == OPENSSL_NPN_NEGOTIATED
        ? SSL_TLSEXT_ERR_OK
        : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int accept_all(int result, X509_STORE_CTX *store)
{
    (void)result;
    (void)store;
    return 1;
}

static int verify_own(X509_STORE_CTX *store, void *later)
{
    bool *ask = later;

    printf("own verification called\n");
    if (ask != NULL && *ask)
        SSL_set_retry_verify(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    if (ask != NULL)
        *ask = false;
    return 1;
}

static int give_own(SSL *ssl, void *name)
{
    identity(ssl, name);
    return 1;
}

static void serve(int fd, const char *name, bool asks)
{
    SSL_CTX *ctx = SSL_CTX_new(OSSL_QUIC_server_method());
    char path[4096];
    SSL *listener;

    alarm(PATIENCE);
    snprintf(path, sizeof(path), "%s.pem", name);
    SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM);
    snprintf(path, sizeof(path), "%s.key", name);
    SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
    SSL_CTX_set_alpn_select_cb(ctx, choose, NULL);
    if (asks)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_all);
    listener = SSL_new_listener(ctx, 0);
    if (listener == NULL || SSL_set_fd(listener, fd) != 1 || SSL_listen(listener) != 1)
        die("SSL_listen");
    for (;;) {
        SSL *connection = SSL_accept_connection(listener, 0);
        char text[256];
        size_t got;

        if (connection == NULL)
            continue;
        if (SSL_read_ex(connection, text, sizeof(text), &got) == 1) {
            X509 *client = SSL_get0_peer_certificate(connection);

            printf("the server received %.*s\n", (int)got, text);
            if (asks)
                printf("the server saw %s\n", client != NULL ? X509_NAME_oneline(X509_get_subject_name(client), text, sizeof(text)) : "nobody");
            fflush(stdout);
            SSL_write_ex(connection, "hello", 5, &got);
            SSL_stream_conclude(connection, 0);
        }
    }
}

static SSL *open_connection(SSL_CTX *ctx, const struct sockaddr_in *server, const char *name)
{
    BIO_ADDR *address = BIO_ADDR_new();
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new_dgram(socket(AF_INET, SOCK_DGRAM, 0), BIO_CLOSE);

    BIO_socket_nbio((int)BIO_get_fd(bio, NULL), 1);
    BIO_ADDR_rawmake(address, AF_INET, &server->sin_addr, sizeof(server->sin_addr), server->sin_port);
    SSL_set_bio(ssl, bio, bio);
    if (SSL_set1_initial_peer_addr(ssl, address) != 1 || (name != NULL && SSL_set_tlsext_host_name(ssl, name) != 1)
        || SSL_set_alpn_protos(ssl, protocols, sizeof(protocols)) != 0)
        die("SSL_new");
    BIO_ADDR_free(address);
    return ssl;
}

/* Return true if the server answered. */
static bool converse(SSL *ssl, char **argv, const char *text)
{
    SSL *stream = ssl;
    char answer[256];
    size_t done;
    int result = 1;

    if (word(argv, "poll")) {
        SSL_set_blocking_mode(ssl, 0);
        result = SSL_connect(ssl);
        for (int i = 0; i < 2000 && SSL_is_init_finished(ssl) == 0; i++) {
            SSL_handle_events(ssl);
            usleep(1000);
        }
        SSL_set_blocking_mode(ssl, 1);
    } else if (word(argv, "stream")) {
        SSL_set_default_stream_mode(ssl, SSL_DEFAULT_STREAM_MODE_NONE);
        result = SSL_connect(ssl);
        stream = SSL_new_stream(ssl, 0);
    } else if (!word(argv, "write")) {
        result = show("SSL_connect", ssl, SSL_connect(ssl));
    }
    if (stream == NULL || SSL_write_ex(stream, text, strlen(text), &done) != 1)
        return false;
    if (SSL_read_ex(stream, answer, sizeof(answer), &done) != 1 || result == 0)
        return false;
    /* The server's tickets may come after its answer. */
    for (int i = 0; i < 200 && word(argv, "again") && !SSL_SESSION_is_resumable(SSL_get_session(ssl)); i++) {
        SSL_handle_events(ssl);
        usleep(10000);
    }
    return true;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = trusting(SSL_CTX_new(word(argv, "thread") ? OSSL_QUIC_client_thread_method() : OSSL_QUIC_client_method()));
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t length = sizeof(server);
    const char *first = word(argv, "nameless") ? NULL : option(argv, "first", PINNED);
    bool later = true;
    bool done;
    pid_t pid;
    SSL *ssl;

    if (argc < 2 || bind(fd, (struct sockaddr *)&server, length) != 0
        || getsockname(fd, (struct sockaddr *)&server, &length) != 0)
        return 2;
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        serve(fd, argv[1], word(argv, "asks"));
    if (word(argv, "verifies") || word(argv, "later"))
        SSL_CTX_set_cert_verify_callback(ctx, verify_own, word(argv, "later") ? &later : NULL);
    if (option(argv, "own", NULL) != NULL)
        SSL_CTX_set_cert_cb(ctx, give_own, (void *)(uintptr_t)option(argv, "own", NULL));
    /* A callback that waits for a lock of OpenSSL's waits for ever. */
    alarm(PATIENCE);
    ssl = open_connection(ctx, &server, first);
    done = converse(ssl, argv, "FIRST");
    if (word(argv, "again")) {
        SSL_SESSION *session = SSL_get1_session(ssl);

        if (!done || session == NULL || !SSL_SESSION_is_resumable(session))
            die("no session to resume");
        /* Else it counts as broken, and its session as not fit for another. */
        SSL_shutdown(ssl);
        SSL_free(ssl);
        ssl = open_connection(ctx, &server, PINNED);
        SSL_set_session(ssl, session);
        done = converse(ssl, argv, "SECOND");
        printf("reused: %d\n", SSL_session_reused(ssl));
    }
    printf("verify result %ld\n", SSL_get_verify_result(ssl));
    if (!done)
        ERR_print_errors_fp(stdout);
    usleep(200000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return done ? 0 : 1;
}
#else
int main(void)
{
    return 77;
}
#endif
