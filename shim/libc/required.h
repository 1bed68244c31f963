/* Where a rule says tls=required: nothing but TLS, and what a protocol has for starting it, is sent. Every function here preserves errno, unless it says
 * otherwise. */
#ifndef PINSHIM_REQUIRED_H
#define PINSHIM_REQUIRED_H

#include "plaintext.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* `fd` is being connected to this address: mark it (SOCKET_NEEDS_TLS) if a rule for it, or for a name that resolved to it, says so. */
void required_connects(int fd, const struct sockaddr *to, socklen_t length);

/* `copy` is another descriptor of the same socket (dup). */
void required_copied(int fd, int copy);

/* `fd` is a socket of which nothing was known: another process may have connected it. The same for where it leads to; not if this end was connected
 * to. Return true if TLS is required there, or may be of what a proxy is asked for. */
bool required_inherited(int fd);

/* Bytes that may ask a proxy for another host were sent on `fd`: the same for that host. */
void required_asked(int fd);

/* Return true if what is about to be sent on `fd`, which begins with `first`, must be looked at by required_permits. */
MUST_CHECK bool required_looks(int fd, uint8_t first);

/* These bytes are about to be sent on `fd`, on which a proxy may be asked (SOCKET_MAY_ASK_IN_CLEAR). Return false if they ask for a host that TLS is required of, in
 * plaintext: errno is set then, and the socket is shut down. */
MUST_CHECK bool required_permits_asking(int fd, const uint8_t *bytes, size_t size);

/* What is gathered from `parts` is about to be sent on `fd`, which has that mark. Return false if it must fail: errno is set then, and the socket is
 * shut down. What no call of this process holds in memory (`parts` NULL) is neither TLS nor a request to start it. Else `*after` is for required_sent, with the number of bytes that the call has sent, and those of them that are known. */
MUST_CHECK bool required_permits(int fd, const struct iovec *parts, size_t count, struct plaintext *after);
void required_sent(int fd, const struct plaintext *after, const uint8_t *bytes, size_t known, size_t sent, size_t whole);

#endif
