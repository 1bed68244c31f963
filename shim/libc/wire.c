#include "wire.h"

#include "proxy.h"
#include "socket.h"

/* By value: a program may leave a handshake by longjmp, and a pointer would then be dangling. */
static _Thread_local struct wire wire;

void wire_begin(struct wire *before)
{
    *before = wire;
    wire.watching = true;
    wire.fd = -1;
    wire.to.kind = HOST_UNREADABLE;
}

void wire_end(const struct wire *before)
{
    wire = *before;
}

void wire_read(struct host *out, int known)
{
    if (!wire.watching)
        return;
    if (wire.to.kind == HOST_ADDRESS)
        *out = wire.to;
    else if (wire.fd < 0 || wire.fd == known || !socket_peer(wire.fd, out))
        return;
    out->port_doubtful = proxy_is_asked(wire.fd);
}

void wire_sends(int fd, const unsigned char *bytes, size_t size, const struct sockaddr *to, socklen_t to_length)
{
    /* Later ones may go to whoever has answered (datagrams). */
    if (!wire.watching || wire.fd >= 0 || size < 2 || bytes[0] != WIRE_HANDSHAKE || (bytes[1] != 3 && bytes[1] != 254))
        return;
    wire.fd = fd;
    if (to == NULL || !host_from_sockaddr(to, to_length, &wire.to))
        wire.to.kind = HOST_UNREADABLE;
}
