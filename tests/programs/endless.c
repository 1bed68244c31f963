/* Shakes hands COUNT times in one process, over BIOs in memory, and looks whether it grows.
 *
 * usage: endless GOOD IMPOSTOR COUNT [asks]     (NAME.pem and NAME.key)
 * In turn: the good server over TLS 1.2 and 1.3, the impostor, a session resumed, one resumed that was written and read again, a
 * context of the connection's own with a callback. asks: both servers ask for a client certificate; the good one gets one in each full handshake, the
 * impostor none. Prints memory and descriptors after a tenth and at the end. Exits with 0 if
 * every handshake came out as the pins say, and nothing grew by more than TOLERANCE. */

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 512 /* kB of resident memory */

enum way { OLDER = 0, NEWER, IMPOSTOR, RESUMED, REREAD, OWN_CONTEXT, WAYS };

static SSL_SESSION *last;
static bool asks;

static void die(const char *what)
{
    fprintf(stderr, "endless: %s\n", what);
    exit(1);
}

static int trust_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static SSL_CTX *server_of(const char *name)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char certificate[4096];
    char key[4096];

    snprintf(certificate, sizeof(certificate), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        die(name);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"soak", 4);
    if (asks) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, trust_all, NULL);
    }
    return ctx;
}

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(last);
    last = session;
    return 1;
}

static SSL_CTX *client_of(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    return ctx;
}

/* Through DER, as a program does that keeps its sessions in a file. */
static SSL_SESSION *reread(const SSL_SESSION *session)
{
    unsigned char *der = NULL;
    int length = i2d_SSL_SESSION((SSL_SESSION *)(size_t)session, &der);
    const unsigned char *at = der;
    SSL_SESSION *read = length > 0 ? d2i_SSL_SESSION(NULL, &at, length) : NULL;

    OPENSSL_free(der);
    return read;
}

/* Return true if the handshake was finished and a byte went over. */
static bool shake(SSL_CTX *client_ctx, SSL_CTX *server_ctx, enum way way)
{
    SSL *client = SSL_new(client_ctx);
    SSL *server = SSL_new(server_ctx);
    SSL_SESSION *session = way == REREAD ? reread(last) : NULL;
    BIO *left;
    BIO *right;
    X509 *identity;
    char byte = 0;
    bool done;

    if (BIO_new_bio_pair(&left, 65536, &right, 65536) != 1)
        die("out of memory");
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_accept_state(server);
    SSL_set_tlsext_host_name(client, "www.pinned.example");
    if (way == OLDER)
        SSL_set_max_proto_version(client, TLS1_2_VERSION);
    if (way == RESUMED || way == REREAD)
        SSL_set_session(client, session != NULL ? session : last);
    SSL_SESSION_free(session);
    for (int i = 0; i < 4; i++) {
        (void)SSL_connect(client);
        (void)SSL_do_handshake(server);
    }
    done = SSL_write(client, "x", 1) == 1 && SSL_read(server, &byte, 1) == 1;
    if (done != (byte == 'x') || ((way == RESUMED || way == REREAD) && SSL_session_reused(client) != 1))
        die("a handshake that was not as it was asked for");
    identity = SSL_get_peer_certificate(server);
    if (asks && SSL_session_reused(client) != 1 && (identity != NULL) != done)
        die(done ? "the good server got no client certificate" : "the impostor got a client certificate");
    X509_free(identity);
    (void)SSL_read(client, &byte, 1); /* the tickets */
    SSL_shutdown(client);
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
    return done;
}

static long memory(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kilobytes = -1;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kilobytes);
    fclose(file);
    return kilobytes;
}

static long descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    long count = 0;

    while (directory != NULL && readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* itself, and two dots */
}

int main(int argc, char **argv)
{
    long count = argc > 3 ? atol(argv[3]) : 0;
    long refused = 0;
    long memory_then = 0;
    long descriptors_then = 0;
    SSL_CTX *good;
    SSL_CTX *impostor;
    SSL_CTX *client_ctx;

    if (argc < 4 || count < 10)
        die("usage: endless GOOD IMPOSTOR COUNT [asks]");
    asks = argc > 4 && strcmp(argv[4], "asks") == 0;
    good = server_of(argv[1]);
    impostor = server_of(argv[2]);
    client_ctx = client_of();
    for (long i = 0; i < count; i++) {
        enum way way = (enum way)(i % WAYS);
        SSL_CTX *own = way == OWN_CONTEXT ? client_of() : NULL;

        if (own != NULL)
            SSL_CTX_set_cert_verify_callback(own, trust_all, NULL);
        if (shake(own != NULL ? own : client_ctx, way == IMPOSTOR ? impostor : good, way) == (way == IMPOSTOR))
            die(way == IMPOSTOR ? "the impostor was accepted" : "the good server was refused");
        SSL_CTX_free(own);
        refused += way == IMPOSTOR;
        if (i + 1 == count / 10) {
            memory_then = memory();
            descriptors_then = descriptors();
            printf("after %7ld handshakes: %ld kB resident, %ld descriptors\n", i + 1, memory_then, descriptors_then);
        }
    }
    printf("after %7ld handshakes: %ld kB resident, %ld descriptors; %ld refused\n", count, memory(), descriptors(), refused);
    return memory() - memory_then <= TOLERANCE && descriptors() == descriptors_then ? 0 : 1;
}
