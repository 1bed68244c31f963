/* The names that the program resolved, by address. The table lives in the object's own zeroed memory: nothing is allocated, and no lock is taken
 * that a forked child could find held. When it is full, the oldest give way. */
#ifndef PINSHIM_RESOLVED_H
#define PINSHIM_RESOLVED_H

#include "host.h"

/* Remember that `name` (as the program gave it) resolved to `address`; one that is known already counts as new. Names that are addresses
 * themselves are not kept. */
void resolved_remember(const char *name, const uint8_t address[static 16]);

/* Write the next name that resolved to `address`, without a port; the newest comes first. Where one may have given way, the last is no name:
 * HOST_UNREADABLE. `*cursor` starts at 0. Return false after the last. */
MUST_CHECK bool resolved_next(const uint8_t address[static 16], uintptr_t *cursor, struct host *out);

#endif
