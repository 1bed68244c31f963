/* The guard: a ClientHello that no judged TLS library has made does not leave while the rules for its target demand something, and nothing more leaves
 * on the socket of a connection that was refused. Every function here preserves errno, unless it says otherwise. */
#ifndef PINSHIM_GUARD_H
#define PINSHIM_GUARD_H

#include "quic.h"

/* Return true if what begins with this byte is of interest here. */
static inline bool guard_looks(uint8_t first)
{
    return hello_may_begin(first) || quic_may_begin(first);
}

/* A call of the function at `caller` is about to send on `fd` what is gathered from `parts`, to `to` (NULL: to the peer of `fd`). Return false if it
 * must fail: errno is set then. Where `*after` becomes true, guard_sent must follow with the call's result. */
MUST_CHECK bool guard_permits(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length, const void *caller,
    bool *after);
void guard_sent(int fd, ssize_t sent);

/* The same for a single byte that has been sent: programs write one to find out whether there is memory at an address. */
void guard_sent_one(int fd, uint8_t byte, const void *caller);

/* `fd` is about to be closed. Safe in a signal handler. */
void guard_closing(int fd);

/* The connection on the socket `fd` was refused: shut it down, at once or once the alert has gone out. Nothing happens to what is no connected
 * socket. */
void guard_shut(int fd);
void guard_shut_after_alert(int fd);

/* Read the pins while that is still possible. No fault is logged. */
void guard_prepare(void);

#endif
