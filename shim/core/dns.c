#include "dns.h"

#include <string.h>

enum { A = 1, MX = 15, AAAA = 28, SRV = 33, SVCB = 64, HTTPS = 65 };
enum { IPV4HINT = 4, IPV6HINT = 6 }; /* RFC 9460, section 14.3.2 */

enum { ANSWER, AUTHORITY, ADDITIONAL };

#define HEADER 12
#define JUMPS (DNS_MESSAGE_MAX / 2)

static unsigned two(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* Skip a name. As nginx does it, whatever is no length of a label ends the name as a pointer would: other readers reject such a message. */
static bool skip_name(struct dns *dns)
{
    while (dns->at < dns->size) {
        uint8_t length = dns->message[dns->at];

        dns->at += length >= 64 ? 2 : 1 + (size_t)length;
        if (length == 0 || length >= 64)
            return dns->at <= dns->size;
    }
    return false;
}

/* Read the name at `at`. Its pointers may lead anywhere in the message, as long as they are not too many for all its names. */
static bool read_name(struct dns *dns, size_t at, struct dns_name *out)
{
    out->length = 0;
    for (;;) {
        uint8_t length;

        if (at >= dns->size)
            return false;
        length = dns->message[at];
        if (length >= 192) {
            if (at + 1 >= dns->size || dns->jumps == 0)
                return false;
            dns->jumps--;
            at = two(dns->message + at) & 0x3fff;
            continue;
        }
        if (length == 0)
            break;
        at++;
        if (length >= 64 || length > dns->size - at || out->length + length + 1 > HOST_NAME_MAX_LENGTH)
            return false;
        if (out->length > 0)
            out->text[out->length++] = '.';
        for (size_t i = 0; i < length; i++, at++) {
            char c = text_lower((char)dns->message[at]);

            out->text[out->length++] = c > ' ' && c < 127 && c != '.' ? c : '?';
        }
    }
    out->text[out->length] = '\0';
    return true;
}

bool dns_begin(struct dns *dns, const void *message, size_t size)
{
    unsigned questions;

    memset(dns, 0, sizeof(*dns));
    dns->message = message;
    dns->size = size < DNS_MESSAGE_MAX ? size : DNS_MESSAGE_MAX;
    dns->at = HEADER;
    dns->jumps = JUMPS;
    if (size < DNS_QUERY_MIN)
        return false;
    dns->id = (uint16_t)two(dns->message);
    questions = two(dns->message + 4);
    for (size_t i = 0; i < 3; i++)
        dns->records[i] = two(dns->message + 6 + 2 * i);
    if (questions == 0 || !read_name(dns, HEADER, &dns->asked))
        dns->asked = (struct dns_name) {0};
    for (; questions > 0; questions--) {
        if (!skip_name(dns) || dns->size - dns->at < 4)
            return false;
        dns->at += 4;
    }
    return true;
}

static void take_address(const struct dns *dns, size_t at, unsigned size, uint8_t out[static 16])
{
    struct host host;

    if (host_from_bytes(size == 4 ? AF_INET : AF_INET6, dns->message + at, &host))
        memcpy(out, host.address, sizeof(host.address));
}

/* Go to the end of a record; write its address, if it is one. One that is too long is cut: some programs take it so. */
static bool read_address(struct dns *dns, unsigned type, size_t end, uint8_t out[static 16])
{
    unsigned size = type == A ? 4 : type == AAAA ? 16 : 0;
    size_t at = dns->at;

    dns->at = end;
    if (size == 0 || end - at < size)
        return false;
    take_address(dns, at, size, out);
    return true;
}

/* Write the next hint of the service binding. At its end, leave it and return false. */
static bool next_hint(struct dns *dns, uint8_t address[static 16])
{
    while (dns->hint != 0 || dns->parameters - dns->at >= 4) {
        unsigned key;
        unsigned length;

        if (dns->hint != 0 && dns->hints - dns->at >= dns->hint) {
            take_address(dns, dns->at, dns->hint, address);
            dns->at += dns->hint;
            return true;
        }
        if (dns->hint != 0) {
            dns->at = dns->hints;
            dns->hint = 0;
            continue;
        }
        key = two(dns->message + dns->at);
        length = two(dns->message + dns->at + 2);
        dns->at += 4;
        if (length > dns->parameters - dns->at)
            break;
        if (key == IPV4HINT || key == IPV6HINT)
            dns->hint = key == IPV4HINT ? 4 : 16;
        dns->hints = dns->at + length;
        if (dns->hint == 0)
            dns->at = dns->hints;
    }
    dns->at = dns->parameters;
    dns->parameters = 0;
    return false;
}

/* Go to the parameters of a service binding that ends at `end`: they follow priority and target (RFC 9460, section 2.2). */
static void enter_binding(struct dns *dns, size_t end)
{
    size_t start = dns->at;

    dns->at += 2;
    if (end - start > 2 && skip_name(dns) && dns->at <= end)
        dns->parameters = end;
    else
        dns->at = end;
}

/* Enter the next record: `at` is at its data, which ends at `*end`, and `*owner` at its name. Return false if there is none in this section. */
static bool next_record(struct dns *dns, int section, size_t *owner, unsigned *type, size_t *end)
{
    if (dns->records[section] == 0)
        return false;
    dns->records[section]--;
    *owner = dns->at;
    if (!skip_name(dns) || dns->size - dns->at < 10 || dns->size - dns->at - 10 < two(dns->message + dns->at + 8)) {
        memset(dns->records, 0, sizeof(dns->records));
        return false;
    }
    *type = two(dns->message + dns->at);
    *end = dns->at + 10 + two(dns->message + dns->at + 8);
    dns->at += 10;
    return true;
}

const struct dns_name *dns_next(struct dns *dns, uint8_t address[static 16])
{
    unsigned type;
    size_t owner;
    size_t end;

    for (;;) {
        if (dns->parameters != 0 && next_hint(dns, address))
            return &dns->asked;
        if (!next_record(dns, ANSWER, &owner, &type, &end))
            break;
        dns->names_others |= type == SRV || type == MX;
        if (type == SVCB || type == HTTPS) {
            enter_binding(dns, end);
            continue;
        }
        if (read_address(dns, type, end, address))
            return &dns->asked;
    }
    while (dns->names_others && next_record(dns, AUTHORITY, &owner, &type, &end))
        dns->at = end;
    while (dns->names_others && next_record(dns, ADDITIONAL, &owner, &type, &end)) {
        if (read_address(dns, type, end, address) && read_name(dns, owner, &dns->owner))
            return &dns->owner;
    }
    return NULL;
}
