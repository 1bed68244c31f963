/* The names that the program resolved, by address; also what its forked children resolve for it, and they what it does. The table is in the object's own
 * zeroed memory. It takes no allocation, and no lock that a forked child could find held. When it is full, the oldest entries are overwritten; their addresses are in doubt, until twice as many others have
 * lost an entry as fit into the table (65,536 to 131,072). */
#ifndef PINSHIM_RESOLVED_H
#define PINSHIM_RESOLVED_H

#include "host.h"

/* Share the table with all that this process forks, unless the kernel refuses: to be called before the first fork. errno is preserved. */
void resolved_share(void);

/* resolved_remember, in a table that is shared from the first name on. */
void resolved_learn(const char *name, const uint8_t address[static 16]);

/* Remember that `name` (as the program gave it) resolved to `address`; a known pair becomes the newest. Names that are addresses
 * themselves are not kept. A name that cannot be read puts the address in doubt. */
void resolved_remember(const char *name, const uint8_t address[static 16]);

/* Write the next name that resolved to `address`, without a port, the newest first. If one may have been overwritten, the last is not a name but
 * HOST_UNREADABLE. `*cursor` starts at 0. Return false after the last. */
MUST_CHECK bool resolved_next(const uint8_t address[static 16], uintptr_t *cursor, struct host *out);

#endif
