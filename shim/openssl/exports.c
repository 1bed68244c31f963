/* The functions of OpenSSL that the shim interposes. Each one prepares, delegates and returns; nothing is decided here. */

#include "client_cert.h"
#include "context.h"
#include "handshake.h"
#include "psk.h"
#include "security.h"
#include "session.h"
#include "start.h"
#include "through.h"
#include "told.h"
#include "unseen.h"
#include "verify.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* Set `ossl` and `real` to the library of `object` and its real function `name`. If no libssl made the object, `real` is the function that the
 * caller would have reached without the shim; if there is none, the call fails. */
#define FIND(name, object, failure) FIND_WITH(ossl_of(object), name, __builtin_return_address(0), failure)

/* The same for an address in the library itself: a method. */
#define FIND_AT(name, address, failure) FIND_WITH(ossl_at(address), name, __builtin_return_address(0), failure)

/* The same for a session, which does not show its library: the one that the caller uses is taken. */
#define FIND_FOR_CALLER(name, failure) FIND_WITH(ossl_of_caller(__builtin_return_address(0)), name, __builtin_return_address(0), failure)

#define FIND_WITH(which, name, caller, failure) \
    const struct ossl *ossl = which; \
    __typeof__(ossl->name) real = ossl != NULL ? ossl->name \
        : (__typeof__(ossl->name))loader_for_caller(caller, #name); \
    if (real == NULL) \
        return failure;

static bool is_usable(const struct ossl *ossl)
{
    return ossl != NULL && ossl->kind == OSSL_USABLE;
}

/* Return true for OpenSSL even if it is not usable: its clients may neither handshake nor move data. */
static bool is_openssl(const struct ossl *ossl)
{
    return ossl != NULL && ossl->kind != OSSL_FOREIGN;
}

/* Return true if the program has made this call. Where libssl is linked without -Bsymbolic, its own calls come through here, too (SSL_do_handshake
 * from SSL_connect, QUIC's on the inner TLS object, d2i_SSL_SESSION of a server's ticket): the program's call was handled already. */
static bool is_program_call(const struct ossl *ossl, const void *caller)
{
    return is_usable(ossl) && !ossl_calls(ossl, caller);
}

/* Return who wants to move data. If a callback of the program jumps to such a function, the caller seems to be libssl. */
static enum handshake_call origin_of(const struct ossl *ossl, const void *caller, enum handshake_call call)
{
    return ossl_calls(ossl, caller) ? CALL_INNER : call;
}

/* libssl rejects a negative size before it looks at the handshake. */
#define MAY_MOVE_FOR(caller, call) (!is_openssl(ossl) || handshake_ensure(ossl, ssl, origin_of(ossl, caller, call)))
#define MAY_MOVE(call) MAY_MOVE_FOR(__builtin_return_address(0), call)

/* Return a read's result, or `failure`. The read may have answered a request for a client certificate, received the server's alert about it, or
 * driven a handshake whose peer is refused: then the data that it read is erased. `done` NULL: the result is the length. */
static __attribute__((noinline, cold)) int look_at_read(const struct ossl *ossl, SSL *ssl, int result, void *buffer, size_t *done, int failure)
{
    if (!is_usable(ossl) || handshake_was_read(ossl, ssl, result))
        return result;
    explicit_bzero(buffer, result <= 0 ? 0 : done != NULL ? *done : (size_t)result);
    if (done != NULL)
        *done = 0;
    return failure;
}

EXPORT int X509_verify_cert(X509_STORE_CTX *ctx)
{
    int (*real)(X509_STORE_CTX *) = NULL;
    const struct ossl *ossl = ossl_of_verifier(__builtin_return_address(0), &real);
    struct captured captured;
    int result;

    if (real == NULL)
        return 0;
    if (ossl == NULL)
        return real(ctx);
    verify_capture(ossl, ctx, ossl_calls(ossl, __builtin_return_address(0)), &captured);
    result = real(ctx);
    if (captured.ssl == NULL)
        verify_note_beside(ossl, ctx);
    if (captured.ssl == NULL && is_usable(ossl) && !told_param(ossl, ctx))
        result = 0;
    return verify_conclude(ossl, ctx, &captured, result);
}

/* The program checks a certificate for a host: fail if that is a connection's peer's, which is refused for that. libcrypto calls these itself while it
 * verifies; what it checks then is known. */
#define CHECKS(name, parameters, told, ...) \
    EXPORT int name parameters \
    { \
        bool own = false; \
        const struct ossl *ossl = ossl_of_checker(__builtin_return_address(0), &own); \
        __typeof__(ossl->name) real = ossl != NULL ? ossl->name \
            : (__typeof__(ossl->name))loader_for_caller(__builtin_return_address(0), #name); \
        int result; \
 \
        if (real == NULL) \
            return -1; \
        result = real(__VA_ARGS__); \
        return own || !is_usable(ossl) || told ? result : 0; \
    }

CHECKS(X509_check_host, (CONST_FROM_4 X509 *certificate, const char *name, size_t length, unsigned int flags, char **peer),
    told_name(ossl, certificate, name, length == 0 && name != NULL ? strlen(name) : length), certificate, name, length, flags, peer)
CHECKS(X509_check_ip, (CONST_FROM_4 X509 *certificate, const unsigned char *address, size_t length, unsigned int flags),
    told_address(ossl, certificate, address, length), certificate, address, length, flags)
CHECKS(X509_check_ip_asc, (CONST_FROM_4 X509 *certificate, const char *address, unsigned int flags),
    told_name(ossl, certificate, address, address != NULL ? strlen(address) : 0), certificate, address, flags)

static void see_context(const struct ossl *ossl, SSL_CTX *ctx)
{
    unseen_context_seen(ossl, ctx);
    context_see(ossl, ctx);
}

/* libssl itself has called the shim for a new SSL_CTX, but not in a thread that has a library context of its own (3.0). `seen`: the call is the program's;
 * where libssl's SSL_CTX_new jumps to SSL_CTX_new_ex, that is not known. */
static SSL_CTX *made(const struct ossl *ossl, SSL_CTX *ctx, bool seen)
{
    if (!is_usable(ossl) || ctx == NULL)
        return ctx;
    if (!security_watches(ossl, ctx))
        security_context_made(ossl, ctx);
    if (seen)
        see_context(ossl, ctx);
    return ctx;
}

EXPORT SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    FIND_AT(SSL_CTX_new, method, NULL)

    return made(ossl, real(method), true);
}

EXPORT SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *library, const char *properties, const SSL_METHOD *method)
{
    FIND_AT(SSL_CTX_new_ex, method, NULL)

    return made(ossl, real(library, properties, method), library != NULL || properties != NULL);
}

EXPORT SSL *SSL_new(SSL_CTX *ctx)
{
    FIND(SSL_new, ctx, NULL)
    SSL *ssl = real(ctx);

    if (is_usable(ossl) && ssl != NULL) {
        if (!ossl_calls(ossl, __builtin_return_address(0)))
            see_context(ossl, ctx);
        conn_made(ossl, ssl);
    }
    return ssl;
}

EXPORT void SSL_CTX_set_cert_verify_callback(SSL_CTX *ctx, int (*callback)(X509_STORE_CTX *, void *), void *arg)
{
    FIND(SSL_CTX_set_cert_verify_callback, ctx, )

    if (is_usable(ossl))
        verify_set_callback(ossl, ctx, callback, arg);
    else
        real(ctx, callback, arg);
}

EXPORT int SSL_connect(SSL *ssl)
{
    FIND(SSL_connect, ssl, -1)

    return is_openssl(ossl) && !ossl_calls(ossl, __builtin_return_address(0)) ? handshake_run(ossl, ssl, real) : real(ssl);
}

EXPORT int SSL_do_handshake(SSL *ssl)
{
    FIND(SSL_do_handshake, ssl, -1)

    return is_openssl(ossl) && !ossl_calls(ossl, __builtin_return_address(0)) ? handshake_run(ossl, ssl, real) : real(ssl);
}

/* On an SSL that was set up to connect, this runs the client's handshake. */
EXPORT int SSL_accept(SSL *ssl)
{
    FIND(SSL_accept, ssl, -1)

    return is_openssl(ossl) && !ossl_calls(ossl, __builtin_return_address(0)) ? handshake_run(ossl, ssl, real) : real(ssl);
}

/* libssl itself clears at the start of each handshake, in some versions through here. */
EXPORT int SSL_clear(SSL *ssl)
{
    FIND(SSL_clear, ssl, 0)

    return is_program_call(ossl, __builtin_return_address(0)) ? handshake_clear(ossl, ssl) : real(ssl);
}

EXPORT void SSL_set_verify(SSL *ssl, int mode, int (*callback)(int, X509_STORE_CTX *))
{
    FIND(SSL_set_verify, ssl, )

    if (is_usable(ossl))
        conn_forget_mode(ossl, ssl);
    real(ssl, mode, callback);
}

static inline int after_read(const struct ossl *ossl, SSL *ssl, int result, void *buffer, size_t *done, int failure)
{
    if (__builtin_expect(atomic_load_explicit(&conn_looks_at_reads, memory_order_relaxed), 0))
        return look_at_read(ossl, ssl, result, buffer, done, failure);
    return result;
}

/* Nearly every call is on a connection that is known to be confirmed, and is passed on at once. The rest is in functions of their own, so that this needs
 * few registers. */
#define SLOWLY static __attribute__((noinline))

/* QUIC drives the TLS within by reading nothing. That has no socket: the connection that the program has is judged. A BIO_f_ssl reads into a buffer. */
static bool reads_nothing(const struct ossl *ossl, const void *buffer, int size, const void *caller)
{
    return buffer == NULL && size == 0 && ossl_calls(ossl, caller);
}

#define READS(name) \
    SLOWLY int name##_slowly(SSL *ssl, void *buffer, int size, const void *caller) \
    { \
        FIND_WITH(ossl_of(ssl), name, caller, -1) \
 \
        return size < 0 || reads_nothing(ossl, buffer, size, caller) || MAY_MOVE_FOR(caller, CALL_READS) \
            ? after_read(ossl, ssl, real(ssl, buffer, size), buffer, NULL, -1) \
            : -1; \
    } \
\
    EXPORT int name(SSL *ssl, void *buffer, int size) \
    { \
        const struct ossl *sure = conn_sure(ssl); \
\
        if (__builtin_expect(sure == NULL, 0)) \
            return name##_slowly(ssl, buffer, size, __builtin_return_address(0)); \
        return after_read(sure, ssl, sure->name(ssl, buffer, size), buffer, NULL, -1); \
    }
#define READS_EX(name) \
    SLOWLY int name##_slowly(SSL *ssl, void *buffer, size_t size, size_t *done, const void *caller) \
    { \
        FIND_WITH(ossl_of(ssl), name, caller, 0) \
\
        return MAY_MOVE_FOR(caller, CALL_READS) ? after_read(ossl, ssl, real(ssl, buffer, size, done), buffer, done, 0) : 0; \
    } \
\
    EXPORT int name(SSL *ssl, void *buffer, size_t size, size_t *done) \
    { \
        const struct ossl *sure = conn_sure(ssl); \
\
        if (__builtin_expect(sure == NULL, 0)) \
            return name##_slowly(ssl, buffer, size, done, __builtin_return_address(0)); \
        return after_read(sure, ssl, sure->name(ssl, buffer, size, done), buffer, done, 0); \
    }

READS(SSL_read)
READS(SSL_peek)
READS_EX(SSL_read_ex)
READS_EX(SSL_peek_ex)

/* Return a write's result. What was written may be a request to a proxy. */
static inline int after_write(const struct ossl *ossl, SSL *ssl, int result, const void *buffer, size_t size)
{
    if (result > 0 && size > 0 && is_usable(ossl) && __builtin_expect(within_may_look(buffer), 0))
        through_written(ossl, ssl, buffer, size);
    return result;
}

SLOWLY int write_slowly(SSL *ssl, const void *buffer, int size, const void *caller)
{
    FIND_WITH(ossl_of(ssl), SSL_write, caller, -1)
    int result = size < 0 || MAY_MOVE_FOR(caller, CALL_WRITES) ? real(ssl, buffer, size) : -1;

    return after_write(ossl, ssl, result, buffer, result > 0 ? (size_t)result : 0);
}

EXPORT int SSL_write(SSL *ssl, const void *buffer, int size)
{
    const struct ossl *sure = conn_sure(ssl);
    int result;

    if (__builtin_expect(sure == NULL, 0))
        return write_slowly(ssl, buffer, size, __builtin_return_address(0));
    result = sure->SSL_write(ssl, buffer, size);
    return after_write(sure, ssl, result, buffer, result > 0 ? (size_t)result : 0);
}

SLOWLY int write_ex_slowly(SSL *ssl, const void *buffer, size_t size, size_t *done, const void *caller)
{
    FIND_WITH(ossl_of(ssl), SSL_write_ex, caller, 0)
    int result = MAY_MOVE_FOR(caller, CALL_WRITES) ? real(ssl, buffer, size, done) : 0;

    return after_write(ossl, ssl, result, buffer, result > 0 ? *done : 0);
}

EXPORT int SSL_write_ex(SSL *ssl, const void *buffer, size_t size, size_t *done)
{
    const struct ossl *sure = conn_sure(ssl);
    int result;

    if (__builtin_expect(sure == NULL, 0))
        return write_ex_slowly(ssl, buffer, size, done, __builtin_return_address(0));
    result = sure->SSL_write_ex(ssl, buffer, size, done);
    return after_write(sure, ssl, result, buffer, result > 0 ? *done : 0);
}

EXPORT int SSL_write_ex2(SSL *ssl, const void *buffer, size_t size, uint64_t flags, size_t *done)
{
    FIND(SSL_write_ex2, ssl, 0)
    int result = MAY_MOVE(CALL_WRITES) ? real(ssl, buffer, size, flags, done) : 0;

    return after_write(ossl, ssl, result, buffer, result > 0 ? *done : 0);
}

EXPORT ossl_ssize_t SSL_sendfile(SSL *ssl, int fd, off_t offset, size_t size, int flags)
{
    FIND(SSL_sendfile, ssl, -1)

    return MAY_MOVE(CALL_SENDS_FILE) ? real(ssl, fd, offset, size, flags) : -1;
}

EXPORT int SSL_write_early_data(SSL *ssl, const void *buffer, size_t size, size_t *done)
{
    FIND(SSL_write_early_data, ssl, 0)

    int result;

    if (is_openssl(ossl) && !handshake_ready_early(ossl, ssl))
        return 0;
    result = real(ssl, buffer, size, done);
    if (is_usable(ossl))
        handshake_was_early(ossl, ssl, result);
    return result;
}

EXPORT int SSL_copy_session_id(SSL *to, const SSL *from)
{
    FIND(SSL_copy_session_id, to, 0)
    int result;

    if (is_usable(ossl))
        client_cert_share(ossl, to, (SSL *)(uintptr_t)from);
    result = real(to, from);
    if (is_usable(ossl))
        security_share(ossl, to, from);
    return result;
}

EXPORT SSL *SSL_dup(SSL *ssl)
{
    FIND(SSL_dup, ssl, NULL)
    SSL *copy;

    /* libssl does not copy an SSL in the middle of a handshake. */
    if (is_usable(ossl) && ossl->SSL_in_before(ssl))
        conn_take_client_cert_back(ossl, ssl);
    copy = real(ssl);
    if (!is_usable(ossl) || copy == NULL || copy == ssl)
        return copy;
    conn_copied(ossl, copy, ssl);
    /* If the SSL has a session, the copy shares its certificates. */
    if (ossl->SSL_get_session(ssl) != NULL)
        client_cert_share(ossl, copy, ssl);
    return copy;
}

EXPORT SSL_CTX *SSL_set_SSL_CTX(SSL *ssl, SSL_CTX *ctx)
{
    FIND(SSL_set_SSL_CTX, ssl, NULL)
    const SSL_CTX *before = is_usable(ossl) ? ossl->SSL_get_SSL_CTX(ssl) : NULL;
    SSL_CTX *result = real(ssl, ctx);

    if (is_usable(ossl) && result != NULL && result != before)
        security_change_context(ossl, ssl);
    return result;
}

EXPORT STACK_OF(SSL_CIPHER) *SSL_get1_supported_ciphers(SSL *ssl)
{
    FIND(SSL_get1_supported_ciphers, ssl, NULL)
    int before = start_asking();
    STACK_OF(SSL_CIPHER) *suites = real(ssl);

    start_asked(before);
    return suites;
}

EXPORT int SSL_set_session_secret_cb(SSL *ssl, tls_session_secret_cb_fn callback, void *arg)
{
    FIND(SSL_set_session_secret_cb, ssl, 0)

    return is_usable(ossl) ? psk_set_secret(ossl, ssl, callback, arg) : real(ssl, callback, arg);
}

EXPORT int SSL_set1_initial_peer_addr(SSL *ssl, const BIO_ADDR *address)
{
    FIND(SSL_set1_initial_peer_addr, ssl, 0)
    int result = real(ssl, address);

    if (result == 1 && is_usable(ossl) && address != NULL)
        conn_set_peer(ossl, ssl, address);
    return result;
}

EXPORT void SSL_set_shutdown(SSL *ssl, int mode)
{
    FIND(SSL_set_shutdown, ssl, )

    real(ssl, is_usable(ossl) ? conn_shutdown_mode(ossl, ssl, mode) : mode);
}

EXPORT void SSL_CTX_set_cert_cb(SSL_CTX *ctx, int (*callback)(SSL *, void *), void *arg)
{
    FIND(SSL_CTX_set_cert_cb, ctx, )

    if (is_usable(ossl))
        client_cert_set_callback(ossl, ctx, NULL, callback, arg);
    else
        real(ctx, callback, arg);
}

EXPORT void SSL_set_cert_cb(SSL *ssl, int (*callback)(SSL *, void *), void *arg)
{
    FIND(SSL_set_cert_cb, ssl, )

    if (is_usable(ossl))
        client_cert_set_callback(ossl, NULL, ssl, callback, arg);
    else
        real(ssl, callback, arg);
}

/* The program's callback is kept by `keep`, for the shim's own to call. */
#define KEEPS(name, owner, ctx, ssl, type, keep) \
    EXPORT void name(owner *object, type value) \
    { \
        FIND(name, object, ) \
 \
        if (is_usable(ossl)) \
            keep(ossl, ctx, ssl, value); \
        else \
            real(object, value); \
    }
#define KEEPS_OF_CTX(name, type, keep) KEEPS(name, SSL_CTX, object, NULL, type, keep)
#define KEEPS_OF_SSL(name, type, keep) KEEPS(name, SSL, NULL, object, type, keep)

KEEPS_OF_CTX(SSL_CTX_set_post_handshake_auth, int, client_cert_set_post_handshake_auth)
KEEPS_OF_SSL(SSL_set_post_handshake_auth, int, client_cert_set_post_handshake_auth)
KEEPS_OF_CTX(SSL_CTX_set_psk_client_callback, psk_callback *, psk_set)
KEEPS_OF_SSL(SSL_set_psk_client_callback, psk_callback *, psk_set)
KEEPS_OF_CTX(SSL_CTX_set_psk_use_session_callback, psk_session_callback *, psk_set_session)
KEEPS_OF_SSL(SSL_set_psk_use_session_callback, psk_session_callback *, psk_set_session)
KEEPS_OF_CTX(SSL_CTX_set_security_callback, ossl_security_callback, security_set)
KEEPS_OF_SSL(SSL_set_security_callback, ossl_security_callback, security_set)

EXPORT int SSL_CTX_set_client_cert_engine(SSL_CTX *ctx, struct engine_st *engine)
{
    FIND(SSL_CTX_set_client_cert_engine, ctx, 0)
    int result = real(ctx, engine);

    if (result == 1 && is_usable(ossl))
        client_cert_leave_to_engine(ossl, ctx);
    return result;
}

/* The program sets a certificate or a key of its own on the SSL: the shim's is removed before. */
#define SETS_CERTIFICATE(name, parameters, ...) \
    EXPORT int name parameters \
    { \
        FIND(name, ssl, 0) \
 \
        if (is_usable(ossl)) \
            conn_take_client_cert_back(ossl, ssl); \
        return real(__VA_ARGS__); \
    }

SETS_CERTIFICATE(SSL_use_PrivateKey, (SSL *ssl, EVP_PKEY *key), ssl, key)
SETS_CERTIFICATE(SSL_use_PrivateKey_ASN1, (int type, SSL *ssl, const unsigned char *der, long length), type, ssl, der, length)
SETS_CERTIFICATE(SSL_use_PrivateKey_file, (SSL *ssl, const char *file, int type), ssl, file, type)
SETS_CERTIFICATE(SSL_use_RSAPrivateKey, (SSL *ssl, struct rsa_st *key), ssl, key)
SETS_CERTIFICATE(SSL_use_RSAPrivateKey_ASN1, (SSL *ssl, const unsigned char *der, long length), ssl, der, length)
SETS_CERTIFICATE(SSL_use_RSAPrivateKey_file, (SSL *ssl, const char *file, int type), ssl, file, type)
SETS_CERTIFICATE(SSL_use_cert_and_key, (SSL *ssl, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) *chain, int override), ssl, leaf, key, chain, override)
SETS_CERTIFICATE(SSL_use_certificate, (SSL *ssl, X509 *leaf), ssl, leaf)
SETS_CERTIFICATE(SSL_use_certificate_ASN1, (SSL *ssl, const unsigned char *der, int length), ssl, der, length)
SETS_CERTIFICATE(SSL_use_certificate_chain_file, (SSL *ssl, const char *file), ssl, file)
SETS_CERTIFICATE(SSL_use_certificate_file, (SSL *ssl, const char *file, int type), ssl, file, type)

EXPORT ossl_security_callback SSL_CTX_get_security_callback(const SSL_CTX *ctx)
{
    FIND(SSL_CTX_get_security_callback, ctx, NULL)

    return is_usable(ossl) ? security_get(ossl, ctx, NULL) : real(ctx);
}

EXPORT ossl_security_callback SSL_get_security_callback(const SSL *ssl)
{
    FIND(SSL_get_security_callback, ssl, NULL)

    return is_usable(ossl) ? security_get(ossl, NULL, ssl) : real(ssl);
}

EXPORT int i2d_SSL_SESSION(CONST_FROM_3 SSL_SESSION *session, unsigned char **out)
{
    FIND_FOR_CALLER(i2d_SSL_SESSION, 0)

    if (is_program_call(ossl, __builtin_return_address(0)))
        session_written(ossl, session);
    return real(session, out);
}

EXPORT SSL_SESSION *d2i_SSL_SESSION(SSL_SESSION **out, const unsigned char **der, long length)
{
    FIND_FOR_CALLER(d2i_SSL_SESSION, NULL)
    SSL_SESSION *session = real(out, der, length);

    if (is_usable(ossl) && (out != NULL || !ossl_calls(ossl, __builtin_return_address(0))))
        session_was_read(ossl, session);
    return session;
}

EXPORT SSL_SESSION *d2i_SSL_SESSION_ex(SSL_SESSION **out, const unsigned char **der, long length, OSSL_LIB_CTX *library,
    const char *properties)
{
    FIND_FOR_CALLER(d2i_SSL_SESSION_ex, NULL)
    SSL_SESSION *session = real(out, der, length, library, properties);

    if (is_usable(ossl) && (out != NULL || !ossl_calls(ossl, __builtin_return_address(0))))
        session_was_read(ossl, session);
    return session;
}
