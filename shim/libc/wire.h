/* On which socket a handshake goes out, for programs whose BIOs do not tell OpenSSL (curl's, GLib's). */
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

#define WIRE_HANDSHAKE 22 /* the first byte of such a record (RFC 8446, section 5.1; RFC 6347, section 4.1) */

/* This thread is about to send on `fd` bytes that begin with these, to `to` (NULL: to the peer of `fd`). Makes no system call; safe in a signal
 * handler; errno is preserved. */
void wire_sends(int fd, const unsigned char *bytes, size_t size, const struct sockaddr *to, socklen_t to_length);

#endif
