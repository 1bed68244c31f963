/* Hosts as programs give them: read, compared and printed. */
#include "host.h"
#include "unit.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* As libc prints it. */
#ifdef __GLIBC__
#define COMPATIBLE "[::192.0.2.1]"
#else
#define COMPATIBLE "[::c000:201]"
#endif

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define L10 "abcdefghij"
#define L50 L10 L10 L10 L10 L10
#define L63 L50 L10 "xyz"
#define N255 L63 "." L63 "." L63 "." L63

static const char *const kind_names[] = {"unreadable", "name", "address"};

/* A copy without a byte to spare, so that a sanitizer sees a read beyond it. */
static enum host_kind parse(const char *string, size_t length, struct host *out)
{
    char *copy = malloc(length != 0 ? length : 1);
    enum host_kind kind;

    if (copy == NULL)
        abort();
    memcpy(copy, string, length);
    memset(out, 0xaa, sizeof(*out));
    kind = host_parse(copy, length, out);
    free(copy);
    return kind;
}

static void test_parse(void)
{
    static const struct {
        const char *why;
        const char *string;
        enum host_kind kind;
        const char *printed; /* of a name or an address: as host_print has it */
    } table[] = {
        {"a name", "example.com", HOST_NAME, "example.com"},
        {"one label", "localhost", HOST_NAME, "localhost"},
        {"upper case", "API.Example.COM", HOST_NAME, "api.example.com"},
        {"a trailing dot", "example.com.", HOST_NAME, "example.com"},
        {"upper case and a trailing dot", "EXAMPLE.COM.", HOST_NAME, "example.com"},
        {"an underscore", "_sip.example.com", HOST_NAME, "_sip.example.com"},
        {"an A-label", "xn--bcher-kva.example", HOST_NAME, "xn--bcher-kva.example"},
        {"a wildcard is no host", "*.example.com", HOST_UNREADABLE, "*.example.com"},
        {"a user before the host", "user@example.com", HOST_UNREADABLE, "user@example.com"},
        {"an empty label inside", "a..b", HOST_UNREADABLE, "a..b"},
        {"a leading dot means any name below", ".example.com", HOST_NAME, ".example.com"},
        {"a dot alone", ".", HOST_UNREADABLE, "."},
        {"brackets round nothing", "[]:443", HOST_UNREADABLE, "[]:443"},
        {"a name with a port", "example.com:443", HOST_NAME, "example.com:443"},
        {"upper case, a trailing dot and a port", "Example.COM.:8443", HOST_NAME, "example.com:8443"},
        {"the lowest port", "example.com:1", HOST_NAME, "example.com:1"},
        {"the highest port", "example.com:65535", HOST_NAME, "example.com:65535"},
        {"255 characters", N255, HOST_NAME, N255},
        {"255 characters and a trailing dot", N255 ".", HOST_NAME, N255},
        {"255 characters and a port", N255 ":443", HOST_NAME, N255 ":443"},
        {"too few numbers for an IPv4 address", "192.0.2", HOST_UNREADABLE, "192.0.2"},
        {"a number too large for an IPv4 address", "192.0.2.256", HOST_UNREADABLE, "192.0.2.256"},
        {"a leading zero is no IPv4 address", "192.0.2.01", HOST_UNREADABLE, "192.0.2.01"},
        {"a number alone", "2130706433", HOST_UNREADABLE, "2130706433"},
        {"a last label in hex", "a.0x7f", HOST_UNREADABLE, "a.0x7f"},
        {"a last label that only begins with digits", "a.1b", HOST_NAME, "a.1b"},
        {"an address with a trailing dot", "192.0.2.1.", HOST_ADDRESS, "192.0.2.1"},
        {"two trailing dots", "example.com..", HOST_UNREADABLE, "example.com.."},

        {"an IPv4 address", "192.0.2.1", HOST_ADDRESS, "192.0.2.1"},
        {"an IPv4 address with a port", "192.0.2.1:443", HOST_ADDRESS, "192.0.2.1:443"},
        {"an IPv6 address", "2001:db8::1", HOST_ADDRESS, "[2001:db8::1]"},
        {"the last group is no port", "2001:db8::443", HOST_ADDRESS, "[2001:db8::443]"},
        {"a full IPv6 address", "2001:0DB8:0:0:0:0:0:1", HOST_ADDRESS, "[2001:db8::1]"},
        {"the longest IPv6 address", "2001:0db8:0001:0002:0003:0004:192.168.100.200", HOST_ADDRESS,
            "[2001:db8:1:2:3:4:c0a8:64c8]"},
        {"brackets", "[2001:db8::1]", HOST_ADDRESS, "[2001:db8::1]"},
        {"brackets and a port", "[2001:DB8::1]:8443", HOST_ADDRESS, "[2001:db8::1]:8443"},
        {"the unspecified address", "::", HOST_ADDRESS, "[::]"},
        {"IPv4-mapped is IPv4", "::ffff:192.0.2.1", HOST_ADDRESS, "192.0.2.1"},
        {"IPv4-mapped in hex is IPv4", "::ffff:c000:201", HOST_ADDRESS, "192.0.2.1"},
        {"IPv4-mapped in brackets with a port", "[::ffff:192.0.2.1]:443", HOST_ADDRESS, "192.0.2.1:443"},
        {"IPv4-compatible is not IPv4", "::192.0.2.1", HOST_ADDRESS, COMPATIBLE},
        {"a zone picks the interface, not the host", "fe80::1%eth0", HOST_ADDRESS, "[fe80::1]"},
        {"a numeric zone", "fe80::1%2", HOST_ADDRESS, "[fe80::1]"},

        {"nothing", "", HOST_UNREADABLE, NULL},
        {"a dot alone", ".", HOST_UNREADABLE, NULL},
        {"a colon alone", ":", HOST_UNREADABLE, NULL},
        {"a port alone", ":443", HOST_UNREADABLE, NULL},
        {"a dot and a port", ".:443", HOST_UNREADABLE, NULL},
        {"an empty port", "example.com:", HOST_UNREADABLE, NULL},
        {"port zero", "example.com:0", HOST_UNREADABLE, NULL},
        {"a port too large", "example.com:65536", HOST_UNREADABLE, NULL},
        {"a port with a leading zero", "example.com:0443", HOST_UNREADABLE, NULL},
        {"a service's name", "example.com:https", HOST_UNREADABLE, NULL},
        {"two ports", "example.com:443:443", HOST_UNREADABLE, NULL},
        {"a URL", "https://example.com", HOST_UNREADABLE, NULL},
        {"256 characters", N255 "x", HOST_UNREADABLE, NULL},
        {"256 characters and a port", N255 "x:443", HOST_UNREADABLE, NULL},
        {"255 characters and two dots", N255 "..", HOST_UNREADABLE, NULL},
        {"1000 characters", L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50 L50,
            HOST_UNREADABLE, NULL},
        {"a blank", "example .com", HOST_UNREADABLE, NULL},
        {"a trailing blank", "example.com ", HOST_UNREADABLE, NULL},
        {"a newline", "example.com\n", HOST_UNREADABLE, NULL},
        {"a control byte", "exam\x01ple.com", HOST_UNREADABLE, NULL},
        {"DEL", "example\x7f.com", HOST_UNREADABLE, NULL},
        {"a U-label", "b\xc3\xbc" "cher.example", HOST_UNREADABLE, NULL},
        {"no closing bracket", "[2001:db8::1", HOST_UNREADABLE, NULL},
        {"no opening bracket", "2001:db8::1]", HOST_UNREADABLE, NULL},
        {"no opening bracket, with a port", "2001:db8::1]:443", HOST_UNREADABLE, NULL},
        {"text after the bracket", "[2001:db8::1]443", HOST_UNREADABLE, NULL},
        {"an empty port after the bracket", "[2001:db8::1]:", HOST_UNREADABLE, NULL},
        {"port zero after the bracket", "[2001:db8::1]:0", HOST_UNREADABLE, NULL},
        {"a bad port after the bracket", "[2001:db8::1]:x", HOST_UNREADABLE, NULL},
        {"a malformed IPv6 address", "2001:db8:::1", HOST_UNREADABLE, NULL},
        {"nine groups", "1:2:3:4:5:6:7:8:9", HOST_UNREADABLE, NULL},
        {"five digits in a group", "2001:db8::12345", HOST_UNREADABLE, NULL},
        {"a malformed IPv6 address with a zone", "fe80:::1%eth0", HOST_UNREADABLE, NULL},
        {"an IPv4 address with a bad port", "192.0.2.1:0", HOST_UNREADABLE, NULL},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct host host;
        enum host_kind kind = parse(table[i].string, strlen(table[i].string), &host);
        char buffer[1200];
        struct text text = text_over(buffer, sizeof(buffer));

        check(kind == table[i].kind, "host: %s: %.40s is %s", table[i].why, table[i].string, kind_names[kind]);
        check(host.kind == kind, "host: %s: the kind that is returned stands in the host", table[i].why);
        check(memchr(host.name, '\0', sizeof(host.name)) != NULL, "host: %s: the name ends", table[i].why);
        host_print(&host, &text);
        check(table[i].printed == NULL || strcmp(buffer, table[i].printed) == 0, "host: %s: [%s]", table[i].why, buffer);
    }
}

/* A NUL within is as good as any other byte that no name has: the rest must not be left out. */
static void test_nul(void)
{
    static const struct {
        const char *why;
        const char *string;
        size_t length;
    } table[] = {
        {"in a name", "good.example.com\0.evil.example", 30},
        {"at the end of a name", "example.com\0", 12},
        {"after an IPv4 address", "192.0.2.1\0x", 11},
        {"after an IPv6 address", "2001:db8::1\0x", 13},
        {"in brackets", "[2001:db8::1\0]:443", 18},
        {"in a port", "example.com:44\0" "3", 16},
        {"alone", "\0", 1},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct host host;

        check(parse(table[i].string, table[i].length, &host) == HOST_UNREADABLE, "host: a NUL %s", table[i].why);
    }
}

/* The address of equal hosts is equal, however they are written; of others it is not. */
static void test_equal(void)
{
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } table[] = {
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "[::FFFF:c000:0201]", true},
        {"192.0.2.1", "::192.0.2.1", false},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", true},
        {"2001:db8::1", "[2001:DB8:0::1]", true},
        {"fe80::1%eth0", "fe80::1%eth1", true},
        {"fe80::1%eth0", "fe80::1", true},
        {"2001:db8::1", "2001:db8::2", false},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct host a;
        struct host b;

        check(parse(table[i].a, strlen(table[i].a), &a) == HOST_ADDRESS, "host: an address: %s", table[i].a);
        check(parse(table[i].b, strlen(table[i].b), &b) == HOST_ADDRESS, "host: an address: %s", table[i].b);
        check((memcmp(a.address, b.address, sizeof(a.address)) == 0) == table[i].equal, "host: %s %s %s", table[i].a,
            table[i].equal ? "is" : "is not", table[i].b);
    }
}

static void test_parse_address(void)
{
    static const struct {
        const char *why;
        const char *string;
        size_t length;
        bool read;
    } table[] = {
        {"IPv4", "192.0.2.1", 9, true},
        {"IPv6", "2001:db8::1", 11, true},
        {"only the given length counts", "192.0.2.12", 9, true},
        {"nothing", "", 0, false},
        {"brackets", "[::1]", 5, false},
        {"a port", "192.0.2.1:443", 13, false},
        {"a name", "example.com", 11, false},
        {"a zone", "fe80::1%eth0", 12, false},
        {"a trailing dot", "192.0.2.1.", 10, false},
        {"a leading blank", " 192.0.2.1", 10, false},
        {"a trailing blank", "192.0.2.1 ", 10, false},
        {"a NUL at the end", "192.0.2.1\0", 10, false},
        {"octal", "0300.0.2.1", 10, false},
        {"hex", "0xc0.0.2.1", 10, false},
        {"one number", "3221225985", 10, false},
        {"three numbers", "192.0.513", 9, false},
        {"46 characters", "2001:0db8:0001:0002:0003:0004:192.168.100.2000", 46, false},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        uint8_t address[16];

        check(host_parse_address(table[i].string, table[i].length, address) == table[i].read, "address: %s", table[i].why);
    }
}

static void test_unreadable_name(void)
{
    struct host host;
    char buffer[1200];
    struct text text = text_over(buffer, sizeof(buffer));
    char longer[600];

    check(parse("exam\nple", 8, &host) == HOST_UNREADABLE, "host: a newline is unreadable");
    host_print(&host, &text);
    check(strcmp(buffer, "exam\\x0aple") == 0, "an unreadable host is shown as given, escaped: [%s]", buffer);

    memset(longer, '\n', sizeof(longer));
    check(parse(longer, sizeof(longer), &host) == HOST_UNREADABLE, "host: 600 newlines are unreadable");
    check(strlen(host.name) == HOST_NAME_MAX_LENGTH, "an unreadable host is kept shortened: %zu", strlen(host.name));
    text = text_over(buffer, sizeof(buffer));
    host_print(&host, &text);
    check(strchr(buffer, '\n') == NULL && text.length <= HOST_NAME_MAX_LENGTH + 3, "and is shown shortened: %zu", text.length);
}

static void test_print_bare(void)
{
    static const struct {
        const char *string;
        const char *expected;
    } table[] = {
        {"Example.com:443", "example.com"},
        {"192.0.2.1:443", "192.0.2.1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"a\"b", "a\\\"b"},
    };
    struct host zero = {0};
    char buffer[300];
    struct text text = text_over(buffer, sizeof(buffer));

    host_print(&zero, &text);
    host_print_bare(&zero, &text);
    check(buffer[0] == '\0', "a zeroed host prints as nothing: [%s]", buffer);
    for (size_t i = 0; i < ROWS(table); i++) {
        struct host host;

        (void)parse(table[i].string, strlen(table[i].string), &host);
        text = text_over(buffer, sizeof(buffer));
        host_print_bare(&host, &text);
        check(strcmp(buffer, table[i].expected) == 0, "print bare: %s: [%s]", table[i].string, buffer);
    }
}

static void test_sockaddr(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443), .sin_addr = {htonl(0xc0000201)}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(8443),
        .sin6_addr = {{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}}, .sin6_scope_id = 3};
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(443),
        .sin6_addr = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}}}};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
    const struct {
        const char *why;
        const void *from;
        socklen_t length;
        const char *printed; /* NULL: refused */
    } table[] = {
        {"IPv4", &in, sizeof(in), "192.0.2.1:443"},
        {"IPv6, whatever its scope", &in6, sizeof(in6), "[2001:db8::1]:8443"},
        {"IPv4-mapped is IPv4", &mapped, sizeof(mapped), "192.0.2.1:443"},
        {"IPv4, cut", &in, sizeof(in) - 1, NULL},
        {"IPv6, cut", &in6, sizeof(in6) - 1, NULL},
        {"IPv6 with the length of IPv4", &in6, sizeof(in), NULL},
        {"a Unix socket", &un, sizeof(un), NULL},
        {"no family", &unspecified, sizeof(unspecified), NULL},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct host host;
        char buffer[100];
        struct text text = text_over(buffer, sizeof(buffer));
        bool read;

        memset(&host, 0xaa, sizeof(host));
        read = host_from_sockaddr(table[i].from, table[i].length, &host);
        check(read == (table[i].printed != NULL), "sockaddr: %s", table[i].why);
        if (!read)
            continue;
        host_print(&host, &text);
        check(host.kind == HOST_ADDRESS && strcmp(buffer, table[i].printed) == 0, "sockaddr: %s: [%s]", table[i].why, buffer);
    }
}

static void test_bytes(void)
{
    static const uint8_t v4[4] = {192, 0, 2, 1};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct host host;
    struct host other;

    check(host_from_bytes(AF_INET, v4, &host) && parse("192.0.2.1", 9, &other) == HOST_ADDRESS, "bytes: IPv4");
    check(host.kind == HOST_ADDRESS && host.port == 0 && memcmp(host.address, other.address, 16) == 0, "bytes: IPv4: which");
    check(host_from_bytes(AF_INET6, v6, &host) && memcmp(host.address, v6, 16) == 0 && host.port == 0, "bytes: IPv6");
    check(!host_from_bytes(AF_UNIX, v6, &host), "bytes: another family");
    check(!host_from_bytes(AF_UNSPEC, v6, &host), "bytes: no family");
}

int main(void)
{
    test_parse();
    test_nul();
    test_equal();
    test_parse_address();
    test_unreadable_name();
    test_print_bare();
    test_sockaddr();
    test_bytes();
    return unit_end("host");
}
