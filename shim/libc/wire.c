#include "wire.h"

#include "kernel.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

/* By value: a program may leave a handshake by longjmp, and a pointer would then be dangling. */
static _Thread_local struct wire wire;

void wire_begin(struct wire *before)
{
    *before = wire;
    wire.watching = true;
    wire.fd = -1;
    wire.to.kind = HOST_UNREADABLE;
}

void wire_end(const struct wire *before)
{
    wire = *before;
}

#define DESCRIPTORS 4096

/* The address to which each descriptor was connected, for a program whose filter forbids getpeername. Written and read without a lock; the last word
 * has kind and port, and is 0 while the address is being written. */
static struct connected {
    _Atomic uint64_t address[2];
    _Atomic uint64_t rest; /* port, and above it the number of times that it was written */
} connected[DESCRIPTORS];
static _Atomic uint64_t connects;

void wire_connected(int fd, const struct sockaddr *to, socklen_t length)
{
    struct connected *place = fd >= 0 && fd < DESCRIPTORS ? &connected[fd] : NULL;
    struct host host;
    uint64_t words[2];

    if (place == NULL)
        return;
    if (atomic_load_explicit(&place->rest, memory_order_relaxed) != 0)
        atomic_store(&place->rest, 0);
    if (to == NULL || !host_from_sockaddr(to, length, &host))
        return;
    memcpy(words, host.address, sizeof(words));
    atomic_store(&place->address[0], words[0]);
    atomic_store(&place->address[1], words[1]);
    atomic_store(&place->rest, (atomic_fetch_add(&connects, 1) + 1) << 16 | host.port);
}

static bool read_connected(int fd, struct host *out)
{
    struct connected *place = fd >= 0 && fd < DESCRIPTORS ? &connected[fd] : NULL;
    uint64_t rest = place != NULL ? atomic_load(&place->rest) : 0;
    uint64_t words[2];

    if (rest == 0)
        return false;
    words[0] = atomic_load(&place->address[0]);
    words[1] = atomic_load(&place->address[1]);
    if (atomic_load(&place->rest) != rest)
        return false;
    memset(out, 0, sizeof(*out));
    out->kind = HOST_ADDRESS;
    memcpy(out->address, words, sizeof(words));
    out->port = (uint16_t)rest;
    return true;
}

bool wire_peer(int fd, struct host *out)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    int saved = errno;
    bool known;

    if (kernel_is_filtered() && !kernel_allows(SYS_getpeername))
        return read_connected(fd, out);
    known = kernel_call(SYS_getpeername, fd, &peer, &length) == 0;
    errno = saved;
    return known && host_from_sockaddr((const struct sockaddr *)&peer, length, out);
}

void wire_read(struct host *out, int known)
{
    if (!wire.watching)
        return;
    if (wire.to.kind == HOST_ADDRESS)
        *out = wire.to;
    else if (wire.fd < 0 || wire.fd == known || !wire_peer(wire.fd, out))
        return;
    out->port_doubtful = wire_is_proxied(wire.fd);
}

#define SOCKETS 16384

/* Fingerprints of the connections on which a proxy was asked. By connection, not by descriptor: a connection may have several descriptors, and a
 * number may be another socket's later. A collision replaces the older fingerprint. */
static _Atomic uint64_t proxied[SOCKETS];

/* FNV-1a over both ends of the connection. Return 0 if `fd` is not a connected internet socket. */
static uint64_t fingerprint(int fd)
{
    struct sockaddr_storage ends[2];
    socklen_t lengths[2] = {sizeof(ends[0]), sizeof(ends[1])};
    uint64_t hash = 14695981039346656037U;
    struct host host;

    if (kernel_call(SYS_getsockname, fd, &ends[0], &lengths[0]) != 0 || kernel_call(SYS_getpeername, fd, &ends[1], &lengths[1]) != 0)
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

#define ASKED 64

/* Descriptors on which a proxy seems to have been asked since the last handshake, each plus 1. The write itself does not find out which connection
 * that is, because it makes no system call. */
static _Atomic int asked[ASKED];
static _Atomic bool any_asked;

static _Atomic int *find_asked(int fd)
{
    for (int i = 0; atomic_load_explicit(&any_asked, memory_order_relaxed) && i < ASKED; i++) {
        if (atomic_load_explicit(&asked[i], memory_order_relaxed) == fd + 1)
            return &asked[i];
    }
    return NULL;
}

static void note_asked(int fd)
{
    bool noted = find_asked(fd) != NULL;

    for (int i = 0; !noted && i < ASKED; i++)
        noted = atomic_compare_exchange_strong(&asked[i], &(int) {0}, fd + 1);
    if (!noted)
        atomic_store(&asked[fd % ASKED], fd + 1);
    atomic_store_explicit(&any_asked, true, memory_order_relaxed);
}

/* Note the connection of the descriptor at that place, while it still has it. */
static void settle(_Atomic int *place)
{
    int fd = atomic_load(place) - 1;
    uint64_t noted;

    if (fd < 0 || !kernel_allows(SYS_getsockname) || !kernel_allows(SYS_getpeername) || !atomic_compare_exchange_strong(place, &(int) {fd + 1}, 0))
        return;
    noted = fingerprint(fd);
    if (noted != 0)
        atomic_store_explicit(&proxied[noted % SOCKETS], noted, memory_order_relaxed);
}

/* HTTP's CONNECT (RFC 9110, section 9.3.6), even in pieces, SOCKS 5 (RFC 1928, section 4), SOCKS 4. Data that only looks like a request does no harm:
 * the port then counts as doubtful. */
static bool asks_proxy(const unsigned char *bytes, ssize_t size)
{
    return memcmp(bytes, "CONNECT", size < 7 ? (size_t)size : 7) == 0 || (size > 6 && bytes[0] == 5 && bytes[1] == 1 && bytes[2] == 0)
        || (size > 8 && bytes[0] == 4 && bytes[1] == 1);
}

void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length)
{
    const unsigned char *first = bytes;

    /* /dev/null accepts any pointer without reading. */
    if (size < 1 || (uintptr_t)bytes < KERNEL_NEVER_MAPPED || (first[0] != 'C' && first[0] > 5 && !wire.watching))
        return;
    if (wire.watching && size > 1 && first[0] == 22 && (first[1] == 3 || first[1] == 254)) { /* a handshake record (RFC 8446, section 5.1; RFC 6347, section 4.1) */
        wire.fd = fd;
        if (to == NULL || !host_from_sockaddr(to, to_length, &wire.to))
            wire.to.kind = HOST_UNREADABLE;
    } else if (fd >= 0 && asks_proxy(first, size)) {
        note_asked(fd);
    }
}

void wire_closing(int fd)
{
    int saved = errno;
    _Atomic int *place;

    if (fd < 0)
        return;
    place = find_asked(fd);
    if (place != NULL) {
        settle(place);
        (void)atomic_compare_exchange_strong(place, &(int) {fd + 1}, 0);
    }
    if (fd < DESCRIPTORS && atomic_load_explicit(&connected[fd].rest, memory_order_relaxed) != 0)
        atomic_store(&connected[fd].rest, 0);
    errno = saved;
}

bool wire_is_proxied(int fd)
{
    int saved = errno;
    uint64_t noted;

    if (fd < 0 || !atomic_load_explicit(&any_asked, memory_order_relaxed))
        return false;
    for (int i = 0; i < ASKED; i++)
        settle(&asked[i]);
    noted = fingerprint(fd);
    errno = saved;
    /* A descriptor whose connection could not be found out may be any socket with that number. */
    return (noted != 0 && atomic_load_explicit(&proxied[noted % SOCKETS], memory_order_relaxed) == noted)
        || find_asked(fd) != NULL;
}
