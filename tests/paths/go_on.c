/* go_on HOST PORT TEXT [tls1.2] [cipher=LIST] [unshut]: a client that takes no failure for an answer: it goes on with every
 * function that could move a byte; "unshut": and takes back that the connection was shut down. */

#include "paths.h"

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    BIO *bio = BIO_new(BIO_f_ssl());
    char answer[4096];
    size_t done = 0;
    int moved = 0;
    const char *text;
    int length;
    SSL *ssl;

    if (argc < 4)
        return 2;
    text = argv[3];
    length = (int)strlen(text);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    for (int round = 0; round < 3; round++) {
        moved += show("SSL_connect", ssl, SSL_connect(ssl)) > 0;
        if (word(argv, "unshut"))
            SSL_set_shutdown(ssl, 0);
        moved += show("SSL_write", ssl, SSL_write(ssl, text, length)) > 0;
        moved += show("SSL_write_ex", ssl, SSL_write_ex(ssl, text, (size_t)length, &done)) > 0;
        if (round == 0) {
            SSL_set_mode(ssl, SSL_MODE_AUTO_RETRY);
            BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        }
        if (word(argv, "unshut"))
            SSL_set_shutdown(ssl, 0);
        done = (size_t)BIO_puts(bio, text);
        printf("BIO_puts: %d\n", (int)done);
        moved += (int)done > 0;
        moved += show("SSL_do_handshake", ssl, SSL_do_handshake(ssl)) > 0;
        ERR_clear_error();
        SSL_shutdown(ssl);
        if (word(argv, "unshut"))
            SSL_set_shutdown(ssl, 0);
        if (moved == 0) {
            moved += show("SSL_read", ssl, SSL_read(ssl, answer, sizeof(answer))) > 0;
            moved += show("SSL_read_ex", ssl, SSL_read_ex(ssl, answer, sizeof(answer), &done)) > 0;
            moved += show("SSL_peek", ssl, SSL_peek(ssl, answer, sizeof(answer))) > 0;
        }
    }
    printf("moved: %d\n", moved);
    return moved > 0 ? 0 : 1;
}
