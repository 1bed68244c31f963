/* The names that the program resolved, by address. It lives in the object's own zeroed memory (nothing is allocated), is
 * appended to without a lock, and so survives fork. */
#ifndef PINSHIM_RESOLVED_H
#define PINSHIM_RESOLVED_H

#include "host.h"

/* Remember that `name` (as the program gave it) resolved to `address`. Names that are addresses themselves are not kept. */
void resolved_remember(const char *name, const uint8_t address[static 16]);

/* Write the next name that resolved to `address`, without a port. `*cursor` starts at 0. Return false after the last. */
MUST_CHECK bool resolved_next(const uint8_t address[static 16], uintptr_t *cursor, struct host *out);

/* Return true if names were resolved that there was no room to remember. */
MUST_CHECK bool resolved_overflow(void);

#endif
