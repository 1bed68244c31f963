/* chains HOST PORT [ctx|ssl]: a client whose security and info callbacks call what was set before, if anything was: on the SSL_CTX, or on the SSL. */

#include "paths.h"

typedef int security_callback(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

static security_callback *security_before;
static void (*info_before)(const SSL *, int, int);
static bool asked;
static bool told;

static int on_security(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    asked = true;
    return security_before(ssl, ctx, operation, bits, nid, other, arg);
}

static void on_info(const SSL *ssl, int where, int value)
{
    told = true;
    if (info_before != NULL)
        info_before(ssl, where, value);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx;
    SSL *ssl;
    bool got;

    if (argc < 3)
        return 2;
    ctx = context(argv);
    if (word(argv, "ctx")) {
        security_before = SSL_CTX_get_security_callback(ctx);
        SSL_CTX_set_security_callback(ctx, on_security);
        info_before = SSL_CTX_get_info_callback(ctx);
        SSL_CTX_set_info_callback(ctx, on_info);
    }
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (word(argv, "ssl")) {
        security_before = SSL_get_security_callback(ssl);
        SSL_set_security_callback(ssl, on_security);
        info_before = SSL_get_info_callback(ssl);
        if (info_before == NULL)
            info_before = SSL_CTX_get_info_callback(ctx);
        SSL_set_info_callback(ssl, on_info);
    }
    got = show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl);
    printf("asked %d, told %d\n", asked, told);
    return got ? 0 : 1;
}
