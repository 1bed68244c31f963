#include "dial.h"

#include "targets.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
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
 * tag (RFC 3501, section 2.2.2), or with OK, NO or BYE (RFC 5804, section 1.2). */
enum reply { REPLY_LINE, REPLY_NUMBER, REPLY_TAG, REPLY_WORD };

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
    {"sieve", {4190}, REPLY_WORD, {{"", "OK"}, {"STARTTLS\r\n", "OK"}}}, /* RFC 5804, section 2.2 */
    {"nntp", {119}, REPLY_NUMBER, {{"", "20"}, {"STARTTLS\r\n", "382"}}}, /* RFC 4642, section 2.2 */
    {"postgres", {5432}, REPLY_LINE, {{NULL, NULL}}},
    {"mysql", {3306}, REPLY_LINE, {{NULL, NULL}}},
    {"ldap", {389}, REPLY_LINE, {{NULL, NULL}}},
    {"xmpp", {5222, 5269}, REPLY_LINE, {{NULL, NULL}}},
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
    if (reply == REPLY_WORD)
        return strncmp(line, "OK", 2) == 0 || strncmp(line, "NO", 2) == 0 || strncmp(line, "BYE", 3) == 0;
    return reply == REPLY_LINE || greeting || strncmp(line, "a ", 2) == 0;
}

/* SSLRequest of PostgreSQL's protocol 3.0: length, 1234, 5679; answered by one byte. */
static bool begin_postgres(int fd)
{
    char answer = 0;

    return send_all(fd, "\0\0\0\10\4\322\26/", 8) && recv(fd, &answer, 1, 0) == 1 && answer == 'S';
}

static bool read_all(int fd, void *bytes, size_t size)
{
    for (size_t length = 0; length < size;) {
        ssize_t got = recv(fd, (char *)bytes + length, size - length, 0);

        if (got <= 0)
            return false;
        length += (size_t)got;
    }
    return true;
}

/* SSLRequest of MySQL's protocol 4.1, after the server's greeting (version 10), which says whether it has TLS: a packet has its length in three bytes, and a
 * number. */
static bool begin_mysql(int fd)
{
    static const unsigned char request[36] = {32, 0, 0, 1, 0, 0x8a, 0, 0, 0, 0, 0, 1, 33};
    unsigned char head[4];
    unsigned char greeting[1024] = "";
    const unsigned char *rest;
    size_t size;

    if (!read_all(fd, head, sizeof(head)))
        return false;
    size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    if (size < 32 || size > sizeof(greeting) || !read_all(fd, greeting, size) || greeting[0] != 10)
        return false;
    /* The version's name, the thread, the salt and a zero are before the abilities; CLIENT_SSL is 0x0800. */
    rest = memchr(greeting + 1, '\0', size - 16);
    return rest != NULL && rest + 16 <= greeting + size && (rest[15] & 0x08) != 0 && send_all(fd, request, sizeof(request));
}

/* The extended request StartTLS, and a response with the result 0 (RFC 4511, sections 4.12 and 4.14). */
static bool begin_ldap(int fd)
{
    static const char request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" "1.3.6.1.4.1.1466.20037";
    unsigned char response[512];
    size_t skip = 0;
    size_t size;

    if (!send_all(fd, request, sizeof(request) - 1) || !read_all(fd, response, 2) || response[0] != 0x30)
        return false;
    size = response[1];
    if (size >= 0x80) {
        /* In some bytes that follow. */
        unsigned char bytes[4] = {0};

        if (size > 0x84 || !read_all(fd, bytes, size - 0x80))
            return false;
        skip = size - 0x80;
        size = 0;
        for (size_t i = 0; i < skip; i++)
            size = size << 8 | bytes[i];
    }
    if (size < 8 || size > sizeof(response) || !read_all(fd, response, size))
        return false;
    for (size_t i = 3; i + 2 < size; i++) {
        if (response[i] == 0x0a && response[i + 1] == 1)
            return response[3] == 0x78 && response[i + 2] == 0;
    }
    return false;
}

/* Read up to the string, byte by byte. */
static bool read_until(int fd, const char *end, char *out, size_t size)
{
    size_t length = 0;

    while (length + 1 < size && recv(fd, out + length, 1, 0) == 1) {
        out[++length] = '\0';
        if (length >= strlen(end) && strcmp(out + length - strlen(end), end) == 0)
            return true;
    }
    return false;
}

/* RFC 6120, section 5.4. */
static bool begin_xmpp(int fd, const struct host *host)
{
    char buffer[8192];
    char name[300];
    struct text text = text_over(name, sizeof(name));
    struct text header = text_over(buffer, sizeof(buffer));

    host_print_bare(host, &text);
    text_add(&header, "<?xml version='1.0'?><stream:stream to='%s' xmlns='jabber:%s' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>", name,
        host->port == 5269 ? "server" : "client");
    return send_all(fd, buffer, header.length) && read_until(fd, "</stream:features>", buffer, sizeof(buffer)) && strstr(buffer, "<starttls") != NULL
        && send_all(fd, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", 51) && read_until(fd, ">", buffer, sizeof(buffer))
        && strstr(buffer, "<proceed") != NULL;
}

/* Run the dialogue before TLS. */
static bool begin(int fd, const struct protocol *protocol, const struct host *host, struct text *problem)
{
    char line[600] = "";
    const char *name = protocol->name;

    if (strcmp(name, "none") != 0 && protocol->steps[0].send == NULL) {
        if (strcmp(name, "postgres") == 0   ? begin_postgres(fd)
                : strcmp(name, "mysql") == 0 ? begin_mysql(fd)
                : strcmp(name, "ldap") == 0  ? begin_ldap(fd)
                                             : begin_xmpp(fd, host))
            return true;
        text_add(problem, "the server offers no TLS (%s); is TLS enabled there? --starttls selects another protocol, or none", name);
        return false;
    }
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

static bool is_link_local(const struct host *host)
{
    return host->kind == HOST_ADDRESS && host->address[0] == 0xfe && (host->address[1] & 0xc0) == 0x80;
}

void dial_print_address(const struct host *address, struct text *out)
{
    host_print_bare(address, out);
    if (address->name[0] == '%')
        text_add_escaped(out, address->name, strlen(address->name), IF_NAMESIZE);
}

void dial_print(const struct host *address, struct text *out)
{
    if (address->name[0] != '%') {
        host_print(address, out);
        return;
    }
    text_add_string(out, "[");
    dial_print_address(address, out);
    text_add(out, "]:%u", (unsigned)address->port);
}

/* Add the address, unless it is there. `scope`: the number of its interface; 0: none. */
static void add_address(struct dial_addresses *out, struct host *address, uint32_t scope, uint16_t port)
{
    char name[IF_NAMESIZE];

    if (out->count == DIAL_ADDRESSES)
        return;
    if (scope != 0 && is_link_local(address) && if_indextoname(scope, name) != NULL)
        (void)snprintf(address->name, sizeof(address->name), "%%%s", name);
    for (size_t i = 0; i < out->count; i++) {
        if (host_same(&out->at[i], address) && strcmp(out->at[i].name, address->name) == 0)
            return;
    }
    address->port = port;
    out->at[out->count++] = *address;
}

/* A rule names no interface. */
static bool add_interfaces(const struct host *host, struct dial_addresses *out)
{
    struct if_nameindex *interfaces = if_nameindex();

    out->guessed = true;
    for (const struct if_nameindex *at = interfaces; at != NULL && at->if_index != 0; at++) {
        struct host address = *host;

        address.name[0] = '\0';
        add_address(out, &address, at->if_index, host->port);
    }
    if_freenameindex(interfaces);
    return out->count > 0;
}

bool dial_find(const struct host *host, const char *volatile *stage, struct dial_addresses *out, struct text *problem)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char buffer[300];
    struct text text = text_over(buffer, sizeof(buffer));
    int error;

    out->count = 0;
    out->guessed = false;
    *stage = "resolving its name";
    if (is_link_local(host) && host->name[0] != '%' && add_interfaces(host, out))
        return true;
    /* An IPv6 address is resolved without its brackets. */
    dial_print_address(host, &text);
    error = getaddrinfo(buffer, NULL, &hints, &addresses);
    if (error != 0) {
        text_add(problem, "cannot resolve its name: %s; is it spelled right?", error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return false;
    }
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        struct host address;

        if (host_from_sockaddr(at->ai_addr, at->ai_addrlen, &address))
            add_address(out, &address, at->ai_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)at->ai_addr)->sin6_scope_id : 0, host->port);
    }
    freeaddrinfo(addresses);
    return out->count > 0;
}

/* Return a socket, or -1 with what is wrong. */
static int reach(const struct host *address, unsigned milliseconds, bool *nowhere, struct text *problem)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct addrinfo to = {.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&in6, .ai_addrlen = sizeof(in6)};
    int fd;

    memcpy(&in6.sin6_addr, address->address, sizeof(in6.sin6_addr));
    if (address->name[0] == '%')
        in6.sin6_scope_id = if_nametoindex(address->name + 1);
    if (memcmp(address->address, mapped, sizeof(mapped)) == 0) {
        memcpy(&in.sin_addr, address->address + 12, sizeof(in.sin_addr));
        to = (struct addrinfo) {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&in, .ai_addrlen = sizeof(in)};
    }
    fd = connect_to(&to, milliseconds);
    *nowhere = fd < 0 && (errno == ENETUNREACH || errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
    if (fd < 0) {
        int error = errno;

        text_add(problem, "cannot connect to ");
        dial_print(address, problem);
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
static SSL_CTX *make_context(enum dial_key key, struct dialled *out)
{
    static const char *const ciphers[] = {
        [DIAL_ANY] = "DEFAULT:@SECLEVEL=0", [DIAL_RSA] = "aRSA:@SECLEVEL=0", [DIAL_EC] = "aECDSA:@SECLEVEL=0"};
    static const char *const algorithms[] = {
        [DIAL_RSA] = "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
        [DIAL_EC] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:ECDSA+SHA1"};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    (void)SSL_CTX_set_cipher_list(ctx, ciphers[key]);
    if (key != DIAL_ANY && SSL_CTX_set1_sigalgs_list(ctx, algorithms[key]) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
#ifdef SSL_OP_LEGACY_SERVER_CONNECT
    (void)SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
#endif
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    SSL_CTX_set_cert_cb(ctx, note_request, out);
    return ctx;
}

static bool shake_hands(const struct host *host, enum dial_key key, struct dialled *out, struct text *problem)
{
    out->ctx = make_context(key, out);
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

bool dial(const struct host *host, const struct host *address, enum dial_key key, const char *protocol, unsigned milliseconds,
    const char *volatile *stage, struct dialled *out, struct text *problem)
{
    bool nowhere;
    bool fine;

    memset(out, 0, sizeof(*out));
    *stage = "connecting";
    out->address = *address;
    out->fd = reach(address, milliseconds, &nowhere, problem);
    out->nowhere = nowhere;
    if (out->fd < 0)
        return false;
    *stage = "waiting for it to start TLS";
    fine = begin(out->fd, find(protocol, host->port), host, problem);
    *stage = "in the TLS handshake";
    fine = fine && shake_hands(host, key, out, problem);
    if (!fine)
        dial_close(out);
    ERR_clear_error();
    return fine;
}

enum dial_key dial_other_key(const struct dialled *dialled)
{
    EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(dialled->chain, 0));

    return key == NULL ? DIAL_ANY : EVP_PKEY_base_id(key) == EVP_PKEY_RSA || EVP_PKEY_base_id(key) == EVP_PKEY_RSA_PSS ? DIAL_EC : DIAL_RSA;
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
    char without[HOST_NAME_MAX_LENGTH + 1];
    struct text target = text_over(buffer, sizeof(buffer));
    struct text address = text_over(without, sizeof(without));
    const char *zone = strchr(string, '%');
    size_t length = zone != NULL ? strcspn(zone, "]") : 0;

    if (strstr(string, "://") != NULL) {
        text_add(problem, "this is a URL; write only the host, as in example.com or example.com:443");
        return false;
    }
    if (zone != NULL)
        text_add(&address, "%.*s%s", (int)(zone - string), string, zone + length);
    if (zone != NULL && (host_parse(without, strlen(without), out) == HOST_UNREADABLE || !is_link_local(out) || length < 2 || length > IF_NAMESIZE)) {
        text_add(problem, "a \"%%\" is only before the interface of a link-local address, as in [fe80::1%%eth0]:443");
        return false;
    }
    if (zone != NULL || host_parse(string, strlen(string), out) != HOST_UNREADABLE)
        host_print(out, &target);
    if (out->kind == HOST_ADDRESS)
        (void)snprintf(out->name, sizeof(out->name), "%.*s", (int)length, zone != NULL ? zone : "");
    /* A host that cannot be a target can have no rule. */
    if (targets_valid(buffer))
        return true;
    text_add(problem, "this is neither a file nor a host; expected a file's path, or a name, an IPv4 address or an IPv6 address in "
        "brackets, each with or without :PORT");
    return false;
}
