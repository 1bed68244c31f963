/* Which connections lead through a proxy, and to which host, from what programs send on them. */
#ifndef PINSHIM_PROXY_H
#define PINSHIM_PROXY_H

#include "proxy_request.h"

/* A call has sent `sent` bytes on `fd`, which begin with the `size` bytes at `bytes`. Makes no
 * system call, but once a host was asked for; safe in a signal handler; errno is preserved. */
void proxy_sent(int fd, const unsigned char *bytes, size_t size, size_t sent);

/* TLS has begun on `fd`, and more of its first message is to be sent by calls of its own: they are no requests, whatever they begin with. errno is
 * preserved. */
void proxy_speaks_tls(int fd);

/* From now on the children that are forked tell this process, and each other, what they ask on sockets that they share. errno is preserved. */
void proxy_share(void);

/* `fd` is about to be closed: another descriptor may have the same connection. Safe in a signal handler; errno is preserved. */
void proxy_closing(int fd);

/* `fd` has a new connection. errno is preserved. */
void proxy_connected(int fd);

/* What a program asked a proxy for. */
struct proxied {
    enum proxy_asked asked;
    struct host host; /* PROXY_ASKED: for which host */
};

/* Find out what a proxy was asked for on the connection of `fd`. errno is preserved. */
void proxy_of(int fd, struct proxied *out);

#endif
