/* tail_call HOST PORT [cipher=LIST] [tls1.2] [sni=NAME] [text=TEXT]: a client whose info callback, when the handshake is
 * done, leaves by a jump to SSL_write, which so seems to be called by libssl itself. */

#include "paths.h"
#include <stdint.h>

static const char *text;
static int length;

__attribute__((noinline, optimize("O2"))) static void greet(const SSL *ssl, int where, int result)
{
    (void)result;
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0)
        SSL_write((SSL *)(uintptr_t)ssl, text, length);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    bool connected;
    SSL *ssl;

    if (argc < 3)
        return 2;
    text = option(argv, "text", REQUEST);
    length = (int)strlen(text);
    SSL_CTX_set_info_callback(ctx, greet);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), option(argv, "sni", PINNED));
    connected = show("SSL_connect", ssl, SSL_connect(ssl)) == 1;
    SSL_shutdown(ssl);
    return connected ? 0 : 1;
}
