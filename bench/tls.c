/* tls CERTIFICATE KEY tls1.2|tls1.3 full|resumed|nothing|in-turn|record COUNT [BYTES]: a client and a server in one thread.
 * Prints the nanoseconds of one handshake (full, or with the session of the first), of one SSL_read without data, always on the same
 * connection ("nothing") or on two of them in turn ("in-turn"), or of one record of BYTES that the client writes and the server reads. */

#include "bench.h"

static void handshakes(struct contexts contexts, SSL_SESSION *session, long count)
{
    for (long i = 0; i < count; i++) {
        struct pair pair = shake(contexts, session);

        if (SSL_session_reused(pair.client) != (session != NULL))
            die("resumption");
        part(pair);
    }
}

static void read_nothing(SSL *one, SSL *other, long count)
{
    char byte;

    for (long i = 0; i < count; i++) {
        if (SSL_read(i % 2 == 0 ? one : other, &byte, 1) > 0)
            die("reading nothing");
    }
}

static void records(struct pair pair, int size, long count)
{
    static char data[16384];

    if (size < 1 || size > (int)sizeof(data))
        die("the size");
    for (long i = 0; i < count; i++) {
        if (SSL_write(pair.client, data, size) != size || SSL_read(pair.server, data, size) != size)
            die("a record");
    }
}

static void work(const char *what, struct contexts contexts, struct pair pair, SSL *other, SSL_SESSION *session, int size, long count)
{
    if (strcmp(what, "full") == 0)
        handshakes(contexts, NULL, count);
    else if (strcmp(what, "resumed") == 0)
        handshakes(contexts, session, count);
    else if (strcmp(what, "nothing") == 0)
        read_nothing(pair.client, pair.client, count);
    else if (strcmp(what, "in-turn") == 0)
        read_nothing(pair.client, other, count);
    else if (strcmp(what, "record") == 0)
        records(pair, size, count);
    else
        die("such a measurement");
}

/* callgrind counts only what is done in here (bench/run, "counted"). */
__attribute__((noinline)) static void measured(const char *what, struct contexts contexts, struct pair pair, SSL *other,
    SSL_SESSION *session, int size, long count)
{
    work(what, contexts, pair, other, session, size, count);
    __asm__ volatile("");
}

int main(int argc, char **argv)
{
    const char *what = argc > 5 ? argv[4] : "";
    long count = argc > 5 ? atol(argv[5]) : 0;
    int size = argc > 6 ? atoi(argv[6]) : 0;
    struct contexts contexts;
    SSL_SESSION *session;
    struct pair pair;
    SSL *other;
    char byte;
    double start;

    if (argc < 6)
        die("reading the arguments");
    contexts = make_contexts(argv[1], argv[2], strcmp(argv[3], "tls1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    pair = shake(contexts, NULL);
    other = shake(contexts, NULL).client;
    (void)SSL_read(pair.client, &byte, 1); /* the tickets */
    (void)SSL_read(other, &byte, 1);
    session = SSL_get1_session(pair.client);
    work(what, contexts, pair, other, session, size, 1); /* symbols and the like are looked up once */
    start = now();
    measured(what, contexts, pair, other, session, size, count);
    printf("%.1f\n", (now() - start) / (double)count);
    return 0;
}
