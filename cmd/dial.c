#include "dial.h"

#include "targets.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* The dialogue before TLS starts: send, then read lines up to the reply, which must begin with `expected`. */
struct step {
    const char *send;
    const char *expected;
};

/* Which line is the reply: the next; the next that begins with three digits and a blank (RFC 5321, section 4.2.1); the next that begins with the
 * tag (RFC 3501, section 2.2.2). */
enum reply { REPLY_LINE, REPLY_NUMBER, REPLY_TAG };

static const struct protocol {
    const char *name;
    uint16_t ports[2];
    enum reply reply;
    struct step steps[3];
} protocols[] = {
    {"none", {0}, REPLY_LINE, {{NULL, NULL}}},
    {"smtp", {25, 587}, REPLY_NUMBER, {{"", "220"}, {"EHLO localhost\r\n", "250"}, {"STARTTLS\r\n", "220"}}}, /* RFC 3207 */
    {"imap", {143}, REPLY_TAG, {{"", "* OK"}, {"a STARTTLS\r\n", "a OK"}}}, /* RFC 3501, section 6.2.1 */
    {"pop3", {110}, REPLY_LINE, {{"", "+OK"}, {"STLS\r\n", "+OK"}}}, /* RFC 2595, section 4 */
    {"ftp", {21}, REPLY_NUMBER, {{"", "220"}, {"AUTH TLS\r\n", "234"}}}, /* RFC 4217, section 4 */
    {"postgres", {5432}, REPLY_LINE, {{NULL, NULL}}},
};

static const struct protocol *find(const char *name, uint16_t port)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        const struct protocol *protocol = &protocols[i];

        if (name != NULL ? strcmp(protocol->name, name) == 0 : protocol->ports[0] == port || protocol->ports[1] == port)
            return protocol;
    }
    return name != NULL ? NULL : &protocols[0];
}

bool dial_knows(const char *protocol)
{
    return find(protocol, 0) != NULL;
}

static bool send_all(int fd, const void *bytes, size_t length)
{
    return send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Read a line, without its end. Byte by byte: what follows the last one is TLS. Return false at the end of the connection. */
static bool read_line(int fd, char *line, size_t size)
{
    size_t length = 0;
    char c = 0;

    while (recv(fd, &c, 1, 0) == 1 && c != '\n') {
        if (c != '\r' && length + 1 < size)
            line[length++] = c;
    }
    line[length] = '\0';
    return c == '\n';
}

static bool counts(enum reply reply, bool greeting, const char *line)
{
    if (reply == REPLY_NUMBER)
        return isdigit((unsigned char)line[0]) && isdigit((unsigned char)line[1]) && isdigit((unsigned char)line[2]) && line[3] != '-';
    return reply == REPLY_LINE || greeting || strncmp(line, "a ", 2) == 0;
}

/* SSLRequest of PostgreSQL's protocol 3.0: length, 1234, 5679; answered by one byte. */
static bool begin_postgres(int fd, struct text *problem)
{
    char answer = 0;

    if (send_all(fd, "\0\0\0\10\4\322\26/", 8) && recv(fd, &answer, 1, 0) == 1 && answer == 'S')
        return true;
    text_add(problem, "the server offers no TLS (postgres); is TLS enabled there?");
    return false;
}

/* Run the dialogue before TLS. */
static bool begin(int fd, const struct protocol *protocol, struct text *problem)
{
    char line[600] = "";

    if (strcmp(protocol->name, "postgres") == 0)
        return begin_postgres(fd, problem);
    for (size_t i = 0; i < sizeof(protocol->steps) / sizeof(protocol->steps[0]) && protocol->steps[i].send != NULL; i++) {
        const struct step *step = &protocol->steps[i];
        bool answered = send_all(fd, step->send, strlen(step->send));

        do {
            answered = answered && read_line(fd, line, sizeof(line));
        } while (answered && !counts(protocol->reply, i == 0, line));
        if (answered && strncmp(line, step->expected, strlen(step->expected)) == 0)
            continue;
        text_add(problem, "the server does not start TLS (%s): it %s", protocol->name, answered ? "answers \"" : "closed the connection");
        text_add_escaped(problem, line, answered ? strlen(line) : 0, 80);
        text_add(problem, "%s; --starttls selects another protocol, or none", answered ? "\"" : "");
        return false;
    }
    return true;
}

/* Connect to one address. connect() respects the time limit for sending. */
static int connect_to(const struct addrinfo *address, unsigned milliseconds)
{
    struct timeval limit = {(time_t)(milliseconds / 1000), (suseconds_t)(milliseconds % 1000) * 1000};
    static const struct timeval none = {0, 0};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
        return fd;
    }
    saved = errno == EINPROGRESS ? ETIMEDOUT : errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

/* Return a socket, or -1 with what is wrong. */
static int reach(const struct host *host, unsigned seconds, const char *volatile *stage, struct host *address, struct text *problem)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char buffer[300];
    struct text text = text_over(buffer, sizeof(buffer));
    char port[8];
    struct text port_text = text_over(port, sizeof(port));
    unsigned count = 0;
    int fd = -1;
    int error;

    /* An IPv6 address is resolved without its brackets. */
    host_print_bare(host, &text);
    text_add(&port_text, "%u", host->port);
    *stage = "resolving its name";
    error = getaddrinfo(buffer, port, &hints, &addresses);
    if (error != 0) {
        text_add(problem, "cannot resolve its name: %s; is it spelled right?", error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return -1;
    }
    *stage = "connecting";
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next)
        count++;
    for (const struct addrinfo *at = addresses; fd < 0 && at != NULL; at = at->ai_next) {
        fd = connect_to(at, seconds * 1000 / count);
        error = errno;
        if (!host_from_sockaddr(at->ai_addr, at->ai_addrlen, address))
            memset(address, 0, sizeof(*address));
    }
    freeaddrinfo(addresses);
    if (fd < 0) {
        text_add(problem, "cannot connect to ");
        host_print(address, problem);
        text_add(problem, ": %s; is the server running, on this port?", strerror(error));
    }
    return fd;
}

/* Called when the server requests a client certificate. By then it has proven possession of its own key. It may end the handshake if
 * it gets none, so what it has presented is kept here. */
static int note_request(SSL *ssl, void *arg)
{
    struct dialled *dialled = arg;

    dialled->asks = true;
    if (dialled->chain == NULL && SSL_get_peer_cert_chain(ssl) != NULL)
        dialled->chain = X509_chain_up_ref(SSL_get_peer_cert_chain(ssl));
    return 1;
}

static int accept_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static void explain(struct text *problem)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    if (reason == NULL)
        reason = errno != 0 ? strerror(errno) : "the server closed the connection";
    text_add(problem, "the TLS handshake failed: %s", reason);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL
        && (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER || ERR_GET_REASON(code) == SSL_R_PACKET_LENGTH_TOO_LONG
            || ERR_GET_REASON(code) == SSL_R_UNSUPPORTED_PROTOCOL))
        text_add(problem, "; does it use TLS on this port from the first byte? If not: --starttls");
    else
        text_add(problem, "; does it use TLS on this port, and for this name?");
}

/* Accept old versions and weak keys: no data are sent to the server, and its certificate is checked against pins. */
static SSL_CTX *make_context(struct dialled *out)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    (void)SSL_CTX_set_cipher_list(ctx, "DEFAULT:@SECLEVEL=0");
#ifdef SSL_OP_LEGACY_SERVER_CONNECT
    (void)SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
#endif
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    SSL_CTX_set_cert_cb(ctx, note_request, out);
    return ctx;
}

static bool shake_hands(const struct host *host, struct dialled *out, struct text *problem)
{
    out->ctx = make_context(out);
    out->ssl = out->ctx != NULL ? SSL_new(out->ctx) : NULL;
    if (out->ssl == NULL || SSL_set_fd(out->ssl, out->fd) != 1
        || (host->kind == HOST_NAME && SSL_set_tlsext_host_name(out->ssl, host->name) != 1)) {
        text_add(problem, "OpenSSL cannot make a connection");
        return false;
    }
    ERR_clear_error();
    errno = 0;
    if (SSL_connect(out->ssl) != 1 && out->chain == NULL) {
        explain(problem);
        return false;
    }
    if (out->chain == NULL && SSL_get_peer_cert_chain(out->ssl) != NULL)
        out->chain = X509_chain_up_ref(SSL_get_peer_cert_chain(out->ssl));
    if (sk_X509_num(out->chain) > 0)
        return true;
    text_add(problem, "the server presents no certificate");
    return false;
}

bool dial(const struct host *host, const char *protocol, unsigned seconds, const char *volatile *stage, struct dialled *out,
    struct text *problem)
{
    bool fine;

    memset(out, 0, sizeof(*out));
    out->fd = reach(host, seconds, stage, &out->address, problem);
    if (out->fd < 0)
        return false;
    *stage = "waiting for it to start TLS";
    fine = begin(out->fd, find(protocol, host->port), problem);
    *stage = "in the TLS handshake";
    fine = fine && shake_hands(host, out, problem);
    if (!fine)
        dial_close(out);
    ERR_clear_error();
    return fine;
}

void dial_close(struct dialled *dialled)
{
    if (dialled->ssl != NULL && SSL_is_init_finished(dialled->ssl))
        (void)SSL_shutdown(dialled->ssl);
    sk_X509_pop_free(dialled->chain, X509_free);
    SSL_free(dialled->ssl);
    SSL_CTX_free(dialled->ctx);
    (void)close(dialled->fd);
    ERR_clear_error();
    memset(dialled, 0, sizeof(*dialled));
}

bool dial_host(const char *string, struct host *out, struct text *problem)
{
    char buffer[1100];
    struct text target = text_over(buffer, sizeof(buffer));

    if (strstr(string, "://") != NULL) {
        text_add(problem, "this is a URL; write only the host, as in example.com or example.com:443");
        return false;
    }
    if (host_parse(string, strlen(string), out) != HOST_UNREADABLE)
        host_print(out, &target);
    /* A host that cannot be a target can have no rule. */
    if (targets_valid(buffer))
        return true;
    text_add(problem, "this is neither a file nor a host; expected a file's path, or a name, an IPv4 address or an IPv6 address in "
        "brackets, each with or without :PORT");
    return false;
}
