/* The functions that send on a socket, connect it or close it, interposed: they note where a handshake is sent, and that a proxy was asked;
 * nothing else changes. */

#include "real.h"
#include "wire.h"

#include <errno.h>

/* Return how many bytes of a buffer of that size the call has read. A packet socket with a transmit ring sends the ring's contents, and the call's
 * own buffer is empty (packet(7), PACKET_TX_RING). */
static ssize_t read_of(size_t size, ssize_t sent)
{
    return sent > 0 && size < (size_t)sent ? (ssize_t)size : sent;
}

EXPORT ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t sent = find_send()(fd, bytes, size, flags);

    wire_note(fd, bytes, read_of(size, sent), NULL, 0);
    return sent;
}

EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    ssize_t sent = find_sendto()(fd, bytes, size, flags, to, length);

    wire_note(fd, bytes, read_of(size, sent), to, length);
    return sent;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = find_sendmsg()(fd, message, flags);

    if (sent > 0 && message->msg_iovlen > 0)
        wire_note(fd, message->msg_iov[0].iov_base, read_of(message->msg_iov[0].iov_len, sent), message->msg_name, message->msg_namelen);
    return sent;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t sent = find_write()(fd, bytes, size);

    wire_note(fd, bytes, read_of(size, sent), NULL, 0);
    return sent;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t sent = find_writev()(fd, parts, count);

    if (sent > 0 && count > 0)
        wire_note(fd, parts[0].iov_base, read_of(parts[0].iov_len, sent), NULL, 0);
    return sent;
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int result = find_connect()(fd, to, length);

    wire_connected(fd, result == 0 || errno == EINPROGRESS || errno == EINTR ? to : NULL, length);
    return result;
}

EXPORT int close(int fd)
{
    wire_closing(fd);
    return find_close()(fd);
}
