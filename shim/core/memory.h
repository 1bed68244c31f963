/* Large pages for large arrays. */
#ifndef PINSHIM_MEMORY_H
#define PINSHIM_MEMORY_H

#include "kernel.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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

#endif
