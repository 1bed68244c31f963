#include "memory.h"

#include <errno.h>
#include <string.h>

#define SMALLEST ((size_t)256 << 10)

/* Blocks apart come from regions, one after the other. Nothing of it is returned: the pins are read that way once, at most. */
struct region {
    struct region *next;
    size_t size;
    _Atomic size_t used;
};

struct block {
    _Alignas(16) size_t size;
};

static _Atomic(struct region *) regions;
static _Thread_local bool apart;

bool memory_apart(bool from_now)
{
    bool before = apart;

    apart = from_now;
    return before;
}

static struct region *add_region(struct region *last, size_t needed)
{
    size_t size = last != NULL ? last->size * 2 : SMALLEST;
    struct region *region;
    long at;

    while (size < needed + sizeof(*region))
        size *= 2;
    at = kernel_call(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == -1)
        return NULL;
    region = (struct region *)at;
    region->size = size;
    region->next = last;
    atomic_init(&region->used, sizeof(struct block) * 2);
    while (!atomic_compare_exchange_weak(&regions, &region->next, region)) {}
    return region;
}

static void *take_apart(size_t size)
{
    size_t needed = sizeof(struct block) + (size + sizeof(struct block) - 1) / sizeof(struct block) * sizeof(struct block);
    struct region *region = atomic_load(&regions);

    if (size > SIZE_MAX / 4)
        return NULL;
    for (;;) {
        size_t at = region != NULL ? atomic_fetch_add(&region->used, needed) : 0;

        if (region != NULL && at <= region->size && needed <= region->size - at) {
            struct block *block = (struct block *)((char *)region + at);

            block->size = size;
            return block + 1;
        }
        region = add_region(region, needed);
        if (region == NULL)
            return NULL;
    }
}

static bool is_apart(const void *at)
{
    const struct region *region = atomic_load_explicit(&regions, memory_order_relaxed);

    while (region != NULL && (uintptr_t)at - (uintptr_t)region >= region->size)
        region = region->next;
    return region != NULL;
}

void *memory_new(size_t size)
{
    return apart ? take_apart(size) : malloc(size);
}

void *memory_new_clear(size_t count, size_t size)
{
    if (!apart)
        return calloc(count, size);
    return size == 0 || count <= SIZE_MAX / size ? take_apart(count * size) : NULL;
}

void *memory_resize(void *at, size_t size)
{
    size_t before;
    void *bigger;

    if (at == NULL)
        return memory_new(size);
    if (!is_apart(at))
        return realloc(at, size);
    before = ((struct block *)at - 1)->size;
    bigger = before < size ? memory_new(size) : at;
    return bigger != NULL && bigger != at ? memcpy(bigger, at, before) : bigger;
}

char *memory_copy(const char *string, size_t length)
{
    char *copy = memory_new(length + 1);

    if (copy == NULL)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = '\0';
    return copy;
}

void memory_free(void *at)
{
    if (!apart && !is_apart(at))
        free(at);
}
