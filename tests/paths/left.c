/* left HOST PORT WHAT [deep] [bio] [server] [tls1.2] [skip=N] [load=FILE] [text=TEXT]: a callback of the program's leaves libssl by longjmp (skip: not the first N times); then the same SSL connects
 * again, with the session in FILE, and the program prints how often the callback was called in that, and whether the thread can be cancelled. It sends TEXT, else it prints what it gets. WHAT is
 * the callback: security, info, session (the one for new sessions), message, client (the older one for client certificates), query (the security callback, in SSL_get1_supported_ciphers), or own (security, where it calls
 * the one that it has found on the SSL_CTX). deep: the second time with a deeper stack; bio: by a chain of BIOs; server: what is left is a server's
 * handshake. */

#include "paths.h"
#include <openssl/pem.h>
#include <pthread.h>
#include <setjmp.h>

static jmp_buf out;
static bool armed = true;
static int skip;
static int calls;
static int (*found)(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

static void leave_or_count(void)
{
    if (armed && skip-- == 0)
        longjmp(out, 1);
    calls += !armed;
}

static int on_security(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *extra)
{
    /* This is asked before anything else. */
    if (operation == SSL_SECOP_VERSION)
        leave_or_count();
    return found != NULL ? found(ssl, ctx, operation, bits, nid, other, extra) : 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    (void)ssl;
    (void)where;
    (void)value;
    leave_or_count();
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    (void)session;
    leave_or_count();
    return 0;
}

static int on_client(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
    (void)ssl;
    (void)certificate;
    (void)key;
    leave_or_count();
    return 0;
}

/* Where a ClientHello is sent, or read. */
static void on_message(int sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    (void)sent;
    (void)version;
    (void)ssl;
    (void)arg;
    if (type == SSL3_RT_HANDSHAKE && length > 0 && *(const unsigned char *)bytes == SSL3_MT_CLIENT_HELLO)
        leave_or_count();
}

static int send_or_fetch(SSL *ssl, const char *text)
{
    if (text != NULL)
        return SSL_write(ssl, text, (int)strlen(text)) > 0 ? 0 : 1;
    return fetch(ssl) ? 0 : 1;
}

static int through_bio(SSL *ssl, const char *text)
{
    BIO *bio = BIO_new(BIO_f_ssl());

    BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    printf("BIO_do_handshake: %d\n", (int)BIO_do_handshake(bio));
    return text != NULL && BIO_write(bio, text, (int)strlen(text)) > 0 ? 0 : 1;
}

static int again(SSL *ssl, char **argv)
{
    const char *text = option(argv, "text", NULL);
    int result;

    if (word(argv, "bio"))
        return through_bio(ssl, text);
    result = SSL_connect(ssl);
    printf("called: %d, reused: %d\n", calls, SSL_session_reused(ssl));
    if (show("SSL_connect", ssl, result) != 1)
        return 1;
    result = send_or_fetch(ssl, text);
    printf("called in the end: %d\n", calls);
    return result;
}

/* What is below stays as it was. */
static __attribute__((noinline)) int deeper(SSL *ssl, char **argv)
{
    char room[100000];

    __asm__ volatile("" : : "r"(room) : "memory");
    return again(ssl, argv) == 0 ? 0 : room[0] == 77 ? 3 : 1;
}

static SSL_SESSION *load(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    SSL_SESSION *session = file != NULL ? PEM_read_bio_SSL_SESSION(file, NULL, NULL, NULL) : NULL;

    if (session == NULL)
        die(path);
    BIO_free(file);
    return session;
}

/* With a ClientHello of another one. */
static void serve(SSL_CTX *ctx, SSL *ssl)
{
    SSL *other = SSL_new(ctx);
    BIO *ends[2];

    if (BIO_new_bio_pair(&ends[0], 0, &ends[1], 0) != 1)
        die("BIO_new_bio_pair");
    SSL_set_bio(other, ends[0], ends[0]);
    SSL_set_bio(ssl, ends[1], ends[1]);
    (void)SSL_connect(other);
    (void)SSL_accept(ssl);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = trusting(SSL_CTX_new(word(argv, "server") ? TLS_method() : TLS_client_method()));
    const char *what = argc > 3 ? argv[3] : "";
    const char *session = option(argv, "load", NULL);
    int cancels;
    SSL *ssl;

    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (option(argv, "cipher", NULL) != NULL && SSL_CTX_set_cipher_list(ctx, option(argv, "cipher", NULL)) != 1)
        die("cipher");
    if (strcmp(what, "session") == 0) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(ctx, on_session);
    }
    if (strcmp(what, "client") == 0)
        SSL_CTX_set_client_cert_cb(ctx, on_client);
    if (strcmp(what, "own") == 0)
        found = SSL_CTX_get_security_callback(ctx);
    skip = atoi(option(argv, "skip", "0"));
    ssl = client(ctx, word(argv, "server") ? -1 : open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (strcmp(what, "security") == 0 || strcmp(what, "query") == 0 || strcmp(what, "own") == 0)
        SSL_set_security_callback(ssl, on_security);
    if (strcmp(what, "info") == 0)
        SSL_set_info_callback(ssl, on_info);
    if (strcmp(what, "message") == 0)
        SSL_set_msg_callback(ssl, on_message);
    SSL_set_connect_state(ssl);
    if (setjmp(out) == 0) {
        if (strcmp(what, "query") == 0) {
            (void)SSL_get1_supported_ciphers(ssl);
        } else if (word(argv, "server")) {
            serve(ctx, ssl);
        } else {
            (void)SSL_connect(ssl);
            (void)fetch(ssl);
        }
        puts("not left");
        return 2;
    }
    armed = false;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancels);
    printf("cancels: %d\n", cancels == PTHREAD_CANCEL_ENABLE);
    if (strcmp(what, "query") != 0) {
        close(SSL_get_fd(ssl));
        SSL_clear(ssl);
        SSL_set_session(ssl, NULL);
        SSL_set_connect_state(ssl);
        SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    }
    SSL_set_tlsext_host_name(ssl, PINNED);
    if (session != NULL && SSL_set_session(ssl, load(session)) != 1)
        die("SSL_set_session");
    return word(argv, "deep") ? deeper(ssl, argv) : again(ssl, argv);
}
