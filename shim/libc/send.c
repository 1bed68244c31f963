/* The functions that send on a socket, connect it or close it, interposed: what they are about to send is looked at, and nothing else changes.
 *
 * Nearly every call must cost next to nothing. So each looks at the size, the descriptor's mark and the first byte, and then jumps to the real
 * function; only what may be of interest takes the longer way. It looks before the call, because the buffer may be gone after it: only a single byte
 * is looked at afterwards, since programs write one to find out whether there is memory at an address. */

#include "dns.h"
#include "guard.h"
#include "kernel.h"
#include "proxy.h"
#include "real.h"
#include "required.h"
#include "resolver.h"
#include "send.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

/* What data of interest begins with: guard_looks, proxy_request_may_begin. What seldom begins a datagram with an Initial packet of QUIC, and often other data, is
 * of interest where it is long enough for one. */
enum { NEVER = 0, ALWAYS, IF_LONG };
static const uint8_t interesting[256] = {[18] = ALWAYS, [22] = ALWAYS, [0x80 ... 0x81] = ALWAYS, [0x82 ... 0x9f] = IF_LONG, [0xc0 ... 0xdf] = ALWAYS,
    [0xe0 ... 0xff] = IF_LONG, ['C'] = ALWAYS, ['c'] = ALWAYS, ['\r'] = ALWAYS, ['\n'] = ALWAYS, [4] = ALWAYS, [5] = ALWAYS};

/* Return true if data that begins so, for a socket, needs no look. Nothing is read for a descriptor of which it is not known that it is one: /dev/null
 * accepts any pointer, and a pipe says whether there is memory. No address beyond the half of all is a program's. */
static inline bool begins_plainly(const uint8_t *bytes, size_t size)
{
    return (intptr_t)bytes >= KERNEL_NEVER_MAPPED && (interesting[bytes[0]] == NEVER || (interesting[bytes[0]] == IF_LONG && size < QUIC_INITIAL_LEAST));
}

static bool is_known_as_none(int fd)
{
    return socket_marks_of(fd) == SOCKET_IS_NONE && (unsigned)fd < SOCKET_MARKS;
}

/* sendmsg relies on it that the functions have been found when something is known to be a socket. */
static bool is_none(int fd)
{
    bool unknown = fd >= 0 && socket_marks_of(fd) == 0;
    bool none;

    (void)real_at(AT_sendmsg);
    none = socket_is_none(fd);
    if (unknown && !none)
        (void)required_inherited(fd);
    return none;
}

/* The same of the whole. A call that says where the data goes (`to`) may connect, or ask a name server. */
static inline bool is_plain(const void *bytes, size_t size, int flags, const struct sockaddr *to)
{
    if (to == NULL)
        return size > 1 && begins_plainly(bytes, size);
    return size >= DNS_QUERY_MIN && (flags & MSG_FASTOPEN) == 0 && begins_plainly(bytes, size) && !dns_may_be_query(bytes, size);
}

/* Return true if a look at more than its first byte shows that it is plain. Text over WebSocket begins as a ClientHello in the format of SSL 2.0 does, but for
 * its third byte; and any data as a packet of QUIC, but for its version. */
static bool is_plain_after_all(const uint8_t *bytes, size_t size, int flags, const struct sockaddr *to)
{
    if (size < 5 || (intptr_t)bytes < KERNEL_NEVER_MAPPED || (uintptr_t)bytes % KERNEL_PAGE_LEAST > KERNEL_PAGE_LEAST - 5
        || (to != NULL && (size < DNS_QUERY_MIN || (flags & MSG_FASTOPEN) != 0 || dns_may_be_query(bytes, size))))
        return false;
    return quic_may_begin(bytes[0]) && !quic_has_version(bytes) && !(hello_may_be_old(bytes[0]) && bytes[2] == 1);
}

/* The beginning of what a call sends. */
struct outgoing {
    bool guarded; /* guard_sent must follow */
    bool required; /* required_sent must follow */
    size_t whole; /* of all that is to be sent */
    size_t told; /* of the first bytes: they are in proxy.c */
    struct plaintext said;
    size_t size;
    unsigned char bytes[600];
};

/* Return true if this may be a question to a name server, or to Tor. */
static bool may_ask_names(int fd, const struct outgoing *out, const struct sockaddr *to)
{
    return out->size > 1
        && (to != NULL || (socket_marks_of(fd) & (SOCKET_IS_NEW | SOCKET_ASKS_NAMES)) != 0 || (out->bytes[0] == 5 && out->bytes[1] == 0xf0));
}

static void is_connected(int fd, const struct sockaddr *to, socklen_t length)
{
    socket_connected(fd, to, length);
    if (to != NULL && socket_asks_server(fd))
        resolver_connected(fd);
    if (to != NULL)
        required_connects(fd, to, length);
}

/* First before the program gives up its rights or its root directory; then as often as it connects, since it may never ask for TLS. One that does none hears
 * nothing of it. */
static void read_pins(const struct sockaddr *to, socklen_t length)
{
    static _Atomic bool shared;
    struct host host;

    if (kernel_readable(to, length) != length || !host_from_sockaddr(to, length, &host))
        return;
    guard_prepare();
    if (!atomic_load_explicit(&shared, memory_order_relaxed) && !atomic_exchange(&shared, true))
        proxy_share();
}

static void look_at_opening(int fd, int flags, const struct sockaddr *to, socklen_t length)
{
    if ((uintptr_t)to < KERNEL_NEVER_MAPPED || (flags & MSG_FASTOPEN) == 0 || real_at(AT_sendmsg) == NULL)
        return;
    read_pins(to, length);
    is_connected(fd, to, length);
}

/* The first bytes on a connection, or on one that asks a proxy, may be a header that is meant for a proxy or a relay, and a ClientHello behind it. Return
 * the place of one among the bytes; 0: none. */
static size_t find_behind(const struct outgoing *out)
{
    for (size_t at = 1; at + 11 <= out->size; at++) {
        const unsigned char *bytes = out->bytes + at;

        if (bytes[0] == 22 && bytes[1] == 3 && bytes[2] <= 4 && bytes[5] == 1 && bytes[9] == 3)
            return at;
    }
    return 0;
}

#define PARTS_BEHIND 8

/* Return false if a ClientHello behind other bytes must not leave: errno is set then. Whom these ask for is whom it is for. */
static bool permits_behind(struct outgoing *out, size_t at, int fd, const struct iovec *parts, size_t count, const void *caller)
{
    struct iovec behind[PARTS_BEHIND];
    size_t number = 0;

    out->told = at;
    for (size_t i = 0; i < count && number < PARTS_BEHIND; i++) {
        if (at >= parts[i].iov_len) {
            at -= parts[i].iov_len;
            continue;
        }
        behind[number++] = (struct iovec) {(char *)parts[i].iov_base + at, parts[i].iov_len - at};
        at = 0;
    }
    proxy_sent(fd, out->bytes, out->told, out->told);
    return guard_permits(fd, behind, number, NULL, 0, caller, &out->guarded);
}

#define READ_MOST 65536 /* bytes that are made sure of: no ClientHello is longer, nor a message to a name server */

/* Return how many bytes, from the first, can be read: those on this page, by its number, can be. The last one becomes that page. */
static size_t readable(const uint8_t *bytes, size_t size, uintptr_t *page)
{
    size_t known = (uintptr_t)bytes / KERNEL_PAGE_LEAST == *page ? KERNEL_PAGE_LEAST - (uintptr_t)bytes % KERNEL_PAGE_LEAST : 0;

    if (size == 0)
        return 0;
    *page = ((uintptr_t)bytes + size - 1) / KERNEL_PAGE_LEAST;
    return size <= known ? size : known + kernel_readable(bytes + known, size - known);
}

/* Gather the beginning of what is sent. The kernel may come to memory that cannot be read (a mapped file that was truncated), and send what is before it:
 * then `*cut` is set, and nothing but what was gathered may be read. Return how many parts begin it. The first byte was read before, but on a new socket.
 * What tls=required alone reads behind what is gathered is not made sure of: that would cost too much where much is sent. */
static size_t gather(struct outgoing *out, unsigned marks, const struct iovec *parts, size_t count, bool far, bool *cut)
{
    bool is_new = (marks & SOCKET_IS_NEW) != 0;
    uintptr_t page = 0;
    size_t sure = 0;
    size_t i;

    out->size = out->whole = 0;
    *cut = false;
    far |= (marks & (SOCKET_IS_NEW | SOCKET_ASKS_PROXY | SOCKET_ASKS_NAMES | SOCKET_BEGINS_HELLO | SOCKET_IS_REFUSED)) != 0;
    for (i = 0; i < count && !*cut; i++) {
        const uint8_t *bytes = parts[i].iov_base;
        size_t left = sizeof(out->bytes) - out->size;
        size_t size = parts[i].iov_len;
        size_t got;

        if (size == 0)
            continue;
        /* The kernel will not read it, or fail. */
        if ((uintptr_t)bytes < KERNEL_NEVER_MAPPED || (ssize_t)size < 0)
            break;
        if (out->whole == 0 && !is_new && (intptr_t)bytes > 0) {
            page = (uintptr_t)bytes / KERNEL_PAGE_LEAST;
            far |= guard_looks(bytes[0]);
        }
        out->whole += size;
        if (far)
            left = READ_MOST - sure;
        size = size < left ? size : left;
        got = readable(bytes, size, &page);
        *cut = got < size;
        sure += got;
        size = sizeof(out->bytes) - out->size;
        size = got < size ? got : size;
        if (size > 0)
            memcpy(out->bytes + out->size, bytes, size);
        out->size += size;
    }
    return i;
}

/* Gather the beginning and look at it. Return false if the call must fail: errno is set then. */
static bool look_before(struct outgoing *out, int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length,
    const void *caller)
{
    struct iovec own = {out->bytes, 0};
    size_t behind;
    bool is_new;
    bool cut;

    out->guarded = out->required = false;
    out->told = 0;
    count = gather(out, socket_marks_of(fd), parts, count, to != NULL, &cut);
    if (cut) {
        own.iov_len = out->size;
        parts = &own;
        count = 1;
    }
    if (out->size == 0)
        return true;
    if ((socket_marks_of(fd) & SOCKET_MAY_ASK_IN_CLEAR) != 0) {
        if (out->bytes[0] == 22)
            socket_unmark(fd, SOCKET_MAY_ASK_IN_CLEAR);
        else if (!required_permits_asking(fd, out->bytes, out->size))
            return false;
    }
    if ((guard_looks(out->bytes[0]) || (socket_marks_of(fd) & (SOCKET_BEGINS_HELLO | SOCKET_IS_REFUSED)) != 0)
        && !guard_permits(fd, parts, count, to, to_length, caller, &out->guarded))
        return false;
    is_new = (socket_marks_of(fd) & SOCKET_IS_NEW) != 0;
    behind = to == NULL && (is_new || (socket_marks_of(fd) & SOCKET_ASKS_PROXY) != 0) ? find_behind(out) : 0;
    if (behind != 0 && !permits_behind(out, behind, fd, parts, count, caller))
        return false;
    /* Who sends such a header first is not asked for more. */
    if (behind != 0 && is_new)
        socket_unmark(fd, SOCKET_NEEDS_TLS);
    out->required = required_looks(fd, out->bytes[0]);
    if (out->required && !required_permits(fd, parts, count, &out->said))
        return false;
    if (may_ask_names(fd, out, to))
        resolver_sends(fd, out->bytes, out->size, parts, count);
    return true;
}

/* Look at what has been sent of it. A packet socket with a transmit ring sends the ring's contents, more than the call's own buffer (packet(7)). */
static void look_after(const struct outgoing *out, int fd, ssize_t sent)
{
    if (out->guarded)
        guard_sent(fd, sent);
    if (out->required && sent > 0)
        required_sent(fd, &out->said, out->bytes, out->size, (size_t)sent, out->whole);
    if (sent > 0 && out->size > 0) {
        bool asks = (socket_marks_of(fd) & SOCKET_ASKS_PROXY) != 0 || proxy_request_may_begin(out->bytes[0]);
        size_t size = (size_t)sent < out->size ? (size_t)sent : out->size;

        if (size > out->told)
            proxy_sent(fd, out->bytes + out->told, size - out->told, (size_t)sent - out->told);
        if (asks)
            required_asked(fd);
    }
}

static void look_after_one(int fd, const void *bytes, ssize_t sent, const void *caller)
{
    if (sent != 1 || !(socket_was_connected(fd) || (socket_marks_of(fd) & SOCKET_ASKS_PROXY) != 0))
        return;
    guard_sent_one(fd, *(const uint8_t *)bytes, caller);
    proxy_sent(fd, bytes, 1, 1);
}

/* Jump to the real function if the descriptor is known to be no socket, or if its data is plain; else to the longer way. */
#define PASS_PLAIN(name, plain, arguments) \
    __typeof__(&name) real = (__typeof__(&name))real_now(AT_##name); \
\
    if (__builtin_expect(real == NULL, 0)) \
        return name##_looked_at arguments; \
    if (__builtin_expect(socket_marks_of(fd) != SOCKET_IS_ONE, 0)) \
        return is_known_as_none(fd) ? real arguments : name##_looked_at arguments; \
    return __builtin_expect(plain, 1) ? real arguments : name##_looked_at arguments

/* Define the longer way of a function whose data is `bytes` and `size`. */
#define LOOKED_AT(name, parameters, arguments, flags, to, to_length) \
    static __attribute__((noinline, cold)) ssize_t name##_looked_at parameters \
    { \
        struct iovec part = {(void *)(uintptr_t)bytes, size}; \
        struct outgoing outgoing; \
        ssize_t sent; \
\
        if (is_none(fd) || (socket_marks_of(fd) == SOCKET_IS_ONE && is_plain_after_all(bytes, size, flags, to))) \
            return find_##name() arguments; \
        if (size == 0 || (size == 1 && (socket_marks_of(fd) & SOCKET_GUARDED) == 0)) { \
            sent = find_##name() arguments; \
            look_after_one(fd, bytes, size == 1 ? sent : 0, __builtin_return_address(0)); \
            return sent; \
        } \
        look_at_opening(fd, flags, to, to_length); \
        if (!look_before(&outgoing, fd, &part, 1, to, to_length, __builtin_return_address(0))) \
            return -1; \
        sent = find_##name() arguments; \
        look_after(&outgoing, fd, sent); \
        return sent; \
    } \
    EXPORT ssize_t name parameters \
    { \
        PASS_PLAIN(name, is_plain(bytes, size, flags, to), arguments); \
    }

LOOKED_AT(write, (int fd, const void *bytes, size_t size), (fd, bytes, size), 0, NULL, 0)
LOOKED_AT(send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), 0, NULL, 0)
LOOKED_AT(sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length),
    (fd, bytes, size, flags, to, length), flags, to, length)

/* The kernel refuses more than so many parts, or messages, without reading them. */
#define MOST_PARTS 1024

/* Return true if the gathered data needs no look. */
static bool are_plain(int fd, const struct iovec *parts, size_t count, int flags, const struct sockaddr *to)
{
    if (count > MOST_PARTS || (uintptr_t)parts < KERNEL_NEVER_MAPPED)
        return true;
    while (count > 0 && parts->iov_len == 0) {
        parts++;
        count--;
    }
    return count == 0
        || (socket_marks_of(fd) == SOCKET_IS_ONE
            && (is_plain(parts->iov_base, parts->iov_len, flags, to) || is_plain_after_all(parts->iov_base, parts->iov_len, flags, to)));
}

/* The same of a socket's, but quickly: false also where the first part is empty. */
static inline bool begin_plainly(const struct iovec *parts, int flags, const struct sockaddr *to)
{
    return (uintptr_t)parts >= KERNEL_NEVER_MAPPED && is_plain(parts->iov_base, parts->iov_len, flags, to);
}

/* Define a function that sends `count` of `parts` to where `fd` is connected, and its longer way. */
#define GATHERED(name, parameters, arguments) \
    static __attribute__((noinline, cold)) ssize_t name##_looked_at parameters \
    { \
        struct outgoing outgoing = {.size = 0}; \
        __typeof__(&name) real = find_##name(); \
        bool plain = is_none(fd) || are_plain(fd, parts, count > 0 ? (size_t)count : 0, 0, NULL); \
        ssize_t sent; \
\
        if (real == NULL) { \
            errno = ENOSYS; \
            return -1; \
        } \
        if (!plain && !look_before(&outgoing, fd, parts, (size_t)count, NULL, 0, __builtin_return_address(0))) \
            return -1; \
        sent = real arguments; \
        if (!plain) \
            look_after(&outgoing, fd, sent); \
        return sent; \
    } \
    EXPORT ssize_t name parameters \
    { \
        PASS_PLAIN(name, count > 0 && begin_plainly(parts, 0, NULL), arguments); \
    }

GATHERED(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
/* With the offset -1 they are writev; with any other one they cannot send on a socket, as pwrite and pwritev cannot. Not every libc has them. */
GATHERED(pwritev2, (int fd, const struct iovec *parts, int count, off_t offset, int flags), (fd, parts, count, offset, flags))
GATHERED(pwritev64v2, (int fd, const struct iovec *parts, int count, off_t offset, int flags), (fd, parts, count, offset, flags))

static inline bool message_begins_plainly(int fd, const struct msghdr *message, int flags)
{
    if (socket_marks_of(fd) != SOCKET_IS_ONE || (uintptr_t)message < KERNEL_NEVER_MAPPED || message->msg_iovlen == 0)
        return false;
    /* Apart, since most have no address. */
    if (__builtin_expect(message->msg_name == NULL, 1))
        return begin_plainly(message->msg_iov, 0, NULL);
    return begin_plainly(message->msg_iov, flags, message->msg_name);
}

static bool message_is_plain(int fd, const struct msghdr *message, int flags)
{
    return (uintptr_t)message < KERNEL_NEVER_MAPPED || are_plain(fd, message->msg_iov, message->msg_iovlen, flags, message->msg_name);
}

/* Send by `pass`, a message; by sendmsg itself if that is NULL. */
static ssize_t send_message(int fd, const struct msghdr *message, int flags, const void *caller, send_passing *pass)
{
    const long call[7] = {SYS_sendmsg, fd, (long)message, flags};
    bool plain = is_none(fd) || message_is_plain(fd, message, flags);
    struct outgoing outgoing;
    ssize_t sent;

    if (!plain) {
        look_at_opening(fd, flags, message->msg_name, message->msg_namelen);
        if (!look_before(&outgoing, fd, message->msg_iov, message->msg_iovlen, message->msg_name, message->msg_namelen, caller))
            return -1;
    }
    sent = pass != NULL ? pass(call) : find_sendmsg()(fd, message, flags);
    if (!plain)
        look_after(&outgoing, fd, sent);
    return sent;
}

static __attribute__((noinline, cold)) ssize_t sendmsg_looked_at(int fd, const struct msghdr *message, int flags)
{
    return send_message(fd, message, flags, __builtin_return_address(0), NULL);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    /* The functions have been found when something is known to be a socket. */
    if (__builtin_expect(message_begins_plainly(fd, message, flags), 1))
        return ((__typeof__(&sendmsg))real_now(AT_sendmsg))(fd, message, flags);
    return sendmsg_looked_at(fd, message, flags);
}

static inline bool messages_are_plain(int fd, const struct mmsghdr *messages, unsigned count, int flags)
{
    bool plain = true;

    for (unsigned i = 0; (uintptr_t)messages >= KERNEL_NEVER_MAPPED && i < count && i < MOST_PARTS && plain; i++)
        plain = message_begins_plainly(fd, &messages[i].msg_hdr, flags) || message_is_plain(fd, &messages[i].msg_hdr, flags);
    return plain;
}

static size_t size_of(const struct msghdr *message)
{
    size_t size = 0;

    for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    return size;
}

/* One by one, as the kernel does it: until one fails, or is sent in part. */
static int send_messages(int fd, struct mmsghdr *messages, unsigned count, int flags, const void *caller, send_passing *pass)
{
    int saved = errno;
    ssize_t size = 0;
    int sent = 0;

    for (bool whole = true; (unsigned)sent < count && sent < MOST_PARTS && whole; sent++) {
        size = send_message(fd, &messages[sent].msg_hdr, flags, caller, pass);
        if (size < 0)
            break;
        messages[sent].msg_len = (unsigned)size;
        whole = (size_t)size == size_of(&messages[sent].msg_hdr);
    }
    if (sent == 0)
        return -1;
    errno = saved;
    return sent;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, mmsg_flags flags)
{
    __typeof__(&sendmmsg) real = (__typeof__(&sendmmsg))real_now(AT_sendmmsg);

    if (real != NULL && (socket_marks_of(fd) == SOCKET_IS_ONE ? messages_are_plain(fd, messages, count, flags) : count == 0 || is_none(fd)))
        return real(fd, messages, count, flags);
    return send_messages(fd, messages, count, flags, __builtin_return_address(0), NULL);
}

/* The contents of a file or a pipe are not looked at: they are no TLS, nor a request to start it, where nothing else may be sent. */
static bool permits_unseen(int fd)
{
    struct plaintext after;

    return is_none(fd) || (socket_marks_of(fd) & SOCKET_NEEDS_TLS) == 0 || required_permits(fd, NULL, 0, &after);
}

#define UNSEEN(name, parameters, arguments) \
    EXPORT ssize_t name parameters \
    { \
        __typeof__(&name) real = (__typeof__(&name))real_at(AT_##name); \
\
        if (socket_marks_of(fd) != SOCKET_IS_ONE && !permits_unseen(fd)) \
            return -1; \
        return real arguments; \
    }

UNSEEN(sendfile, (int fd, int from, off_t *offset, size_t size), (fd, from, offset, size))
UNSEEN(sendfile64, (int fd, int from, off_t *offset, size_t size), (fd, from, offset, size))
UNSEEN(splice, (int from, off_t *from_offset, int fd, off_t *offset, size_t size, unsigned flags), (from, from_offset, fd, offset, size, flags))

/* The data of a call that has one buffer, or several. */
static __attribute__((noinline, cold)) long send_parts(const long call[static 7], send_passing *pass, const void *caller, const struct iovec *parts, size_t count)
{
    int fd = (int)call[1];
    int flags = call[0] == SYS_sendto ? (int)call[4] : 0;
    const struct sockaddr *to = call[0] == SYS_sendto ? (const struct sockaddr *)call[5] : NULL;
    socklen_t length = to != NULL ? (socklen_t)call[6] : 0;
    struct outgoing outgoing;
    long sent;

    if (is_none(fd) || are_plain(fd, parts, count, flags, to))
        return pass(call);
    if (count == 1 && parts->iov_len == 1 && (socket_marks_of(fd) & SOCKET_GUARDED) == 0) {
        sent = pass(call);
        look_after_one(fd, parts->iov_base, sent, caller);
        return sent;
    }
    look_at_opening(fd, flags, to, length);
    if (!look_before(&outgoing, fd, parts, count, to, length, caller))
        return -1;
    sent = pass(call);
    look_after(&outgoing, fd, sent);
    return sent;
}

/* libc's own connects where it is asked to. */
static void find_layer(void)
{
    static _Atomic bool known;

    if (!atomic_exchange(&known, true) && !loader_is_of_libc("connect", (const void *)find_connect()))
        socket_is_layered();
}

EXPORT int socket(int domain, int type, int protocol)
{
    int fd = find_socket()(domain, type, protocol);

    socket_made(fd);
    /* Before this process has connected it, another one may, or a call that is not seen: it is looked at when something is first sent on it. */
    if (fd >= 0 && (domain == AF_INET || domain == AF_INET6) && (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM)
        socket_unmark(fd, SOCKET_IS_ONE);
    return fd;
}

EXPORT int socketpair(int domain, int type, int protocol, int pair[2])
{
    int result = find_socketpair()(domain, type, protocol, pair);

    for (int i = 0; result == 0 && i < 2; i++)
        socket_made(pair[i]);
    return result;
}

EXPORT int accept(int fd, struct sockaddr *from, socklen_t *length)
{
    int accepted = find_accept()(fd, from, length);

    socket_made(accepted);
    return accepted;
}

EXPORT int accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
    int accepted = find_accept4()(fd, from, length, flags);

    socket_made(accepted);
    return accepted;
}

/* By `pass`; by connect itself if that is NULL. */
static int connect_by(int fd, const struct sockaddr *to, socklen_t length, send_passing *pass)
{
    const long call[7] = {SYS_connect, fd, (long)to, length};
    int result;
    int saved;

    read_pins(to, length);
    result = pass != NULL ? (int)pass(call) : find_connect()(fd, to, length);
    saved = errno;

    find_layer();
    errno = saved;
    if (result == 0 || errno == EINPROGRESS || errno == EINTR) {
        guard_closing(fd);
        proxy_connected(fd);
    }
    is_connected(fd, result == 0 || errno == EINPROGRESS || errno == EINTR ? to : NULL, length);
    return result;
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    return connect_by(fd, to, length, NULL);
}

static void closing(int fd)
{
    guard_closing(fd);
    proxy_closing(fd);
    socket_closing(fd);
}

static void copied(int fd, int copy)
{
    socket_copied(fd, copy);
    required_copied(fd, copy);
}

/* They close `to`. */
EXPORT int dup2(int fd, int to)
{
    int copy;

    if (fd != to)
        closing(to);
    copy = find_dup2()(fd, to);
    copied(fd, copy);
    return copy;
}

EXPORT int dup3(int fd, int to, int flags)
{
    int copy;

    if (fd != to)
        closing(to);
    copy = find_dup3()(fd, to, flags);
    copied(fd, copy);
    return copy;
}

EXPORT int dup(int fd)
{
    int copy = find_dup()(fd);

    copied(fd, copy);
    return copy;
}

/* Only the kernel knows whether there is an argument. */
#define FCNTL(name) \
    EXPORT int name(int fd, int command, ...) \
    { \
        va_list args; \
        void *argument; \
        int result; \
\
        va_start(args, command); \
        argument = va_arg(args, void *); \
        va_end(args); \
        result = find_##name()(fd, command, argument); \
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) \
            copied(fd, result); \
        return result; \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

EXPORT int close(int fd)
{
    closing(fd);
    return find_close()(fd);
}

long send_call(const long call[static 7], send_passing *pass, const void *caller)
{
    const struct iovec whole = {(void *)call[2], (size_t)call[3]};

    switch (call[0]) {
    case SYS_connect: return connect_by((int)call[1], (const struct sockaddr *)call[2], (socklen_t)call[3], pass);
    case SYS_write:
        if (socket_marks_of((int)call[1]) == SOCKET_IS_ONE && is_plain(whole.iov_base, whole.iov_len, 0, NULL))
            break;
        return send_parts(call, pass, caller, &whole, 1);
    case SYS_sendto: return send_parts(call, pass, caller, &whole, 1);
    case SYS_writev:
    case SYS_pwritev2: return send_parts(call, pass, caller, (const struct iovec *)call[2], (size_t)(call[3] > 0 ? call[3] : 0));
    case SYS_sendmsg: return send_message((int)call[1], (const struct msghdr *)call[2], (int)call[3], caller, pass);
    case SYS_sendfile: return permits_unseen((int)call[1]) ? pass(call) : -1;
    case SYS_splice: return permits_unseen((int)call[3]) ? pass(call) : -1;
    case SYS_sendmmsg:
        if (!messages_are_plain((int)call[1], (struct mmsghdr *)call[2], (unsigned)call[3], (int)call[4]))
            return send_messages((int)call[1], (struct mmsghdr *)call[2], (unsigned)call[3], (int)call[4], caller, pass);
    }
    return pass(call);
}
