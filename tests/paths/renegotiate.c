/* renegotiate FIRST SECOND server|client [bio]: a TLS 1.2 client and its server, over a pair of sockets. The server shows
 * FIRST.pem, and after a renegotiation that the server or the client asks for, SECOND.pem. It prints what it receives. */

#include "paths.h"
#include <sys/wait.h>

static void serve(int fd, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    char text[256];
    int got;

    SSL_set_options(ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    SSL_set_session_id_context(ssl, (const unsigned char *)"paths", 5);
    identity(ssl, argv[1]);
    if (SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
        die("SSL_accept");
    identity(ssl, argv[2]);
    if (word(argv, "server") && (SSL_renegotiate(ssl) != 1 || SSL_do_handshake(ssl) != 1))
        die("SSL_renegotiate");
    /* Without this mode the read comes back when it has done the handshake. */
    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    if (SSL_read(ssl, text, sizeof(text)) > 0)
        die("data came before the renegotiation");
    if (SSL_write(ssl, "hello", 5) == 5) {
        while ((got = SSL_read(ssl, text, sizeof(text) - 1)) > 0) {
            text[got] = '\0';
            printf("the server received %s\n", text);
        }
    }
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx;
    char text[256];
    int fds[2];
    int result = 1;
    pid_t pid;
    SSL *ssl;

    if (argc < 4 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 2;
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        close(fds[0]);
        serve(fds[1], argv);
    }
    close(fds[1]);
    ctx = context(argv);
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ssl = client(ctx, fds[0], PINNED);
    if (show("first SSL_connect", ssl, SSL_connect(ssl)) != 1)
        return 2;
    if (word(argv, "client"))
        result = SSL_renegotiate(ssl) == 1 ? show("SSL_do_handshake", ssl, SSL_do_handshake(ssl)) : 0;
    if (word(argv, "bio")) {
        BIO *bio = BIO_new(BIO_f_ssl());

        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        if (result > 0)
            result = BIO_read(bio, text, sizeof(text));
        if (BIO_puts(bio, "SECRET") <= 0)
            result = 0;
    } else {
        if (result > 0)
            result = show("SSL_read", ssl, SSL_read(ssl, text, sizeof(text)));
        if (show("SSL_write", ssl, SSL_write(ssl, "SECRET", 6)) <= 0)
            result = 0;
    }
    if (SSL_SESSION_get0_peer(SSL_get_session(ssl)) != NULL) {
        X509_NAME_oneline(X509_get_subject_name(SSL_SESSION_get0_peer(SSL_get_session(ssl))), text, sizeof(text));
        printf("the client saw %s\n", text);
    }
    fflush(stdout);
    SSL_shutdown(ssl);
    close(fds[0]);
    if (waitpid(pid, NULL, 0) != pid)
        die("waitpid");
    return result > 0 ? 0 : 1;
}
