/* The functions that receive, interposed: answers of name servers are read, and nothing else changes. A call on any other descriptor only looks at its
 * mark, and jumps to the real function. */

#undef _FORTIFY_SOURCE /* it defines some of these itself */

#include "kernel.h"
#include "real.h"
#include "resolver.h"
#include "socket.h"

#include <string.h>

static inline bool is_of_interest(int fd)
{
    return __builtin_expect((socket_marks_of(fd) & SOCKET_ASKS_NAMES) != 0, 0);
}

/* Look at what was received of `size` bytes. What is only peeked at in a stream comes again. */
static void look(int fd, const struct iovec *parts, size_t count, ssize_t received, int flags)
{
    if (received > 0 && ((flags & MSG_PEEK) == 0 || (socket_marks_of(fd) & SOCKET_ASKS_IN_STREAM) == 0))
        resolver_received(fd, parts, count, (size_t)received);
}

/* Define a function that receives into `bytes` of `size`. With MSG_TRUNC it may return more than was written. */
#define LOOKED_AT(name, parameters, arguments, flags) \
    static __attribute__((noinline, cold)) ssize_t name##_looked_at parameters \
    { \
        ssize_t received = find_##name() arguments; \
        struct iovec part = {bytes, size}; \
\
        look(fd, &part, 1, received > 0 && (size_t)received > size ? (ssize_t)size : received, flags); \
        return received; \
    } \
    EXPORT ssize_t name parameters \
    { \
        __typeof__(&name) real = (__typeof__(&name))real_now(AT_##name); \
\
        if (__builtin_expect(real != NULL, 1) && !is_of_interest(fd)) \
            return real arguments; \
        return name##_looked_at arguments; \
    }

LOOKED_AT(read, (int fd, void *bytes, size_t size), (fd, bytes, size), 0)
LOOKED_AT(__read_chk, (int fd, void *bytes, size_t size, size_t room), (fd, bytes, size, room), 0)
LOOKED_AT(recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), flags)
LOOKED_AT(__recv_chk, (int fd, void *bytes, size_t size, size_t room, int flags), (fd, bytes, size, room, flags), flags)
LOOKED_AT(recvfrom, (int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *length), (fd, bytes, size, flags, from, length), flags)
LOOKED_AT(__recvfrom_chk, (int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *from, socklen_t *length),
    (fd, bytes, size, room, flags, from, length), flags)

static ssize_t room_of(const struct iovec *parts, size_t count, ssize_t received)
{
    size_t room = 0;

    for (size_t i = 0; i < count && received > 0 && room < (size_t)received; i++)
        room += parts[i].iov_len;
    return received > 0 && (size_t)received > room ? (ssize_t)room : received;
}

static __attribute__((noinline, cold)) ssize_t readv_looked_at(int fd, const struct iovec *parts, int count)
{
    ssize_t received = find_readv()(fd, parts, count);

    look(fd, parts, count > 0 ? (size_t)count : 0, received, 0);
    return received;
}

EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
    __typeof__(&readv) real = (__typeof__(&readv))real_now(AT_readv);

    if (__builtin_expect(real != NULL, 1) && !is_of_interest(fd))
        return real(fd, parts, count);
    return readv_looked_at(fd, parts, count);
}

/* Descriptors may have been passed (unix(7)). */
static void note_passed(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        size_t size = part->cmsg_len > CMSG_LEN(0) ? part->cmsg_len - CMSG_LEN(0) : 0;

        for (size_t at = 0; part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && at + sizeof(int) <= size; at += sizeof(int)) {
            int passed;

            memcpy(&passed, CMSG_DATA(part) + at, sizeof(passed));
            socket_closing(passed);
        }
    }
}

static __attribute__((noinline, cold)) ssize_t recvmsg_looked_at(int fd, struct msghdr *message, int flags)
{
    ssize_t received = find_recvmsg()(fd, message, flags);

    if (received > 0 && is_of_interest(fd))
        look(fd, message->msg_iov, message->msg_iovlen, room_of(message->msg_iov, message->msg_iovlen, received), flags);
    if (received >= 0)
        note_passed(message);
    return received;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    __typeof__(&recvmsg) real = (__typeof__(&recvmsg))real_now(AT_recvmsg);

    ssize_t received;

    if (__builtin_expect(real == NULL, 0) || is_of_interest(fd))
        return recvmsg_looked_at(fd, message, flags);
    received = real(fd, message, flags);
    if (__builtin_expect(received >= 0 && message->msg_control != NULL, 0))
        note_passed(message);
    return received;
}

static void note_all_passed(struct mmsghdr *messages, int count)
{
    for (int i = 0; i < count; i++) {
        if (messages[i].msg_hdr.msg_control != NULL)
            note_passed(&messages[i].msg_hdr);
    }
}

static __attribute__((noinline, cold)) int recvmmsg_looked_at(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    int received = find_recvmmsg()(fd, messages, count, flags, timeout);

    for (int i = 0; i < received; i++) {
        const struct msghdr *message = &messages[i].msg_hdr;

        look(fd, message->msg_iov, message->msg_iovlen, room_of(message->msg_iov, message->msg_iovlen, (ssize_t)messages[i].msg_len), flags);
    }
    note_all_passed(messages, received);
    return received;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, mmsg_flags flags, struct timespec *timeout)
{
    __typeof__(&recvmmsg) real = (__typeof__(&recvmmsg))real_now(AT_recvmmsg);

    int received;

    if (__builtin_expect(real == NULL, 0) || is_of_interest(fd))
        return recvmmsg_looked_at(fd, messages, count, flags, timeout);
    received = real(fd, messages, count, flags, timeout);
    note_all_passed(messages, received);
    return received;
}
