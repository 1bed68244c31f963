/* connect HOST PORT: the plainest client, linked with libssl. It asks for the machine's name first. */

#include "paths.h"

int main(int argc, char **argv)
{
    char name[256];
    SSL *ssl;

    if (argc < 3 || gethostname(name, sizeof(name)) != 0)
        return 2;
    ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
