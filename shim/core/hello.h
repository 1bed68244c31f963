/* ClientHellos (RFC 8446, section 4.1.2; RFC 9147, section 5; RFC 5246, appendix E.2), as they are handed to the kernel to be sent. Pure. */
#ifndef PINSHIM_HELLO_H
#define PINSHIM_HELLO_H

#include "host.h"

#include <sys/uio.h>

#define HELLO_RANDOM 32

enum hello_kind {
    HELLO_NONE = 0, /* something else, such as an encrypted record */
    HELLO_BEGUN, /* a ClientHello may begin so, but there are too few bytes to tell, and no random yet */
    HELLO_CLIENT,
};

struct hello {
    uint8_t random[HELLO_RANDOM];
    bool datagram; /* DTLS */
    bool whole; /* else its end, and perhaps its SNI, is still to be sent. Always with DTLS, where nothing is put together */
    bool covered; /* it has an encrypted one within (ECH, or what looks like it): its SNI may be another host's */
    size_t sni_length; /* 0: none, or it is in what is still to be sent */
    size_t early_sni; /* the length of one that counts only when the rest is there, which may cover it */
    char sni[HOST_NAME_MAX_LENGTH + 1]; /* not terminated; a name that is too long is cut to this size, which no host name has */
};

/* Return true if what begins so can be a ClientHello in the format of SSL 2.0 (RFC 5246, appendix E.2), of at most 511 bytes: its header, or as much of it
 * as there is, one byte or more. Clients that still know it ask for TLS in it. */
#define HELLO_OLD_HEADER 11
static inline bool hello_may_be_old(uint8_t first)
{
    return (first & 0xfe) == 0x80;
}
MUST_CHECK bool hello_is_old(const uint8_t *header, size_t size);

/* Return true if a ClientHello can begin with this byte: with a handshake record, with the header of a TDS packet, behind which clients of SQL
 * Server send theirs (MS-TDS, section 2.2.3.1), or in the format of SSL 2.0. */
static inline bool hello_may_begin(uint8_t first)
{
    return first == 22 || first == 18 || hello_may_be_old(first);
}

/* Of a ClientHello that cannot be put together it is not known for whom it is: if its SNI is there, it may be covered; else give it a name that no host has. */
static inline void hello_cover(struct hello *hello)
{
    if (hello->early_sni == 0)
        hello->sni[0] = '\0';
    hello->sni_length = hello->early_sni != 0 ? hello->early_sni : 1;
    hello->covered = true;
}

/* Read the beginning of what is sent, gathered from `parts`; empty ones count as nothing. Only with HELLO_CLIENT has `out` a meaning. A ClientHello
 * that is spread over several TLS records is read as a whole; of one that is spread over DTLS records, the first fragment. */
MUST_CHECK enum hello_kind hello_read(const struct iovec *parts, size_t count, struct hello *out);

#endif
