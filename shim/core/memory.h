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

/* Ask for large pages below `size` bytes that malloc gave, where they are as much as one of these: of a million rules, most of the time went
 * into a fault for each 4 KB. Systems that never give any, and those that give them unasked, take no notice. */
static inline void memory_prefer_large_pages(void *at, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t before = (uintptr_t)at & (page - 1);

    if (size >= LARGE_PAGE)
        (void)kernel_call(SYS_madvise, (char *)at - before, size + before, MADV_HUGEPAGE);
}

#endif
