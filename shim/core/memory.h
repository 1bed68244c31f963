/* Memory that is not the program's heap. The pins are read, and a refusal is logged, in what the program calls: connect(2), write(2) and the like, which
 * may be in a signal handler amid malloc (signal-safety(7)), or in a forked child in which another thread held malloc's lock. */
#ifndef PINSHIM_MEMORY_H
#define PINSHIM_MEMORY_H

#include "text.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Return `size` bytes, zero; NULL: there is no memory. memory_let_go releases them, and no other function. */
MUST_CHECK void *memory_get(size_t size);

/* NULL is nothing to release. */
void memory_let_go(void *at);

/* Make the block of this size, elsewhere if need be; what is more is zero, or what was there before it was made smaller. `at` NULL: get one. Return NULL,
 * with the block as it was, if there is no memory. */
MUST_CHECK void *memory_resize(void *at, size_t size);

/* Return a copy of `length` characters, with a NUL; NULL: there is no memory. */
MUST_CHECK char *memory_copy(const char *string, size_t length);

/* Ask for large pages for `size` bytes, if that fills at least one: with a million rules, most of the time went
 * into a page fault for every 4 KB. Systems that never use large pages, or always do, ignore this. */
void memory_prefer_large_pages(void *at, size_t size);

#define SPARES 16

/* The last blocks of one size that were let go. */
struct spare {
    _Atomic(void *) blocks[SPARES];
};

void *spare_take(struct spare *spare, size_t size);
void spare_let_go(struct spare *spare, void *block);

#endif
