/* Which socket a handshake goes out on, for programs whose BIOs do not tell (curl's, GLib's): seen where the ClientHello is sent. */
#ifndef PINSHIM_WIRE_H
#define PINSHIM_WIRE_H

#include "host.h"

/* From now on, write to `*place` where this thread sends a TLS handshake record to. NULL: no longer. Return what was watched
 * before, to be set again afterwards. */
struct host *wire_watch(struct host *place);

/* Note that this thread sends `size` bytes at `bytes` on `fd`. Nothing but a look at a variable unless it is watched. Safe in a
 * signal handler; errno is preserved. */
void wire_note(int fd, const void *bytes, size_t size);

#endif
