/* Thousands of connections at once, without blocking, in one process.
 *
 * usage: crowd serve NAME [asks]     shows NAME.pem; prints its port, and what it received when it gets SIGTERM. asks: for a client certificate
 *        crowd connect COUNT GOOD-PORT IMPOSTOR-PORT     half of the connections to each
 * The client opens every connection before it starts the first handshake, keeps all open until the last one is settled, and sends
 * "secret" over each that is finished. Exits with 0 if all good ones were finished and answered, and all others were refused. */

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define SECRET "secret"
#define ANSWER "answer"

struct peer {
    SSL *ssl;
    int fd;
    bool impostor;
    bool sent;
    bool settled;
};

static volatile sig_atomic_t stopped;

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(2);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in) {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void watch(int epoll, int fd, void *what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

/* Wait for what the call wants; return false where it failed. */
static bool wait_for(int epoll, struct peer *peer, int result)
{
    int error = SSL_get_error(peer->ssl, result);
    struct epoll_event event = {.events = error == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, .data.ptr = peer};

    return (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        && epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event) == 0;
}

static void greet(int epoll, int listener, SSL_CTX *ctx)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *peer = calloc(1, sizeof(*peer));

        peer->fd = fd;
        peer->ssl = SSL_new(ctx);
        SSL_set_accept_state(peer->ssl);
        SSL_set_fd(peer->ssl, fd);
        watch(epoll, fd, peer, EPOLLIN);
    }
}

static int trust_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static int serve(const char *name, bool asks)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int epoll = epoll_create1(0);
    struct epoll_event events[256];
    long connections = 0;
    long secrets = 0;
    long identities = 0;
    char path[4096];

    snprintf(path, sizeof(path), "%s.pem", name);
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        die(path);
    snprintf(path, sizeof(path), "%s.key", name);
    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
        die(path);
    if (asks) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, trust_all, NULL);
    }
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4096) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        die("listen");
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    watch(epoll, listener, NULL, EPOLLIN);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (!stopped) {
        int count = epoll_wait(epoll, events, 256, 1000);

        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            X509 *identity;
            char got[16];
            int result;

            if (peer == NULL) {
                greet(epoll, listener, ctx);
                continue;
            }
            ERR_clear_error();
            result = SSL_read(peer->ssl, got, sizeof(got));
            if (result > 0) {
                secrets++;
                result = SSL_write(peer->ssl, ANSWER, 6);
            }
            if (result > 0 || wait_for(epoll, peer, result))
                continue;
            connections++;
            identity = SSL_get_peer_certificate(peer->ssl);
            identities += identity != NULL;
            X509_free(identity);
            SSL_free(peer->ssl);
            close(peer->fd);
            free(peer);
        }
    }
    printf("%ld connections, %ld secrets, %ld client certificates\n", connections, secrets, identities);
    return 0;
}

/* Do the next step of a connection. Return true when it is settled; `*answered` where it came to an answer. */
static bool advance(int epoll, struct peer *peer, bool *answered)
{
    char got[16];
    int result = 1;

    ERR_clear_error();
    if (!peer->sent) {
        result = SSL_connect(peer->ssl);
        if (result == 1)
            result = SSL_write(peer->ssl, SECRET, 6);
        peer->sent = result > 0;
    }
    if (peer->sent)
        result = SSL_read(peer->ssl, got, sizeof(got));
    *answered = peer->sent && result == 6 && memcmp(got, ANSWER, 6) == 0;
    return *answered || !wait_for(epoll, peer, result);
}

static int connect_all(int count, const int ports[2])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct peer *peers = calloc((size_t)count, sizeof(*peers));
    struct epoll_event events[256];
    int epoll = epoll_create1(0);
    int settled = 0;
    int outcomes[2][3] = {{0}}; /* good, impostor: answered, refused by the verdict, failed otherwise */

    for (int i = 0; i < count; i++) {
        struct peer *peer = &peers[i];
        struct sockaddr_in address;

        peer->impostor = i % 2 != 0;
        address = loopback(ports[peer->impostor]);
        peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (peer->fd < 0 || (connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS))
            die("connect");
        peer->ssl = SSL_new(ctx);
        if (peer->ssl == NULL || SSL_set_fd(peer->ssl, peer->fd) != 1
            || SSL_set_tlsext_host_name(peer->ssl, "www.pinned.example") != 1)
            die("SSL_new");
    }
    for (int i = 0; i < count; i++)
        watch(epoll, peers[i].fd, &peers[i], EPOLLOUT);
    while (settled < count) {
        int ready = epoll_wait(epoll, events, 256, 60000);

        if (ready <= 0)
            break;
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            bool answered = false;

            if (peer->settled || !advance(epoll, peer, &answered))
                continue;
            peer->settled = true;
            settled++;
            outcomes[peer->impostor][answered ? 0 : SSL_get_verify_result(peer->ssl) == X509_V_ERR_CERT_REJECTED ? 1 : 2]++;
            epoll_ctl(epoll, EPOLL_CTL_DEL, peer->fd, NULL); /* and it stays open */
        }
    }
    printf("%d connections open at once, %d not settled\n", count, count - settled);
    for (int i = 0; i < 2; i++)
        printf("to the %s: %d answered, %d refused, %d failed\n", i == 0 ? "good server" : "impostor", outcomes[i][0],
            outcomes[i][1], outcomes[i][2]);
    for (int i = 0; i < count; i++) {
        SSL_free(peers[i].ssl);
        close(peers[i].fd);
    }
    return outcomes[0][0] == count - count / 2 && outcomes[1][1] == count / 2 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argc == 4 && strcmp(argv[3], "asks") == 0);
    if (argc == 5 && strcmp(argv[1], "connect") == 0)
        return connect_all(atoi(argv[2]), (int[]) {atoi(argv[3]), atoi(argv[4])});
    fprintf(stderr, "usage: crowd serve NAME [asks] | connect COUNT GOOD-PORT IMPOSTOR-PORT\n");
    return 2;
}
