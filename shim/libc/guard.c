#include "guard.h"

#include "sent.h"
#include "socket.h"

void guard_looks(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length)
{
    struct hello hello;
    struct host address = {.kind = HOST_UNREADABLE};

    if (hello_read(parts, count, &hello) != HELLO_CLIENT)
        return;
    if ((to == NULL || !host_from_sockaddr(to, to_length, &address)) && !socket_peer(fd, &address))
        address.kind = HOST_UNREADABLE;
    (void)sent_leaves(hello.random, fd, &address);
}
