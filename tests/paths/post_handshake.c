/* post_handshake SERVER CLIENT [bio]: a TLS 1.3 client with the certificate CLIENT.pem, and its server with SERVER.pem over a pair of
 * sockets, which asks for that certificate only when the handshake is finished. It prints whom it saw. */

#include "paths.h"
#include <sys/wait.h>

static int accept_all(int result, X509_STORE_CTX *store)
{
    (void)result;
    (void)store;
    return 1;
}

static void serve(int fd, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    char text[256];
    X509 *peer;

    identity(ssl, argv[1]);
    if (SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
        die("SSL_accept");
    SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_all);
    if (SSL_verify_client_post_handshake(ssl) != 1 || SSL_do_handshake(ssl) != 1 || SSL_write(ssl, "hello", 5) != 5)
        die("SSL_verify_client_post_handshake");
    /* The client answers when it reads. */
    if (SSL_read(ssl, text, sizeof(text)) <= 0)
        die("SSL_read");
    peer = SSL_SESSION_get0_peer(SSL_get_session(ssl));
    printf("the server saw %s\n", peer != NULL ? X509_NAME_oneline(X509_get_subject_name(peer), text, sizeof(text)) : "nobody");
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    char text[256];
    int result = 1;
    int fds[2];
    SSL *ssl;
    pid_t pid;

    if (argc < 3 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 2;
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        close(fds[0]);
        serve(fds[1], argv);
    }
    close(fds[1]);
    ssl = client(context(argv), fds[0], PINNED);
    identity(ssl, argv[2]);
    SSL_set_post_handshake_auth(ssl, 1);
    if (word(argv, "bio")) {
        BIO *bio = BIO_new(BIO_f_ssl());

        SSL_set_connect_state(ssl);
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        if (BIO_read(bio, text, sizeof(text)) <= 0 || BIO_puts(bio, "x") <= 0)
            result = 0;
    } else {
        result = show("SSL_connect", ssl, SSL_connect(ssl));
        if (SSL_read(ssl, text, sizeof(text)) <= 0 || SSL_write(ssl, "x", 1) <= 0)
            result = 0;
    }
    /* The server still sends tickets. */
    shutdown(fds[0], SHUT_WR);
    fflush(stdout);
    if (waitpid(pid, NULL, 0) != pid)
        die("waitpid");
    return result > 0 ? 0 : 1;
}
