/* within HOST PORT [tls1.2] [function] [late]: a connection for another name leaves a session, which a second one for PINNED is to resume,
 * through a chain of BIOs or ("function") by SSL_connect. That shares its certificates with a third (SSL_copy_session_id), and is driven by a callback in the
 * middle of the third's handshake. "late": only there it comes to share them. */

#include "paths.h"

static SSL *inner;
static SSL_SESSION *session;
static bool by_function;
static bool late;
static bool done;

static void share(SSL *from)
{
    if (SSL_copy_session_id(inner, from) != 1 || SSL_set_session(inner, session) != 1)
        die("sharing");
}

static void on_message(int written, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    BIO *bio;
    char answer[4096];
    SSL *second = inner;

    (void)written;
    (void)version;
    (void)type;
    (void)bytes;
    (void)length;
    (void)arg;
    if (second == NULL)
        return;
    if (late)
        share(ssl);
    inner = NULL;
    if (by_function) {
        done = show("second SSL_connect", second, SSL_connect(second)) == 1 && fetch(second);
    } else {
        int got = -1;

        bio = BIO_new(BIO_f_ssl());
        SSL_set_connect_state(second);
        BIO_set_ssl(bio, second, BIO_NOCLOSE);
        done = BIO_puts(bio, REQUEST) > 0 && (got = BIO_read(bio, answer, sizeof(answer))) > 0;
        for (; got > 0; got = BIO_read(bio, answer, sizeof(answer)))
            printf("%.*s", got, answer);
    }
    printf("\nreused: %d\n", SSL_session_reused(second));
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    SSL *first;
    SSL *third;

    if (argc < 3)
        return 2;
    by_function = word(argv, "function");
    late = word(argv, "late");
    first = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), "other.example");
    if (SSL_connect(first) != 1 || SSL_write(first, REQUEST, strlen(REQUEST)) <= 0 || SSL_read(first, (char[4096]) {0}, 4096) <= 0)
        return 2;
    SSL_shutdown(first);
    third = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), "other.example");
    inner = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    session = SSL_get1_session(first);
    if (!late)
        share(third);
    SSL_set_msg_callback(third, on_message);
    (void)SSL_connect(third);
    return done ? 0 : 1;
}
