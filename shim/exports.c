/* The functions of OpenSSL that the shim stands before. Each makes ready, delegates and returns; nothing is decided here. */

#include "conn.h"
#include "loader.h"
#include "pinstore.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* Find the real function `name` for `object` into `ossl` and `real`. An object of no known library is passed on as it is; a
 * function that is nowhere to be found fails. */
#define FIND(name, object, failure) \
    const struct ossl *ossl = ossl_of(object); \
    __typeof__(ossl->name) real = ossl != NULL ? ossl->name : (__typeof__(ossl->name))loader_next(#name); \
    if (real == NULL) \
        return failure;

static bool guarded(const struct ossl *ossl)
{
    return ossl != NULL && ossl->kind != OSSL_FOREIGN;
}

EXPORT int X509_verify_cert(X509_STORE_CTX *ctx)
{
    int (*real)(X509_STORE_CTX *) = NULL;
    const struct ossl *ossl = ossl_of_verifier(__builtin_return_address(0), &real);

    if (real == NULL)
        return 0;
    return ossl == NULL ? real(ctx) : conn_verify(ossl, ctx, real(ctx));
}

/* A client's context comes before its first handshake: the pins are read here, while the program still has its rights and its
 * root directory. */
static void prepare(const SSL_METHOD *method)
{
    if (guarded(ossl_at(method)))
        (void)pinstore_get();
}

EXPORT SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    const struct ossl *ossl = ossl_at(method);
    SSL_CTX *(*real)(const SSL_METHOD *) = ossl != NULL ? ossl->SSL_CTX_new : (SSL_CTX * (*)(const SSL_METHOD *)) loader_next("SSL_CTX_new");

    prepare(method);
    return real != NULL ? real(method) : NULL;
}

EXPORT SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *library, const char *properties, const SSL_METHOD *method)
{
    const struct ossl *ossl = ossl_at(method);
    SSL_CTX *(*real)(void *, const char *, const SSL_METHOD *) =
        ossl != NULL ? ossl->SSL_CTX_new_ex : (SSL_CTX * (*)(void *, const char *, const SSL_METHOD *)) loader_next("SSL_CTX_new_ex");

    prepare(method);
    return real != NULL ? real(library, properties, method) : NULL;
}

EXPORT void SSL_CTX_set_cert_verify_callback(SSL_CTX *ctx, int (*callback)(X509_STORE_CTX *, void *), void *arg)
{
    FIND(SSL_CTX_set_cert_verify_callback, ctx, )

    if (guarded(ossl))
        conn_set_verify_callback(ossl, ctx, callback, arg);
    else
        real(ctx, callback, arg);
}

EXPORT int SSL_connect(SSL *ssl)
{
    FIND(SSL_connect, ssl, -1)

    return guarded(ossl) ? conn_handshake(ossl, ssl, real) : real(ssl);
}

EXPORT int SSL_do_handshake(SSL *ssl)
{
    FIND(SSL_do_handshake, ssl, -1)

    return guarded(ossl) ? conn_handshake(ossl, ssl, real) : real(ssl);
}

/* On an SSL that was set up to connect, this runs the client's handshake. */
EXPORT int SSL_accept(SSL *ssl)
{
    FIND(SSL_accept, ssl, -1)

    return guarded(ossl) ? conn_handshake(ossl, ssl, real) : real(ssl);
}

EXPORT int SSL_clear(SSL *ssl)
{
    FIND(SSL_clear, ssl, 0)

    return guarded(ossl) ? conn_clear(ossl, ssl) : real(ssl);
}

EXPORT int SSL_read(SSL *ssl, void *buffer, int size)
{
    FIND(SSL_read, ssl, -1)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? -1 : real(ssl, buffer, size);
}

EXPORT int SSL_read_ex(SSL *ssl, void *buffer, size_t size, size_t *done)
{
    FIND(SSL_read_ex, ssl, 0)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? 0 : real(ssl, buffer, size, done);
}

EXPORT int SSL_peek(SSL *ssl, void *buffer, int size)
{
    FIND(SSL_peek, ssl, -1)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? -1 : real(ssl, buffer, size);
}

EXPORT int SSL_peek_ex(SSL *ssl, void *buffer, size_t size, size_t *done)
{
    FIND(SSL_peek_ex, ssl, 0)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? 0 : real(ssl, buffer, size, done);
}

EXPORT int SSL_write(SSL *ssl, const void *buffer, int size)
{
    FIND(SSL_write, ssl, -1)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? -1 : real(ssl, buffer, size);
}

EXPORT int SSL_write_ex(SSL *ssl, const void *buffer, size_t size, size_t *done)
{
    FIND(SSL_write_ex, ssl, 0)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? 0 : real(ssl, buffer, size, done);
}

EXPORT int SSL_write_ex2(SSL *ssl, const void *buffer, size_t size, uint64_t flags, size_t *done)
{
    FIND(SSL_write_ex2, ssl, 0)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? 0 : real(ssl, buffer, size, flags, done);
}

EXPORT ossl_ssize_t SSL_sendfile(SSL *ssl, int fd, off_t offset, size_t size, int flags)
{
    FIND(SSL_sendfile, ssl, -1)

    return guarded(ossl) && !conn_ready(ossl, ssl) ? -1 : real(ssl, fd, offset, size, flags);
}
