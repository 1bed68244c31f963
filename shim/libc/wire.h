/* What is seen of sockets where programs send: which one a handshake goes out on, for programs whose BIOs do not tell (curl's,
 * GLib's), and which ones were led on through a proxy. */
#ifndef PINSHIM_WIRE_H
#define PINSHIM_WIRE_H

#include "host.h"

struct wire {
    bool watching;
    int fd; /* on which a handshake record was sent; -1: none was yet */
    struct host to; /* where to; HOST_UNREADABLE: where the socket is connected to */
};

/* Watch what this thread sends from now on. What was watched before goes to `*before`, for wire_end. */
void wire_begin(struct wire *before);

/* Watch no longer, but what was watched `before`. */
void wire_end(const struct wire *before);

/* If a TLS handshake record was sent since wire_begin, write to `*out` where to; but not on the socket `known` (-1: none), of which the caller
 * knows, unless it went elsewhere than to where that is connected to. */
void wire_read(struct host *out, int known);

/* Write to `*out` where the socket is connected to, and return true; false where that cannot be told. */
MUST_CHECK bool wire_peer(int fd, struct host *out);

/* Note that this thread has sent `size` bytes, the first of which are at `bytes`, on `fd` or to `to` (NULL: where `fd` is connected
 * to). Nothing but a look at the first byte and a variable for what is neither a handshake nor a proxy's request, and never a system
 * call. Safe in a signal handler; errno is preserved. */
void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length);

/* Note that `fd` is being connected to `to` (NULL: that this failed), or about to be closed. Safe in a signal handler; errno is preserved. */
void wire_connected(int fd, const struct sockaddr *to, socklen_t length);
void wire_closing(int fd);

/* Return true if a proxy was asked on this connection of `fd` to lead on to another host: its port is not the one that is meant. */
MUST_CHECK bool wire_is_proxied(int fd);

#endif
