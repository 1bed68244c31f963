/* jump HOST PORT [tls1.2] [within] [text=TEXT]: a handshake that is started by SSL_write and left in its midst, after which TEXT is written
 * again and again: by longjmp from a callback of the program's; within: by no jump, but SSL_write is called in that
 * callback. */

#include "paths.h"
#include <setjmp.h>

static jmp_buf out;
static bool armed;
static bool within;
static char said[9000]; /* more than libssl buffers in a handshake */

static void write_often(SSL *ssl)
{
    for (int i = 0; i < 3; i++) {
        printf("SSL_write: %d\n", SSL_write(ssl, said, sizeof(said)));
        ERR_clear_error();
    }
}

/* The ServerHello has come. */
static void on_message(int sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    if (!armed || sent || type != SSL3_RT_HANDSHAKE || length == 0 || *(const unsigned char *)bytes != SSL3_MT_SERVER_HELLO)
        return;
    armed = false;
    if (within)
        write_often(ssl);
    else
        longjmp(out, 1);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    SSL *ssl;

    if (argc < 3)
        return 2;
    for (size_t i = 0; i + 16 < sizeof(said); i += 16)
        snprintf(said + i, 16, "%s", option(argv, "text", "SECRET"));
    within = word(argv, "within");
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    SSL_set_connect_state(ssl);
    SSL_set_msg_callback(ssl, on_message);
    armed = true;
    if (setjmp(out) == 0)
        (void)SSL_write(ssl, said, sizeof(said));
    write_often(ssl);
    return 0;
}
