/* resume HOST PORT WAY [first=NAME] [second=NAME] [second-port=PORT] [late] [ciphers] [nameless] [bio] [tls1.2] [save=FILE] [load=FILE]:
 * one connection for the name FIRST, and one for the name SECOND with the session of the first, given to it by WAY (set, copy, dup,
 * clear, der, pem, callback: by an info callback when the handshake starts, or asked: by a security callback when it starts, at the second call; named: set, but that callback changes the name from FIRST
 * to SECOND; rewritten: set, but the session's certificate was read anew from FILE; by-hand: set, but after the first connection the
 * program verified FILE for it; "certificate=FILE" is for these two; with "load" it verifies the session's certificate for the second
 * connection). "late": the second connection gets its name and socket after its session. "ciphers": it is asked for its ciphers when it has
 * its session, and gets its name only then. "nameless": it gets no name, but SECOND is resolved for its socket. "save" ends after the first
 * connection, "load" leaves it out. */

#include "paths.h"
#include <openssl/pem.h>
#include <stdint.h>

static SSL_SESSION *through_der(SSL_SESSION *session)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    int length = i2d_SSL_SESSION(session, &der);

    at = der;
    session = d2i_SSL_SESSION(NULL, &at, length);
    OPENSSL_free(der);
    return session;
}

static SSL_SESSION *through_pem(SSL_SESSION *session)
{
    BIO *memory = BIO_new(BIO_s_mem());

    PEM_write_bio_SSL_SESSION(memory, session);
    session = PEM_read_bio_SSL_SESSION(memory, NULL, NULL, NULL);
    BIO_free(memory);
    return session;
}

static SSL_SESSION *in_callback;

static void give_session(const SSL *ssl, int where, int result)
{
    (void)result;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && in_callback != NULL && SSL_in_before(ssl))
        SSL_set_session((SSL *)(uintptr_t)ssl, in_callback);
    in_callback = NULL;
}

static int give_when_asked(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    static int asked;

    (void)ctx, (void)bits, (void)nid, (void)other, (void)arg;
    if (operation == SSL_SECOP_VERSION && ssl != NULL && SSL_in_before(ssl) && ++asked == 2)
        SSL_set_session((SSL *)(uintptr_t)ssl, in_callback);
    return 1;
}

static X509 *read_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate = file != NULL ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;

    if (certificate == NULL)
        die(path);
    BIO_free(file);
    return certificate;
}

/* The certificate takes the place of the session's, in the same object. */
static void rewrite(SSL_SESSION *session, X509 *certificate)
{
    X509 *peer = SSL_SESSION_get0_peer(session);
    X509 *there = peer;
    unsigned char *der = NULL;
    int length = i2d_X509(certificate, &der);
    const unsigned char *at = der;

    if (d2i_X509(&there, &at, length) != peer || X509_cmp(peer, certificate) != 0)
        die("rewriting the certificate");
    OPENSSL_free(der);
}

static void verify_by_hand(SSL *ssl, X509 *certificate)
{
    X509_STORE_CTX *verification = X509_STORE_CTX_new();

    if (X509_STORE_CTX_init(verification, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), certificate, NULL) != 1
        || X509_STORE_CTX_set_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx(), ssl) != 1)
        die("verifying by hand");
    (void)X509_verify_cert(verification);
    X509_STORE_CTX_free(verification);
}

static const char *name_in_callback;

static void give_name(const SSL *ssl, int where, int result)
{
    (void)result;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && SSL_in_before(ssl))
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, name_in_callback);
}

static void target(SSL *ssl, char **argv, const char *name)
{
    bool nameless = word(argv, "nameless");
    int fd = open_socket(nameless ? name : argv[1], option(argv, "second-port", argv[2]), SOCK_STREAM);

    if ((!nameless && name != NULL && SSL_set_tlsext_host_name(ssl, name) != 1) || SSL_set_fd(ssl, fd) != 1)
        die("target");
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *first = option(argv, "first", PINNED);
    const char *second = option(argv, "second", PINNED);
    const char *load = option(argv, "load", NULL);
    const char *save = option(argv, "save", NULL);
    const char *way = argc > 3 ? argv[3] : "";
    SSL_SESSION *session = NULL;
    SSL *from = NULL;
    SSL *ssl;
    bool late = word(argv, "late");
    bool done;
    FILE *file;

    if (load == NULL) {
        from = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), first);
        if (show("first SSL_connect", from, SSL_connect(from)) != 1 || !fetch(from))
            return 2;
        SSL_shutdown(from);
        session = SSL_get1_session(from);
        if (session == NULL || !SSL_SESSION_is_resumable(session))
            die("no session to resume");
        if (strcmp(way, "rewritten") == 0)
            rewrite(session, read_certificate(option(argv, "certificate", "")));
        if (strcmp(way, "by-hand") == 0)
            verify_by_hand(from, read_certificate(option(argv, "certificate", "")));
    }
    if (save != NULL) {
        file = fopen(save, "w");
        if (file == NULL || PEM_write_SSL_SESSION(file, session) != 1 || fclose(file) != 0)
            die(save);
        return 0;
    }
    if (load != NULL) {
        file = fopen(load, "r");
        session = file != NULL ? PEM_read_SSL_SESSION(file, NULL, NULL, NULL) : NULL;
        if (session == NULL)
            die(load);
        fclose(file);
    }
    if (strcmp(way, "der") == 0)
        session = through_der(session);
    if (strcmp(way, "pem") == 0)
        session = through_pem(session);
    if (strcmp(way, "clear") == 0) {
        SSL_clear(from);
        ssl = from;
        target(ssl, argv, second);
    } else {
        ssl = SSL_new(ctx);
        if (!late)
            target(ssl, argv, strcmp(way, "named") == 0 ? first : word(argv, "ciphers") ? NULL : second);
        if (strcmp(way, "copy") == 0) {
            if (SSL_copy_session_id(ssl, from) != 1)
                die("SSL_copy_session_id");
        } else if (strcmp(way, "callback") == 0) {
            in_callback = session;
            SSL_set_info_callback(ssl, give_session);
        } else if (strcmp(way, "asked") == 0) {
            in_callback = session;
            SSL_set_security_callback(ssl, give_when_asked);
        } else if (SSL_set_session(ssl, session) != 1) {
            die("SSL_set_session");
        }
        if (strcmp(way, "by-hand") == 0 && load != NULL)
            verify_by_hand(ssl, SSL_SESSION_get0_peer(session));
        if (strcmp(way, "named") == 0) {
            name_in_callback = second;
            SSL_set_info_callback(ssl, give_name);
        }
        if (word(argv, "ciphers")) {
            SSL_set_connect_state(ssl);
            sk_SSL_CIPHER_free(SSL_get1_supported_ciphers(ssl));
            printf("session still set: %d\n", SSL_get_session(ssl) != NULL);
            if (!late)
                SSL_set_tlsext_host_name(ssl, second);
        }
        if (strcmp(way, "dup") == 0) {
            ssl = SSL_dup(ssl);
            if (ssl == NULL)
                die("SSL_dup");
            late = true; /* neither the name nor a socket is copied */
        }
        if (late)
            target(ssl, argv, second);
    }
    if (word(argv, "bio")) {
        BIO *bio = BIO_new(BIO_f_ssl());
        char answer[4096];

        SSL_set_connect_state(ssl);
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        done = BIO_puts(bio, REQUEST) > 0;
        done = done && BIO_read(bio, answer, sizeof(answer)) > 0;
    } else {
        done = show("second SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl);
    }
    printf("\nreused: %d\n", SSL_session_reused(ssl));
    return done ? 0 : 1;
}
