/* addon HOST PORT [tls1.2] [own] [static]: a plain client on a socket of its own. own: with a verification of its own that accepts everything, set on the
 * SSL_CTX when the handshake has begun; static: with RSA key exchange; none: with a callback for client certificates that has none. With -DADDON a module for Node.js, which uses the OpenSSL that is within it; what it
 * is to do is in $ADDON, or else nothing. */

#include "paths.h"

static bool late;

static int give_none(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
    (void)ssl;
    (void)certificate;
    (void)key;
    return 0;
}

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

/* The ServerHello has come. */
static void on_message(int sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    (void)version;
    (void)arg;
    if (late && !sent && type == SSL3_RT_HANDSHAKE && length > 0 && *(const unsigned char *)bytes == SSL3_MT_SERVER_HELLO)
        SSL_CTX_set_cert_verify_callback(SSL_get_SSL_CTX(ssl), accept_all, NULL);
}

static int run(int argc, char **argv)
{
    SSL_CTX *ctx;
    SSL *ssl;

    if (argc < 3)
        return 2;
    ctx = context(argv);
    if (word(argv, "static") && SSL_CTX_set_cipher_list(ctx, "AES128-GCM-SHA256") != 1)
        die("cipher");
    if (word(argv, "none"))
        SSL_CTX_set_client_cert_cb(ctx, give_none);
    late = word(argv, "own");
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    SSL_set_msg_callback(ssl, on_message);
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}

#ifdef ADDON
__attribute__((visibility("default"))) void *napi_register_module_v1(void *env, void *exports)
{
    char *argv[16] = {"addon"};
    int argc = 1;

    (void)env;
    if (getenv("ADDON") == NULL)
        return exports;
    for (char *at = strtok(getenv("ADDON"), " "); at != NULL && argc < 15; at = strtok(NULL, " "))
        argv[argc++] = at;
    exit(run(argc, argv));
    return exports;
}
#else
int main(int argc, char **argv)
{
    return run(argc, argv);
}
#endif
