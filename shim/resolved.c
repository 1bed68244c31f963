#include "resolved.h"

#include <stdatomic.h>
#include <string.h>

#define ENTRIES 32768U
#define BUCKETS 8192U
#define NAME_BYTES (1U << 20)

/* `next` and the buckets hold an entry's index + 1; 0 ends a chain. Entries are written once and then only read. */
struct entry {
    uint8_t address[16];
    uint32_t name; /* in names[] */
    uint32_t next;
};

static struct entry entries[ENTRIES];
static char names[NAME_BYTES];
static _Atomic uint32_t buckets[BUCKETS];
static _Atomic uint32_t entries_taken;
static _Atomic uint32_t names_taken;
static _Atomic bool overflow;

static _Atomic uint32_t *bucket_of(const uint8_t address[static 16])
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < 16; i++)
        hash = (hash ^ address[i]) * 16777619U;
    return &buckets[(hash ^ hash >> 15) & (BUCKETS - 1)];
}

static bool take(_Atomic uint32_t *counter, uint32_t count, uint32_t limit, uint32_t *taken)
{
    uint32_t now = atomic_load(counter);

    do {
        if (count > limit - now) {
            atomic_store(&overflow, true);
            return false;
        }
    } while (!atomic_compare_exchange_weak(counter, &now, now + count));
    *taken = now;
    return true;
}

/* Return true if the chain that starts at `at` and ends before `end` has the pair. */
static bool has(uint32_t at, uint32_t end, const char *name, const uint8_t address[static 16])
{
    for (; at != end && at != 0; at = entries[at - 1].next) {
        const struct entry *entry = &entries[at - 1];

        if (memcmp(entry->address, address, 16) == 0 && strcmp(names + entry->name, name) == 0)
            return true;
    }
    return false;
}

void resolved_remember(const char *name, const uint8_t address[static 16])
{
    struct host host;
    _Atomic uint32_t *bucket = bucket_of(address);
    uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);
    uint32_t index;
    uint32_t at;

    host_parse(name, strlen(name), &host);
    /* An address that is written as itself tells nothing. */
    if (host.kind != HOST_NAME || has(head, 0, host.name, address))
        return;
    if (!take(&entries_taken, 1, ENTRIES, &index) || !take(&names_taken, (uint32_t)strlen(host.name) + 1, NAME_BYTES, &at))
        return;
    memcpy(names + at, host.name, strlen(host.name) + 1);
    memcpy(entries[index].address, address, 16);
    entries[index].name = at;
    do {
        entries[index].next = head;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &head, index + 1, memory_order_release, memory_order_acquire));
}

bool resolved_next(const uint8_t address[static 16], uintptr_t *cursor, struct host *out)
{
    uint32_t at = *cursor == 0 ? atomic_load_explicit(bucket_of(address), memory_order_acquire)
                               : entries[*cursor - 1].next;

    for (; at != 0; at = entries[at - 1].next) {
        if (memcmp(entries[at - 1].address, address, 16) != 0)
            continue;
        *cursor = at;
        host_parse(names + entries[at - 1].name, strlen(names + entries[at - 1].name), out);
        return true;
    }
    return false;
}

bool resolved_overflow(void)
{
    return atomic_load(&overflow);
}
