/* turned HOST PORT [tls1.2] [cipher=LIST]: a server's SSL that was read from, and then connects. Where that fails, it is a server's
 * again and read from once more. */

#include "paths.h"

static int read_once(SSL *ssl, const char *call)
{
    char byte;
    int got = SSL_read(ssl, &byte, 1);
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    printf("%s: %s\n", call, reason != NULL ? reason : "no error");
    return show(call, ssl, got);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = trusting(SSL_CTX_new(TLS_method()));
    SSL *ssl;

    if (argc < 3 || ctx == NULL || SSL_CTX_set_cipher_list(ctx, option(argv, "cipher", "DEFAULT")) != 1)
        return 2;
    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ssl = client(ctx, -1, NULL);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl);
    read_once(ssl, "as a server");
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, PINNED);
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    if (fetch(ssl))
        return 0;
    SSL_set_accept_state(ssl);
    read_once(ssl, "again as a server");
    return 1;
}
