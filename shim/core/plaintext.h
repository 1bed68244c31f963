/* What a client says in the clear before TLS: its greeting, and the request to start TLS; and the records of TLS that follow. Pure. */
#ifndef PINSHIM_PLAINTEXT_H
#define PINSHIM_PLAINTEXT_H

#include "text.h"

#define PLAINTEXT_HELD 64
#define PLAINTEXT_IS_REFUSED "neither TLS nor a request to start it" /* in the line about a refusal */

/* Of one connection, from its first byte on. All zero at first. */
struct plaintext {
    uint32_t owed; /* bytes that were allowed and have not left: they come again */
    uint32_t sent; /* for the caller's use: how many have left */
    bool secured; /* TLS has begun */
    uint16_t left; /* how much more of what is within is allowed */
    uint8_t within; /* what the next byte is part of */
    uint8_t ended; /* how many lines, elements and messages there were */
    uint8_t length;
    uint8_t held[PLAINTEXT_HELD]; /* the beginning of a line, of an element or of a message */
};

/* Return true if a client may send these bytes, after those that it has sent, to a server to which it must speak TLS. They are, in pieces of any size:
 * SSLRequest and GSSENCRequest (PostgreSQL, "Message Formats"), SSLRequest (MySQL, "Protocol::SSLRequest"), PRELOGIN (MS-TDS, 2.2.6.5), the connection request of
 * RDP (MS-RDPBCGR, 2.2.1.1), the extended
 * request StartTLS, and unbinding (RFC 4511, sections 4.14 and 4.3), the header of a stream and starttls (RFC 6120, sections 4.2 and 5.4.2), and in
 * lines the greeting, the question for capabilities, the request for TLS and the goodbye of SMTP and LMTP (RFC 3207), IMAP and POP3 (RFC 2595), FTP
 * (RFC 4217), ManageSieve (RFC 5804) and NNTP (RFC 4642), and the header of the PROXY protocol (HAProxy, "The PROXY protocol", versions 1 and 2). Records of
 * TLS (RFC 8446, section 5.1) may come instead, the first with a hello, or before them one in the format of SSL 2.0, and then nothing else. Before that there
 * may be alerts in the clear, and so many requests as any client has for its start.
 * `state` becomes that after these bytes. */
MUST_CHECK bool plaintext_allows(struct plaintext *state, const uint8_t *bytes, size_t size);

/* Return true if the next bytes, which begin with `first`, are of a record of TLS. */
MUST_CHECK bool plaintext_is_record(const struct plaintext *state, uint8_t first);

#endif
