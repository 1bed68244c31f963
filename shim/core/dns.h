/* Messages of DNS (RFC 1035): what was asked, and the addresses in the answer. Pure. It reads all that some program's reader takes, for an address
 * that it left out would be one of which no name is known. */
#ifndef PINSHIM_DNS_H
#define PINSHIM_DNS_H

#include "host.h"

#define DNS_MESSAGE_MAX 65535
#define DNS_QUERY_MIN 17 /* header, the root's name, type and class */

struct dns_name {
    size_t length; /* 0: the root */
    char text[HOST_NAME_MAX_LENGTH + 1]; /* lower case, no trailing dot; a byte that no host's name has is '?' */
};

/* A message that is being read. Everything but `asked` and `id` is for dns_next alone. */
struct dns {
    struct dns_name asked; /* by the first question; the caller may set another */
    struct dns_name owner; /* of a record */
    uint16_t id;
    const uint8_t *message;
    size_t size;
    size_t at;
    unsigned records[3]; /* that are left in each section: answer, authority, additional */
    size_t parameters; /* of a service binding, up to here; 0: not within one */
    size_t hints; /* among these: addresses of `hint` bytes, up to here */
    unsigned hint; /* 0: not within these */
    unsigned jumps; /* that names may still make */
    bool names_others; /* the answer names other hosts (SRV, MX), whose addresses may be in the additional section */
};

/* Return true if a message that begins so can be a query: no answer bit, no other operation, one question to three, no answer. */
static inline bool dns_may_be_query(const void *message, size_t size)
{
    const uint8_t *bytes = message;

    return size >= DNS_QUERY_MIN && (bytes[2] & 0xfe) == 0 && (bytes[3] & 0xcf) == 0 && bytes[4] == 0 && (uint8_t)(bytes[5] - 1) < 3 && bytes[6] == 0
        && bytes[7] == 0;
}

/* Begin with a message, which must stay where it is; `asked` is the root where no question can be read. Return false if the message ends before its answers. */
MUST_CHECK bool dns_begin(struct dns *dns, const void *message, size_t size);

/* Write the next address and return whose it is; NULL after the last. It is that of the name in the question, whatever name the record has, for this is
 * the end of a chain of aliases, and not every program looks at it; in the additional section of an answer that names other hosts, the record's. */
const struct dns_name *dns_next(struct dns *dns, uint8_t address[static 16]);

#endif
