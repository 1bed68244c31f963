/* foreign HOST PORT OBJECT PLUGIN: a program with two TLS libraries under RTLD_LOCAL: first it calls that in OBJECT, then lets
 * PLUGIN (see plugin.c) fetch. With -DFOREIGN it is that object, of another maker, whose functions have the names of OpenSSL's
 * and call each other by them; with -DNAMED it tells its version, as BoringSSL does. */

#ifdef FOREIGN

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct method {
    int version;
};

struct context {
    long references;
    const struct method *method;
    void *verify;
    void *verify_argument;
    long more[16];
};

struct connection {
    const struct method *method;
    struct context *ctx;
    int fd;
    char *name;
    long more[32];
};

static const struct method the_method = {771};

#ifdef NAMED
const char *OpenSSL_version(int which);
int SSL_get_ex_data_X509_STORE_CTX_idx(void);

int SSL_get_ex_data_X509_STORE_CTX_idx(void)
{
    return 0;
}

const char *OpenSSL_version(int which)
{
    (void)which;
    return "BoringSSL";
}
#endif

const struct method *TLS_client_method(void);
struct context *SSL_CTX_new(const struct method *method);
void SSL_CTX_set_cert_verify_callback(struct context *ctx, int (*callback)(void *, void *), void *argument);
struct connection *SSL_new(struct context *ctx);
int SSL_set_fd(struct connection *ssl, int fd);
int SSL_connect(struct connection *ssl);
int SSL_do_handshake(struct connection *ssl);
int SSL_write(struct connection *ssl, const void *data, int length);
int SSL_read(struct connection *ssl, void *data, int length);
int SSL_peek(struct connection *ssl, void *data, int length);
int SSL_clear(struct connection *ssl);
int SSL_set_session(struct connection *ssl, void *session);
int X509_verify_cert(void *store);
const char *foreign_check(void);

const struct method *TLS_client_method(void)
{
    return &the_method;
}

struct context *SSL_CTX_new(const struct method *method)
{
    struct context *ctx = calloc(1, sizeof(*ctx));

    ctx->references = 1;
    ctx->method = method;
    return ctx;
}

void SSL_CTX_set_cert_verify_callback(struct context *ctx, int (*callback)(void *, void *), void *argument)
{
    ctx->verify = (void *)callback;
    ctx->verify_argument = argument;
}

struct connection *SSL_new(struct context *ctx)
{
    struct connection *ssl = calloc(1, sizeof(*ssl));

    ssl->ctx = ctx;
    ssl->method = ctx->method;
    return ssl;
}

int SSL_set_fd(struct connection *ssl, int fd)
{
    ssl->fd = fd;
    return 1;
}

int SSL_connect(struct connection *ssl)
{
    return 1000 + SSL_do_handshake(ssl);
}

int SSL_do_handshake(struct connection *ssl)
{
    return ssl->fd;
}

int SSL_write(struct connection *ssl, const void *data, int length)
{
    return 2000 + length + (data != NULL) + (ssl->ctx == NULL);
}

int SSL_read(struct connection *ssl, void *data, int length)
{
    memset(data, 'x', (size_t)length);
    return 3000 + length + (ssl->ctx == NULL);
}

int SSL_peek(struct connection *ssl, void *data, int length)
{
    memset(data, 'y', (size_t)length);
    return 4000 + length + (ssl->ctx == NULL);
}

int SSL_clear(struct connection *ssl)
{
    return 5000 + ssl->fd;
}

int SSL_set_session(struct connection *ssl, void *session)
{
    return 6000 + ssl->fd + (session == ssl);
}

int X509_verify_cert(void *store)
{
    return store != NULL ? 7 : 8;
}

static int verify(void *store, void *argument)
{
    return store == argument;
}

/* Return the first call that gave something else than its function gives; "" if none did. */
const char *foreign_check(void)
{
    struct context *ctx = SSL_CTX_new(TLS_client_method());
    struct connection *ssl = SSL_new(ctx);
    char buffer[4];

    if (ctx->references != 1 || ctx->method != &the_method)
        return "SSL_CTX_new";
    SSL_CTX_set_cert_verify_callback(ctx, verify, buffer);
    if (ctx->verify != (void *)verify || ctx->verify_argument != buffer)
        return "SSL_CTX_set_cert_verify_callback";
    SSL_set_fd(ssl, 42);
    if (SSL_do_handshake(ssl) != 42)
        return "SSL_do_handshake";
    if (SSL_connect(ssl) != 1042)
        return "SSL_connect";
    if (SSL_write(ssl, "1234", 4) != 2005)
        return "SSL_write";
    if (SSL_read(ssl, buffer, 4) != 3004 || buffer[3] != 'x')
        return "SSL_read";
    if (SSL_peek(ssl, buffer, 4) != 4004 || buffer[3] != 'y')
        return "SSL_peek";
    if (SSL_clear(ssl) != 5042)
        return "SSL_clear";
    if (SSL_set_session(ssl, ssl) != 6043)
        return "SSL_set_session";
    if (X509_verify_cert(ssl) != 7)
        return "X509_verify_cert";
    return "";
}

#else

#define PATHS_NO_SSL
#include "paths.h"
#include <dlfcn.h>

static void *function_of(const char *path, const char *name)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *function = object != NULL ? dlsym(object, name) : NULL;

    if (function == NULL) {
        fprintf(stderr, "foreign: %s\n", dlerror());
        exit(2);
    }
    return function;
}

int main(int argc, char **argv)
{
    long connection[40] = {0};
    const char *fault;

    if (argc < 5)
        return 2;
    fault = ((const char *(*)(void))function_of(argv[3], "foreign_check"))();
    printf("other library: %s\n", fault[0] != '\0' ? fault : "unharmed");
    /* The number of the socket. */
    memcpy(&connection[2], &(int) {17}, sizeof(int));
    printf("other library's SSL_connect by name: %d\n", ((int (*)(void *))function_of(argv[3], "SSL_connect"))(connection));
    fflush(stdout);
    return ((int (*)(char **))function_of(argv[4], "plugin_fetch"))(argv);
}

#endif
