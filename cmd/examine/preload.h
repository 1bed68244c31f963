/* The preloaded object: where it is, and whether the loader really maps it into a program. */
#ifndef PINSHIM_PRELOAD_H
#define PINSHIM_PRELOAD_H

#include "text.h"

/* Find libpinshim.so: beside the command itself, else where `make install` puts it. Return its absolute path, for the caller to free; NULL
 * with what is wrong in `problem`. */
MUST_CHECK char *preload_find(struct text *problem);

/* Return the LD_PRELOAD that has `object` first and keeps what is there now, for the caller to free. */
char *preload_value(const char *object);

enum preload_result { PRELOAD_FAILED = 0, PRELOAD_INCOMPLETE, /* the program fails without the object as well */ PRELOAD_MAPPED };

/* Have `loader` map `program` with `object` before it, as for ldd(1): nothing of the program runs. Unless PRELOAD_MAPPED, `problem` has what
 * the loader said. */
MUST_CHECK enum preload_result preload_try(const char *loader, const char *program, const char *object, struct text *problem);

#endif
