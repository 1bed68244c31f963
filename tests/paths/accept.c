/* accept HOST PORT [tls1.2]: a client whose handshake is run by SSL_accept. */

#include "paths.h"

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    SSL *ssl;

    if (argc < 3)
        return 2;
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    SSL_set_connect_state(ssl);
    show("SSL_accept", ssl, SSL_accept(ssl));
    return fetch(ssl) ? 0 : 1;
}
