#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool host_parse_address(const char *string, size_t length, uint8_t out[static 16])
{
    char copy[INET6_ADDRSTRLEN];

    if (length == 0 || length >= sizeof(copy))
        return false;
    /* Most are names. */
    if ((string[0] < '0' || string[0] > '9') && memchr(string, ':', length) == NULL)
        return false;
    memcpy(copy, string, length);
    copy[length] = '\0';
    if (strlen(copy) != length)
        return false;
    if (inet_pton(AF_INET6, copy, out) == 1)
        return true;
    memcpy(out, mapped_prefix, sizeof(mapped_prefix));
    return inet_pton(AF_INET, copy, out + 12) == 1;
}

/* Try a bare IPv6 address first; otherwise its last group would be taken for a port. */
static bool read_address(const char *string, size_t length, struct host *out)
{
    const char *close;
    const char *zone;

    if (host_parse_address(string, length, out->address))
        return true;
    /* An IPv6 zone (RFC 4007, section 11) picks an interface, not a host. */
    zone = memchr(string, '%', length);
    if (zone != NULL && memchr(string, ':', length) != NULL && string[0] != '[')
        return host_parse_address(string, (size_t)(zone - string), out->address);
    if (string[0] != '[')
        return false;
    close = memchr(string, ']', length);
    if (close == NULL || !host_parse_address(string + 1, (size_t)(close - string) - 1, out->address))
        return false;
    if ((size_t)(close - string) + 1 == length)
        return true;
    if (close[1] != ':')
        return false;
    out->port = text_port(close + 2, length - (size_t)(close - string) - 2);
    return out->port != 0;
}

/* Return true if the last label is a number, as no host's is: the whole would be read as an address of an older form, by some. */
static bool ends_in_number(const char *string, size_t length)
{
    size_t start = length;
    bool digits = true;

    while (start > 0 && string[start - 1] != '.') {
        start--;
        digits &= string[start] >= '0' && string[start] <= '9';
    }
    return start < length && (digits || (length - start > 1 && string[start] == '0' && text_lower(string[start + 1]) == 'x'));
}

/* What a name may consist of, in lower case; 0: nothing else. */
static const char letters[256] = {
    ['-'] = '-', ['.'] = '.', ['_'] = '_',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
#define LETTER(upper, lower) [upper] = lower, [lower] = lower
    LETTER('A', 'a'), LETTER('B', 'b'), LETTER('C', 'c'), LETTER('D', 'd'), LETTER('E', 'e'), LETTER('F', 'f'), LETTER('G', 'g'), LETTER('H', 'h'), LETTER('I', 'i'),
    LETTER('J', 'j'), LETTER('K', 'k'), LETTER('L', 'l'), LETTER('M', 'm'), LETTER('N', 'n'), LETTER('O', 'o'), LETTER('P', 'p'), LETTER('Q', 'q'), LETTER('R', 'r'),
    LETTER('S', 's'), LETTER('T', 't'), LETTER('U', 'u'), LETTER('V', 'v'), LETTER('W', 'w'), LETTER('X', 'x'), LETTER('Y', 'y'), LETTER('Z', 'z'),
#undef LETTER
};

enum host_kind host_parse(const char *string, size_t length, struct host *out)
{
    const char *colon;
    size_t kept = length < HOST_NAME_MAX_LENGTH ? length : HOST_NAME_MAX_LENGTH;

    memset(out, 0, sizeof(*out));
    memcpy(out->name, string, kept);
    if (length == 0)
        return out->kind;
    if (read_address(string, length, out))
        return out->kind = HOST_ADDRESS;
    colon = memchr(string, ':', length);
    if (colon != NULL) {
        out->port = text_port(colon + 1, length - (size_t)(colon - string) - 1);
        if (out->port == 0)
            return out->kind;
        length = (size_t)(colon - string);
        out->name[length < HOST_NAME_MAX_LENGTH ? length : HOST_NAME_MAX_LENGTH] = '\0';
        if (host_parse_address(string, length, out->address))
            return out->kind = HOST_ADDRESS;
    }
    if (length > 0 && string[length - 1] == '.') {
        length--;
        if (host_parse_address(string, length, out->address))
            return out->kind = HOST_ADDRESS;
    }
    if (length == 0 || length > HOST_NAME_MAX_LENGTH || (length > 1 && string[length - 1] == '.') || ends_in_number(string, length))
        return out->kind;
    if (length == 1 && string[0] == '.')
        return out->kind;
    /* A leading dot tells OpenSSL to accept any subdomain; elsewhere no label may be empty. */
    for (size_t i = 0; i < length; i++) {
        char c = letters[(unsigned char)string[i]];

        if (c == '\0' || (c == '.' && i > 0 && string[i - 1] == '.')) {
            memcpy(out->name, string, i);
            return out->kind;
        }
        out->name[i] = c;
    }
    out->name[length] = '\0';
    return out->kind = HOST_NAME;
}

static const uint8_t unspecified[16];

bool host_from_bytes(int family, const void *bytes, struct host *out)
{
    memset(out, 0, sizeof(*out));
    if (family == AF_INET) {
        memcpy(out->address, mapped_prefix, sizeof(mapped_prefix));
        memcpy(out->address + 12, bytes, 4);
    } else if (family == AF_INET6) {
        memcpy(out->address, bytes, 16);
    } else {
        return false;
    }
    /* What is sent to the unspecified address goes to this host (RFC 1122, section 3.2.1.3; the kernel takes the loopback address). */
    if (memcmp(out->address, unspecified, sizeof(unspecified)) == 0)
        out->address[15] = 1;
    else if (memcmp(out->address, mapped_prefix, sizeof(mapped_prefix)) == 0 && memcmp(out->address + 12, unspecified, 4) == 0)
        memcpy(out->address + 12, (const uint8_t[]) {127, 0, 0, 1}, 4);
    out->kind = HOST_ADDRESS;
    return true;
}

bool host_from_sockaddr(const struct sockaddr *from, socklen_t length, struct host *out)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (from->sa_family == AF_INET && length >= sizeof(in)) {
        memcpy(&in, from, sizeof(in));
        if (!host_from_bytes(AF_INET, &in.sin_addr, out))
            return false;
        out->port = ntohs(in.sin_port);
        return true;
    }
    if (from->sa_family == AF_INET6 && length >= sizeof(in6)) {
        memcpy(&in6, from, sizeof(in6));
        if (!host_from_bytes(AF_INET6, &in6.sin6_addr, out))
            return false;
        out->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

bool host_same(const struct host *a, const struct host *b)
{
    return a->kind == b->kind
        && (a->kind == HOST_ADDRESS ? memcmp(a->address, b->address, sizeof(a->address)) == 0 : strcmp(a->name, b->name) == 0);
}

bool host_is_loopback(const struct host *address)
{
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    static const uint8_t one[16] = {[15] = 1};

    return memcmp(address->address, mapped, sizeof(mapped)) == 0 || memcmp(address->address, one, sizeof(one)) == 0;
}

void host_print_bare(const struct host *host, struct text *out)
{
    char printed[INET6_ADDRSTRLEN];
    bool v4 = memcmp(host->address, mapped_prefix, sizeof(mapped_prefix)) == 0;

    if (host->kind != HOST_ADDRESS)
        text_add_escaped(out, host->name, strlen(host->name), HOST_NAME_MAX_LENGTH);
    else if (inet_ntop(v4 ? AF_INET : AF_INET6, host->address + (v4 ? 12 : 0), printed, sizeof(printed)) != NULL)
        text_add(out, "%s", printed);
}

void host_print(const struct host *host, struct text *out)
{
    char bare[4 * HOST_NAME_MAX_LENGTH + 1];
    struct text inner = text_over(bare, sizeof(bare));
    bool brackets;

    host_print_bare(host, &inner);
    brackets = host->kind == HOST_ADDRESS && strchr(bare, ':') != NULL;
    text_add(out, "%s%s%s", brackets ? "[" : "", bare, brackets ? "]" : "");
    if (host->port != 0)
        text_add(out, ":%u", (unsigned)host->port);
}
