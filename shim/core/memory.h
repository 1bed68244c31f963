/* Memory for the pins, large pages for large arrays, and blocks that are kept for reuse. */
#ifndef PINSHIM_MEMORY_H
#define PINSHIM_MEMORY_H

#include "kernel.h"
#include "text.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Have the functions below, called by this thread, take memory apart from malloc's, and free none: a signal handler may have interrupted malloc, and a
 * forked child may find it locked. Return what was set before. */
bool memory_apart(bool from_now);

/* malloc, calloc, realloc, strndup and free, but for that. Each of them knows the others' blocks, and malloc's. */
MUST_CHECK void *memory_new(size_t size);
MUST_CHECK void *memory_new_clear(size_t count, size_t size);
MUST_CHECK void *memory_resize(void *at, size_t size);
MUST_CHECK char *memory_copy(const char *string, size_t length);
void memory_free(void *at);

#define LARGE_PAGE ((size_t)2 << 20)

/* Ask for large pages for `size` bytes from malloc, if that fills at least one: with a million rules, most of the time went
 * into a page fault for every 4 KB. Systems that never use large pages, or always do, ignore this. */
static inline void memory_prefer_large_pages(void *at, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t before = (uintptr_t)at & (page - 1);

    if (size >= LARGE_PAGE)
        (void)kernel_call(SYS_madvise, (char *)at - before, size + before, MADV_HUGEPAGE);
}

/* The last blocks of one size that were let go: the heap would split and join a large one each time, and musl's makes a system call when it frees one
 * (madvise), which a filter may forbid. */
struct spare {
    _Atomic(void *) blocks[4];
};

static inline void *spare_take(struct spare *spare, size_t size)
{
    for (int i = 0; i < 4; i++) {
        void *block = atomic_load_explicit(&spare->blocks[i], memory_order_relaxed) != NULL ? atomic_exchange(&spare->blocks[i], NULL) : NULL;

        if (block != NULL)
            return block;
    }
    return memory_new(size);
}

static inline void spare_let_go(struct spare *spare, void *block)
{
    for (int i = 0; i < 4 && block != NULL; i++)
        block = atomic_exchange(&spare->blocks[i], block);
    memory_free(block);
}

#endif
