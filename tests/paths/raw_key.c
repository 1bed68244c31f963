/* raw_key HOST PORT [bio] [text=TEXT]: a client that takes a raw public key (RFC 7250) in place of a certificate, and verifies nothing.
 * It sends TEXT. Exits with 77 where OpenSSL has no raw public keys (before 3.2). */

#include "paths.h"

int main(int argc, char **argv)
{
#ifdef TLSEXT_cert_type_rpk
    unsigned char types[] = {TLSEXT_cert_type_rpk};
    const char *text = option(argv, "text", "SECRET");
    SSL *ssl;
    BIO *bio;

    if (argc < 3)
        return 2;
    ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (SSL_set1_server_cert_type(ssl, types, sizeof(types)) != 1)
        die("SSL_set1_server_cert_type");
    SSL_set_connect_state(ssl);
    if (word(argv, "bio")) {
        bio = BIO_new(BIO_f_ssl());
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        return BIO_puts(bio, text) > 0 ? 0 : 1;
    }
    if (show("SSL_connect", ssl, SSL_connect(ssl)) != 1)
        return 1;
    if (SSL_get0_peer_certificate(ssl) != NULL || SSL_get0_peer_rpk(ssl) == NULL)
        die("no raw public key");
    return SSL_write(ssl, text, (int)strlen(text)) > 0 ? 0 : 1;
#else
    (void)argc;
    (void)argv;
    return 77;
#endif
}
