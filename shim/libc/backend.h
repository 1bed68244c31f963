/* What libc/ needs from the code for one TLS library. */
#ifndef PINSHIM_BACKEND_H
#define PINSHIM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

struct backend {
    const char *part; /* a part of the name of every function of the library that is interposed */
    const char *mark; /* the name of a function that each release of the library has */

    /* Return true if the function at this address is in such a library. */
    bool (*owns)(const void *address);

    /* Return true if the function at this address is in such a library, or in the library that does its I/O, and clients of it are judged however
     * they are driven. */
    bool (*sends)(const void *address);

    /* Read what its handshakes need, before the program installs a seccomp filter. Return false if no such library is loaded. */
    bool (*prepare)(void);
};

/* All of them, then NULL: shim/backends.c. */
extern const struct backend *const backends[];

#endif
