/* A TLS client and a TLS server in one process, without a network between them.
 *
 * usage: memory bio|socketpair CERTIFICATE KEY [NAME]
 * The client names NAME in its SNI, or nothing. Exits with 0 if the server got what the client sent, with 1 if not. */

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool join(SSL *client, SSL *server, bool memory)
{
    BIO *there = BIO_new(BIO_s_mem());
    BIO *back = BIO_new(BIO_s_mem());
    int pair[2];

    if (memory) {
        BIO_up_ref(there);
        BIO_up_ref(back);
        SSL_set_bio(client, back, there);
        SSL_set_bio(server, there, back);
        return true;
    }
    BIO_free(there);
    BIO_free(back);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        return false;
    return SSL_set_fd(client, pair[0]) == 1 && SSL_set_fd(server, pair[1]) == 1;
}

/* Return true while the call may be made again. */
static bool again(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);

    return result <= 0 && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
}

int main(int argc, char **argv)
{
    static const char secret[] = "secret";
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX *server_ctx = SSL_CTX_new(TLS_server_method());
    SSL *client;
    SSL *server;
    char got[64] = "";
    int shaken = -1;
    int served = -1;
    bool wrote = false;

    if (argc < 4 || client_ctx == NULL || server_ctx == NULL
        || SSL_CTX_use_certificate_chain_file(server_ctx, argv[2]) != 1
        || SSL_CTX_use_PrivateKey_file(server_ctx, argv[3], SSL_FILETYPE_PEM) != 1)
        return 2;
    client = SSL_new(client_ctx);
    server = SSL_new(server_ctx);
    if (client == NULL || server == NULL || !join(client, server, strcmp(argv[1], "bio") == 0))
        return 2;
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    if (argc > 4)
        SSL_set_tlsext_host_name(client, argv[4]);
    for (int i = 0; i < 100 && strcmp(got, secret) != 0; i++) {
        ERR_clear_error();
        if (shaken != 1 && (shaken = SSL_do_handshake(client)) != 1 && !again(client, shaken))
            break;
        if (shaken == 1 && !wrote)
            wrote = SSL_write(client, secret, sizeof(secret)) == (int)sizeof(secret);
        ERR_clear_error();
        if (served != 1 && (served = SSL_do_handshake(server)) != 1 && !again(server, served))
            break;
        if (served == 1)
            (void)SSL_read(server, got, sizeof(got) - 1);
    }
    printf("handshake %s, server's handshake %s, received \"%s\"\n", shaken == 1 ? "done" : "failed",
        served == 1 ? "done" : "failed", got);
    return strcmp(got, secret) == 0 ? 0 : 1;
}
