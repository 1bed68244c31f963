/* tls CERTIFICATE KEY handshake|resume|call|record COUNT [tls1.2]: a client and a server in one thread, over a pair of BIOs in memory.
 * Prints the nanoseconds of one handshake (full, or with the session of the one before), of one SSL_read that finds
 * nothing ("call"), or of one record of 16 kB that is written and read ("record"). */

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static SSL_CTX *client_ctx;
static SSL_CTX *server_ctx;
static SSL *client;
static SSL *server;

static void die(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void shake(SSL_SESSION *session)
{
    BIO *left;
    BIO *right;

    client = SSL_new(client_ctx);
    server = SSL_new(server_ctx);
    if (BIO_new_bio_pair(&left, 65536, &right, 65536) != 1)
        die("BIO_new_bio_pair");
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_tlsext_host_name(client, "www.pinned.example");
    SSL_set_accept_state(server);
    if (session != NULL)
        SSL_set_session(client, session);
    while (SSL_connect(client) != 1 || SSL_do_handshake(server) != 1) {
        int error = SSL_get_error(client, -1);

        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_NONE)
            die("the handshake");
        SSL_do_handshake(server);
    }
}

static void part(void)
{
    SSL_shutdown(client);
    SSL_free(client);
    SSL_free(server);
}

int main(int argc, char **argv)
{
    static char data[16384];
    const char *what = argc > 3 ? argv[3] : "";
    long count = argc > 4 ? atol(argv[4]) : 0;
    SSL_SESSION *session = NULL;
    double start;

    client_ctx = SSL_CTX_new(TLS_client_method());
    server_ctx = SSL_CTX_new(TLS_server_method());
    if (argc < 5 || SSL_CTX_use_certificate_chain_file(server_ctx, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(server_ctx, argv[2], SSL_FILETYPE_PEM) != 1)
        die("the certificate");
    if (argc > 5)
        SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
    SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"bench", 5);
    shake(NULL);
    (void)SSL_read(client, data, sizeof(data)); /* the tickets */
    if (strcmp(what, "resume") == 0)
        session = SSL_get1_session(client);
    if (strcmp(what, "handshake") == 0 || session != NULL) {
        part();
        start = now();
        for (long i = 0; i < count; i++) {
            shake(session);
            if (SSL_session_reused(client) != (session != NULL))
                die("resumption");
            part();
        }
    } else if (strcmp(what, "call") == 0) {
        start = now();
        for (long i = 0; i < count; i++)
            (void)SSL_read(client, data, sizeof(data));
    } else {
        start = now();
        for (long i = 0; i < count; i++) {
            if (SSL_write(client, data, sizeof(data)) != sizeof(data) || SSL_read(server, data, sizeof(data)) != sizeof(data))
                die("a record");
        }
    }
    printf("%.1f\n", (now() - start) / (double)count);
    return 0;
}
