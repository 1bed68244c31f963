/* The functions that send on a socket, connect it or close it, interposed: what they are about to send is looked at, and nothing else changes.
 *
 * Nearly every call must cost next to nothing. So each looks at the size, the descriptor's mark and the first byte, and then jumps to the real
 * function; only what may be of interest takes the longer way. It looks before the call, because the buffer may be gone after it: only a single byte
 * is looked at afterwards, since programs write one to find out whether there is memory at an address. */

#include "guard.h"
#include "kernel.h"
#include "proxy.h"
#include "real.h"
#include "socket.h"

#include <errno.h>
#include <string.h>

/* What data of interest begins with: hello_may_begin, proxy_may_begin. */
static const bool interesting[256] = {[18] = true, [22] = true, ['C'] = true, [4] = true, [5] = true};

/* Return true if the data needs no look. /dev/null accepts any pointer without reading. */
static inline bool is_plain(int fd, const void *bytes, size_t size)
{
    return size > 1 && (uintptr_t)bytes >= KERNEL_NEVER_MAPPED && socket_marks_of(fd) == 0 && !interesting[*(const unsigned char *)bytes];
}

/* The beginning of what a call sends. */
struct outgoing {
    size_t size;
    unsigned char bytes[600];
};

/* Gather the beginning and look at it. */
static void look_before(struct outgoing *out, int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length)
{
    size_t i;

    out->size = 0;
    for (i = 0; i < count; i++) {
        size_t room = sizeof(out->bytes) - out->size;
        size_t size = parts[i].iov_len < room ? parts[i].iov_len : room;

        /* The kernel will not read it, or fail. */
        if (parts[i].iov_len > 0 && (uintptr_t)parts[i].iov_base < KERNEL_NEVER_MAPPED)
            break;
        if (size > 0)
            memcpy(out->bytes + out->size, parts[i].iov_base, size);
        out->size += size;
    }
    if (out->size > 0 && hello_may_begin(out->bytes[0]))
        guard_looks(fd, parts, i, to, to_length);
}

/* Look at what has been sent of it. A packet socket with a transmit ring sends the ring's contents, more than the call's own buffer (packet(7)). */
static void look_after(const struct outgoing *out, int fd, ssize_t sent)
{
    if (sent > 0 && out->size > 0)
        proxy_sent(fd, out->bytes, (size_t)sent < out->size ? (size_t)sent : out->size);
}

static void look_after_one(int fd, const void *bytes, ssize_t sent)
{
    if (sent == 1 && socket_was_connected(fd))
        proxy_sent(fd, bytes, 1);
}

/* Define the longer way of a function whose data is `bytes` and `size`. */
#define LOOKED_AT(name, parameters, arguments, to, to_length) \
    static __attribute__((noinline, cold)) ssize_t name##_looked_at parameters \
    { \
        struct iovec part = {(void *)(uintptr_t)bytes, size}; \
        struct outgoing outgoing; \
        ssize_t sent; \
\
        if (size <= 1) { \
            sent = find_##name() arguments; \
            look_after_one(fd, bytes, size == 1 ? sent : 0); \
            return sent; \
        } \
        look_before(&outgoing, fd, &part, 1, to, to_length); \
        sent = find_##name() arguments; \
        look_after(&outgoing, fd, sent); \
        return sent; \
    } \
    EXPORT ssize_t name parameters \
    { \
        __typeof__(&name) real = (__typeof__(&name))real_now(AT_##name); \
\
        if (__builtin_expect(real != NULL && is_plain(fd, bytes, size), 1)) \
            return real arguments; \
        return name##_looked_at arguments; \
    }

LOOKED_AT(write, (int fd, const void *bytes, size_t size), (fd, bytes, size), NULL, 0)
LOOKED_AT(send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), NULL, 0)
LOOKED_AT(sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length),
    (fd, bytes, size, flags, to, length), to, length)

/* Return true if the gathered data needs no look. */
static inline bool are_plain(int fd, const struct iovec *parts, size_t count)
{
    while (count > 0 && parts->iov_len == 0) {
        parts++;
        count--;
    }
    return count == 0 || is_plain(fd, parts->iov_base, parts->iov_len);
}

static __attribute__((noinline, cold)) ssize_t writev_looked_at(int fd, const struct iovec *parts, int count)
{
    struct outgoing outgoing;
    ssize_t sent;

    look_before(&outgoing, fd, parts, count > 0 ? (size_t)count : 0, NULL, 0);
    sent = find_writev()(fd, parts, count);
    look_after(&outgoing, fd, sent);
    return sent;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    __typeof__(&writev) real = (__typeof__(&writev))real_now(AT_writev);

    if (__builtin_expect(real != NULL && are_plain(fd, parts, count > 0 ? (size_t)count : 0), 1))
        return real(fd, parts, count);
    return writev_looked_at(fd, parts, count);
}

static __attribute__((noinline, cold)) ssize_t sendmsg_looked_at(int fd, const struct msghdr *message, int flags)
{
    struct outgoing outgoing;
    ssize_t sent;

    look_before(&outgoing, fd, message->msg_iov, message->msg_iovlen, message->msg_name, message->msg_namelen);
    sent = find_sendmsg()(fd, message, flags);
    look_after(&outgoing, fd, sent);
    return sent;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    __typeof__(&sendmsg) real = (__typeof__(&sendmsg))real_now(AT_sendmsg);

    if (__builtin_expect(real != NULL && ((uintptr_t)message < KERNEL_NEVER_MAPPED || are_plain(fd, message->msg_iov, message->msg_iovlen)), 1))
        return real(fd, message, flags);
    return sendmsg_looked_at(fd, message, flags);
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int result = find_connect()(fd, to, length);

    socket_connected(fd, result == 0 || errno == EINPROGRESS || errno == EINTR ? to : NULL, length);
    return result;
}

EXPORT int close(int fd)
{
    proxy_closing(fd);
    socket_closing(fd);
    return find_close()(fd);
}
