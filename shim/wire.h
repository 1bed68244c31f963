/* What is seen of sockets where programs send: which one a handshake goes out on, for programs whose BIOs do not tell (curl's,
 * GLib's), and which ones were led on through a proxy. */
#ifndef PINSHIM_WIRE_H
#define PINSHIM_WIRE_H

#include "host.h"

struct wire {
    bool watching;
    struct host seen; /* HOST_UNREADABLE: nothing yet */
};

/* Watch what this thread sends from now on. What was watched before goes to `*before`, for wire_end. */
void wire_begin(struct wire *before);

/* Watch no longer, but what was watched `before`. */
void wire_end(const struct wire *before);

/* If a TLS handshake record was sent since wire_begin, write to `*out` where to. */
void wire_read(struct host *out);

/* Note that this thread has sent `size` bytes, the first of which are at `bytes`, on `fd` or to `to` (NULL: where `fd` is connected
 * to). Nothing but a look at the first byte and a variable for what is neither a handshake nor a proxy's request. Safe in a
 * signal handler; errno is preserved. */
void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length);

/* Return true if a proxy was asked on this connection of `fd` to lead on to another host: its port is not the one that is meant. */
MUST_CHECK bool wire_is_proxied(int fd);

#endif
