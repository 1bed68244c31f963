/* A TLS client that does what its arguments say, in their order, and prints what every call gave. The tests compare its runs.
 *
 * Set-up:  ca=FILE identity=FILE (FILE.pem, FILE.key) cipher=LIST tls1.2 verify=none|peer show-verify callback=accept|none
 *          sni=NAME resolve=NAME open=PORT client
 *          seed (entries in the error queue and errno before every call) seed=mark (and back to a mark among them after it)
 *          nonblock (the socket that is opened next, and after it) wait (for something to read, a second at most)
 *          shut=N (SSL_set_shutdown) wreck (the socket is at its end for reading)
 * Calls:   connect handshake accept write=TEXT write_ex=TEXT read read_ex peek peek_ex shutdown sendfile early=TEXT state
 *          bad-write bad-read bad-peek (-1 bytes) renegotiate
 *          clear connect-state accept-state bio-reset (of a chain with the SSL: the SSL begins anew)
 * must:    ends the program with 1 if the last call failed */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEED_ERRNO 12345

static SSL_CTX *ctx;
static SSL *ssl;
static const char *sni;
static int fd = -1;
static bool seeded;
static bool to_mark;
static bool failed;
static bool nonblocking;
static struct in_addr address = {0};
static char own_argument[] = "argument";

static void die(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(2);
}

static int show_verify(int ok, X509_STORE_CTX *store)
{
    printf("verify callback: ok %d, error %d, depth %d\n", ok, X509_STORE_CTX_get_error(store),
        X509_STORE_CTX_get_error_depth(store));
    return ok;
}

static int accept_all(X509_STORE_CTX *store, void *arg)
{
    printf("own callback: certificate %s, argument %s\n", X509_STORE_CTX_get0_cert(store) != NULL ? "given" : "missing",
        arg == own_argument ? "kept" : "lost");
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static SSL *the_ssl(void)
{
    if (ssl == NULL && ((ssl = SSL_new(ctx)) == NULL || (sni != NULL && SSL_set_tlsext_host_name(ssl, sni) != 1)))
        die("SSL_new");
    return ssl;
}

static void open_socket(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = address};
    int before = fd;

    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || (nonblocking && fcntl(fd, F_SETFL, O_NONBLOCK) != 0))
        die("connect");
    if (SSL_set_fd(the_ssl(), fd) != 1)
        die("SSL_set_fd");
    if (before >= 0)
        close(before);
}

static void resolve(const char *name)
{
    struct hostent *found = gethostbyname(name);

    if (found == NULL || found->h_addrtype != AF_INET)
        die(name);
    memcpy(&address, found->h_addr_list[0], sizeof(address));
}

/* What the program had in its error queue and in errno before the call. */
static void prepare(void)
{
    ERR_clear_error();
    errno = 0;
    if (!seeded)
        return;
    ERR_put_error(ERR_LIB_USER, 0, 101, "first.c", 1);
    ERR_add_error_data(1, "first");
    ERR_put_error(ERR_LIB_USER, 0, 102, "second.c", 2);
    ERR_add_error_data(1, "second");
    ERR_set_mark();
    ERR_put_error(ERR_LIB_USER, 0, 103, "third.c", 3);
    errno = SEED_ERRNO;
}

static void report(const char *call, long result, bool bytes)
{
    int error_number = errno;
    int error = SSL_get_error(ssl, (int)result);
    unsigned long code;
    const char *file;
    const char *data;
    int line;
    int flags;

    failed = result <= 0;
    printf("%s: returned %ld%s, error %d, errno %d, verify result %ld\n", call, bytes && result > 0 ? 1 : result,
        bytes && result > 0 ? " or more" : "", error, error_number, SSL_get_verify_result(ssl));
    if (to_mark)
        printf("back to the mark: %d\n", ERR_pop_to_mark());
    while ((code = ERR_get_error_line_data(&file, &line, &data, &flags)) != 0) {
        printf("queue: library %d, reason %d", ERR_GET_LIB(code), ERR_GET_REASON(code));
        if (ERR_GET_LIB(code) == ERR_LIB_USER)
            printf(", %s:%d, \"%s\"", file, line, (flags & ERR_TXT_STRING) != 0 ? data : "");
        printf("\n");
    }
    ERR_clear_error();
}

static void show_state(void)
{
    int (*callback)(int, X509_STORE_CTX *) = SSL_get_verify_callback(ssl);

    printf("state: mode %d, context's mode %d, callback %s, context's callback %s, depth %d, verify result %ld, server %d, %s\n",
        SSL_get_verify_mode(ssl), SSL_CTX_get_verify_mode(ctx),
        callback == NULL ? "none" : callback == show_verify ? "own" : "other",
        SSL_CTX_get_verify_callback(ctx) == NULL ? "none" : SSL_CTX_get_verify_callback(ctx) == show_verify ? "own" : "other",
        SSL_get_verify_depth(ssl), SSL_get_verify_result(ssl), SSL_is_server(ssl), SSL_state_string_long(ssl));
}

static void reset_chain(void)
{
    BIO *chain = BIO_new(BIO_f_ssl());

    if (chain == NULL || BIO_set_ssl(chain, ssl, BIO_NOCLOSE) != 1)
        die("BIO_f_ssl");
    (void)BIO_reset(chain);
    /* The SSL's own BIO was reset as well, which no socket minds. */
    BIO_free(chain);
}

/* Not in 1.1.1, and nothing comes of it without kernel TLS. */
static int send_file(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    return (int)SSL_sendfile(ssl, 0, 0, 1, 0);
#else
    return -1;
#endif
}

static bool call(const char *name, const char *text)
{
    char buffer[4096];
    size_t done = 0;
    int result;

    if (ssl == NULL)
        return false;
    prepare();
    if (strcmp(name, "connect") == 0) {
        result = SSL_connect(ssl);
        report(name, result, false);
    } else if (strcmp(name, "handshake") == 0) {
        result = SSL_do_handshake(ssl);
        report(name, result, false);
    } else if (strcmp(name, "write") == 0) {
        result = SSL_write(ssl, text, (int)strlen(text));
        report(name, result, true);
    } else if (strcmp(name, "write_ex") == 0) {
        result = SSL_write_ex(ssl, text, strlen(text), &done);
        report(name, result, false);
    } else if (strcmp(name, "read") == 0) {
        result = SSL_read(ssl, buffer, sizeof(buffer));
        report(name, result, true);
    } else if (strcmp(name, "read_ex") == 0) {
        result = SSL_read_ex(ssl, buffer, sizeof(buffer), &done);
        report(name, result, false);
    } else if (strcmp(name, "peek") == 0) {
        result = SSL_peek(ssl, buffer, sizeof(buffer));
        report(name, result, true);
    } else if (strcmp(name, "peek_ex") == 0) {
        result = SSL_peek_ex(ssl, buffer, sizeof(buffer), &done);
        report(name, result, false);
    } else if (strcmp(name, "accept") == 0) {
        result = SSL_accept(ssl);
        report(name, result, false);
    } else if (strcmp(name, "bad-write") == 0) {
        result = SSL_write(ssl, buffer, -1);
        report(name, result, false);
    } else if (strcmp(name, "bad-read") == 0) {
        result = SSL_read(ssl, buffer, -1);
        report(name, result, false);
    } else if (strcmp(name, "bad-peek") == 0) {
        result = SSL_peek(ssl, buffer, -1);
        report(name, result, false);
    } else if (strcmp(name, "shutdown") == 0) {
        result = SSL_shutdown(ssl);
        report(name, result, false);
    } else if (strcmp(name, "sendfile") == 0) {
        result = send_file();
        report(name, result, false);
    } else if (strcmp(name, "early") == 0) {
        result = SSL_write_early_data(ssl, text, strlen(text), &done);
        report(name, result, false);
    } else if (strcmp(name, "renegotiate") == 0) {
        result = SSL_renegotiate(ssl);
        report(name, result, false);
    } else if (strcmp(name, "wait") == 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        (void)poll(&ready, 1, 1000);
    } else if (strcmp(name, "shut") == 0) {
        SSL_set_shutdown(ssl, atoi(text));
        printf("shut: %d\n", SSL_get_shutdown(ssl));
    } else if (strcmp(name, "wreck") == 0) {
        (void)shutdown(fd, SHUT_RD);
    } else if (strcmp(name, "connect-state") == 0) {
        SSL_set_connect_state(ssl);
    } else if (strcmp(name, "accept-state") == 0) {
        SSL_set_accept_state(ssl);
    } else if (strcmp(name, "bio-reset") == 0) {
        reset_chain();
    } else if (strcmp(name, "clear") == 0) {
        printf("clear: returned %d\n", SSL_clear(ssl));
    } else if (strcmp(name, "state") == 0) {
        show_state();
    } else {
        return false;
    }
    return true;
}

/* The settings of the context come before the first step that needs the SSL, which takes them over. */
static bool set_up(const char *name, const char *text)
{
    char path[4096];

    if (ssl != NULL && strcmp(name, "open") != 0 && strcmp(name, "nonblock") != 0 && strcmp(name, "client") != 0 && strcmp(name, "callback") != 0)
        die("a setting that comes too late");
    if (strcmp(name, "ca") == 0) {
        if (SSL_CTX_load_verify_locations(ctx, text, NULL) != 1)
            die("ca");
    } else if (strcmp(name, "identity") == 0) {
        snprintf(path, sizeof(path), "%s.pem", text);
        if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
            die("identity");
        snprintf(path, sizeof(path), "%s.key", text);
        if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
            die("identity");
    } else if (strcmp(name, "cipher") == 0) {
        if (SSL_CTX_set_cipher_list(ctx, text) != 1)
            die("cipher");
    } else if (strcmp(name, "tls1.2") == 0) {
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    } else if (strcmp(name, "verify") == 0) {
        SSL_CTX_set_verify(ctx, strcmp(text, "peer") == 0 ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    } else if (strcmp(name, "show-verify") == 0) {
        SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), show_verify);
    } else if (strcmp(name, "callback") == 0) {
        bool accept = strcmp(text, "accept") == 0;

        SSL_CTX_set_cert_verify_callback(ctx, accept ? accept_all : NULL, accept ? own_argument : NULL);
    } else if (strcmp(name, "sni") == 0) {
        sni = text;
    } else if (strcmp(name, "resolve") == 0) {
        resolve(text);
    } else if (strcmp(name, "nonblock") == 0) {
        nonblocking = true;
        if (fd >= 0)
            (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    } else if (strcmp(name, "open") == 0) {
        open_socket(text);
    } else if (strcmp(name, "client") == 0) {
        SSL_set_connect_state(the_ssl());
    } else if (strcmp(name, "seed") == 0) {
        seeded = true;
        to_mark = strcmp(text, "mark") == 0;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    address.s_addr = htonl(INADDR_LOOPBACK);
    ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        die("SSL_CTX_new");
    for (int i = 1; i < argc; i++) {
        char *text = strchr(argv[i], '=');

        if (text != NULL)
            *text++ = '\0';
        else
            text = argv[i] + strlen(argv[i]);
        if (strcmp(argv[i], "must") == 0) {
            if (failed)
                return 1;
            continue;
        }
        if (!call(argv[i], text) && !set_up(argv[i], text)) {
            fprintf(stderr, "probe: unknown step: %s\n", argv[i]);
            return 2;
        }
    }
    return 0;
}
