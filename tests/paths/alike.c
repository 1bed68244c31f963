/* alike lab=DIR TRANSPORT WHAT [drive=CALL] [verify] [callbacks] [sni=NAME] [tls1.2|tls1.3|dtls]: a client and a server in one thread, and all that the
 * client's program can see of the connection, for comparing with and without the shim. TRANSPORT: fd, memory, pair, connect, own (a BIO of the program's
 * own over a pair) or own-socket (one over a socket). WHAT: full, resume, external (a session of the program's own, TLS 1.3), psk, anonymous, secret, early
 * (early data, and calls of CALL between the writes), client (a client certificate), again (a second handshake), fail (no suite in common) or stop (the
 * server hangs up). "callbacks": a security, an info and a verify callback of the program's. "der": the session went through DER. "clear": the second
 * connection is one of the same SSL. "retry": the server asks for another key share. "reject": it takes no early data. "wait": the program reads before the
 * server has answered. "impostor": the second server is another. "change": other pins are in force from the first early data on, those of $PINSHIM_PINS.new. */

#include "paths.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#define SEED 77

static const char *lab, *transport, *what, *drive;
static bool datagrams, callbacks, early_is_over /* for the server */;
static SSL *client_ssl, *server_ssl;
static int listener = -1, client_fd = -1, server_fd = -1;

/* Nothing of it may differ: neither the numbers nor what they are numbers of. */
static void print_queue(void)
{
    unsigned long code;
    const char *data;
    int flags;

    while ((code = ERR_get_error_line_data(NULL, NULL, &data, &flags)) != 0)
        printf("  queue: %d %d \"%s\"\n", ERR_GET_LIB(code), ERR_GET_REASON(code), (flags & ERR_TXT_STRING) != 0 ? data : "");
}

static int told(const char *call, int result)
{
    int number = errno;

    printf("%s: %d, error %d, errno %d, want %d, state %s, init %d %d %d, shutdown %d, pending %d\n", call, result, SSL_get_error(client_ssl, result),
        number, SSL_want(client_ssl), SSL_state_string_long(client_ssl), SSL_in_init(client_ssl), SSL_in_before(client_ssl),
        SSL_is_init_finished(client_ssl), SSL_get_shutdown(client_ssl), SSL_pending(client_ssl));
    print_queue();
    errno = SEED;
    return result;
}

static unsigned get(const unsigned char *at, int bytes)
{
    return bytes == 1 ? *at : (unsigned)(at[0] << 8 | at[1]);
}

/* All of a ClientHello but what is random. */
static void print_hello(const unsigned char *at, size_t length)
{
    const unsigned char *end = at + length;
    size_t size;

    at += datagrams ? 12 : 4;
    printf("  hello: version %04x, session %u", get(at, 2), at[34] != 0);
    at += 35 + at[34];
    if (datagrams) {
        printf(", cookie %u", at[0]);
        at += 1 + at[0];
    }
    printf(", suites");
    for (size = get(at, 2), at += 2; size > 0; size -= 2, at += 2)
        printf(" %04x", get(at, 2));
    at += 1 + at[0];
    printf(", extensions");
    for (at += 2; at + 4 <= end; at += 4 + size) {
        unsigned type = get(at, 2);

        size = get(at + 2, 2);
        /* A ticket has times in it, which take one byte or more. */
        printf(" %u:%zu", type, type == TLSEXT_TYPE_psk || type == TLSEXT_TYPE_session_ticket ? (size_t)(size != 0) : size);
    }
    printf("\n");
}

static void on_message(int sent, int version, int type, const void *bytes, size_t length, SSL *ssl, void *arg)
{
    const unsigned char *at = bytes;

    (void)ssl;
    (void)arg;
    if (type != SSL3_RT_HANDSHAKE && type != SSL3_RT_ALERT && type != SSL3_RT_CHANGE_CIPHER_SPEC)
        return;
    printf("  %s %04x, type %d, %d\n", sent ? "sent" : "received", (unsigned)version, type, type == SSL3_RT_ALERT ? at[1] : at[0]);
    if (sent && type == SSL3_RT_HANDSHAKE && at[0] == SSL3_MT_CLIENT_HELLO)
        print_hello(at, length);
}

static void on_info(const SSL *ssl, int where, int result)
{
    printf("  info: %x, %d, %s\n", (unsigned)where, result, SSL_state_string_long(ssl));
}

static unsigned long asked;

static int on_security(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
    (void)ssl;
    (void)ctx;
    (void)other;
    (void)arg;
    asked = asked * 31 + (unsigned long)(operation * 7 + bits * 3 + nid);
    return 1;
}

static int on_verify(int fine, X509_STORE_CTX *ctx)
{
    printf("  verify: %d, %d, depth %d\n", fine, X509_STORE_CTX_get_error(ctx), X509_STORE_CTX_get_error_depth(ctx));
    return fine;
}

static const unsigned char key[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static unsigned int give_key(SSL *ssl, const char *hint, char *identity, unsigned int identity_size, unsigned char *psk, unsigned int psk_size)
{
    (void)ssl;
    (void)psk_size;
    printf("  asked for a key: %s\n", hint != NULL ? hint : "no hint");
    snprintf(identity, identity_size, "me");
    memcpy(psk, key, sizeof(key));
    return sizeof(key);
}

static unsigned int find_key(SSL *ssl, const char *identity, unsigned char *psk, unsigned int psk_size)
{
    (void)ssl;
    (void)psk_size;
    printf("  key of %s\n", identity);
    memcpy(psk, key, sizeof(key));
    return sizeof(key);
}

static SSL_SESSION *external(SSL *ssl)
{
    static const unsigned char suite[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();

    if (SSL_SESSION_set1_master_key(session, key, sizeof(key)) != 1 || SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, suite)) != 1
        || SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1)
        die("session");
    return session;
}

static int give_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *length, SSL_SESSION **session)
{
    printf("  asked for a session: %d\n", md != NULL);
    *identity = (const unsigned char *)"me";
    *length = 2;
    *session = external(ssl);
    if (md == NULL || md == SSL_CIPHER_get_handshake_digest(SSL_SESSION_get0_cipher(*session)))
        return 1;
    SSL_SESSION_free(*session);
    *session = NULL;
    return 1;
}

static int find_session(SSL *ssl, const unsigned char *identity, size_t length, SSL_SESSION **session)
{
    *session = length == 2 && memcmp(identity, "me", 2) == 0 ? external(ssl) : NULL;
    return 1;
}

static int give_secret(SSL *ssl, void *secret, int *length, STACK_OF(SSL_CIPHER) *suites, const SSL_CIPHER **suite, void *arg)
{
    (void)suites;
    printf("  asked for a secret: %s\n", arg == give_key ? "server" : "client");
    memset(secret, 9, 48);
    *length = 48;
    *suite = arg == give_key ? SSL_CIPHER_find(ssl, (const unsigned char *)"\xc0\x2f") : NULL;
    return 1;
}

static int ask_cookie(SSL *ssl, unsigned char *cookie, unsigned int *length)
{
    (void)ssl;
    memset(cookie, 5, *length = 20);
    return 1;
}

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int length)
{
    (void)ssl;
    return length == 20 && cookie[0] == 5;
}

/* A BIO of the program's own, over another one or a socket. */
static int own_write(BIO *bio, const char *data, int length)
{
    BIO *below = BIO_get_data(bio);
    int done = below != NULL ? BIO_write(below, data, length) : (int)send(client_fd, data, (size_t)length, 0);

    BIO_clear_retry_flags(bio);
    if (done <= 0)
        BIO_set_retry_write(bio);
    return done;
}

static int own_read(BIO *bio, char *data, int length)
{
    BIO *below = BIO_get_data(bio);
    int done = below != NULL ? BIO_read(below, data, length) : (int)recv(client_fd, data, (size_t)length, 0);

    BIO_clear_retry_flags(bio);
    if (done < 0)
        BIO_set_retry_read(bio);
    return done;
}

static long own_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : command == BIO_CTRL_DGRAM_QUERY_MTU ? 1400 : 0;
}

static int own_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO *own(BIO *below)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "own");
    BIO *bio;

    BIO_meth_set_write(method, own_write);
    BIO_meth_set_read(method, own_read);
    BIO_meth_set_ctrl(method, own_control);
    BIO_meth_set_create(method, own_create);
    bio = BIO_new(method);
    BIO_set_data(bio, below);
    return bio;
}

/* Sockets on loopback, whose port is the same in no two runs: it is not printed. */
static void open_sockets(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int type = datagrams ? SOCK_DGRAM : SOCK_STREAM;
    socklen_t length = sizeof(address);

    listener = socket(AF_INET, type, 0);
    client_fd = socket(AF_INET, type, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0
        || (!datagrams && listen(listener, 1) != 0) || connect(client_fd, (struct sockaddr *)&address, length) != 0)
        die("sockets");
    server_fd = datagrams ? listener : accept(listener, NULL, NULL);
    if (datagrams && (getsockname(client_fd, (struct sockaddr *)&address, &length) != 0 || connect(server_fd, (struct sockaddr *)&address, length) != 0))
        die("sockets");
    fcntl(client_fd, F_SETFL, O_NONBLOCK);
    fcntl(server_fd, F_SETFL, O_NONBLOCK);
}

static BIO *over_fd(int fd)
{
    return datagrams ? BIO_new_dgram(fd, BIO_NOCLOSE) : BIO_new_socket(fd, BIO_NOCLOSE);
}

static void attach(void)
{
    BIO *mine = NULL;
    BIO *theirs = NULL;

    if (strcmp(transport, "memory") == 0) {
        BIO *up = BIO_new(BIO_s_mem());
        BIO *down = BIO_new(BIO_s_mem());

        BIO_set_mem_eof_return(up, -1);
        BIO_set_mem_eof_return(down, -1);
        BIO_up_ref(up);
        BIO_up_ref(down);
        SSL_set_bio(client_ssl, down, up);
        SSL_set_bio(server_ssl, up, down);
        return;
    }
    if (strcmp(transport, "pair") == 0 || strcmp(transport, "own") == 0) {
        BIO_new_bio_pair(&mine, 1 << 17, &theirs, 1 << 17);
        if (strcmp(transport, "own") == 0)
            mine = own(mine);
    } else {
        open_sockets();
        theirs = over_fd(server_fd);
        mine = strcmp(transport, "own-socket") == 0 ? own(NULL) : over_fd(client_fd);
    }
    if (strcmp(transport, "connect") == 0) {
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        char port[8];

        close(client_fd);
        close(server_fd);
        BIO_free(mine);
        BIO_free(theirs);
        getsockname(listener, (struct sockaddr *)&address, &length);
        snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
        mine = BIO_new_connect("127.0.0.1");
        BIO_set_conn_port(mine, port);
        if (BIO_do_connect(mine) != 1)
            die("connect");
        BIO_set_nbio(mine, 1);
        server_fd = accept(listener, NULL, NULL);
        fcntl(server_fd, F_SETFL, O_NONBLOCK);
        client_fd = (int)BIO_get_fd(mine, NULL);
        fcntl(client_fd, F_SETFL, O_NONBLOCK);
        theirs = over_fd(server_fd);
    }
    SSL_set_bio(client_ssl, mine, mine);
    SSL_set_bio(server_ssl, theirs, theirs);
}

static void start(SSL_CTX *client_ctx, SSL_CTX *server_ctx, const char *sni)
{
    if (client_ssl == NULL)
        client_ssl = SSL_new(client_ctx);
    else
        printf("SSL_clear: %d\n", SSL_clear(client_ssl));
    server_ssl = SSL_new(server_ctx);
    if (sni != NULL)
        SSL_set_tlsext_host_name(client_ssl, sni);
    if (callbacks) {
        SSL_set_info_callback(client_ssl, on_info);
    }
    SSL_set_msg_callback(client_ssl, on_message);
    attach();
    SSL_set_connect_state(client_ssl);
    SSL_set_accept_state(server_ssl);
    early_is_over = false;
    errno = SEED;
}

static void end(bool kept)
{
    told("SSL_shutdown", SSL_shutdown(client_ssl));
    SSL_shutdown(server_ssl);
    told("SSL_shutdown", SSL_shutdown(client_ssl));
    if (!kept) {
        SSL_free(client_ssl);
        client_ssl = NULL;
    }
    SSL_free(server_ssl);
    print_queue();
}

/* Return how many bytes wait there. */
static uint64_t waiting(int fd)
{
    char datagram[1 << 16];
    int offset = 0;
    int there = 0;
    ssize_t size;

    if (!datagrams)
        return ioctl(fd, FIONREAD, &there) == 0 ? (uint64_t)there : 0;
    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
    while ((size = recv(fd, datagram, sizeof(datagram), MSG_PEEK | MSG_DONTWAIT)) > 0)
        there += (int)size;
    offset = -1;
    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
    return (uint64_t)there;
}

/* Wait until all that the one side has sent is at the other's socket, or read from there, unless nothing comes there any more. */
static void arrive(SSL *from, SSL *to, int fd)
{
    struct pollfd end = {fd, 0, 0};
    uint64_t sent = BIO_number_written(SSL_get_wbio(from));

    for (int i = 0; fd >= 0 && i < 1000 && BIO_number_read(SSL_get_rbio(to)) + waiting(fd) < sent; i++)
        if (poll(&end, 1, 1) > 0)
            break;
    errno = SEED;
}

static bool serve_handshake(void)
{
    bool done = SSL_do_handshake(server_ssl) == 1;

    arrive(server_ssl, client_ssl, client_fd);
    ERR_clear_error();
    return done;
}

static void serve_text(const char *text)
{

    SSL_write(server_ssl, text, (int)strlen(text));
    arrive(server_ssl, client_ssl, client_fd);
    ERR_clear_error();
}

/* One call that drives the client. */
static int step(const char *call, const char *text)
{
    char buffer[100] = "";
    size_t done = 0;
    int result;

    errno = SEED;
    if (strcmp(call, "connect") == 0)
        result = SSL_connect(client_ssl);
    else if (strcmp(call, "handshake") == 0)
        result = SSL_do_handshake(client_ssl);
    else if (strcmp(call, "write") == 0)
        result = SSL_write(client_ssl, text, (int)strlen(text));
    else if (strcmp(call, "write_ex") == 0)
        result = SSL_write_ex(client_ssl, text, strlen(text), &done);
    else if (strcmp(call, "early") == 0)
        result = SSL_write_early_data(client_ssl, text, strlen(text), &done);
    else if (strcmp(call, "read") == 0)
        result = SSL_read(client_ssl, buffer, sizeof(buffer));
    else if (strcmp(call, "read_ex") == 0)
        result = SSL_read_ex(client_ssl, buffer, sizeof(buffer), &done);
    else if (strcmp(call, "peek") == 0)
        result = SSL_peek(client_ssl, buffer, sizeof(buffer));
    else
        result = SSL_peek_ex(client_ssl, buffer, sizeof(buffer), &done);
    (void)told(call, result);
    printf("  done %zu, \"%s\"\n", done, buffer);
    arrive(client_ssl, server_ssl, server_fd);
    return result;
}

/* What the server has got, early or not. */
static void serve(const char *answer)
{
    char buffer[100];
    size_t done = 0;
    int result = SSL_READ_EARLY_DATA_SUCCESS;

    early_is_over |= SSL_is_init_finished(server_ssl);
    while (!early_is_over && (result = SSL_read_early_data(server_ssl, buffer, sizeof(buffer), &done)) == SSL_READ_EARLY_DATA_SUCCESS)
        printf("server: early \"%.*s\"\n", (int)done, buffer);
    early_is_over |= result == SSL_READ_EARLY_DATA_FINISH;
    if (answer != NULL && !early_is_over)
        printf("server: answer %d\n", SSL_write_early_data(server_ssl, answer, strlen(answer), &done));
    while (early_is_over && (result = SSL_read(server_ssl, buffer, sizeof(buffer))) > 0)
        printf("server: \"%.*s\"\n", result, buffer);
    arrive(server_ssl, client_ssl, client_fd);
    ERR_clear_error();
}

static bool shake(const char *call)
{
    bool mine = false;
    bool theirs = false;

    for (int i = 0; i < 12 && !(mine && theirs); i++) {
        if (!mine)
            mine = step(call, "hello") > 0;
        if (strcmp(what, "stop") == 0) {
            shutdown(server_fd, SHUT_RDWR);
            close(server_fd);
            continue;
        }
        theirs = serve_handshake();
        /* A client that reads waits for something to read. */
        if (theirs && i > 0)
            serve_text("welcome");
    }
    return mine;
}

static const char *set(const void *pointer)
{
    return pointer != NULL ? "set" : "none";
}

static void print_state(SSL_CTX *ctx)
{
    SSL_SESSION *session = SSL_get_session(client_ssl);
    STACK_OF(SSL_CIPHER) *suites = SSL_get1_supported_ciphers(client_ssl);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(client_ssl);
    STACK_OF(X509) *verified = SSL_get0_verified_chain(client_ssl);
    X509 *leaf = SSL_get_peer_certificate(client_ssl);
    const unsigned char *alpn;
    unsigned int alpn_length;
    int nid = 0;

    SSL_get0_alpn_selected(client_ssl, &alpn, &alpn_length);
    printf("connection: %s, %s, reused %d, early %d, verify %d %s %ld, depth %d, level %d, suites %d\n", SSL_get_version(client_ssl),
        SSL_get_cipher_name(client_ssl), SSL_session_reused(client_ssl), SSL_get_early_data_status(client_ssl), SSL_get_verify_mode(client_ssl),
        set((void *)SSL_get_verify_callback(client_ssl)), SSL_get_verify_result(client_ssl), SSL_get_verify_depth(client_ssl),
        SSL_get_security_level(client_ssl), sk_SSL_CIPHER_num(suites));
    printf("peer: leaf %s, sent %d, verified %d, signature %d %d, alpn %.*s, name %s, identity %s, hint %s\n", set(leaf), sk_X509_num(chain),
        sk_X509_num(verified), (int)SSL_get_peer_signature_nid(client_ssl, &nid), nid, (int)alpn_length, (const char *)alpn,
        SSL_get_servername(client_ssl, TLSEXT_NAMETYPE_host_name), SSL_get_psk_identity(client_ssl), SSL_get_psk_identity_hint(client_ssl));
    printf("callbacks: security %s %s, info %s, verify %s, own certificate %s %s, options %lx, mode %lx, quiet %d\n",
        SSL_get_security_callback(client_ssl) == on_security ? "own"
            : SSL_get_security_callback(client_ssl) == SSL_CTX_get_security_callback(ctx) ? "the context's" : "another",
        SSL_CTX_get_security_callback(ctx) == on_security ? "own" : set((void *)SSL_CTX_get_security_callback(ctx)),
        set((void *)SSL_get_info_callback(client_ssl)),
        set((void *)SSL_CTX_get_verify_callback(ctx)), set(SSL_get_certificate(client_ssl)), set(SSL_get_privatekey(client_ssl)),
        (unsigned long)SSL_get_options(client_ssl), (unsigned long)SSL_get_mode(client_ssl), SSL_get_quiet_shutdown(client_ssl));
    printf("session: %d, resumable %d, ticket %d, early %u, peer %s, der %d\n", session != NULL, session != NULL && SSL_SESSION_is_resumable(session),
        session != NULL && SSL_SESSION_has_ticket(session), session != NULL ? SSL_SESSION_get_max_early_data(session) : 0,
        session != NULL ? set(SSL_SESSION_get0_peer(session)) : "", session != NULL && i2d_SSL_SESSION(session, NULL) > 0);
    printf("context: mode %d, sessions %ld, connects %ld %ld, hits %ld, level %d, asked %lx\n", SSL_CTX_get_verify_mode(ctx), SSL_CTX_sess_number(ctx),
        SSL_CTX_sess_connect(ctx), SSL_CTX_sess_connect_good(ctx), SSL_CTX_sess_hits(ctx), SSL_CTX_get_security_level(ctx), asked);
    printf("server: %s, %s, reused %d, early %d, verify %d %ld, security %s, identity %s\n", SSL_get_version(server_ssl), SSL_get_cipher_name(server_ssl),
        SSL_session_reused(server_ssl), SSL_get_early_data_status(server_ssl), SSL_get_verify_mode(server_ssl), SSL_get_verify_result(server_ssl),
        set((void *)SSL_get_security_callback(server_ssl)), SSL_get_psk_identity(server_ssl));
    sk_SSL_CIPHER_free(suites);
    X509_free(leaf);
    print_queue();
}

static void show_as(SSL_CTX *ctx, const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s.pem", lab, name);
    if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        die(path);
    snprintf(path, sizeof(path), "%s/%s.key", lab, name);
    if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
        die(path);
}

static SSL_CTX *server_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(datagrams ? DTLS_server_method() : TLS_server_method());

    if (strcmp(what, "anonymous") != 0 && strcmp(what, "psk") != 0)
        show_as(ctx, "good");
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"alike", 5);
    SSL_CTX_set_num_tickets(ctx, 1);
    if (datagrams) {
        SSL_CTX_set_options(ctx, SSL_OP_COOKIE_EXCHANGE);
        SSL_CTX_set_cookie_generate_cb(ctx, ask_cookie);
        SSL_CTX_set_cookie_verify_cb(ctx, check_cookie);
    }
    return ctx;
}

/* What both need for it. */
static void offer_what(SSL_CTX *ctx, SSL_CTX *server_ctx)
{
    const char *suites = strcmp(what, "psk") == 0 ? "PSK:@SECLEVEL=0" : strcmp(what, "anonymous") == 0 ? "aNULL:ALL:@SECLEVEL=0" : NULL;

    if (suites != NULL)
        SSL_CTX_set_cipher_list(ctx, suites), SSL_CTX_set_cipher_list(server_ctx, suites);
    if (strcmp(what, "psk") == 0) {
        SSL_CTX_set_psk_client_callback(ctx, give_key);
        SSL_CTX_set_psk_server_callback(server_ctx, find_key);
        SSL_CTX_use_psk_identity_hint(server_ctx, "guess");
    } else if (strcmp(what, "external") == 0) {
        SSL_CTX_set_psk_use_session_callback(ctx, give_session);
        SSL_CTX_set_psk_find_session_callback(server_ctx, find_session);
    } else if (strcmp(what, "early") == 0) {
        SSL_CTX_set_max_early_data(server_ctx, 1000);
        SSL_CTX_set_options(server_ctx, SSL_OP_NO_ANTI_REPLAY);
    } else if (strcmp(what, "fail") == 0) {
        SSL_CTX_set_max_proto_version(ctx, datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION);
        SSL_CTX_set_cipher_list(ctx, "aDSS:kRSA:@SECLEVEL=0");
        SSL_CTX_set_cipher_list(server_ctx, "ECDHE:!kRSA");
    } else if (strcmp(what, "client") == 0) {
        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_store(server_ctx, SSL_CTX_get_cert_store(ctx));
        X509_STORE_up_ref(SSL_CTX_get_cert_store(ctx));
    }
}

static SSL_SESSION *through_der(SSL_SESSION *session)
{
    unsigned char *der = NULL;
    int length = i2d_SSL_SESSION(session, &der);
    const unsigned char *at = der;

    SSL_SESSION_free(session);
    session = d2i_SSL_SESSION(NULL, &at, length);
    OPENSSL_free(der);
    print_queue();
    return session;
}

int main(int argc, char **argv)
{
    const char *sni = option(argv, "sni", NULL);
    char path[4096];
    SSL_SESSION *session = NULL;
    SSL_CTX *server_ctx;
    SSL_CTX *ctx;

    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    lab = option(argv, "lab", ".");
    transport = argv[2];
    what = argv[3];
    drive = option(argv, "drive", "connect");
    datagrams = word(argv, "dtls");
    callbacks = word(argv, "callbacks");
    server_ctx = server_context();
    ctx = SSL_CTX_new(datagrams ? DTLS_client_method() : TLS_client_method());
    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (word(argv, "tls1.3"))
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    snprintf(path, sizeof(path), "%s/ca.pem", lab);
    if (SSL_CTX_load_verify_locations(ctx, path, NULL) != 1)
        die(path);
    SSL_CTX_set_verify(ctx, word(argv, "verify") ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, callbacks ? on_verify : NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
    offer_what(ctx, server_ctx);
    if (word(argv, "retry") && (SSL_CTX_set1_groups_list(ctx, "X25519:P-384") != 1 || SSL_CTX_set1_groups_list(server_ctx, "P-384") != 1))
        die("groups");
    if (callbacks)
        SSL_CTX_set_security_callback(ctx, on_security);
    if (strcmp(what, "client") == 0)
        show_as(ctx, "good");
    if (strcmp(what, "resume") == 0 || strcmp(what, "early") == 0) {
        start(ctx, server_ctx, sni);
        shake("connect");
        serve_text("ticket");
        step("read", NULL);
        session = SSL_get1_session(client_ssl);
        end(word(argv, "clear"));
        if (word(argv, "der"))
            session = through_der(session);
        if (word(argv, "impostor")) {
            SSL_CTX_set_tlsext_ticket_keys(server_ctx, (void *)path, 80);
            show_as(server_ctx, "impostor");
        }
    }
    start(ctx, server_ctx, sni);
    if (session != NULL)
        printf("SSL_set_session: %d\n", SSL_set_session(client_ssl, session));
    if (strcmp(what, "secret") == 0) {
        SSL_set_session_secret_cb(client_ssl, give_secret, NULL);
        SSL_set_session_secret_cb(server_ssl, give_secret, (void *)give_key);
        SSL_set_session_ticket_ext(client_ssl, (void *)"opaque", 6);
    }
    if (strcmp(what, "early") == 0) {
        if (word(argv, "reject"))
            SSL_set_max_early_data(server_ssl, 0);
        step("early", "one");
        if (word(argv, "change")) {
            snprintf(path, sizeof(path), "%s.new", getenv("PINSHIM_PINS"));
            if (rename(path, getenv("PINSHIM_PINS")) != 0)
                die(path);
        }
        if (word(argv, "wait"))
            step(drive, "nothing");
        serve("two");
        step(drive, "three");
        step("early", "four");
        serve("five");
        step(drive, "six");
        step(drive, "seven");
        step("early", "eight");
        serve(NULL);
        print_state(ctx);
        step("connect", NULL);
        serve(NULL);
        step("early", "nine");
        step("write", "ten");
        serve(NULL);
    } else if (shake(drive)) {
        step("write", "request");
        serve(NULL);
        serve_text("answer");
        step("peek", NULL);
        step("read", NULL);
        step("read_ex", NULL);
        if (strcmp(what, "again") == 0) {
            printf("SSL_renegotiate: %d\n", SSL_renegotiate(client_ssl));
            print_queue();
            shake("handshake");
        }
    }
    print_state(ctx);
    end(false);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    SSL_CTX_free(server_ctx);
    print_queue();
    return 0;
}
