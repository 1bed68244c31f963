#include "required.h"

#include "guard.h"
#include "kernel.h"
#include "log.h"
#include "memory.h"
#include "pinstore.h"
#include "proxy.h"
#include "socket.h"
#include "stack.h"
#include "target.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#define SOCKETS 4096

/* What was said on each descriptor, and where it leads to. A descriptor beyond has nothing said on it each time: a request that is sent in pieces is
 * refused there. */
static struct plaintext said[SOCKETS];
static _Atomic uint64_t said_on[SOCKETS]; /* the socket: the descriptor may be another one's by now */

/* Find the rule that requires TLS on a socket that leads to this address; `target` is what it was found by. */
static const struct rule *find_rule(const struct pinstore *store, const struct host *address, struct target *target)
{
    struct host localhost = {.kind = HOST_NAME, .name = "localhost"};
    const struct rule *required;

    target_clear(target);
    if (store == NULL || store->pins == NULL || !pins_require_tls(store->pins))
        return NULL;
    target->named = address->kind == HOST_NAME;
    if (target->named)
        (void)target_add(target, address);
    else
        (void)target_set_address(target, address);
    required = policy_requires_tls(store->pins, target);
    /* Programs may skip the resolver for it (RFC 6761, section 6.3). */
    if (required == NULL && host_is_loopback(address)) {
        localhost.port = address->port;
        target_clear(target);
        target->named = target_add(target, &localhost) != NULL;
        required = target->named && pins_lookup(store->pins, &localhost).first != NULL ? policy_requires_tls(store->pins, target) : NULL;
    }
    return required;
}

static bool is_stream(int fd)
{
    socklen_t length = sizeof(int);
    int type = 0;

    return kernel_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type == SOCK_STREAM;
}

/* Find where the socket leads to. */
static bool find_lead(int fd, struct host *out)
{
    struct proxied proxied;

    proxy_of(fd, &proxied);
    if (proxied.asked == PROXY_ASKED)
        *out = proxied.host;
    return proxied.asked == PROXY_ASKED || socket_lead(fd, out);
}

#define EPHEMERAL 32768 /* the first port that the kernel gives by itself (ip(7), ip_local_port_range) */

static bool read_own(int fd, struct host *own)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    return kernel_call(SYS_getsockname, fd, &address, &length) == 0 && host_from_sockaddr((const struct sockaddr *)&address, length, own);
}

/* Of a connection that was made elsewhere nothing says which end asked for it. A service has the lower port, below those that the kernel gives, or its
 * sockets have SO_REUSEADDR from the one that listened. */
static bool has_asked(int fd, const struct host *peer)
{
    socklen_t length = sizeof(int);
    struct host own;
    int reuses = 0;

    if (kernel_is_filtered() && (!kernel_allows(SYS_getsockname) || !kernel_allows(SYS_getsockopt)))
        return false;
    return read_own(fd, &own) && (own.port > peer->port || own.port >= EPHEMERAL)
        && kernel_call(SYS_getsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &reuses, &length) == 0 && reuses == 0;
}

static struct spare targets; /* large for a thread with a small stack */

static void let_go(struct target *target)
{
    if (target != NULL)
        target_free(target);
    spare_let_go(&targets, target);
}

static void look_at(int fd, const struct pinstore *store, const struct host *host)
{
    struct target *target = spare_take(&targets, sizeof(*target));

    if ((target == NULL || find_rule(store, host, target) != NULL) && is_stream(fd)) {
        if (fd < SOCKETS) {
            memset(&said[fd], 0, sizeof(said[fd]));
            atomic_store(&said_on[fd], socket_number(fd));
        }
        socket_identify(fd);
        socket_mark(fd, SOCKET_NEEDS_TLS);
    } else {
        socket_unmark(fd, SOCKET_NEEDS_TLS);
    }
    let_go(target);
}

#define ASKED_SOCKETS 512
#define ASKED_ROOM 256

/* What was said last on a descriptor, if more of a request may follow. Threads that write to one socket at a time may confuse it, and no more. */
static struct asking {
    uint64_t socket; /* the descriptor may be another one's by now */
    uint16_t size;
    uint8_t bytes[ASKED_ROOM];
} asking[ASKED_SOCKETS];

/* Whether it leads to a proxy is not known before something is sent there. */
static void may_ask(int fd)
{
    if ((unsigned)fd < ASKED_SOCKETS)
        asking[fd] = (struct asking) {.socket = socket_number(fd)};
    if ((socket_marks_of(fd) & SOCKET_NEEDS_TLS) == 0 && is_stream(fd))
        socket_mark(fd, SOCKET_MAY_ASK_IN_CLEAR);
}

/* Return the pins if they require TLS of some target; NULL: none to be released. */
static const struct pinstore *hold_pins(void)
{
    const struct pinstore *store = config_get()->unjudged != UNJUDGED_ALLOW ? pinstore_hold() : NULL;

    if (store != NULL && store->pins != NULL && pins_require_tls(store->pins))
        return store;
    pinstore_release(store);
    return NULL;
}

void required_connects(int fd, const struct sockaddr *to, socklen_t length)
{
    const struct pinstore *store = fd >= 0 ? hold_pins() : NULL;
    int saved = errno;
    struct host address;

    if (store != NULL && host_from_sockaddr(to, length, &address)) {
        look_at(fd, store, &address);
        may_ask(fd);
    }
    pinstore_release(store);
    errno = saved;
}

bool required_inherited(int fd)
{
    const struct pinstore *store;
    int saved = errno;
    struct host peer;

    if (fd < 0 || !socket_peer(fd, &peer))
        return false;
    if (has_asked(fd, &peer)) {
        guard_prepare();
        store = hold_pins();
        if (store != NULL) {
            look_at(fd, store, &peer);
            may_ask(fd);
        }
        pinstore_release(store);
    }
    errno = saved;
    return (socket_marks_of(fd) & (SOCKET_NEEDS_TLS | SOCKET_MAY_ASK_IN_CLEAR)) != 0;
}

void required_copied(int fd, int copy)
{
    if (fd < 0 || copy < 0 || fd == copy)
        return;
    if (fd < ASKED_SOCKETS && copy < ASKED_SOCKETS && (socket_marks_of(fd) & SOCKET_MAY_ASK_IN_CLEAR) != 0)
        asking[copy] = asking[fd];
    if ((socket_marks_of(fd) & SOCKET_NEEDS_TLS) == 0)
        return;
    if (copy < SOCKETS) {
        said[copy] = fd < SOCKETS ? said[fd] : (struct plaintext) {.length = 0};
        atomic_store(&said_on[copy], fd < SOCKETS ? atomic_load(&said_on[fd]) : 0);
    }
    socket_mark(copy, SOCKET_NEEDS_TLS);
}

void required_asked(int fd)
{
    const struct pinstore *store = fd >= 0 ? hold_pins() : NULL;
    int saved = errno;
    struct proxied proxied;

    if (store != NULL) {
        proxy_of(fd, &proxied);
        if (proxied.asked == PROXY_ASKED)
            look_at(fd, store, &proxied.host);
    }
    pinstore_release(store);
    errno = saved;
}

enum outcome { STALE, REPORTED, REFUSED };

struct plain {
    const struct pinstore *store;
    const struct host *host;
    const char *what;
    bool told;
    enum outcome outcome;
};

static void judge_plain(void *with)
{
    struct plain *plain = with;
    const struct host *host = plain->host;
    static struct spare spare;
    struct strings {
        char where[HOST_NAME_MAX_LENGTH * 4 + 16];
        char at[400];
        char reason[600];
    } *strings = spare_take(&spare, sizeof(*strings));
    struct target *target = spare_take(&targets, sizeof(*target));
    const struct rule *rule = target != NULL ? find_rule(plain->store, host, target) : NULL;

    plain->outcome = target != NULL && strings != NULL ? STALE : REFUSED;
    if (rule != NULL && strings != NULL) {
        struct text where_text = text_over(strings->where, sizeof(strings->where));
        struct text at_text = text_over(strings->at, sizeof(strings->at));
        struct text text = text_over(strings->reason, sizeof(strings->reason));
        struct event event = {.verdict = EVENT_REFUSED, .library = "unjudged", .target = strings->where, .rule = strings->at, .reason = strings->reason};

        plain->outcome = REFUSED;
        if (config_get()->mode == MODE_REPORT || config_get()->unjudged == UNJUDGED_REPORT || pins_only_report(plain->store->pins, rule))
            plain->outcome = REPORTED;
        host_print(host, &where_text);
        event.port = host->port;
        text_add_escaped(&at_text, config_get()->pins, strlen(config_get()->pins), 300);
        text_add(&at_text, ":%u", (unsigned)rule->line);
        text_add(&text, "%s " PLAINTEXT_IS_REFUSED ", and %s says tls=required", plain->what, strings->at);
        if (plain->outcome == REPORTED)
            event.verdict = EVENT_REPORTED;
        pinstore_log_faults(plain->store);
        if (!plain->told)
            log_event(&event);
    }
    let_go(target);
    spare_let_go(&spare, strings);
}

/* What becomes of plaintext that leads to that host, or asks a proxy for it (`what`). */
static enum outcome report_for(const struct pinstore *store, const struct host *host, bool told, const char *what)
{
    struct plain plain = {store, host, what, told, REFUSED};

    stack_call(judge_plain, &plain);
    return plain.outcome;
}

/* What becomes of plaintext on this socket. */
static enum outcome report_plaintext(int fd, bool told)
{
    const struct pinstore *store = pinstore_hold();
    struct host address;
    enum outcome outcome = find_lead(fd, &address) ? report_for(store, &address, told, "what is sent there is") : STALE;

    pinstore_release(store);
    return outcome;
}

/* The descriptor is another socket than that of which something is known: forget it, and look at this one. */
static void is_another(int fd)
{
    if (socket_is_gone(fd))
        return;
    socket_made(fd);
    (void)required_inherited(fd);
}

/* Return false where the descriptor has become another socket's, and TLS may not be required of what is asked there. */
static bool is_still_asking(int fd)
{
    if (socket_is_still(fd, asking[fd].socket))
        return true;
    asking[fd].size = 0;
    is_another(fd);
    return (socket_marks_of(fd) & SOCKET_MAY_ASK_IN_CLEAR) != 0;
}

static bool asks_in_clear(int fd, const uint8_t *bytes, size_t size, struct host *out)
{
    enum proxy_clear clear = proxy_request_in_clear(bytes, size, out);
    struct asking all;

    if ((unsigned)fd >= ASKED_SOCKETS || (asking[fd].size == 0 && clear == PROXY_CLEAR_NONE) || !is_still_asking(fd))
        return clear == PROXY_CLEAR_ASKED && (socket_marks_of(fd) & SOCKET_MAY_ASK_IN_CLEAR) != 0;
    if (asking[fd].size == 0 && clear == PROXY_CLEAR_ASKED)
        return true;
    all = asking[fd];
    size = size < (size_t)ASKED_ROOM - all.size ? size : (size_t)ASKED_ROOM - all.size;
    memcpy(all.bytes + all.size, bytes, size);
    all.size = (uint16_t)(all.size + size);
    if (clear != PROXY_CLEAR_ASKED)
        clear = proxy_request_in_clear(all.bytes, all.size, out);
    if (clear != PROXY_CLEAR_BEGINS || all.size == ASKED_ROOM)
        all.size = 0;
    asking[fd] = all;
    return clear == PROXY_CLEAR_ASKED;
}

bool required_permits_asking(int fd, const uint8_t *bytes, size_t size)
{
    const struct pinstore *store;
    enum outcome outcome = STALE;
    int saved = errno;
    struct host host;

    if (!asks_in_clear(fd, bytes, size, &host) || (fd >= ASKED_SOCKETS && socket_is_gone(fd)))
        return true;
    store = hold_pins();
    if (store != NULL) {
        outcome = report_for(store, &host, false, "what is sent there through a proxy is");
        pinstore_release(store);
    }
    if (outcome == REFUSED)
        guard_shut(fd);
    errno = outcome == REFUSED ? EACCES : saved;
    return outcome != REFUSED;
}

/* Return true for the beginning of a record of TLS (RFC 8446, section 5.1). `*hello` becomes true if it is seen to have a ClientHello. */
static bool is_record(const struct iovec *parts, size_t count, bool *hello)
{
    const uint8_t *bytes;

    while (count > 0 && parts->iov_len == 0) {
        parts++;
        count--;
    }
    bytes = count > 0 ? parts->iov_base : NULL;
    *hello = count > 0 && parts->iov_len > 5 && bytes[0] == 22 && bytes[5] == 1;
    return count > 0 && parts->iov_len > 2 && bytes[0] >= 20 && bytes[0] <= 23 && bytes[1] == 3 && bytes[2] <= 4;
}

/* Return false if only these bytes have ever left on the socket, whatever descriptors it has: no ClientHello was among them. */
static bool others_have_sent(int fd, uint32_t sent)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    return kernel_call(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0
        || length < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans) || info.tcpi_bytes_sent - info.tcpi_bytes_retrans > sent;
}

/* The kernel may do it: then what is written to the socket is the plaintext of records (Linux, Documentation/networking/tls.rst). */
static bool kernel_does_tls(int fd)
{
    char protocol[16] = "";
    socklen_t length = sizeof(protocol) - 1;

    return kernel_call(SYS_getsockopt, fd, IPPROTO_TCP, TCP_ULP, protocol, &length) == 0 && strcmp(protocol, "tls") == 0;
}

static bool is_same_end(const struct host *one, const struct host *other)
{
    return host_same(one, other) && one->port == other->port;
}

/* A program may connect to itself, to wake up a thread of its own. */
static bool leads_here(int fd)
{
    struct host own, peer, other_own, other_peer;
    int saved = errno;
    bool leads = false;

    if (read_own(fd, &own) && socket_peer(fd, &peer) && host_is_loopback(&peer)) {
        for (int other = 0; other < SOCKETS && !leads; other++)
            leads = other != fd && (socket_marks_of(other) & SOCKET_IS_ONE) != 0 && read_own(other, &other_own) && socket_peer(other, &other_peer)
                && is_same_end(&own, &other_peer) && is_same_end(&peer, &other_own);
    }
    errno = saved;
    return leads;
}

bool required_looks(int fd, uint8_t first)
{
    unsigned marks = socket_marks_of(fd);

    /* The guard puts together what it cannot recognize yet. */
    return (marks & SOCKET_NEEDS_TLS) != 0 && ((marks & SOCKET_BEGINS_HELLO) == 0 || (fd < SOCKETS && plaintext_is_record(&said[fd], first)));
}

/* Return true if a record ended what was sent, so that only another one may follow, on whatever socket. */
static bool goes_on_in_records(const struct plaintext *state)
{
    return state->secured && state->within == 0 && state->length == 0 && state->owed == 0;
}

bool required_permits(int fd, const struct iovec *parts, size_t count, struct plaintext *after)
{
    enum outcome outcome;
    int saved = errno;
    bool allowed = parts != NULL;
    bool hello = false;

    memset(after, 0, sizeof(*after));
    if (fd < SOCKETS && !(goes_on_in_records(&said[fd]) && is_record(parts, count, &hello)) && !socket_is_still(fd, atomic_load(&said_on[fd]))) {
        is_another(fd);
        if ((socket_marks_of(fd) & SOCKET_NEEDS_TLS) == 0)
            return true;
    }
    if (fd < SOCKETS)
        *after = said[fd];
    /* The ClientHello may have gone out on another descriptor of the socket. */
    if (allowed && !after->secured && after->length <= PLAINTEXT_HELD && is_record(parts, count, &hello))
        *after = (struct plaintext) {.sent = after->sent, .ended = after->ended, .secured = !hello && others_have_sent(fd, after->sent)};
    if (fd >= SOCKETS && (hello || after->secured)) {
        socket_unmark(fd, SOCKET_NEEDS_TLS);
        return true;
    }
    for (size_t i = 0; allowed && i < count; i++)
        allowed = plaintext_allows(after, parts[i].iov_base, parts[i].iov_len);
    if (allowed)
        return true;
    outcome = socket_is_gone(fd) || kernel_does_tls(fd) || leads_here(fd) ? STALE : report_plaintext(fd, fd < SOCKETS && said[fd].length > PLAINTEXT_HELD);
    if (outcome == REFUSED) {
        guard_shut(fd);
        socket_mark(fd, SOCKET_NEEDS_TLS); /* whoever writes again gets no SIGPIPE */
        if (fd < SOCKETS)
            said[fd] = (struct plaintext) {.length = PLAINTEXT_HELD + 1}; /* nothing more is allowed, and that was logged */
    } else {
        socket_unmark(fd, SOCKET_NEEDS_TLS);
    }
    errno = outcome == REFUSED ? EACCES : saved;
    return outcome != REFUSED;
}

void required_sent(int fd, const struct plaintext *after, const uint8_t *bytes, size_t known, size_t sent, size_t whole)
{
    if (fd < 0 || fd >= SOCKETS || sent == 0 || (socket_marks_of(fd) & SOCKET_NEEDS_TLS) == 0)
        return;
    if (sent == whole || after->secured) {
        said[fd] = *after;
        said[fd].owed += (uint32_t)(whole - sent);
    } else if (sent > known || !plaintext_allows(&said[fd], bytes, sent)) {
        said[fd].length = PLAINTEXT_HELD; /* nothing more is allowed */
    }
    said[fd].sent += (uint32_t)sent;
}
