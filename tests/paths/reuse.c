/* reuse HOST PORT state|set|reset [first=NAME] [tls1.2]: a connection for FIRST, one more for it that resumes the session of
 * the first, and a third for www.pinned.example on the SSL of the second. That is made ready for it by SSL_set_connect_state,
 * by that and SSL_set_session, or by BIO_reset. */

#include "paths.h"

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *first = option(argv, "first", PINNED);
    BIO *bio = BIO_new(BIO_f_ssl());
    SSL_SESSION *session;
    bool done;
    SSL *ssl;

    if (argc < 4)
        return 2;
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), first);
    if (SSL_connect(ssl) != 1 || !fetch(ssl))
        return 2;
    SSL_shutdown(ssl);
    session = SSL_get1_session(ssl);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), first);
    SSL_set_session(ssl, session);
    SSL_set_connect_state(ssl);
    BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    if (BIO_do_handshake(bio) != 1 || SSL_session_reused(ssl) != 1)
        die("the second connection");
    if (strcmp(argv[3], "reset") == 0) {
        BIO_reset(bio);
    } else {
        SSL_shutdown(ssl);
        SSL_set_connect_state(ssl);
        if (strcmp(argv[3], "set") == 0)
            SSL_set_session(ssl, session);
    }
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    SSL_set_tlsext_host_name(ssl, PINNED);
    printf("\nthe third connection:\n");
    done = show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl);
    printf("\nreused: %d\n", SSL_session_reused(ssl));
    return done ? 0 : 1;
}
