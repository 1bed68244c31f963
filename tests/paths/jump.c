/* jump HOST PORT [tls1.2] [within] [early] [text=TEXT]: a handshake that is started by SSL_write and left in its midst, after which TEXT is written
 * again and again: by longjmp from a callback of the program's; within: by no jump, but SSL_write is called in that
 * callback. early: the handshake is that of SSL_write_early_data, with the session of a connection before. */

#include "paths.h"
#include <setjmp.h>

static jmp_buf out;
static bool armed;
static bool within;
static unsigned char last = SSL3_MT_SERVER_HELLO;
static char said[9000]; /* more than libssl buffers in a handshake */

static void write_often(SSL *ssl)
{
    for (int i = 0; i < 3; i++) {
        printf("SSL_write: %d\n", SSL_write(ssl, said, sizeof(said)));
        ERR_clear_error();
    }
}

/* The ServerHello has come; or, with early data, the ClientHello is gone. */
static void on_message(int sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    if (!armed || sent != (last == SSL3_MT_CLIENT_HELLO) || type != SSL3_RT_HANDSHAKE || length == 0 || *(const unsigned char *)bytes != last)
        return;
    armed = false;
    if (within)
        write_often(ssl);
    else
        longjmp(out, 1);
}

/* A session that allows early data. The server sends nothing but its tickets. */
static SSL_SESSION *session_of(SSL_CTX *ctx, char **argv)
{
    SSL *ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    char answer[100];

    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    if (SSL_connect(ssl) != 1)
        die("the first connection");
    (void)SSL_read(ssl, answer, sizeof(answer));
    SSL_shutdown(ssl);
    close(SSL_get_fd(ssl));
    return SSL_get1_session(ssl);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    SSL_SESSION *session = NULL;
    size_t done;
    SSL *ssl;

    if (argc < 3)
        return 2;
    for (size_t i = 0; i + 16 < sizeof(said); i += 16)
        snprintf(said + i, 16, "%s", option(argv, "text", "SECRET"));
    within = word(argv, "within");
    if (word(argv, "early")) {
        session = session_of(ctx, argv);
        last = SSL3_MT_CLIENT_HELLO;
    }
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    SSL_set_connect_state(ssl);
    SSL_set_msg_callback(ssl, on_message);
    armed = true;
    if (session != NULL && SSL_set_session(ssl, session) != 1)
        die("SSL_set_session");
    if (setjmp(out) == 0 && session != NULL)
        (void)SSL_write_early_data(ssl, "early", 5, &done);
    else if (armed)
        (void)SSL_write(ssl, said, sizeof(said));
    write_often(ssl);
    return 0;
}
