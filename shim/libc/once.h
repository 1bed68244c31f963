/* What is to be done when the code of a library first has something initialized once (pthread_once, which start.c interposes). */
#ifndef PINSHIM_ONCE_H
#define PINSHIM_ONCE_H

#include "loader.h"

#include <stdatomic.h>

/* How many of them are awaited, and what pthread_once jumps to if there are none (NULL: once_called is to be called). */
extern __attribute__((visibility("hidden"))) _Atomic uint32_t once_awaits;
extern __attribute__((visibility("hidden"))) _Atomic(void *) once_next;

/* Have `meet` called with `what` before the next pthread_once from the code of `object` goes on; perhaps by several threads. Once for each `what`. Return false
 * if there is no room. */
MUST_CHECK bool once_await(const struct loaded *object, void (*meet)(const void *what), const void *what);

/* Code at `caller` calls pthread_once. errno is preserved. */
void once_called(const void *caller);

#endif
