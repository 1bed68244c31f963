#include "proxy.h"

#include "kernel.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

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
static bool asks_proxy(const unsigned char *bytes, size_t size)
{
    return memcmp(bytes, "CONNECT", size < 7 ? size : 7) == 0 || (size > 6 && bytes[0] == 5 && bytes[1] == 1 && bytes[2] == 0)
        || (size > 8 && bytes[0] == 4 && bytes[1] == 1);
}

void proxy_sent(int fd, const unsigned char *bytes, size_t size)
{
    if (size > 0 && fd >= 0 && asks_proxy(bytes, size))
        note_asked(fd);
}

void proxy_closing(int fd)
{
    int saved = errno;
    _Atomic int *place = fd >= 0 ? find_asked(fd) : NULL;

    if (place != NULL) {
        settle(place);
        (void)atomic_compare_exchange_strong(place, &(int) {fd + 1}, 0);
    }
    errno = saved;
}

bool proxy_is_asked(int fd)
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
