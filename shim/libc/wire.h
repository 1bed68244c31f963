/* What is learned when programs send: on which socket a handshake goes out, for programs whose BIOs do not tell OpenSSL (curl's,
 * GLib's), and which sockets lead through a proxy. */
#ifndef PINSHIM_WIRE_H
#define PINSHIM_WIRE_H

#include "host.h"

struct wire {
    bool watching;
    int fd; /* on which a handshake record was sent; -1: none yet */
    struct host to; /* its destination; HOST_UNREADABLE: the socket's own */
};

/* Watch what this thread sends from now on. The earlier state goes to `*before`, for wire_end. */
void wire_begin(struct wire *before);

/* Stop, and restore the state `before`. */
void wire_end(const struct wire *before);

/* If a TLS handshake record was sent since wire_begin, write its destination to `*out`. Not if it was sent on the socket `known` (-1: none), which
 * the caller knows, unless its destination differs from that socket's peer. */
void wire_read(struct host *out, int known);

/* Write to `*out` the address to which the socket is connected, and return true; false if it cannot be determined. */
MUST_CHECK bool wire_peer(int fd, struct host *out);

/* Note that this thread has sent `size` bytes, the first of which are at `bytes`, on `fd` or to `to` (NULL: to the peer of
 * `fd`). For data that is neither a handshake nor a proxy request, it reads only the first byte and a variable. It never makes a system
 * call. Safe in a signal handler; errno is preserved. */
void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length);

/* Note that `fd` is being connected to `to` (NULL: that this failed), or about to be closed. Safe in a signal handler; errno is preserved. */
void wire_connected(int fd, const struct sockaddr *to, socklen_t length);
void wire_closing(int fd);

/* Return true if a proxy was asked on this connection of `fd` to connect to another host: then the socket's port is the proxy's. */
MUST_CHECK bool wire_is_proxied(int fd);

#endif
