/* ClientHellos on their way to the kernel. */
#ifndef PINSHIM_GUARD_H
#define PINSHIM_GUARD_H

#include "hello.h"

/* What is gathered from `parts` is about to be sent on `fd`, to `to` (NULL: to the peer of `fd`). errno is preserved. */
void guard_looks(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length);

#endif
