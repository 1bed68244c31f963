/* Which socket a handshake goes out on, for programs whose BIOs do not tell (curl's, GLib's): seen where the ClientHello is sent. */
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
 * to). Nothing but a look at a variable unless it is watched. Safe in a signal handler; errno is preserved. */
void wire_note(int fd, const void *bytes, ssize_t size, const struct sockaddr *to, socklen_t to_length);

#endif
