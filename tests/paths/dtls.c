/* dtls HOST PORT [unconnected] [sni=NAME] [text=TEXT]: a DTLS client over a datagram socket; "unconnected": the socket is not
 * connected, only the BIO knows the peer. It sends TEXT. */

#include "paths.h"
#include <sys/time.h>

int main(int argc, char **argv)
{
    SSL_CTX *ctx = trusting(SSL_CTX_new(DTLS_client_method()));
    const char *text = option(argv, "text", "SECRET");
    const char *sni = option(argv, "sni", NULL);
    struct sockaddr_storage peer = {0};
    struct timeval patience = {.tv_sec = 5};
    socklen_t length = sizeof(peer);
    SSL *ssl;
    BIO *bio;
    int fd;

    if (argc < 3)
        return 2;
    fd = open_socket(argv[1], argv[2], SOCK_DGRAM);
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        die("getpeername");
    if (word(argv, "unconnected")) {
        close(fd);
        fd = socket(peer.ss_family, SOCK_DGRAM, 0);
    }
    bio = BIO_new_dgram(fd, BIO_CLOSE);
    if (word(argv, "unconnected"))
        BIO_dgram_set_peer(bio, (BIO_ADDR *)&peer);
    else
        BIO_ctrl_set_connected(bio, (BIO_ADDR *)&peer);
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_RECV_TIMEOUT, 0, &patience);
    ssl = client(ctx, -1, sni);
    SSL_set_bio(ssl, bio, bio);
    if (show("SSL_connect", ssl, SSL_connect(ssl)) != 1)
        return 1;
    if (show("SSL_write", ssl, SSL_write(ssl, text, (int)strlen(text))) <= 0)
        return 1;
    SSL_shutdown(ssl);
    return 0;
}
