/* What libc/ needs of the code for one TLS library. */
#ifndef PINSHIM_BACKEND_H
#define PINSHIM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

struct backend {
    const char *part; /* of the names of all functions that are interposed in it */
    const char *mark; /* the name of a function that each of its libraries has */

    /* Return true if the function at this address is in such a library. */
    bool (*owns)(const void *address);

    /* Read what its handshakes need, before the program forbids itself to. Return false if no such library is loaded. */
    bool (*prepare)(void);
};

/* All of them, and then NULL: shim/backends.c. */
extern const struct backend *const backends[];

#endif
