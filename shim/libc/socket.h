/* What is known of a descriptor without asking the kernel: whether its data must be looked at, and where it was connected to. */
#ifndef PINSHIM_SOCKET_H
#define PINSHIM_SOCKET_H

#include "host.h"

#include <stdatomic.h>

/* Why each call that moves data on a descriptor must be looked at, whatever the data begins with. A descriptor is a bit set among these. */
enum socket_mark {
    SOCKET_ASKS_PROXY = 1, /* a request to a proxy has begun on it */
    SOCKET_BEGINS_HELLO = 2, /* the first bytes of a ClientHello were sent on it */
    SOCKET_NEEDS_TLS = 8, /* nothing but TLS, or a request to start it, may be sent on it (tls=required) */
    SOCKET_IS_REFUSED = 4, /* the connection on it was refused */
    SOCKET_HAS_STREAM = 16, /* a stream of stdio writes to it */
    SOCKET_IS_NEW = 32, /* nothing was sent on it since it was connected */
    SOCKET_ASKS_NAMES = 64, /* a question to a name server was sent on it: what is received must be looked at, too */
    SOCKET_ASKS_IN_STREAM = 128, /* and not as datagrams */
    SOCKET_IS_ONE = 256, /* it was seen to be a socket */
    SOCKET_IS_NONE = 512, /* it was seen to be none */
    SOCKET_MAY_ASK_IN_CLEAR = 1024, /* some rule says tls=required: a proxy may not be asked for that host in plaintext */
};

/* Those for which even a single byte is looked at before it is sent. */
#define SOCKET_GUARDED (SOCKET_BEGINS_HELLO | SOCKET_IS_REFUSED | SOCKET_NEEDS_TLS | SOCKET_MAY_ASK_IN_CLEAR)

/* Those that a copy of the descriptor has as well, without anything else that is kept by its number. */
#define SOCKET_COPIED (SOCKET_IS_NEW | SOCKET_ASKS_NAMES | SOCKET_ASKS_IN_STREAM | SOCKET_IS_ONE | SOCKET_IS_NONE | SOCKET_MAY_ASK_IN_CLEAR)

#define SOCKET_MARKS 65536

/* By the descriptor's lower 16 bits: where two descriptors share a place, data of the other one is looked at in vain. Written and read in signal
 * handlers and without a lock. */
extern __attribute__((visibility("hidden"))) _Atomic uint16_t socket_marks[SOCKET_MARKS];

static inline unsigned socket_marks_of(int fd)
{
    return atomic_load_explicit(&socket_marks[(uint16_t)fd], memory_order_relaxed);
}

static inline void socket_mark(int fd, enum socket_mark mark)
{
    (void)atomic_fetch_or_explicit(&socket_marks[(uint16_t)fd], (uint16_t)mark, memory_order_relaxed);
}

static inline void socket_unmark(int fd, enum socket_mark mark)
{
    (void)atomic_fetch_and_explicit(&socket_marks[(uint16_t)fd], (uint16_t)~(unsigned)mark, memory_order_relaxed);
}

/* Return a number that tells the socket `fd` from all others, whatever descriptor it has; 0 if it is none, or if that cannot be found out. errno is
 * preserved. What is kept by a descriptor's number holds as long as that is the same socket: nobody sees how it becomes another (close_range, and system
 * calls that are not made by libc). */
MUST_CHECK uint64_t socket_number(int fd);
#define SOCKET_OF_INODE (UINT64_C(1) << 62) /* it may become another socket's when this one is closed */

/* Return true if `fd` is still the socket of that number, or if that cannot be found out (`before` 0, which asks nothing). errno is preserved. */
MUST_CHECK bool socket_is_still(int fd, uint64_t before);

/* `fd` is a new socket (-1: there was none), or one that was received: what was known of another file with this number is forgotten. */
void socket_made(int fd);

/* Return true if the descriptor is no socket, or none at all: what is written there is nobody's connection. It is asked once, and never again until it
 * is seen to be closed, replaced or connected. False also where the program's filter forbids to ask. errno is preserved. */
MUST_CHECK bool socket_is_none(int fd);

/* Note that `fd` is being connected to `to` (NULL: that this failed), or about to be closed: its marks are gone then. Safe in a signal handler;
 * errno is preserved. */
void socket_connected(int fd, const struct sockaddr *to, socklen_t length);
void socket_closing(int fd);

/* From now on what is known of where `fd` was connected to is that socket's alone. It asks the kernel, so not everyone connects with it. */
void socket_identify(int fd);

/* Return true if it was connected to the port of name servers. */
MUST_CHECK bool socket_asks_server(int fd);

/* Return true if the descriptor is no socket any more, whose end was not seen (close_range): what was known of it is forgotten then. False where the
 * program's filter forbids to ask. errno is preserved. */
MUST_CHECK bool socket_is_gone(int fd);

/* `copy` is another descriptor of what `fd` is. If it is that of a standard stream, that stream may be over a socket now. */
void socket_copied(int fd, int copy);

/* A stream of stdio is over this socket, whose output must be looked at. Before there is any, nothing is looked at. */
void socket_has_stream(int fd);
extern __attribute__((visibility("hidden"))) _Atomic bool socket_streams;

/* Another object between this one and libc connects sockets, perhaps elsewhere than they were asked to (torsocks, proxychains): from now on where a
 * socket was connected to is what was asked. */
void socket_is_layered(void);

/* Return true if the descriptor was seen to be connected, and not seen to be closed. */
MUST_CHECK bool socket_was_connected(int fd);

/* Write to `*out` the address to which the socket is connected, and return true; false if it cannot be determined. errno is preserved. */
MUST_CHECK bool socket_peer(int fd, struct host *out);

/* The same, or, where it is not connected yet, the address to which it is being connected. */
MUST_CHECK bool socket_lead(int fd, struct host *out);

#endif
