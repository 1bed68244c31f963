#include "resolver.h"

#include "dns.h"
#include "kernel.h"
#include "resolved.h"
#include "socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* The questions, by descriptor and number. A new one replaces the oldest of its set. It is written and read without a lock: while the key is 0 it is
 * being written, and the hash shows whether what was read is whole. */
#define SETS 256U
#define WAYS 8
#define WORDS (sizeof(((struct dns_name *)0)->text) / 8)
static struct set {
    _Atomic unsigned next;
    struct {
        _Atomic uint64_t key;
        _Atomic uint64_t socket; /* the descriptor may be another one's by now */
        _Atomic uint64_t hash;
        _Atomic uint64_t name[WORDS];
    } asked[WAYS];
} sets[SETS];

static uint64_t key_of(int fd, uint16_t id)
{
    return (uint64_t)(unsigned)fd << 17 | (uint64_t)id << 1 | 1;
}

static struct set *set_of(uint64_t key)
{
    return &sets[(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SETS];
}

/* FNV-1a. */
static uint64_t hash_of(const uint64_t words[static WORDS])
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < WORDS; i++)
        hash = (hash ^ words[i]) * UINT64_C(1099511628211);
    return hash;
}

static void note_asked(int fd, const struct dns *dns)
{
    uint64_t key = key_of(fd, dns->id);
    struct set *set = set_of(key);
    uint64_t socket = socket_number(fd);
    uint64_t words[WORDS] = {0};
    unsigned way = WAYS;

    for (unsigned i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&set->asked[i].key, memory_order_relaxed) == key)
            way = i;
    }
    if (way == WAYS)
        way = atomic_fetch_add(&set->next, 1) % WAYS;
    memcpy(words, dns->asked.text, dns->asked.length);
    atomic_store(&set->asked[way].key, 0);
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&set->asked[way].name[i], words[i], memory_order_relaxed);
    atomic_store(&set->asked[way].socket, socket);
    atomic_store(&set->asked[way].hash, hash_of(words));
    atomic_store(&set->asked[way].key, key);
}

/* Write for which name that number was asked. Return false if it was not. */
static bool find_asked(int fd, uint16_t id, struct dns_name *out)
{
    uint64_t key = key_of(fd, id);
    struct set *set = set_of(key);
    uint64_t words[WORDS];
    uint64_t socket;

    for (unsigned way = 0; way < WAYS; way++) {
        if (atomic_load(&set->asked[way].key) != key)
            continue;
        for (size_t i = 0; i < WORDS; i++)
            words[i] = atomic_load_explicit(&set->asked[way].name[i], memory_order_relaxed);
        socket = atomic_load_explicit(&set->asked[way].socket, memory_order_relaxed);
        memcpy(out->text, words, sizeof(words));
        out->length = strnlen(out->text, sizeof(out->text) - 1);
        return atomic_load(&set->asked[way].hash) == hash_of(words) && atomic_load(&set->asked[way].key) == key && socket_is_still(fd, socket);
    }
    return false;
}

static void remember(struct dns *dns, const char *given)
{
    const struct dns_name *name;
    uint8_t address[16];

    while ((name = dns_next(dns, address)) != NULL) {
        /* The root, and names of others that no host can have. */
        if (name->length == 0 || (name != &dns->asked && strchr(name->text, '?') != NULL))
            continue;
        resolved_learn(name->text, address);
        if (given != NULL && name == &dns->asked)
            resolved_learn(given, address);
    }
}

void resolver_answered(const char *name, const void *answer, size_t size)
{
    int saved = errno;
    struct dns dns;

    if (dns_begin(&dns, answer, size))
        remember(&dns, name);
    errno = saved;
}

static bool read_question(int fd, const uint8_t *bytes, size_t size)
{
    struct dns dns;

    if (!dns_may_be_query(bytes, size) || !dns_begin(&dns, bytes, size) || dns.asked.length == 0)
        return false;
    note_asked(fd, &dns);
    return true;
}

/* Return false if it is no answer to a question that was asked. Its name is the one that was asked, whatever the message says: not every program
 * compares them. On a connection to a name server the question may have been missed: then it is the answer's own. */
static bool read_answer(int fd, const uint8_t *bytes, size_t size)
{
    struct dns_name said;
    struct dns dns;

    if (!dns_begin(&dns, bytes, size))
        return false;
    said = dns.asked;
    if (!find_asked(fd, dns.id, &dns.asked)) {
        if (!socket_asks_server(fd) || said.length == 0)
            return false;
        dns.asked = said;
    }
    remember(&dns, NULL);
    return true;
}

static size_t length_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

/* Read the messages, each after its length (RFC 1035, section 4.2.2), that are here as a whole. Return how much that is. */
static size_t read_messages(int fd, const uint8_t *bytes, size_t size, bool (*read)(int fd, const uint8_t *bytes, size_t size), bool *any)
{
    size_t at = 0;

    while (size - at >= 2 && length_at(bytes + at) <= size - at - 2) {
        *any |= read(fd, bytes + at + 2, length_at(bytes + at));
        at += 2 + length_at(bytes + at);
    }
    return at;
}

/* What has come of an answer that comes in pieces. */
#define PIECES 16
static struct pieces {
    _Atomic uint64_t used; /* when it was used last */
    _Atomic uint32_t user; /* the process that has it at the moment; 0: none. A thread of a parent is gone in the child */
    _Atomic int owner; /* the descriptor, plus 1; 0: free */
    uint64_t socket; /* the descriptor may be another one's by now */
    uint32_t size; /* of what is here */
    uint8_t tor; /* how long the name is that Tor was asked for; 0: it is a name server */
    char name[HOST_NAME_MAX_LENGTH + 1];
    uint8_t bytes[2 + DNS_MESSAGE_MAX];
} pieces[PIECES];
static _Atomic uint64_t uses;

static bool take(struct pieces *place)
{
    uint32_t user = atomic_load(&place->user);

    return user != kernel_process() && atomic_compare_exchange_strong(&place->user, &user, kernel_process());
}

static void give_back(struct pieces *place)
{
    atomic_store(&place->used, atomic_fetch_add(&uses, 1) + 1);
    atomic_store(&place->user, 0);
}

#define TRIES 1000 /* another thread has a place for a moment only, unless this one has interrupted it */

static struct pieces *find_pieces(int fd)
{
    for (int i = 0; i < PIECES; i++) {
        for (int tries = 0; tries < TRIES && atomic_load_explicit(&pieces[i].owner, memory_order_relaxed) == fd + 1; tries++) {
            if (!take(&pieces[i]))
                continue;
            if (atomic_load(&pieces[i].owner) == fd + 1 && socket_is_still(fd, pieces[i].socket))
                return &pieces[i];
            if (atomic_load(&pieces[i].owner) == fd + 1)
                atomic_store(&pieces[i].owner, 0);
            give_back(&pieces[i]);
        }
    }
    return NULL;
}

/* Take a place that is free, or else the one that was not used for longest. */
static struct pieces *new_pieces(int fd)
{
    for (int tries = 0; tries < TRIES; tries++) {
        struct pieces *found = NULL;
        int owner = 0;

        for (int i = 0; i < PIECES && (found == NULL || owner != 0); i++) {
            int one = atomic_load(&pieces[i].owner);

            if (atomic_load(&pieces[i].user) == kernel_process())
                continue;
            if (found == NULL || one == 0 || atomic_load(&pieces[i].used) < atomic_load(&found->used)) {
                found = &pieces[i];
                owner = one;
            }
        }
        if (found == NULL || !take(found))
            continue;
        /* Another thread may have taken it since, and given it back. */
        if (atomic_load(&found->owner) != owner) {
            give_back(found);
            continue;
        }
        found->size = 0;
        found->tor = 0;
        found->socket = fd >= 0 ? socket_number(fd) : 0;
        atomic_store(&found->owner, fd + 1);
        return found;
    }
    return NULL;
}

static void drop_pieces(int fd)
{
    struct pieces *place = find_pieces(fd);

    if (place == NULL)
        return;
    atomic_store(&place->owner, 0);
    give_back(place);
}

/* A request to Tor to resolve a name (its socks-extensions, cmd F0), as torsocks sends it for a program. */
static bool read_tor_request(int fd, const uint8_t *bytes, size_t size)
{
    struct pieces *place;

    if (size < 7 || bytes[0] != 5 || bytes[1] != 0xf0 || bytes[3] != 3 || size < (size_t)bytes[4] + 7)
        return false;
    drop_pieces(fd);
    place = new_pieces(fd);
    if (place == NULL)
        return true;
    place->tor = bytes[4];
    memcpy(place->name, bytes + 5, bytes[4]);
    place->name[bytes[4]] = '\0';
    give_back(place);
    return true;
}

/* Return false until the reply is there: version, status, a zero, the kind of the address, the address, a port (RFC 1928, section 6). */
static bool read_tor_reply(const struct pieces *place)
{
    size_t size = place->size >= 4 && place->bytes[3] == 4 ? 16 : 4;
    struct host host;

    if (place->size < 4 + size)
        return place->size >= 2 && (place->bytes[0] != 5 || place->bytes[1] != 0);
    if (place->bytes[0] == 5 && place->bytes[1] == 0 && host_from_bytes(size == 16 ? AF_INET6 : AF_INET, place->bytes + 4, &host))
        resolved_learn(place->name, host.address);
    return true;
}

void resolver_connected(int fd)
{
    int saved = errno;
    int type = 0;
    socklen_t length = sizeof(type);

    socket_mark(fd, SOCKET_ASKS_NAMES);
    socket_identify(fd);
    if (kernel_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM)
        socket_mark(fd, SOCKET_ASKS_IN_STREAM);
    drop_pieces(fd);
    errno = saved;
}

void resolver_sends(int fd, const unsigned char *bytes, size_t size, const struct iovec *parts, size_t count)
{
    int saved = errno;
    bool before = (socket_marks_of(fd) & SOCKET_ASKS_NAMES) != 0;
    bool any = count > 1 && read_question(fd, bytes, size);
    bool stream = false;
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        bytes = parts[i].iov_base;
        size = parts[i].iov_len;
        total += size;
        if (size < 2 || (uintptr_t)bytes < KERNEL_NEVER_MAPPED)
            continue;
        /* A message's length may be sent before it. */
        stream |= size == 2 && !any;
        if (read_question(fd, bytes, size))
            any = true;
        else if (read_tor_request(fd, bytes, size))
            any = stream = before = true;
        else if (read_messages(fd, bytes, size, read_question, &any) > 0)
            stream = true;
    }
    if (any && !before)
        drop_pieces(fd);
    if (any)
        socket_mark(fd, SOCKET_ASKS_NAMES);
    if (stream && (any || total == 2))
        socket_mark(fd, SOCKET_ASKS_IN_STREAM);
    else if (!any && !before)
        socket_unmark(fd, SOCKET_ASKS_IN_STREAM);
    if (total != 2)
        socket_unmark(fd, SOCKET_IS_NEW);
    errno = saved;
}

/* Add to what has come before, as much as there is room, and read what is complete. Return how much was added. */
static size_t add_piece(int fd, struct pieces *place, const uint8_t *bytes, size_t size)
{
    size_t added = size < sizeof(place->bytes) - place->size ? size : sizeof(place->bytes) - place->size;
    bool any = false;
    size_t read;

    memcpy(place->bytes + place->size, bytes, added);
    place->size += (uint32_t)added;
    if (place->tor > 0) {
        if (read_tor_reply(place))
            place->tor = place->size = 0;
        return size;
    }
    read = read_messages(fd, place->bytes, place->size, read_answer, &any);
    place->size -= (uint32_t)read;
    memmove(place->bytes, place->bytes + read, place->size);
    return added;
}

static void receive_piece(int fd, const uint8_t *bytes, size_t size)
{
    struct pieces *place = find_pieces(fd);
    bool any = false;

    /* Most are whole. */
    if (place == NULL) {
        size_t read = read_messages(fd, bytes, size, read_answer, &any);

        bytes += read;
        size -= read;
        place = size > 0 ? new_pieces(fd) : NULL;
    }
    if (place == NULL)
        return;
    while (size > 0) {
        size_t added = add_piece(fd, place, bytes, size);

        bytes += added;
        size -= added;
    }
    if (place->size == 0)
        atomic_store(&place->owner, 0);
    give_back(place);
}

/* A datagram that was received into several parts. */
static void gather(int fd, const struct iovec *parts, size_t count, size_t size)
{
    struct pieces *place = size <= DNS_MESSAGE_MAX ? new_pieces(-1) : NULL;
    size_t at = 0;

    if (place == NULL)
        return;
    for (size_t i = 0; i < count && at < size; i++) {
        size_t part = parts[i].iov_len < size - at ? parts[i].iov_len : size - at;

        if (part > 0)
            memcpy(place->bytes + at, parts[i].iov_base, part);
        at += part;
    }
    (void)read_answer(fd, place->bytes, at);
    give_back(place);
}

void resolver_received(int fd, const struct iovec *parts, size_t count, size_t size)
{
    int saved = errno;
    bool stream = (socket_marks_of(fd) & SOCKET_ASKS_IN_STREAM) != 0;

    if (!stream && count > 0 && parts[0].iov_len >= size)
        (void)read_answer(fd, parts[0].iov_base, size);
    else if (!stream)
        gather(fd, parts, count, size);
    for (size_t i = 0; stream && i < count && size > 0; i++) {
        size_t part = parts[i].iov_len < size ? parts[i].iov_len : size;

        if (part > 0)
            receive_piece(fd, parts[i].iov_base, part);
        size -= part;
    }
    errno = saved;
}
