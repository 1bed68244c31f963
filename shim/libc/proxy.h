/* Which connections lead through a proxy, from what programs send on them. */
#ifndef PINSHIM_PROXY_H
#define PINSHIM_PROXY_H

#include "host.h"

/* Return true if bytes that begin so can be the beginning of a request to a proxy: `C`, SOCKS 4 and 5. */
static inline bool proxy_may_begin(unsigned char first)
{
    return first == 'C' || first == 4 || first == 5;
}

/* These bytes were sent on `fd`. Makes no system call; safe in a signal handler; errno is preserved. */
void proxy_sent(int fd, const unsigned char *bytes, size_t size);

/* `fd` is about to be closed. Safe in a signal handler; errno is preserved. */
void proxy_closing(int fd);

/* Return true if a proxy was asked on this connection of `fd` to connect to another host: then the socket's port is the proxy's. */
MUST_CHECK bool proxy_is_asked(int fd);

#endif
