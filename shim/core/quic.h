/* Initial packets of QUIC (RFC 9000, section 17.2.2), as clients hand them to the kernel to be sent. They are encrypted, but under keys that follow from
 * what stands in them (RFC 9001, section 5.2; RFC 9369). */
#ifndef PINSHIM_QUIC_H
#define PINSHIM_QUIC_H

#include "hello.h"

/* A client's datagram with an Initial packet is no shorter (RFC 9000, section 14.1). */
#define QUIC_INITIAL_LEAST 1200

/* Return true if a datagram with an Initial packet can begin with this byte. It is a long header's, with the QUIC bit or without it (RFC 9287), and of whatever type: packets of
 * 0-RTT or of the handshake may stand before. */
static inline bool quic_may_begin(uint8_t first)
{
    return first >= 0xc0 || (first & 0xe0) == 0x80;
}

/* Return true if a packet of a known version begins so. Reads five bytes. */
MUST_CHECK bool quic_has_version(const uint8_t *bytes);

/* Read the ClientHello of a client's Initial packets in this datagram, or in several that are sent as one. What was in earlier datagrams of the connection
 * counts as well. HELLO_NONE: there is none, or it cannot be decrypted. HELLO_BEGUN: its beginning, with the random, is still to be sent. One that is longer
 * than 8192 bytes is taken for whole, and if its SNI has not come by then it is covered; so is one whose beginning was forgotten for others'. No lock, also in signal handlers and after fork. */
MUST_CHECK enum hello_kind quic_read(const struct iovec *parts, size_t count, struct hello *out);

#endif
