/* proxy HOST PORT [pieces] [dup] [tls]: a client that speaks to www.pinned.example:443 through the CONNECT proxy at
 * HOST:PORT. pieces: it sends its request to the proxy in two; dup: its TLS is on a copy of the descriptor; tls: it speaks
 * TLS with the proxy as well. */

#include "paths.h"

#define CONNECT "CONNECT " PINNED ":443 HTTP/1.0\r\n\r\n"

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    size_t first = word(argv, "pieces") ? 3 : strlen(CONNECT);
    char answer[512];
    ssize_t got;
    SSL *ssl;
    int fd;

    if (argc < 3)
        return 2;
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    if (word(argv, "tls")) {
        SSL *outer = client(ctx, fd, "proxy.example");
        BIO *bio = BIO_new(BIO_f_ssl());

        if (SSL_connect(outer) != 1 || SSL_write(outer, CONNECT, (int)strlen(CONNECT)) <= 0)
            die("the proxy");
        got = SSL_read(outer, answer, sizeof(answer) - 1);
        BIO_set_ssl(bio, outer, BIO_NOCLOSE);
        ssl = client(ctx, -1, PINNED);
        SSL_set_bio(ssl, bio, bio);
    } else {
        if (write(fd, CONNECT, first) < 0 || (first < strlen(CONNECT) && write(fd, CONNECT + first, strlen(CONNECT) - first) < 0))
            die("the proxy");
        got = read(fd, answer, sizeof(answer) - 1);
        ssl = client(ctx, word(argv, "dup") ? dup(fd) : fd, PINNED);
    }
    if (got <= 0)
        die("the proxy's answer");
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
