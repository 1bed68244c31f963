#include "guard.h"

#include "backend.h"
#include "evaluation.h"
#include "kernel.h"
#include "loader.h"
#include "memory.h"
#include "proxy.h"
#include "quic.h"
#include "sent.h"
#include "socket.h"
#include "stack.h"
#include "target.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void guard_prepare(void)
{
    if (config_get()->unjudged != UNJUDGED_ALLOW)
        pinstore_release(evaluation_prepare());
}

/* Return the inode, by which a socket is known whatever descriptors it has; 0: it is none. Where the program's filter forbids to ask, everything may
 * be one. */
static uint64_t socket_inode(int fd)
{
    struct stat status;
    int saved = errno;
    bool is;

    if (kernel_is_filtered() && !kernel_allows(SYS_fstat))
        return 1;
    is = kernel_call(SYS_fstat, fd, &status) == 0 && S_ISSOCK(status.st_mode);

    errno = saved;
    return is ? status.st_ino : 0;
}

/* Return false if it is not: the program's filter may forbid it. */
static bool shut(int fd)
{
    int saved = errno;
    bool is = kernel_call(SYS_shutdown, fd, SHUT_RDWR) == 0;

    errno = saved;
    return is;
}

void guard_shut(int fd)
{
    struct host peer;

    /* A datagram socket without a peer has others to talk to. */
    /* Nothing is sent any more, and that is said once. */
    if (fd >= 0 && socket_peer(fd, &peer) && shut(fd))
        socket_unmark(fd, SOCKET_NEEDS_TLS);
    if (fd >= 0)
        socket_unmark(fd, SOCKET_IS_REFUSED);
}

#define REFUSED 64

/* The sockets that are to be shut down. The descriptor's number alone may be another file's by now. */
static _Atomic uint64_t refused[REFUSED];

static void refuse_more(int fd, uint64_t inode)
{
    atomic_store(&refused[fd % REFUSED], inode);
    socket_mark(fd, SOCKET_IS_REFUSED);
}

void guard_shut_after_alert(int fd)
{
    struct host peer;

    if (fd < 0 || !socket_peer(fd, &peer))
        return;
    refuse_more(fd, socket_inode(fd));
}

/* What a refused client of a judged library may still send: an alert, in clear text or in what looks like data (TLS 1.3), with a ChangeCipherSpec
 * before it. The library itself sends no data. */
static bool is_farewell(const uint8_t *bytes, size_t size)
{
    return size > 2 && (bytes[0] == 20 || bytes[0] == 21 || bytes[0] == 23) && (bytes[1] == 3 || bytes[1] == 0xfe);
}

/* Return false if nothing may be sent on this socket any more. */
static bool permits_refused(int fd, const struct iovec *parts, size_t count, bool *after)
{
    const struct iovec *first = parts;
    uint64_t inode = atomic_load(&refused[fd % REFUSED]);

    if (inode == 0 || socket_inode(fd) != inode) {
        socket_unmark(fd, SOCKET_IS_REFUSED);
        return true;
    }
    while (first < parts + count && first->iov_len == 0)
        first++;
    if (first < parts + count && is_farewell(first->iov_base, first->iov_len)) {
        *after = true;
        return true;
    }
    guard_shut(fd);
    errno = EACCES;
    return false;
}

#define STARTED 64
#define LONGEST_START 2048

/* ClientHellos that are sent in pieces, up to the one with the SNI. */
static struct started {
    _Atomic int fd; /* plus 1; 0: free */
    uint64_t inode; /* the descriptor may be another file's by now */
    size_t size; /* of what was sent */
    size_t tried; /* with what is being sent */
    uint8_t bytes[LONGEST_START];
} started[STARTED];

static struct started *find_started(int fd)
{
    for (int i = 0; i < STARTED; i++) {
        if (atomic_load_explicit(&started[i].fd, memory_order_relaxed) == fd + 1)
            return &started[i];
    }
    return NULL;
}

static void end_started(int fd)
{
    struct started *start = find_started(fd);

    socket_unmark(fd, SOCKET_BEGINS_HELLO);
    if (start != NULL)
        atomic_store(&start->fd, 0);
}

static struct started *take_started(int i, int before, int fd, uint64_t inode)
{
    if (!atomic_compare_exchange_strong(&started[i].fd, &before, fd + 1))
        return NULL;
    started[i].size = started[i].tried = 0;
    started[i].inode = inode;
    socket_mark(fd, SOCKET_BEGINS_HELLO);
    return &started[i];
}

/* Return NULL if there is no room: there is where a descriptor has become another file's without a call that was seen (close_range). */
static struct started *make_started(int fd, uint64_t inode)
{
    struct started *start = NULL;

    for (int i = 0; i < STARTED && start == NULL; i++)
        start = take_started(i, 0, fd, inode);
    for (int i = 0; i < STARTED && start == NULL; i++) {
        int other = atomic_load(&started[i].fd);

        if (other != 0 && socket_inode(other - 1) != started[i].inode)
            start = take_started(i, other, fd, inode);
    }
    return start;
}

static void add_tried(struct started *start, const struct iovec *parts, size_t count)
{
    start->tried = start->size;
    for (size_t i = 0; i < count && start->tried < LONGEST_START; i++) {
        size_t room = LONGEST_START - start->tried;
        size_t size = parts[i].iov_len < room ? parts[i].iov_len : room;

        if (size > 0)
            memcpy(start->bytes + start->tried, parts[i].iov_base, size);
        start->tried += size;
    }
}

void guard_sent(int fd, ssize_t sent)
{
    struct started *start = find_started(fd);

    if ((socket_marks_of(fd) & SOCKET_IS_REFUSED) != 0 && sent > 0)
        guard_shut(fd);
    if (start != NULL && sent > 0)
        start->size = start->tried - start->size > (size_t)sent ? start->size + (size_t)sent : start->tried;
}

void guard_closing(int fd)
{
    if (fd >= 0 && (socket_marks_of(fd) & SOCKET_BEGINS_HELLO) != 0)
        end_started(fd);
}

/* Return true if the library whose code is at `caller` is judged, whatever is known of this ClientHello: its verify hook will see the peer. */
static bool is_judged(const void *caller)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->sends != NULL && backends[i]->sends(caller))
            return true;
    }
    return false;
}

/* By a function that each of them defines. */
static const struct {
    const char *mark;
    const char *name;
} libraries[] = {{"gnutls_global_init", "GnuTLS"}, {"SSL_ImportFD", "NSS"}, {"mbedtls_ssl_handshake", "Mbed TLS"}, {"wolfSSL_connect", "wolfSSL"},
    {"matrixSslNewClientSession", "MatrixSSL"}, {"br_ssl_client_reset", "BearSSL"}, {"s2n_negotiate", "s2n-tls"}, {"JNI_CreateJavaVM", "Java"}};

/* A library that is judged did not make what is not. */
static bool is_suspect(const struct loaded *object)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->judges != NULL && backends[i]->judges((const void *)object->start))
            return false;
    }
    return true;
}

/* Say by which TLS library the ClientHello was made: by the object that sends it, else by the only one that is known and not judged; else name the object. */
static void add_library(const void *caller, struct text *out)
{
    struct loaded object = {.name = ""};
    const char *only = NULL;
    const char *name;
    int count = 0;

    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->explain != NULL && backends[i]->explain(caller, out))
            return;
    }
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        if (loader_find(caller, libraries[i].mark, &object) && object.marked) {
            text_add_string(out, libraries[i].name);
            return;
        }
        if (loader_list(libraries[i].mark, &object, 1) > 0 && is_suspect(&object)) {
            only = libraries[i].name;
            count++;
        }
    }
    if (count == 1) {
        text_add_string(out, only);
        return;
    }
    if (!loader_find(caller, libraries[0].mark, &object) || object.name[0] == '\0') {
        text_add_string(out, "the program itself");
        return;
    }
    name = strrchr(object.name, '/');
    name = name != NULL ? name + 1 : object.name;
    text_add_escaped(out, name, strlen(name), 100);
}

/* Whom the program means: the SNI, the host that it asked a proxy for, or else the address, and without a name those that resolved to it. If a
 * ClientHello is encrypted within this one (ECH), the SNI is that of the server in front. A copy of a judged ClientHello (`hello` NULL) is judged by the
 * address: its library is judged by everything else. */
static void read_target(int fd, const struct hello *hello, const struct host *address, struct target *out)
{
    static const struct host unreadable;
    struct proxied proxied;
    struct host place;
    struct host host;
    bool clear;

    proxy_of(fd, &proxied);
    clear = proxied.asked == PROXY_NOT_ASKED || proxied.asked == PROXY_ASKED;
    place = proxied.asked == PROXY_ASKED ? proxied.host : *address;
    target_clear(out);
    if (hello != NULL && hello->sni_length > 0) {
        host_parse(hello->sni, hello->sni_length, &host);
        if (host.port == 0 && clear) {
            host.port = place.port;
            host.port_doubtful = host.kind == HOST_NAME && !target_port_is_of(&host, &place);
        }
        out->named = target_is_name(&host, &place) && !hello->covered;
        (void)target_add(out, &host);
    }
    if (!clear && (!out->named || proxied.asked == PROXY_LOST))
        (void)target_add(out, &unreadable);
    out->named |= place.kind == HOST_NAME;
    if (place.kind == HOST_NAME)
        (void)target_add(out, &place);
    else if (place.kind == HOST_ADDRESS)
        (void)target_set_address(out, &place);
}

/* GnuTLS, for one, sends what it has kept once more when it ends. */
static bool was_told(const uint8_t random[static HELLO_RANDOM])
{
    static _Atomic uint64_t told[64];
    uint64_t print;

    memcpy(&print, random + 8, sizeof(print));
    print |= 1;
    return atomic_exchange(&told[print / 2 % (sizeof(told) / sizeof(told[0]))], print) == print;
}

static void explain(const struct evaluation *evaluation, const void *caller, struct text *out)
{
    const struct judgement *judgement = &evaluation->judgement;

    text_add(out, "the TLS is that of ");
    add_library(caller, out);
    text_add(out, ", which cannot be judged; ");
    if (judgement->rule != NULL) {
        policy_print_rule(config_get()->pins, judgement, out);
        text_add(out, " demands something of this target. Use a build with OpenSSL or GnuTLS, allow the target there, or, if it only passes on the TLS of others,"
                      " set PINSHIM_UNJUDGED=allow");
    } else {
        policy_print_reason(evaluation->store->pins, config_get()->pins, judgement, out);
    }
}

#define REMARK 900 /* bytes */

/* A ClientHello that no judged library made. */
struct leaving {
    int fd;
    enum sent_claim claim;
    const struct hello *hello;
    const struct host *address;
    const void *caller;
    bool may; /* the rules demand nothing of the target, or their refusals are only reported */
};

static void judge_leaving(void *with)
{
    struct leaving *leaving = with;
    const struct hello *hello = leaving->hello;
    static const struct presented nothing;
    struct evaluation *evaluation = evaluation_new();
    bool told = was_told(hello->random);
    struct logged logged = {.refusal = told, .acceptance = told || !hello->whole};
    static struct spare spare;
    char *buffer = spare_take(&spare, REMARK);
    struct text remark;

    if (evaluation == NULL || buffer == NULL) {
        evaluation_free(evaluation);
        spare_let_go(&spare, buffer);
        return;
    }
    remark = text_over(buffer, REMARK);
    evaluation->address = *leaving->address;
    evaluation->target_final = true;
    read_target(leaving->fd, leaving->claim == SENT_ASTRAY ? NULL : hello, leaving->address, &evaluation->target);
    if (evaluate(NULL, &nothing, evaluation) == VERDICT_REFUSE && evaluation->store != NULL) {
        if (evaluation->judgement.host.kind == HOST_UNREADABLE && leaving->address->kind != HOST_UNREADABLE)
            evaluation->judgement.host = *leaving->address;
        if (evaluation->judgement.reason != REASON_FAULT && evaluation->judgement.reason != REASON_DENY) {
            explain(evaluation, leaving->caller, &remark);
            evaluation->remark = buffer;
        }
        evaluation->judgement.report |= config_get()->unjudged == UNJUDGED_REPORT;
    }
    if (evaluation->store != NULL)
        leaving->may = evaluation_decide(NULL, &nothing, evaluation, true, &logged) != DECISION_REFUSE;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    spare_let_go(&spare, buffer);
}

/* A datagram BIO sends its next ClientHello to whoever has answered the first. The handshake stays the one that was started, and is judged as that. */
static bool is_answered_elsewhere(int fd, const struct hello *hello)
{
    struct sent sent;

    return hello->datagram && sent_find(hello->random, &sent) == SENT_TO_ADDRESS && sent.fd == fd;
}

/* A ClientHello is to leave, as far as it goes. */
static bool permits_hello(int fd, const struct hello *hello, const struct sockaddr *to, socklen_t to_length, const void *caller)
{
    struct leaving leaving;
    struct host address;
    enum sent_claim claim;

    if ((to == NULL || !host_from_sockaddr(to, to_length, &address)) && !socket_peer(fd, &address))
        memset(&address, 0, sizeof(address));
    claim = sent_leaves(hello->random, fd, &address);
    if (claim == SENT_ASTRAY && is_answered_elsewhere(fd, hello))
        claim = SENT_ALONG;
    if (claim == SENT_ALONG || config_get()->unjudged == UNJUDGED_ALLOW || socket_inode(fd) == 0)
        return true;
    if (is_judged(caller))
        return true;
    /* Only now it may be known that it was made. */
    if (claim == SENT_BY_OTHERS && sent_leaves(hello->random, fd, &address) == SENT_ALONG)
        return true;
    leaving = (struct leaving) {fd, claim, hello, &address, caller, false};
    stack_call(judge_leaving, &leaving);
    return leaving.may;
}

/* Return false if it does not: errno is set then. */
static bool permits_or_shuts(int fd, const struct hello *hello, const struct sockaddr *to, socklen_t to_length, const void *caller)
{
    if (permits_hello(fd, hello, to, to_length, caller))
        return true;
    if (to == NULL || !hello->datagram)
        (void)shut(fd);
    errno = EACCES;
    return false;
}

/* Of one that cannot be read it is not known either which random it has. */
static void is_unread(uint64_t inode, struct hello *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->random + 8, &inode, sizeof(inode)); /* by which it is logged once */
    hello_cover(out);
}

static uint8_t first_of(const struct iovec *parts, size_t count)
{
    size_t i = 0;

    while (i < count && parts[i].iov_len == 0)
        i++;
    return i < count ? *(const uint8_t *)parts[i].iov_base : 0;
}

static bool permits_beginning(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length, const void *caller,
    bool *after)
{
    struct started *start = (socket_marks_of(fd) & SOCKET_BEGINS_HELLO) != 0 ? find_started(fd) : NULL;
    uint64_t inode = start != NULL ? socket_inode(fd) : 0;
    struct iovec whole;
    enum hello_kind kind;
    struct hello hello;
    struct sent sent;
    uint8_t first;
    bool more;

    if (start != NULL && start->inode != inode) {
        end_started(fd);
        start = NULL;
    }
    if (start != NULL) {
        add_tried(start, parts, count);
        whole = (struct iovec) {start->bytes, start->tried};
        parts = &whole;
        count = 1;
    }
    kind = hello_read(parts, count, &hello);
    first = first_of(parts, count);
    if (to == NULL && (kind == HELLO_BEGUN || (kind == HELLO_CLIENT && !hello.whole && !hello.datagram)) && first == 22)
        proxy_speaks_tls(fd);
    /* There may be more to come that says whom it is for. Nobody can answer what has left by now. */
    more = kind == HELLO_BEGUN || (kind == HELLO_CLIENT && !hello.whole && hello.sni_length == 0 && sent_find(hello.random, &sent) == SENT_UNKNOWN);
    if (more && start == NULL && ((hello_may_be_old(first) && !socket_was_connected(fd)) || (inode = socket_inode(fd)) == 0))
        return true;
    if (more && (start == NULL || start->tried < LONGEST_START)) {
        if (start == NULL && (start = make_started(fd, inode)) != NULL)
            add_tried(start, parts, count);
        *after = start != NULL;
        if (start != NULL)
            return true;
    }
    end_started(fd);
    /* Without room the first bytes of what may be another protocol's go out unread. */
    if (kind == HELLO_NONE || (more && hello_may_be_old(first)))
        return true;
    if (kind == HELLO_BEGUN)
        is_unread(inode, &hello);
    else if (more)
        hello_cover(&hello);
    if (!permits_or_shuts(fd, &hello, to, to_length, caller))
        return false;
    /* TDS goes on in packets of its own. */
    if (first == 18)
        socket_unmark(fd, SOCKET_NEEDS_TLS);
    return true;
}

/* What a tunnel passes on as a stream (UDP over TCP) is not meant for whoever the stream leads to. */
static bool is_stream(int fd)
{
    socklen_t length = sizeof(int);
    int type = 0;

    return kernel_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

struct initial {
    const struct iovec *parts;
    size_t count;
    struct hello *hello;
    enum hello_kind kind;
};

static void read_initial(void *with)
{
    struct initial *initial = with;

    initial->kind = quic_read(initial->parts, initial->count, initial->hello);
}

/* The same of a datagram of QUIC. */
static bool permits_initial(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length, const void *caller)
{
    uint8_t random[HELLO_RANDOM];
    struct hello hello;
    struct initial initial = {parts, count, &hello, HELLO_NONE};
    struct sent sent;

    if (parts->iov_len >= 5 && !quic_has_version(parts->iov_base))
        return true;
    stack_call(read_initial, &initial);
    if (initial.kind != HELLO_CLIENT || is_stream(fd))
        return true;
    memcpy(random, hello.random, sizeof(random));
    if (!hello.whole && hello.sni_length == 0 && sent_find(random, &sent) == SENT_UNKNOWN) {
        /* More may be demanded when the rest has come, but not less. It is judged, and logged, by itself. */
        if (hello.early_sni == 0)
            return true;
        hello.sni_length = hello.early_sni;
        hello.random[8] ^= 0x80;
    }
    if (permits_or_shuts(fd, &hello, to, to_length, caller))
        return true;
    (void)was_told(random);
    return false;
}

void guard_sent_one(int fd, uint8_t byte, const void *caller)
{
    struct iovec part = {&byte, 1};
    struct started *start;
    struct hello hello;
    int saved = errno;
    uint64_t inode;

    if (!hello_may_begin(byte) || !socket_was_connected(fd) || (inode = socket_inode(fd)) == 0)
        return;
    if (byte == 22)
        proxy_speaks_tls(fd);
    start = make_started(fd, inode);
    if (start != NULL) {
        add_tried(start, &part, 1);
        start->size = start->tried;
    } else if (!hello_may_be_old(byte)) {
        is_unread(inode, &hello);
        if (!permits_hello(fd, &hello, NULL, 0, caller)) {
            (void)shut(fd);
            refuse_more(fd, inode);
        }
    }
    errno = saved;
}

bool guard_permits(int fd, const struct iovec *parts, size_t count, const struct sockaddr *to, socklen_t to_length, const void *caller, bool *after)
{
    unsigned marks = fd >= 0 ? socket_marks_of(fd) : 0;
    int saved = errno;
    const struct iovec *first = parts;

    while (first < parts + count && first->iov_len == 0)
        first++;
    if (fd < 0 || first == parts + count)
        return true;
    if ((marks & SOCKET_IS_REFUSED) != 0 && !permits_refused(fd, parts, count, after))
        return false;
    if (((marks & SOCKET_BEGINS_HELLO) != 0 || hello_may_begin(*(const uint8_t *)first->iov_base))
        && !permits_beginning(fd, parts, count, to, to_length, caller, after))
        return false;
    if (quic_may_begin(*(const uint8_t *)first->iov_base) && !permits_initial(fd, first, (size_t)(parts + count - first), to, to_length, caller))
        return false;
    errno = saved;
    return true;
}
