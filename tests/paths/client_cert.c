/* client_cert SERVER: a client without a certificate, over a pair of sockets to a server with SERVER.pem that asks for one. It prints whom
 * the server saw, and what certificate is left on the client's SSL. Words:
 * later       the server asks when the handshake is finished (TLS 1.3); with "willing" the client has said that it could answer
 * again       the server asks in a second handshake (TLS 1.2)
 * bio         the client speaks through a chain of BIOs
 * insists     the server ends the connection with an alert where it gets no certificate or, with refuses=ERROR, one that it refuses so
 * own=NAME    the client has NAME.pem; in=ctx, in=ssl: from the start; in=cert_cb, in=ctx_cert_cb, in=client_cb: from its callback of
 *             that kind; in=verify: from its verify callback; in=engine: from an engine (exits with 77 where OpenSSL has none any more)
 * next=NAME   after that the client's SSL is cleared and used with another server, NAME.pem, for the name other.example; in=between: it has
 *             own=NAME set before; with "copied" it is another SSL, after SSL_copy_session_id
 * wants=LIST  the server takes these kinds of signatures only
 * none        that callback has nothing to give; pause: it asks for time once
 * sni=NAME, level=SECURITY-LEVEL */

#include "paths.h"
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif
#include <signal.h>
#include <sys/wait.h>

static char **words;
static int refuses;
static bool paused;

static const char *who = "the server";

static int judge_client(int result, X509_STORE_CTX *store)
{
    (void)result;
    if (refuses == 0)
        return 1;
    X509_STORE_CTX_set_error(store, refuses);
    return 0;
}

static void print_client(SSL *ssl)
{
    char text[256];
    X509 *peer = SSL_SESSION_get0_peer(SSL_get_session(ssl));

    printf("%s saw %s\n", who, peer != NULL ? X509_NAME_oneline(X509_get_subject_name(peer), text, sizeof(text)) : "nobody");
    fflush(stdout);
}

static void serve(int fd, const char *name)
{
    int mode = SSL_VERIFY_PEER | (word(words, "insists") ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    char text[256];

    refuses = atoi(option(words, "refuses", "0"));
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"x", 1);
    SSL_set_session_id_context(ssl, (const unsigned char *)"x", 1);
    SSL_set_options(ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    if (option(words, "level", NULL) != NULL)
        SSL_set_security_level(ssl, 0);
    if (option(words, "cipher", NULL) != NULL)
        (void)SSL_set_cipher_list(ssl, option(words, "cipher", NULL));
    if (option(words, "wants", NULL) != NULL && SSL_set1_client_sigalgs_list(ssl, option(words, "wants", NULL)) != 1)
        die("wants");
    identity(ssl, name);
    if (!word(words, "later") && !word(words, "again"))
        SSL_set_verify(ssl, mode, judge_client);
    if (SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
        _exit(1);
    print_client(ssl);
    SSL_set_verify(ssl, mode, judge_client);
    if ((word(words, "later") && (SSL_verify_client_post_handshake(ssl) != 1 || SSL_do_handshake(ssl) != 1))
        || (word(words, "again") && (SSL_renegotiate(ssl) != 1 || SSL_do_handshake(ssl) != 1)))
        printf("the server cannot ask\n");
    /* Without this mode the read comes back when it has done the handshake. */
    SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    if (word(words, "again") && SSL_read(ssl, text, sizeof(text)) > 0)
        die("data came before the second handshake");
    SSL_set_mode(ssl, SSL_MODE_AUTO_RETRY);
    if (SSL_write(ssl, "hello", 5) != 5 || SSL_read(ssl, text, sizeof(text)) <= 0)
        _exit(1);
    if (word(words, "later") || word(words, "again"))
        print_client(ssl);
    fflush(stdout);
    _exit(0);
}

/* One that has nothing to give goes on without, one that pauses is asked again. */
static int answer(SSL *ssl, const char *who)
{
    printf("%s is asked\n", who);
    if (word(words, "pause") && !paused) {
        paused = true;
        return -1;
    }
    if (!word(words, "none"))
        identity(ssl, option(words, "own", ""));
    return 1;
}

static int cert_cb(SSL *ssl, void *arg)
{
    return arg == words ? answer(ssl, "the program's cert_cb") : 0;
}

static int client_cb(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
    SSL *spare = SSL_new(SSL_get_SSL_CTX(ssl));
    int result = answer(spare, "the program's client_cert_cb");

    if (result == 1 && SSL_get_certificate(spare) != NULL) {
        *certificate = SSL_get_certificate(spare);
        *key = SSL_get_privatekey(spare);
        X509_up_ref(*certificate);
        EVP_PKEY_up_ref(*key);
    } else if (result == 1) {
        result = 0;
    }
    SSL_free(spare);
    return result;
}

#ifndef OPENSSL_NO_ENGINE
static int load(ENGINE *engine, SSL *ssl, STACK_OF(X509_NAME) *issuers, X509 **certificate, EVP_PKEY **key, STACK_OF(X509) **others,
    UI_METHOD *method, void *arg)
{
    (void)engine;
    (void)issuers;
    (void)others;
    (void)method;
    (void)arg;
    return client_cb(ssl, certificate, key);
}

static void set_engine(SSL_CTX *ctx)
{
    ENGINE *engine = ENGINE_new();

    ENGINE_set_id(engine, "own");
    ENGINE_set_name(engine, "own");
    ENGINE_set_load_ssl_client_cert_function(engine, load);
    if (SSL_CTX_set_client_cert_engine(ctx, engine) != 1)
        die("SSL_CTX_set_client_cert_engine");
}
#else
static void set_engine(SSL_CTX *ctx)
{
    (void)ctx;
    exit(77);
}
#endif

static int verify(int result, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    (void)result;
    identity(ssl, option(words, "own", ""));
    return 1;
}

static bool is(const char *name, const char *text)
{
    return strcmp(option(words, name, ""), text) == 0;
}

static void prepare_ctx(SSL_CTX *ctx)
{
    if (option(words, "level", NULL) != NULL)
        SSL_CTX_set_security_level(ctx, atoi(option(words, "level", NULL)));
    if (is("in", "ctx_cert_cb"))
        SSL_CTX_set_cert_cb(ctx, cert_cb, words);
    if (is("in", "engine"))
        set_engine(ctx);
    if (is("in", "client_cb"))
        SSL_CTX_set_client_cert_cb(ctx, client_cb);
    if (is("in", "ctx")) {
        SSL *spare = SSL_new(ctx);

        identity(spare, option(words, "own", ""));
        if (SSL_CTX_use_cert_and_key(ctx, SSL_get_certificate(spare), SSL_get_privatekey(spare), NULL, 1) != 1)
            die("SSL_CTX_use_cert_and_key");
        SSL_free(spare);
    }
}

static int drive(SSL *ssl)
{
    char text[256];
    int result;

    do {
        result = SSL_connect(ssl);
    } while (result <= 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_X509_LOOKUP);
    if (show("SSL_connect", ssl, result) != 1)
        return 0;
    printf("left on the SSL: %s\n", SSL_get_certificate(ssl) != NULL ? "a certificate" : "nothing");
    result = SSL_read(ssl, text, sizeof(text));
    return show("SSL_read", ssl, result > 0 ? 1 : result) == 1 && SSL_write(ssl, "x", 1) == 1;
}

static int drive_chain(SSL *ssl)
{
    BIO *bio = BIO_new(BIO_f_ssl());
    char text[256];

    SSL_set_connect_state(ssl);
    BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
    return BIO_read(bio, text, sizeof(text)) > 0 && BIO_puts(bio, "x") > 0;
}

/* Fork the server. Return the client's end. */
static int fork_server(const char *name, pid_t *pid)
{
    int fds[2];

    fflush(stdout);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || (*pid = fork()) < 0)
        die("fork");
    if (*pid == 0) {
        close(fds[0]);
        serve(fds[1], name);
    }
    close(fds[1]);
    return fds[0];
}

static void end_server(int fd, pid_t pid)
{
    /* The server still sends tickets. */
    shutdown(fd, SHUT_WR);
    fflush(stdout);
    if (waitpid(pid, NULL, 0) != pid)
        die("waitpid");
    close(fd);
}

/* Another server, with the same SSL or, in its place, one that shares its certificates. */
static void go_on(SSL *ssl)
{
    SSL *other = ssl;
    pid_t pid;
    int fd;

    if (word(words, "copied")) {
        other = SSL_new(SSL_get_SSL_CTX(ssl));
        if (other == NULL || SSL_copy_session_id(other, ssl) != 1)
            die("SSL_copy_session_id");
        SSL_set_session(other, NULL);
    } else {
        SSL_clear(ssl);
    }
    if (is("in", "between"))
        identity(other, option(words, "own", ""));
    who = "the next server";
    fd = fork_server(option(words, "next", ""), &pid);
    SSL_set_tlsext_host_name(other, "other.example");
    SSL_set_fd(other, fd);
    (void)drive(other);
    end_server(fd, pid);
}

int main(int argc, char **argv)
{
    int result;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    pid_t pid;

    if (argc < 2)
        return 2;
    words = argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    fd = fork_server(argv[1], &pid);
    ctx = context(argv);
    prepare_ctx(ctx);
    ssl = client(ctx, fd, option(argv, "sni", PINNED));
    if (is("in", "ssl"))
        identity(ssl, option(argv, "own", ""));
    if (is("in", "cert_cb"))
        SSL_set_cert_cb(ssl, cert_cb, words);
    if (is("in", "verify"))
        SSL_set_verify(ssl, SSL_VERIFY_PEER, verify);
    if (word(argv, "willing"))
        SSL_set_post_handshake_auth(ssl, 1);
    result = word(argv, "bio") ? drive_chain(ssl) : drive(ssl);
    end_server(fd, pid);
    if (option(argv, "next", NULL) != NULL)
        go_on(ssl);
    return result == 1 ? 0 : 1;
}
