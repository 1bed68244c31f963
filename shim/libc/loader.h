/* Finding loaded objects and the functions in them. */
#ifndef PINSHIM_LOADER_H
#define PINSHIM_LOADER_H

#include "text.h"

/* The parts of a loaded object by which its symbols are found. */
struct tables {
    uintptr_t base;
    const char *strings;
    const void *symbols;
    const uint32_t *gnu_hash;
    const uint32_t *old_hash; /* DT_HASH; some linkers make no other */
    const uint16_t *versions;
    struct {
        const void *at;
        size_t size;
    } references[2]; /* to functions whose address is used, and to those that are called */
};

struct loaded {
    const char *name; /* as the loader knows it; empty for the main program */
    uintptr_t start;
    uintptr_t end; /* the first address after it */
    bool marked; /* it defines the symbol that was asked for */
    struct tables tables; /* as long as it is loaded */
};

/* The bounds of this object, from the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* Return true if the address is in this object. */
static inline bool loader_is_own(const void *address)
{
    return (uintptr_t)address - (uintptr_t)__ehdr_start < (uintptr_t)_end - (uintptr_t)__ehdr_start;
}

/* Find the loaded object that holds `address`; `marked` tells whether it defines `mark` itself. */
MUST_CHECK bool loader_find(const void *address, const char *mark, struct loaded *out);

/* List the loaded objects that define `mark`; return how many were written, at most `room`. */
size_t loader_list(const char *mark, struct loaded *out, size_t room);

/* Return a handle of the object, which stays loaded until loader_let_go; NULL where it is gone. Slow. */
void *loader_hold(const struct loaded *object);
void loader_let_go(void *handle);

/* Return the address of `name` as the object sees it: in itself, then in what it was linked to, never in this object. NULL where
 * there is none. */
void *loader_symbol(void *handle, const char *name);

/* Return the address of the function `name` that `object` itself defines, or else `other`; NULL where neither does. They must be held.
 * For many names: no lock is taken, and the loader makes no message of what is missing, for which it would look for translations. */
void *loader_defined(const struct loaded *object, const struct loaded *other, const char *name);

/* Return the function that the object itself reaches under the name `name`, of another object; NULL where it does not refer to it, or has not
 * been bound to it yet. */
void *loader_bound(const struct loaded *object, const char *name);

/* Return the definition of `name` that code at `caller` would have called without this object. NULL where there is none. Slow. */
void *loader_for_caller(const void *caller, const char *name);

/* Return the definition of `name` that stands after this object's in the program's own order; NULL where there is none. */
void *loader_next(const char *name);

struct sought {
    const char *name;
    void *found; /* at first, and where there is none, NULL */
    uint32_t hash; /* the loader's own */
};

/* The same for several, and without dlsym, which may have to be loaded first and clears what dlerror() has for the program. For functions of
 * libc and when the program starts: the list of objects is read as it stands. */
void loader_next_at_start(struct sought *list, size_t count);

/* Return the address of what this object itself exports as `name`; NULL where there is none. */
void *loader_own(const char *name);

/* The real functions behind this object's own (interpose.S), after loader_ready; they find nothing before. */
extern void *(*loader_real_dlopen)(const char *name, int mode);
extern void *(*loader_real_dlsym)(void *handle, const char *name);
extern void *(*loader_real_dlvsym)(void *handle, const char *name, const char *version);

/* Find the real functions of the loader. Without them nothing can be found or passed on: every call of OpenSSL fails. */
void loader_ready(void);

#endif
