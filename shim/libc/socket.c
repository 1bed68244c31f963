#include "socket.h"

#include "kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

_Atomic uint16_t socket_marks[SOCKET_MARKS];

#define DESCRIPTORS 4096

/* The address to which each descriptor was connected, for a program whose filter forbids getpeername, and where that may be another. Written and read
 * without a lock; the last word has kind and port, and is 0 while the address is being written. */
static struct connected {
    _Atomic uint64_t address[2];
    _Atomic uint64_t socket; /* 0: it was not asked for */
    _Atomic uint64_t rest; /* port, and above it the number of times that it was written */
} connected[DESCRIPTORS];
static _Atomic uint64_t connects;
static _Atomic bool layered;

void socket_is_layered(void)
{
    atomic_store_explicit(&layered, true, memory_order_relaxed);
}

uint64_t socket_number(int fd)
{
    int saved = errno;
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);
    struct stat status;

    /* Linux 4.12; unlike an inode, no later socket has the same. */
    if (kernel_call(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0 || cookie == 0)
        cookie = errno != ENOTSOCK && errno != EBADF && kernel_call(SYS_fstat, fd, &status) == 0 && S_ISSOCK(status.st_mode)
            ? SOCKET_OF_INODE | (status.st_ino & (SOCKET_OF_INODE - 1))
            : 0;
    errno = saved;
    return cookie & (2 * SOCKET_OF_INODE - 1);
}

bool socket_is_still(int fd, uint64_t before)
{
    uint64_t now = before != 0 ? socket_number(fd) : 0;

    /* The program's filter, which came later, forbids to ask for what there was then. */
    if ((now & SOCKET_OF_INODE) != 0 && (before & SOCKET_OF_INODE) == 0)
        return true;
    return now == before || (now == 0 && !kernel_allows(SYS_getsockopt));
}

void socket_made(int fd)
{
    if (fd < 0)
        return;
    if (socket_marks_of(fd) != SOCKET_IS_ONE)
        atomic_store_explicit(&socket_marks[(uint16_t)fd], SOCKET_IS_ONE, memory_order_relaxed);
    if (fd < DESCRIPTORS && atomic_load_explicit(&connected[fd].rest, memory_order_relaxed) != 0)
        atomic_store(&connected[fd].rest, 0);
}

bool socket_is_none(int fd)
{
    unsigned marks = fd >= 0 ? socket_marks_of(fd) : SOCKET_IS_NONE;
    uint16_t unknown = 0;
    int saved = errno;
    struct stat status;
    bool exists;
    bool is;

    if (marks != 0 && marks != SOCKET_IS_NONE)
        return false;
    if (marks != 0)
        return fd < SOCKET_MARKS;
    if (kernel_is_filtered() && !kernel_allows(SYS_fstat))
        return false;
    exists = kernel_call(SYS_fstat, fd, &status) == 0;
    is = exists && S_ISSOCK(status.st_mode);
    errno = saved;
    /* A socket that another thread has connected meanwhile stays one. */
    if (exists && fd < SOCKET_MARKS)
        (void)atomic_compare_exchange_strong(&socket_marks[fd], &unknown, is ? SOCKET_IS_ONE : SOCKET_IS_NONE);
    return !is;
}

static void store_connected(struct connected *place, const struct host *host, uint64_t socket)
{
    uint64_t words[2];

    memcpy(words, host->address, sizeof(words));
    atomic_store(&place->address[0], words[0]);
    atomic_store(&place->address[1], words[1]);
    atomic_store(&place->socket, socket);
    atomic_store(&place->rest, (atomic_fetch_add(&connects, 1) + 1) << 16 | host->port);
}

void socket_connected(int fd, const struct sockaddr *to, socklen_t length)
{
    struct connected *place = fd >= 0 && fd < DESCRIPTORS ? &connected[fd] : NULL;
    struct host host;

    if (fd >= 0 && to != NULL) {
        socket_unmark(fd, SOCKET_ASKS_NAMES | SOCKET_ASKS_IN_STREAM | SOCKET_IS_NONE);
        socket_mark(fd, SOCKET_IS_NEW | SOCKET_IS_ONE);
    }
    if (place == NULL)
        return;
    if (atomic_load_explicit(&place->rest, memory_order_relaxed) != 0)
        atomic_store(&place->rest, 0);
    if (to != NULL && host_from_sockaddr(to, length, &host))
        store_connected(place, &host, atomic_load_explicit(&layered, memory_order_relaxed) ? socket_number(fd) : 0);
}

void socket_identify(int fd)
{
    if (socket_was_connected(fd))
        atomic_store(&connected[fd].socket, socket_number(fd));
}

static bool read_connected(int fd, struct host *out)
{
    struct connected *place = fd >= 0 && fd < DESCRIPTORS ? &connected[fd] : NULL;
    uint64_t rest = place != NULL ? atomic_load(&place->rest) : 0;
    uint64_t words[2];

    if (rest == 0)
        return false;
    if (!socket_is_still(fd, atomic_load(&place->socket))) {
        (void)atomic_compare_exchange_strong(&place->rest, &rest, 0);
        return false;
    }
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

_Atomic bool socket_streams;

void socket_has_stream(int fd)
{
    atomic_store(&socket_streams, true);
    socket_mark(fd, SOCKET_HAS_STREAM);
}

void socket_copied(int fd, int copy)
{
    struct host host;

    if (fd < 0 || copy < 0 || fd == copy)
        return;
    atomic_store(&socket_marks[(uint16_t)copy], (uint16_t)(socket_marks_of(fd) & SOCKET_COPIED));
    if (copy >= DESCRIPTORS)
        return;
    if (atomic_load_explicit(&connected[copy].rest, memory_order_relaxed) != 0)
        atomic_store(&connected[copy].rest, 0);
    if (read_connected(fd, &host))
        store_connected(&connected[copy], &host, connected[fd].socket);
    if (copy <= 2 && socket_was_connected(copy))
        socket_has_stream(copy);
}

bool socket_is_gone(int fd)
{
    int saved = errno;
    struct stat status;
    bool gone = false;

    if (!kernel_is_filtered() || kernel_allows(SYS_fstat))
        gone = kernel_call(SYS_fstat, fd, &status) != 0 || !S_ISSOCK(status.st_mode);
    if (gone)
        socket_closing(fd);
    errno = saved;
    return gone;
}

bool socket_asks_server(int fd)
{
    struct host host;

    return fd >= 0 && fd < DESCRIPTORS && (uint16_t)atomic_load_explicit(&connected[fd].rest, memory_order_relaxed) == 53 && read_connected(fd, &host);
}

bool socket_was_connected(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && atomic_load_explicit(&connected[fd].rest, memory_order_relaxed) != 0;
}

bool socket_peer(int fd, struct host *out)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    int saved = errno;
    bool known;

    if (atomic_load_explicit(&layered, memory_order_relaxed) && read_connected(fd, out))
        return true;
    if (kernel_is_filtered() && !kernel_allows(SYS_getpeername))
        return read_connected(fd, out);
    known = kernel_call(SYS_getpeername, fd, &peer, &length) == 0;
    errno = saved;
    return known && host_from_sockaddr((const struct sockaddr *)&peer, length, out);
}

bool socket_lead(int fd, struct host *out)
{
    return socket_peer(fd, out) || read_connected(fd, out);
}

void socket_closing(int fd)
{
    if (fd < 0)
        return;
    if (socket_marks_of(fd) != 0)
        atomic_store_explicit(&socket_marks[(uint16_t)fd], 0, memory_order_relaxed);
    if (fd < DESCRIPTORS && atomic_load_explicit(&connected[fd].rest, memory_order_relaxed) != 0)
        atomic_store(&connected[fd].rest, 0);
}
