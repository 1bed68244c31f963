#include "wire.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* By value: a handshake may be left by longjmp, and whatever a pointer led to then would be gone. */
static _Thread_local struct wire wire;

void wire_begin(struct wire *before)
{
    *before = wire;
    wire.watching = true;
    wire.seen.kind = HOST_UNREADABLE;
}

void wire_end(const struct wire *before)
{
    wire = *before;
}

void wire_read(struct host *out)
{
    if (wire.watching && wire.seen.kind == HOST_ADDRESS)
        *out = wire.seen;
}

#define SOCKETS 16384

/* Fingerprints of the connections that a proxy was asked on. By connection and not by descriptor: one may have several, and a number may
 * be another socket's later. What collides is forgotten. */
static _Atomic uint64_t proxied[SOCKETS];

/* FNV-1a over both ends of the connection. Return 0 where `fd` is no connected internet socket. */
static uint64_t fingerprint(int fd)
{
    struct sockaddr_storage ends[2];
    socklen_t lengths[2] = {sizeof(ends[0]), sizeof(ends[1])};
    uint64_t hash = 14695981039346656037U;
    struct host host;

    if (getsockname(fd, (struct sockaddr *)&ends[0], &lengths[0]) != 0 || getpeername(fd, (struct sockaddr *)&ends[1], &lengths[1]) != 0)
        return 0;
    for (int i = 0; i < 2; i++) {
        if (!host_from_sockaddr((const struct sockaddr *)&ends[i], lengths[i], &host))
            return 0;
        for (size_t k = 0; k < sizeof(host.address); k++)
            hash = (hash ^ host.address[k]) * 1099511628211U;
        hash = (hash ^ host.port) * 1099511628211U;
    }
    return hash | 1;
}

/* HTTP's CONNECT (RFC 9110, section 9.3.6), be it in pieces, SOCKS 5 (RFC 1928, section 4), SOCKS 4. What only looks like one does no harm: it takes
 * away the certainty of a port. */
static bool asks_proxy(const unsigned char *bytes, ssize_t size)
{
    return memcmp(bytes, "CONNECT", size < 7 ? (size_t)size : 7) == 0 || (size > 6 && bytes[0] == 5 && bytes[1] == 1 && bytes[2] == 0)
        || (size > 8 && bytes[0] == 4 && bytes[1] == 1);
}

static void note_handshake(int fd, const struct sockaddr *to, socklen_t to_length)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    struct host host;

    if (to == NULL && getpeername(fd, (struct sockaddr *)&peer, &length) == 0) {
        to = (const struct sockaddr *)&peer;
        to_length = length;
    }
    if (to != NULL && host_from_sockaddr(to, to_length, &host)) {
        wire.seen = host;
        wire.seen.port_doubtful = wire_is_proxied(fd);
    }
}

void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length)
{
    const unsigned char *first = bytes;
    uint64_t noted;
    int saved;

    if (size < 1 || (first[0] != 'C' && first[0] > 5 && !wire.watching))
        return;
    saved = errno;
    if (wire.watching && size > 1 && first[0] == 22 && (first[1] == 3 || first[1] == 254)) /* a handshake record (RFC 8446, section 5.1; RFC 6347, section 4.1) */
        note_handshake(fd, to, to_length);
    else if (asks_proxy(first, size) && (noted = fingerprint(fd)) != 0)
        atomic_store_explicit(&proxied[noted % SOCKETS], noted, memory_order_relaxed);
    errno = saved;
}

bool wire_is_proxied(int fd)
{
    int saved = errno;
    uint64_t noted = fingerprint(fd);

    errno = saved;
    return noted != 0 && atomic_load_explicit(&proxied[noted % SOCKETS], memory_order_relaxed) == noted;
}
