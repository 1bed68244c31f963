#include "proxy.h"

#include "kernel.h"
#include "sent.h"
#include "socket.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#define PLACES 32768U
#define WAYS 256U

/* What was asked, by descriptor while it is being asked, because most writes make no system call; then by socket, which may have several descriptors, while
 * a descriptor's number may be another socket's later, and nobody see that (close_range). A place is taken within WAYS of where its key belongs. It is written
 * and read by whoever has claimed it; nobody waits for that. */
#define OF_DESCRIPTOR (UINT64_C(1) << 63)
static _Atomic uint64_t keys[PLACES]; /* 0: free */
static struct place {
    _Atomic uint64_t socket; /* of the descriptor: which it was; 0: that is not known */
    _Atomic bool claimed;
    _Atomic bool missed; /* something was sent while another thread, or the code that a signal has interrupted, had claimed it */
    _Atomic bool untold; /* the socket does not have yet what is known of the descriptor */
    _Atomic bool tls; /* of the descriptor: see proxy_speaks_tls */
    _Atomic bool closed; /* a descriptor of the socket was closed: it gives way first */
    _Atomic uint32_t age;
    struct proxy_request request;
} places[PLACES];
static _Atomic uint32_t ages;
static _Atomic bool any; /* place was ever taken */
static _Atomic uint32_t untold; /* places */
static _Atomic bool crowded; /* something found no place, or has lost it */

/* What a forked child has asked on a socket that its parent or another child may have, too; the oldest gives way. As everywhere here, nobody waits, and a child that
 * ends with one claimed leaves it so. Alone in its pages. */
#define TOLD 256
static struct {
    char before[KERNEL_PAGE_MOST];
    struct told {
        _Atomic bool claimed;
        _Atomic uint64_t socket;
        struct proxied proxied;
    } told[TOLD];
    _Atomic uint32_t count; /* of those that were ever told */
    char after[KERNEL_PAGE_MOST];
} shared;
static _Atomic uint32_t first_process;

void proxy_share(void)
{
    if (atomic_load(&first_process) == 0 && kernel_share(shared.told, shared.after, sizeof(shared.after)))
        atomic_store(&first_process, kernel_process());
}

static bool claim_told(struct told *told, uint64_t socket)
{
    for (int i = 0; i < 1000; i++) {
        if (atomic_exchange_explicit(&told->claimed, true, memory_order_acquire))
            continue;
        if (atomic_load_explicit(&told->socket, memory_order_relaxed) == socket)
            return true;
        atomic_store_explicit(&told->claimed, false, memory_order_release);
        break;
    }
    return false;
}

static void let_told_go(struct told *told)
{
    atomic_store_explicit(&told->claimed, false, memory_order_release);
}

static struct told *find_told(uint64_t socket)
{
    for (uint32_t i = 0; i < TOLD && i < atomic_load_explicit(&shared.count, memory_order_acquire); i++) {
        if (atomic_load_explicit(&shared.told[i].socket, memory_order_relaxed) == socket)
            return &shared.told[i];
    }
    return NULL;
}

/* Nothing of a socket without a number of its own. */
static bool may_be_told(uint64_t socket)
{
    return socket != 0 && (socket & SOCKET_OF_INODE) == 0;
}

/* Tell the other processes what was asked on `fd`. */
static void tell(int fd, const struct proxy_request *request)
{
    uint64_t socket = socket_number(fd);
    struct told *told = may_be_told(socket) ? find_told(socket) : NULL;

    if (!may_be_told(socket))
        return;
    if (told == NULL)
        told = &shared.told[atomic_fetch_add(&shared.count, 1) % TOLD];
    if (!claim_told(told, atomic_load(&told->socket)))
        return;
    atomic_store(&told->socket, socket);
    told->proxied.asked = proxy_request_host(request, &told->proxied.host);
    let_told_go(told);
}

/* Add what other processes have told of the socket to what this one knows of it. */
static void hear(uint64_t socket, struct proxied *out)
{
    struct told *told = may_be_told(socket) ? find_told(socket) : NULL;

    if (told == NULL)
        return;
    if (!claim_told(told, socket)) {
        out->asked = atomic_load(&told->socket) == socket ? PROXY_LOST : out->asked;
        return;
    }
    if (out->asked == PROXY_NOT_ASKED)
        *out = told->proxied;
    else if (out->asked != told->proxied.asked || (out->asked == PROXY_ASKED && !(host_same(&out->host, &told->proxied.host) && out->host.port == told->proxied.host.port)))
        out->asked = PROXY_LOST;
    let_told_go(told);
}

static bool is_any(void)
{
    return atomic_load_explicit(&any, memory_order_relaxed) || atomic_load_explicit(&shared.count, memory_order_relaxed) != 0;
}

static uint64_t of_descriptor(int fd)
{
    return OF_DESCRIPTOR | (unsigned)fd;
}

static uint32_t home_of(uint64_t key)
{
    return (uint32_t)((key & OF_DESCRIPTOR) != 0 ? key : key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PLACES;
}

/* Claim the place while it has that key. It is claimed for no longer than it takes to copy a few lines, except where a thread was stopped, has
 * called this from a signal handler, or was lost in a fork. */
static bool claim(uint32_t at, uint64_t key)
{
    for (int i = 0; i < 1000; i++) {
        if (atomic_load_explicit(&places[at].claimed, memory_order_relaxed)
            || atomic_exchange_explicit(&places[at].claimed, true, memory_order_acquire))
            continue;
        if (atomic_load_explicit(&keys[at], memory_order_relaxed) == key)
            return true;
        atomic_store_explicit(&places[at].claimed, false, memory_order_release);
        break;
    }
    return false;
}

static void let_go(struct place *place)
{
    atomic_store_explicit(&place->claimed, false, memory_order_release);
}

/* Return the place with this key, claimed. NULL: there is none, or `*busy` is the one that cannot be claimed. */
static struct place *find(uint64_t key, struct place **busy)
{
    uint32_t home = home_of(key);

    *busy = NULL;
    for (uint32_t i = 0; i < WAYS; i++) {
        uint32_t at = (home + i) % PLACES;

        if (atomic_load_explicit(&keys[at], memory_order_relaxed) != key)
            continue;
        if (claim(at, key))
            return &places[at];
        if (atomic_load_explicit(&keys[at], memory_order_relaxed) == key)
            *busy = &places[at];
    }
    return NULL;
}

static void set_untold(struct place *place, bool is)
{
    if (atomic_exchange(&place->untold, is) != is)
        atomic_fetch_add(&untold, is ? 1 : UINT32_MAX);
}

static void set_key(struct place *place, uint64_t key)
{
    atomic_store(&keys[place - places], key);
    set_untold(place, (key & OF_DESCRIPTOR) != 0);
}

/* Return true if of these places, both of sockets, the first is to give way sooner. */
static bool gives_way(const struct place *place, const struct place *other, uint32_t now)
{
    return place->closed != other->closed ? place->closed : now - place->age > now - other->age;
}

/* Take a place for a key that has none, and return it claimed: a free one, or a socket's. NULL: there is none. */
static struct place *take(uint64_t key)
{
    uint32_t home = home_of(key);
    uint32_t now = atomic_fetch_add(&ages, 1);
    struct place *place = NULL;
    uint64_t oldest = 0;
    uint32_t oldest_at = 0;

    for (uint32_t i = 0; i < WAYS && place == NULL; i++) {
        uint32_t at = (home + i) % PLACES;
        uint64_t other = atomic_load_explicit(&keys[at], memory_order_relaxed);

        if (other == 0) {
            place = claim(at, 0) ? &places[at] : NULL;
        } else if ((other & OF_DESCRIPTOR) == 0 && (oldest == 0 || gives_way(&places[at], &places[oldest_at], now))) {
            oldest = other;
            oldest_at = at;
        }
    }
    if (place == NULL && oldest != 0)
        place = claim(oldest_at, oldest) ? &places[oldest_at] : NULL;
    if (place == NULL || (place == &places[oldest_at] && oldest != 0 && !place->closed))
        atomic_store(&crowded, true);
    if (place == NULL)
        return NULL;
    place->age = now;
    place->closed = place->tls = false;
    place->socket = 0;
    atomic_store(&place->missed, false);
    set_key(place, key);
    atomic_store_explicit(&any, true, memory_order_relaxed);
    return place;
}

/* Let the key have this request, instead of an earlier one. `socket`: which the descriptor is. */
static void store(uint64_t key, uint64_t socket, const struct proxy_request *request)
{
    struct place *busy;
    struct place *place = find(key, &busy);
    bool lost = place != NULL && place->request.asked && request->unclear;

    if (place == NULL && busy == NULL)
        place = take(key);
    if (place == NULL)
        return;
    place->socket = socket;
    place->request = *request;
    place->request.lost |= lost;
    let_go(place);
}

/* Read on in a request. Return true if what is known of it is worth a place. */
static bool read_on(int fd, struct proxy_request *request, const unsigned char *bytes, size_t size, size_t sent)
{
    struct host host;

    proxy_request_read(request, bytes, size, sent);
    if (proxy_request_goes_on(request)) {
        socket_mark(fd, SOCKET_ASKS_PROXY);
        return true;
    }
    socket_unmark(fd, SOCKET_ASKS_PROXY);
    return proxy_request_host(request, &host) != PROXY_NOT_ASKED;
}

/* Return which socket it is once there is a request; before that, nothing is asked of the kernel for bytes that may begin one. */
static uint64_t socket_asked_on(int fd, const struct proxy_request *request)
{
    return request->asked || !proxy_request_goes_on(request) ? socket_number(fd) : 0;
}

/* A ClientHello that was sent behind the request, or in pieces, is found here alone. */
static void find_hello(int fd, struct proxy_request *request)
{
    const uint8_t *random = proxy_request_hello(request);
    struct host to;

    if (random != NULL && socket_peer(fd, &to))
        (void)sent_leaves(random, fd, &to);
}

/* A forked child may end without another look at the socket. */
static void tell_if_forked(int fd, const struct proxy_request *request)
{
    const uint32_t first = atomic_load_explicit(&first_process, memory_order_relaxed);
    struct host host;

    if (first != 0 && first != kernel_process() && proxy_request_is_whole(request) && proxy_request_host(request, &host) != PROXY_NOT_ASKED)
        tell(fd, request);
}

/* Let the socket have what is known of its descriptor. */
static void settle(struct place *place, uint64_t socket)
{
    struct host host;

    if (place->socket != 0)
        socket = place->socket;
    if (atomic_exchange(&place->missed, false))
        place->request = (struct proxy_request) {.unclear = true, .lost = true};
    if (socket != 0 && proxy_request_host(&place->request, &host) != PROXY_NOT_ASKED)
        store(socket, 0, &place->request);
    /* Of another file, or the descriptor may have another socket before there is more. */
    if (socket == 0 ? kernel_allows(SYS_getsockopt) : proxy_request_is_whole(&place->request) && !place->tls)
        set_key(place, 0);
    else
        set_untold(place, false);
}

/* Return the place of the descriptor, as find does. What is there of another socket becomes that one's. */
static struct place *find_present(int fd, struct place **busy)
{
    struct place *place = find(of_descriptor(fd), busy);

    if (place == NULL || socket_is_still(fd, place->socket))
        return place;
    settle(place, 0);
    set_key(place, 0);
    let_go(place);
    return NULL;
}

void proxy_sent(int fd, const unsigned char *bytes, size_t size, size_t sent)
{
    struct proxy_request first;
    struct place *busy = NULL;
    struct place *place;

    if (size == 0 || fd < 0)
        return;
    place = atomic_load_explicit(&any, memory_order_relaxed) ? find_present(fd, &busy) : NULL;
    if (place != NULL && place->tls) {
        let_go(place);
    } else if (place != NULL) {
        set_untold(place, true);
        if (!read_on(fd, &place->request, bytes, size, sent))
            set_key(place, 0);
        else if (place->socket == 0)
            place->socket = socket_asked_on(fd, &place->request);
        find_hello(fd, &place->request);
        tell_if_forked(fd, &place->request);
        let_go(place);
    } else if (busy != NULL) {
        atomic_store(&busy->missed, true);
    } else if (!proxy_request_may_begin(bytes[0])) {
        socket_unmark(fd, SOCKET_ASKS_PROXY);
    } else {
        memset(&first, 0, offsetof(struct proxy_request, text));
        if (read_on(fd, &first, bytes, size, sent)) {
            find_hello(fd, &first);
            store(of_descriptor(fd), socket_asked_on(fd, &first), &first);
            tell_if_forked(fd, &first);
        }
    }
}

void proxy_speaks_tls(int fd)
{
    static const struct proxy_request nothing;
    struct place *busy;
    struct place *place = find_present(fd, &busy);

    socket_unmark(fd, SOCKET_ASKS_PROXY);
    if (place == NULL && busy == NULL && (place = take(of_descriptor(fd))) != NULL) {
        place->request = nothing;
        place->socket = socket_number(fd);
    }
    if (place == NULL)
        return;
    place->tls = true;
    let_go(place);
}

static void settle_all(void)
{
    for (uint32_t i = 0; i < PLACES && atomic_load_explicit(&untold, memory_order_relaxed) > 0; i++) {
        uint64_t key = atomic_load_explicit(&keys[i], memory_order_relaxed);
        uint64_t socket;

        if ((key & OF_DESCRIPTOR) == 0 || !atomic_load_explicit(&places[i].untold, memory_order_relaxed))
            continue;
        socket = places[i].socket != 0 ? 0 : socket_number((int)(key & ~OF_DESCRIPTOR));
        if (!claim(i, key))
            continue;
        settle(&places[i], socket);
        let_go(&places[i]);
    }
}

/* Forget what is known by that key. `socket`: which has it from now on; 0: none has. */
static void forget(uint64_t key, uint64_t socket)
{
    struct place *busy;
    struct place *place = find(key, &busy);

    if (place == NULL)
        return;
    if (socket != 0 || place->socket != 0)
        settle(place, socket);
    set_key(place, 0);
    let_go(place);
}

void proxy_closing(int fd)
{
    struct place *busy;
    struct place *place;
    uint64_t socket;

    if (fd < 0 || !atomic_load_explicit(&any, memory_order_relaxed))
        return;
    socket = socket_number(fd);
    forget(of_descriptor(fd), socket);
    place = socket != 0 ? find(socket, &busy) : NULL;
    if (place == NULL)
        return;
    place->closed = true;
    let_go(place);
}

void proxy_connected(int fd)
{
    struct told *told;
    uint64_t socket;

    if (fd < 0 || !is_any())
        return;
    socket = socket_number(fd);
    forget(of_descriptor(fd), 0);
    /* What was asked before belongs to the sockets that were open then: how a descriptor gets another one is not always seen. */
    settle_all();
    /* It may have been connected before, and dissolved. */
    if (socket != 0)
        forget(socket, 0);
    told = may_be_told(socket) ? find_told(socket) : NULL;
    if (told != NULL && claim_told(told, socket)) {
        atomic_store(&told->socket, 0);
        let_told_go(told);
    }
}

/* Read what is known by that key. Return false if there is nothing. */
static bool read_place(uint64_t key, struct proxied *out)
{
    struct place *busy = NULL;
    struct place *place = key != 0 ? find(key, &busy) : NULL;

    if (place != NULL) {
        place->closed = false;
        out->asked = atomic_load(&place->missed) ? PROXY_LOST : proxy_request_host(&place->request, &out->host);
        let_go(place);
    } else if (busy != NULL) {
        out->asked = PROXY_LOST;
    }
    return out->asked != PROXY_NOT_ASKED;
}

/* Find out what this process knows of it. */
static void find_own(int fd, uint64_t socket, struct proxied *out)
{
    struct place *busy;
    struct place *place = socket != 0 ? find(of_descriptor(fd), &busy) : NULL;

    if (place != NULL) {
        if (place->untold)
            settle(place, socket);
        let_go(place);
    }
    if (read_place(socket, out))
        return;
    /* It was asked on another descriptor. */
    if (socket != 0)
        settle_all();
    /* Or the program's filter forbids to find out which socket that is. */
    if (!read_place(socket, out) && (socket != 0 || !read_place(of_descriptor(fd), out)) && atomic_load(&crowded))
        out->asked = PROXY_UNCLEAR;
}

void proxy_of(int fd, struct proxied *out)
{
    uint64_t socket;

    out->asked = PROXY_NOT_ASKED;
    if (fd < 0 || !is_any())
        return;
    socket = socket_number(fd);
    find_own(fd, socket, out);
    hear(socket, out);
}
