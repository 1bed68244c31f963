#include "resolved.h"

#include "kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define ENTRIES 32768U
#define BUCKETS 8192U
#define NAME_WORDS (1U << 17) /* of 8 bytes */
#define LOST_BITS (1U << 22)
#define LOST_MOST (LOST_BITS / 64) /* addresses of one generation: each that is noted clears a word for the next */
#define LOST_FILTERS 3U
#define NAME_MOST (HOST_NAME_MAX_LENGTH / 8 + 1) /* words of the longest name, with its NUL */

/* Positions only grow, from 1. An entry is in the slot (position modulo number of slots) until a newer one needs that slot.
 *
 * An entry belongs to the thread that has claimed its slot until it is done: no other thread takes the slot, even if that thread is stopped,
 * or was lost in a fork. An entry that can be found is complete; a reader copies it, and then checks the slot again. */
struct entry {
    _Atomic uint64_t state; /* the position, times 4, and one of these */
    _Atomic uint64_t address[2];
    _Atomic uint64_t older; /* the position of the next entry of the same bucket, which may have been overwritten */
    _Atomic uint64_t name; /* position in names[] */
    _Atomic uint64_t hash; /* of the name */
};
enum { CLAIMED = 1, DONE, SUPERSEDED }; /* SUPERSEDED: a newer entry has the same pair */


/* Alone in its pages: a child that resolves for its parent writes to them, too. */
static struct {
    char before[KERNEL_PAGE_MOST];
    struct entry entries[ENTRIES];
    _Atomic uint64_t newest; /* entry */
    _Atomic uint64_t buckets[BUCKETS]; /* the position of the newest entry, whose chain leads to older ones only */
    /* A name may be overwritten at any time: its hash shows that. */
    _Atomic uint64_t names[NAME_WORDS];
    _Atomic uint64_t names_end;
    _Atomic uint64_t last_name;
    /* Bloom filters of the addresses that have lost an entry: of this generation, of the one before, and one that is being emptied for the next. Other
     * addresses may seem to be among them: about 1 in 500 when both are full. */
    _Atomic uint64_t lost[LOST_FILTERS][LOST_MOST];
    _Atomic uint64_t lost_count;
    char after[KERNEL_PAGE_MOST];
} table;

void resolved_share(void)
{
    static _Atomic int state;
    enum { SHARING = 1, SHARED };
    int saved = errno;
    int none = 0;

    if (atomic_load(&state) == SHARED)
        return;
    if (atomic_compare_exchange_strong(&state, &none, SHARING)) {
        (void)kernel_share(table.entries, table.after, sizeof(table.after));
        atomic_store(&state, SHARED);
    }
    /* What is written while another thread is at it may be lost. That thread may have been left behind by a fork. */
    for (int tries = 0; tries < 1000 && atomic_load(&state) != SHARED; tries++)
        sched_yield();
    atomic_store(&state, SHARED);
    errno = saved;
}

static uint64_t hash_of(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static _Atomic uint64_t *bucket_of(const uint8_t address[static 16])
{
    return &table.buckets[hash_of(address, 16) & (BUCKETS - 1)];
}

static bool is_in(uint64_t generation, uint64_t hash)
{
    _Atomic uint64_t *filter = table.lost[generation % LOST_FILTERS];
    bool is = true;

    for (int i = 0; i < 2; i++, hash >>= 32)
        is &= (atomic_load(&filter[(hash % LOST_BITS) / 64]) >> (hash % 64) & 1) != 0;
    return is;
}

/* No loop here goes on for ever, whatever another process writes to the table. */
#define TRIES 16

static void lose(const uint8_t address[static 16])
{
    uint64_t hash = hash_of(address, 16);
    uint64_t generation = atomic_load(&table.lost_count) / LOST_MOST;

    if (is_in(generation, hash))
        return;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t number = atomic_fetch_add(&table.lost_count, 1);
        uint64_t rest = hash;

        generation = number / LOST_MOST;
        atomic_store(&table.lost[(generation + 1) % LOST_FILTERS][number % LOST_MOST], 0);
        for (int i = 0; i < 2; i++, rest >>= 32)
            atomic_fetch_or(&table.lost[generation % LOST_FILTERS][(rest % LOST_BITS) / 64], UINT64_C(1) << (rest % 64));
        if (atomic_load(&table.lost_count) / LOST_MOST <= generation + 1)
            return;
        /* This thread was stopped for so long that the filter is no longer asked. */
    }
}

static bool is_lost(const uint8_t address[static 16])
{
    uint64_t hash = hash_of(address, 16);
    uint64_t generation = atomic_load(&table.lost_count) / LOST_MOST;

    return is_in(generation, hash) || (generation > 0 && is_in(generation - 1, hash));
}

/* Return true if the entry at the position will not be overwritten before at least half of the room is used again. */
static bool is_young(uint64_t position, uint64_t end, uint64_t room)
{
    return end - position < room / 2;
}

/* Write the name at the position to `out`. Return false if it was overwritten. */
static bool read_name(uint64_t position, uint64_t hash, char out[static NAME_MOST * 8])
{
    size_t length = 0;

    if (position == 0)
        return false;
    for (size_t i = 0; i < NAME_MOST && length == i * 8; i++) {
        uint64_t word = atomic_load_explicit(&table.names[(position + i) % NAME_WORDS], memory_order_relaxed);

        memcpy(out + i * 8, &word, 8);
        length += strnlen(out + i * 8, 8);
    }
    return length < (size_t)NAME_MOST * 8 && hash_of(out, length) == hash;
}

/* Return the position of the name, stored now unless it is the last one stored. */
static uint64_t place_name(const char *name, uint64_t hash)
{
    uint64_t words[NAME_MOST] = {0};
    uint64_t count = strlen(name) / 8 + 1;
    uint64_t position = atomic_load_explicit(&table.last_name, memory_order_relaxed);
    char last[NAME_MOST * 8];

    /* It is, for one answer with many addresses. */
    if (is_young(position, atomic_load(&table.names_end), NAME_WORDS) && read_name(position, hash, last))
        return position;
    memcpy(words, name, strlen(name));
    position = atomic_fetch_add(&table.names_end, count) + 1;
    for (size_t i = 0; i < count; i++)
        atomic_store_explicit(&table.names[(position + i) % NAME_WORDS], words[i], memory_order_relaxed);
    atomic_store_explicit(&table.last_name, position, memory_order_release);
    return position;
}

struct copy {
    uint8_t address[16];
    uint64_t older;
    uint64_t name;
    uint64_t hash;
    bool superseded;
};

/* Return false if the entry was overwritten. Then all older ones in the same bucket were, too. */
static bool read_entry(uint64_t position, struct copy *out)
{
    struct entry *entry = &table.entries[position % ENTRIES];
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    uint64_t address[2];

    if (position == 0 || state / 4 != position)
        return false;
    for (int i = 0; i < 2; i++)
        address[i] = atomic_load_explicit(&entry->address[i], memory_order_acquire);
    memcpy(out->address, address, sizeof(out->address));
    out->older = atomic_load_explicit(&entry->older, memory_order_acquire);
    out->name = atomic_load_explicit(&entry->name, memory_order_acquire);
    out->hash = atomic_load_explicit(&entry->hash, memory_order_acquire);
    state = atomic_load_explicit(&entry->state, memory_order_acquire);
    out->superseded = state % 4 == SUPERSEDED;
    return state / 4 == position;
}

/* Take the next slot. The order matters: a reader that no longer finds an entry must find its address in `lost`, and
 * those of older entries in its bucket. Return NULL if none can be had. */
static struct entry *claim(uint64_t *position)
{
    for (unsigned tries = 0; tries < 2 * ENTRIES; tries++) {
        uint64_t before = atomic_load(&table.newest);
        struct entry *entry = &table.entries[(before + 1) % ENTRIES];
        uint64_t state = atomic_load(&entry->state);
        bool mine = false;
        struct copy old;

        *position = before + 1;
        if (state / 4 > *position)
            continue;
        /* Skip a slot whose thread was stopped for a whole round, or exists only in the parent. */
        if (state / 4 < *position && state % 4 != CLAIMED) {
            if (state % 4 == DONE && read_entry(state / 4, &old))
                lose(old.address);
            mine = atomic_compare_exchange_strong(&entry->state, &state, *position * 4 + CLAIMED);
            if (!mine && state / 4 < *position)
                continue;
        }
        (void)atomic_compare_exchange_strong(&table.newest, &before, *position);
        if (mine)
            return entry;
    }
    return NULL;
}

static void fill(struct entry *entry, const uint8_t address[static 16], uint64_t name, uint64_t hash)
{
    uint64_t words[2];

    memcpy(words, address, sizeof(words));
    /* Release: a reader that sees a word of this sees the claim, too. */
    for (int i = 0; i < 2; i++)
        atomic_store_explicit(&entry->address[i], words[i], memory_order_release);
    atomic_store_explicit(&entry->name, name, memory_order_release);
    atomic_store_explicit(&entry->hash, hash, memory_order_release);
}

/* Put the entry at the head of its bucket. Return false if a newer one is there already. */
static bool chain(struct entry *entry, uint64_t position, _Atomic uint64_t *bucket)
{
    uint64_t head = atomic_load_explicit(bucket, memory_order_acquire);

    do {
        if (head > position)
            return false;
        atomic_store_explicit(&entry->older, head, memory_order_release);
    } while (!atomic_compare_exchange_weak_explicit(bucket, &head, position, memory_order_acq_rel, memory_order_acquire));
    return true;
}

/* 127.1, 0x7f000001 and the like. */
static bool is_number(const char *name)
{
    struct in_addr address;

    return name[0] == '\0' || (strpbrk(name, " \t\n\v\f\r") == NULL && inet_aton(name, &address) != 0);
}

void resolved_remember(const char *name, const uint8_t address[static 16])
{
    struct host host;
    _Atomic uint64_t *bucket = bucket_of(address);
    uint64_t before = 0;
    uint64_t position;
    uint64_t hash;
    struct entry *entry;
    struct copy old;
    bool chained = false;

    host_parse(name, strlen(name), &host);
    /* A name that is an address itself, in whatever form, is not needed. One that cannot be read could be any. */
    if (host.kind == HOST_UNREADABLE && !is_number(name))
        lose(address);
    if (host.kind != HOST_NAME)
        return;
    hash = hash_of(host.name, strlen(host.name));
    for (position = atomic_load_explicit(bucket, memory_order_acquire); before == 0 && read_entry(position, &old); position = old.older < position ? old.older : 0) {
        if (!old.superseded && old.hash == hash && memcmp(old.address, address, 16) == 0)
            before = position;
    }
    if (before != 0 && is_young(before, atomic_load(&table.newest), ENTRIES) && is_young(old.name, atomic_load(&table.names_end), NAME_WORDS))
        return;
    for (int tries = 0; tries < TRIES && !chained; tries++) {
        entry = claim(&position);
        if (entry == NULL)
            break;
        fill(entry, address, place_name(host.name, hash), hash);
        chained = chain(entry, position, bucket);
        atomic_store_explicit(&entry->state, position * 4 + (chained ? DONE : SUPERSEDED), memory_order_release);
    }
    if (!chained)
        lose(address);
    position = before * 4 + DONE;
    if (before != 0)
        (void)atomic_compare_exchange_strong(&table.entries[before % ENTRIES].state, &position, before * 4 + SUPERSEDED);
}

void resolved_learn(const char *name, const uint8_t address[static 16])
{
    resolved_share();
    resolved_remember(name, address);
}

#define END UINTPTR_MAX
#define CHECK_LOST (UINTPTR_MAX - 1)

bool resolved_next(const uint8_t address[static 16], uintptr_t *cursor, struct host *out)
{
    uint64_t at = *cursor == 0 ? atomic_load_explicit(bucket_of(address), memory_order_acquire) : *cursor;
    char name[NAME_MOST * 8];
    struct copy entry;

    while (at != END && at != CHECK_LOST && read_entry(at, &entry)) {
        at = entry.older != 0 && entry.older < at ? entry.older : CHECK_LOST;
        if (entry.superseded || memcmp(entry.address, address, 16) != 0)
            continue;
        if (!read_name(entry.name, entry.hash, name)) {
            lose(address);
            continue;
        }
        *cursor = at;
        host_parse(name, strlen(name), out);
        return true;
    }
    if (at == END)
        return false;
    *cursor = END;
    memset(out, 0, sizeof(*out));
    out->kind = HOST_UNREADABLE;
    return is_lost(address);
}
