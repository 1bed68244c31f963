/* dtls HOST PORT [unconnected|told|late|own] [sni=NAME] [text=TEXT]: a DTLS client over a datagram socket. The socket is not connected: "unconnected": the BIO
 * was given the peer; "told": as if it were connected; "late": only after a first attempt had failed; "own": a BIO of the program's own sends to the
 * peer, later to whoever has answered. It sends TEXT. */

#include "paths.h"
#include <sys/time.h>

static struct sockaddr_storage last;
static socklen_t last_length;
static int own_fd;

static int own_write(BIO *bio, const char *bytes, int size)
{
    BIO_clear_retry_flags(bio);
    return (int)sendto(own_fd, bytes, (size_t)size, 0, (struct sockaddr *)&last, last_length);
}

static int own_read(BIO *bio, char *bytes, int size)
{
    BIO_clear_retry_flags(bio);
    last_length = sizeof(last);
    return (int)recvfrom(own_fd, bytes, (size_t)size, 0, (struct sockaddr *)&last, &last_length);
}

static long own_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : command == BIO_CTRL_DGRAM_QUERY_MTU || command == BIO_CTRL_DGRAM_GET_FALLBACK_MTU ? 1400 : 0;
}

static BIO *own_bio(int fd, const struct sockaddr_storage *peer)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "own");
    BIO *bio;

    own_fd = fd;
    last = *peer;
    last_length = peer->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (method == NULL || BIO_meth_set_write(method, own_write) != 1 || BIO_meth_set_read(method, own_read) != 1
        || BIO_meth_set_ctrl(method, own_ctrl) != 1 || (bio = BIO_new(method)) == NULL)
        die("BIO_new");
    BIO_set_init(bio, 1);
    return bio;
}

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
    if (word(argv, "unconnected") || word(argv, "told") || word(argv, "late") || word(argv, "own")) {
        close(fd);
        fd = socket(peer.ss_family, SOCK_DGRAM, 0);
    }
    bio = word(argv, "own") ? own_bio(fd, &peer) : BIO_new_dgram(fd, BIO_CLOSE);
    if (word(argv, "unconnected"))
        BIO_dgram_set_peer(bio, (BIO_ADDR *)&peer);
    else if (word(argv, "told"))
        BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_PEER, 0, &peer);
    else if (!word(argv, "late") && !word(argv, "own"))
        BIO_ctrl_set_connected(bio, (BIO_ADDR *)&peer);
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_RECV_TIMEOUT, 0, &patience);
    ssl = client(ctx, -1, sni);
    SSL_set_bio(ssl, bio, bio);
    if (word(argv, "late")) {
        if (SSL_connect(ssl) == 1)
            return 2;
        ERR_clear_error();
        BIO_dgram_set_peer(bio, (BIO_ADDR *)&peer);
    }
    if (show("SSL_connect", ssl, SSL_connect(ssl)) != 1)
        return 1;
    if (show("SSL_write", ssl, SSL_write(ssl, text, (int)strlen(text))) <= 0)
        return 1;
    SSL_shutdown(ssl);
    return 0;
}
