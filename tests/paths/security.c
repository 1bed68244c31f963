/* security HOST PORT WAY [sni=NAME] [permit] [info]: a client with a security callback of its own that refuses everything, or permits it. WAY: ssl (set on
 * the SSL), dup (and that then duplicated), before or after (set on the SSL_CTX, before or after the SSL is made of it), copy
 * (on an SSL from which SSL_copy_session_id copies), to or from (on the SSL_CTX that SSL_set_SSL_CTX goes to, or on the SSL
 * before that), each (set on the SSL before each call of SSL_connect, where another one is found, which it then calls). info: with an info callback, too. */

#include "paths.h"
#include <fcntl.h>
#include <poll.h>

static int calls;

static int refuse(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *extra)
{
    (void)ssl;
    (void)ctx;
    (void)operation;
    (void)bits;
    (void)nid;
    (void)other;
    (void)extra;
    calls++;
    return 0;
}

static int permit(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *extra)
{
    (void)refuse(ssl, ctx, operation, bits, nid, other, extra);
    return 1;
}

static int (*found)(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

static int pass_on(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *extra)
{
    calls++;
    return found(ssl, ctx, operation, bits, nid, other, extra);
}

static int connect_each(SSL *ssl)
{
    struct pollfd socket = {.fd = SSL_get_fd(ssl)};
    int result;

    fcntl(socket.fd, F_SETFL, O_NONBLOCK);
    do {
        if (SSL_get_security_callback(ssl) != pass_on) {
            found = SSL_get_security_callback(ssl);
            SSL_set_security_callback(ssl, pass_on);
        }
        result = SSL_connect(ssl);
        socket.events = SSL_want_write(ssl) ? POLLOUT : POLLIN;
    } while (result != 1 && (SSL_want_read(ssl) || SSL_want_write(ssl)) && poll(&socket, 1, -1) == 1);
    fcntl(socket.fd, F_SETFL, 0);
    return result;
}

static void ignore(const SSL *ssl, int where, int value)
{
    (void)ssl;
    (void)where;
    (void)value;
}

static const char *name_of(int (*callback)(const SSL *, const SSL_CTX *, int, int, int, void *, void *))
{
    return callback == refuse ? "refuse" : callback == permit ? "permit" : "the library's";
}

int main(int argc, char **argv)
{
    int (*callback)(const SSL *, const SSL_CTX *, int, int, int, void *, void *) = word(argv, "permit") ? permit : refuse;
    SSL_CTX *ctx = context(argv);
    const char *way = argc > 3 ? argv[3] : "";
    SSL *ssl;
    SSL *from;
    int result;

    if (word(argv, "info"))
        SSL_CTX_set_info_callback(ctx, ignore);
    if (strcmp(way, "before") == 0)
        SSL_CTX_set_security_callback(ctx, callback);
    ssl = SSL_new(ctx);
    if (strcmp(way, "before") == 0)
        SSL_CTX_set_security_callback(ctx, permit);
    if (strcmp(way, "after") == 0)
        SSL_CTX_set_security_callback(ctx, callback);
    if (strcmp(way, "ssl") == 0 || strcmp(way, "dup") == 0 || strcmp(way, "from") == 0)
        SSL_set_security_callback(ssl, callback);
    if (strcmp(way, "dup") == 0)
        ssl = SSL_dup(ssl);
    if (strcmp(way, "copy") == 0) {
        from = SSL_new(ctx);
        SSL_set_security_callback(from, callback);
        SSL_copy_session_id(ssl, from);
    }
    if (strcmp(way, "to") == 0 || strcmp(way, "from") == 0) {
        SSL_CTX *other = context(argv);

        SSL_CTX_set_security_callback(other, strcmp(way, "to") == 0 ? callback : permit);
        SSL_set_SSL_CTX(ssl, other);
    }
    printf("callback: %s, the context's: %s\n", name_of(SSL_get_security_callback(ssl)),
        name_of(SSL_CTX_get_security_callback(ctx)));
    SSL_set_tlsext_host_name(ssl, option(argv, "sni", PINNED));
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    result = strcmp(way, "each") == 0 ? connect_each(ssl) : SSL_connect(ssl);
    printf("reason %d, called: %d\n", ERR_GET_REASON(ERR_peek_last_error()), calls > 0);
    return show("SSL_connect", ssl, result) == 1 && fetch(ssl) ? 0 : 1;
}
