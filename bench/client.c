/* client tls|tcp PORT CA connections|resumed|latency|bulk COUNT [THREADS]: requests to 127.0.0.1, over verified TLS or plain TCP.
 * Prints new connections per second, each with one request ("resumed": one TLS session per thread); the median of the microseconds
 * that a request takes on an open connection; or the megabytes per second of COUNT downloads of /big. */

#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MAX 64
#define SMALL "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define BIG "GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#define SMALL_END "hello\n"

struct connection {
    int fd;
    SSL *ssl; /* NULL: plain */
};

static SSL_CTX *ctx; /* NULL: plain */
static struct sockaddr_in address = {.sin_family = AF_INET};
static long count;
static bool resumes;
static const char *what;

static struct connection begin(SSL_SESSION *session)
{
    struct connection connection = {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL};
    int one = 1;

    if (connection.fd < 0 || connect(connection.fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    (void)setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (ctx == NULL)
        return connection;
    connection.ssl = SSL_new(ctx);
    SSL_set_fd(connection.ssl, connection.fd);
    SSL_set_tlsext_host_name(connection.ssl, "localhost");
    SSL_set1_host(connection.ssl, "localhost");
    if (session != NULL)
        SSL_set_session(connection.ssl, session);
    if (SSL_connect(connection.ssl) != 1)
        die("SSL_connect");
    return connection;
}

static void end(struct connection connection)
{
    if (connection.ssl != NULL)
        SSL_shutdown(connection.ssl);
    SSL_free(connection.ssl);
    close(connection.fd);
}

static void put(struct connection connection, const char *request)
{
    int length = (int)strlen(request);

    if ((connection.ssl != NULL ? SSL_write(connection.ssl, request, length) : (int)write(connection.fd, request, (size_t)length)) != length)
        die("a request");
}

static int get(struct connection connection, char *buffer, int size)
{
    return connection.ssl != NULL ? SSL_read(connection.ssl, buffer, size) : (int)read(connection.fd, buffer, (size_t)size);
}

static void ask(struct connection connection)
{
    char answer[2048];
    int length = 0;

    put(connection, SMALL);
    do {
        int got = get(connection, answer + length, (int)sizeof(answer) - 1 - length);

        if (got <= 0)
            die("an answer");
        length += got;
        answer[length] = '\0';
    } while (strstr(answer, SMALL_END) == NULL);
}

static void *connect_often(void *arg)
{
    SSL_SESSION *session = NULL;

    for (long i = 0; i < count; i++) {
        struct connection connection = begin(session);

        ask(connection);
        if (session != NULL && SSL_session_reused(connection.ssl) != 1)
            die("resumption");
        if (resumes && connection.ssl != NULL && session == NULL)
            session = SSL_get1_session(connection.ssl);
        end(connection);
    }
    return arg;
}

static double connections(long threads)
{
    pthread_t ids[THREADS_MAX];
    double start = now();

    for (long i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, connect_often, NULL) != 0)
            die("pthread_create");
    }
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return (double)(threads * count) / (now() - start) * 1e9;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

static double latency(void)
{
    struct connection connection = begin(NULL);
    double *took = calloc((size_t)count, sizeof(*took));
    double median;

    if (took == NULL)
        die("calloc");
    ask(connection);
    for (long i = 0; i < count; i++) {
        double start = now();

        ask(connection);
        took[i] = (now() - start) / 1e3;
    }
    qsort(took, (size_t)count, sizeof(*took), compare);
    median = took[count / 2];
    free(took);
    end(connection);
    return median;
}

static double transfer(void)
{
    static char buffer[65536];
    struct connection connection = begin(NULL);
    double bytes = 0;
    double expected = 0;
    int got;

    put(connection, BIG);
    while ((got = get(connection, buffer, sizeof(buffer) - 1)) > 0) {
        const char *length;

        buffer[got] = '\0';
        length = bytes == 0 ? strcasestr(buffer, "\r\nContent-Length: ") : NULL;
        if (length != NULL)
            expected = strtod(length + strlen("\r\nContent-Length: "), NULL);
        bytes += got;
    }
    end(connection);
    if (expected == 0 || bytes < expected)
        die("a transfer");
    return bytes;
}

static double bulk(void)
{
    double start = now();
    double bytes = 0;

    for (long i = 0; i < count; i++)
        bytes += transfer();
    return bytes / (now() - start) * 1e3;
}

int main(int argc, char **argv)
{
    long threads = argc > 6 ? atol(argv[6]) : 1;

    if (argc < 6 || threads < 1 || threads > THREADS_MAX)
        die("reading the arguments");
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    what = argv[4];
    count = atol(argv[5]);
    resumes = strcmp(what, "resumed") == 0;
    if (strcmp(argv[1], "tls") == 0) {
        ctx = SSL_CTX_new(TLS_client_method());
        if (SSL_CTX_load_verify_locations(ctx, argv[3], NULL) != 1)
            die("the CA");
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    if (strcmp(what, "latency") == 0)
        printf("%.2f\n", latency());
    else if (strcmp(what, "bulk") == 0)
        printf("%.2f\n", bulk());
    else
        printf("%.2f\n", connections(threads));
    return 0;
}
