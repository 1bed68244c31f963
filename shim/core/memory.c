#include "memory.h"

#include "kernel.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE_PAGE ((size_t)2 << 20)
#define FIRST (64 << 10)

/* The pins that a process reads first, and what its first refusals need: most need no more, and are spared the system calls. Never reused. */
static _Alignas(max_align_t) char first[FIRST];
static _Atomic size_t taken;

/* A sanitizer watches over the heap alone, and sees no system calls. */
#ifdef __has_feature
#define WATCHED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED 1
#else
#define WATCHED 0
#endif

#define MOST (SIZE_MAX >> 25) /* bytes */

enum origin { FROM_FIRST = 0, FROM_KERNEL, FROM_HEAP /* a filter forbids the other */ };

struct block {
    _Alignas(max_align_t) size_t size; /* what the caller may use */
    enum origin origin;
};

static struct block *block_of(void *at)
{
    return (struct block *)at - 1;
}

static bool may(long call)
{
    return !kernel_is_filtered() || kernel_allows(call);
}

#define SMALLEST 4096
#define SIZES 5 /* each twice as large as the one before */
#define LARGEST ((size_t)SMALLEST << (SIZES - 1))

/* Mapped blocks that were let go, by size: new pins need what the old ones had. */
static struct spare kept[SIZES];

static struct spare *kept_for(size_t *whole)
{
    size_t size = SMALLEST;
    int number = 0;

    if (*whole > LARGEST)
        return NULL;
    for (; size < *whole; size *= 2)
        number++;
    *whole = size;
    return &kept[number];
}

static void *take(struct spare *spare)
{
    void *block = NULL;

    for (int i = 0; spare != NULL && i < SPARES && block == NULL; i++) {
        if (atomic_load_explicit(&spare->blocks[i], memory_order_relaxed) != NULL)
            block = atomic_exchange(&spare->blocks[i], NULL);
    }
    return block;
}

/* Return the one for which there is no room. */
static void *keep(struct spare *spare, void *block)
{
    for (int i = 0; i < SPARES && block != NULL; i++)
        block = atomic_exchange(&spare->blocks[i], block);
    return block;
}

static struct block *map(size_t *whole)
{
    struct spare *spare = kept_for(whole);
    struct block *block = take(spare);

    if (block != NULL)
        return memset(block, 0, *whole);
    block = (void *)kernel_call(SYS_mmap, NULL, *whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block != MAP_FAILED ? block : NULL;
}

void *memory_get(size_t size)
{
    size_t room = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    size_t whole = room + sizeof(struct block);
    size_t at = atomic_load_explicit(&taken, memory_order_relaxed);
    enum origin origin = FROM_FIRST;
    struct block *block;

    if (size > MOST)
        return NULL;
    while (!WATCHED && whole <= FIRST - at && !atomic_compare_exchange_weak(&taken, &at, at + whole)) {}
    if (!WATCHED && whole <= FIRST - at) {
        block = (struct block *)(first + at);
    } else if (!WATCHED && may(SYS_mmap) && may(SYS_munmap)) {
        block = map(&whole);
        room = whole - sizeof(*block);
        origin = FROM_KERNEL;
    } else {
        block = calloc(1, whole);
        origin = FROM_HEAP;
    }
    if (block == NULL)
        return NULL;
    block->size = room;
    block->origin = origin;
    return block + 1;
}

void memory_let_go(void *at)
{
    struct block *block = at != NULL ? block_of(at) : NULL;
    size_t whole = block != NULL ? block->size + sizeof(*block) : 0;

    if (block == NULL || block->origin == FROM_FIRST)
        return;
    if (block->origin == FROM_HEAP)
        free(block);
    else if ((whole > LARGEST || (block = keep(kept_for(&whole), block)) != NULL) && may(SYS_munmap))
        (void)kernel_call(SYS_munmap, block, whole);
}

void *memory_resize(void *at, size_t size)
{
    struct block *block = at != NULL ? block_of(at) : NULL;
    void *other;

    if (block != NULL && block->origin == FROM_KERNEL && block->size >= LARGEST && size >= LARGEST && size <= MOST && may(SYS_mremap)) {
        size_t room = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);

        block = (void *)kernel_call(SYS_mremap, block, block->size + sizeof(*block), room + sizeof(*block), MREMAP_MAYMOVE);
        if (block == MAP_FAILED)
            return NULL;
        block->size = room;
        return block + 1;
    }
    if (block != NULL && size <= block->size)
        return at;
    other = memory_get(size);
    if (other == NULL || block == NULL)
        return other;
    memcpy(other, at, block->size);
    memory_let_go(at);
    return other;
}

char *memory_copy(const char *string, size_t length)
{
    char *copy = memory_get(length + 1);

    return copy != NULL ? memcpy(copy, string, length) : NULL;
}

void memory_prefer_large_pages(void *at, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t before = (uintptr_t)at & (page - 1);

    if (size >= LARGE_PAGE)
        (void)kernel_call(SYS_madvise, (char *)at - before, size + before, MADV_HUGEPAGE);
}

void *spare_take(struct spare *spare, size_t size)
{
    void *block = take(spare);

    return block != NULL ? block : memory_get(size);
}

void spare_let_go(struct spare *spare, void *block)
{
    memory_let_go(block != NULL ? keep(spare, block) : NULL);
}
