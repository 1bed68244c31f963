/* What libc/ needs from the code for one TLS library. */
#ifndef PINSHIM_BACKEND_H
#define PINSHIM_BACKEND_H

#include "loader.h"

struct backend {
    const char *part; /* a part of the name of every function of the library that is interposed */
    const char *mark; /* the name of a function that each release of the library has */

    /* Return true if the function at this address is in such a library. Where its functions cannot tell for which library they are called, set `*library`
     * to what dlsym_asked is to be for them. */
    bool (*owns)(const void *address, const void **library);

    /* Return true if the code at this address is such a library, and its clients are judged. NULL: it cannot be told. */
    bool (*judges)(const void *address);

    /* Return true if the function at this address is in such a library, or in the library that does its I/O, and clients of it are judged however
     * they are driven. NULL: each ClientHello of a judged client is known (sent.h). It may
     * become known by this call. */
    bool (*sends)(const void *address);

    /* Such libraries have been loaded, each of which is to be met before its first client. NULL: nothing is to be done. */
    void (*look)(void);

    /* One of its functions is looked up by dlsym(RTLD_NEXT), so that this object's own does not hide it: such libraries are to be met. NULL: nothing is to be
     * done. */
    void (*look_next)(void);

    /* A function is looked up by this handle. If it leads to another namespace (dlmopen), such libraries there are to be met. NULL: nothing is to be
     * done. */
    void (*look_in)(void *handle);

    /* The program has closed a handle: if a library that `owns` has told was unloaded by that, call `gone`. NULL: nothing is to be done. */
    void (*closed)(const void *handle, void (*gone)(const void *library));

    /* If the code at `caller` is an object that contains such a library, whose ClientHello was not judged, say which and why. NULL: it is not said. */
    bool (*explain)(const void *caller, struct text *out);

    /* Read what its handshakes need, before the program installs a seccomp filter. Return false if no such library is loaded. */
    bool (*prepare)(void);
};

/* The library by which the program has found the function that it calls now. The function takes it at once, and leaves NULL. NULL: not found by dlsym. */
extern _Thread_local const void *dlsym_asked;

/* That library is gone, and its entry points are given out for no other one yet. */
#define DLSYM_GONE ((const void *)1)

/* All of them, then NULL: shim/backends.c. */
extern const struct backend *const backends[];

/* The marks of those that want to know what was loaded, and whether it was: for loader_next_at_start and loader_find_new. */
#define BACKENDS 4
static inline size_t backend_marks(struct sought marks[static BACKENDS])
{
    size_t count = 0;

    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->look != NULL)
            marks[count++] = (struct sought) {backends[i]->mark, NULL, 0};
    }
    return count;
}

static inline void backend_arrived(const struct sought *marks, size_t count)
{
    for (int i = 0; backends[i] != NULL; i++) {
        for (size_t k = 0; k < count; k++) {
            if (marks[k].found != NULL && marks[k].name == backends[i]->mark)
                backends[i]->look();
        }
    }
}

#endif
