/* Names that the program resolves by itself: what it asks a name server on a socket, and what it reads there. What was asked is kept: an answer counts
 * for the name that was asked for there under its number, and can add no other. No system call, no lock, no
 * allocation; safe in a signal handler and in a forked child; errno is preserved. */
#ifndef PINSHIM_RESOLVER_H
#define PINSHIM_RESOLVER_H

#include "text.h"

#include <sys/uio.h>

/* Remember the addresses in an answer that libc has received; `name` is that which the program gave (NULL: none). */
void resolver_answered(const char *name, const void *answer, size_t size);

/* `fd` was connected to the port of name servers: its answers are read, even if their questions are not seen. */
void resolver_connected(int fd);

/* These parts, which begin with the `size` bytes at `bytes`, are about to be sent on `fd`: it is newly connected, or questions were asked on it before, or
 * the call says where they go. */
void resolver_sends(int fd, const unsigned char *bytes, size_t size, const struct iovec *parts, size_t count);

/* `size` bytes were received on `fd`, where questions were asked, into these parts. */
void resolver_received(int fd, const struct iovec *parts, size_t count, size_t size);

#endif
