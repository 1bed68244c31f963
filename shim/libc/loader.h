/* Finding loaded objects and the functions in them. */
#ifndef PINSHIM_LOADER_H
#define PINSHIM_LOADER_H

#include "text.h"

#include <dlfcn.h>
#include <stdatomic.h>

/* The parts of a loaded object that are needed to find its symbols. */
struct tables {
    uintptr_t base;
    const char *strings;
    const void *symbols;
    const uint32_t *gnu_hash;
    const uint32_t *old_hash; /* DT_HASH; some linkers write no other table */
    const uint16_t *versions;
    struct {
        const void *at;
        size_t size;
    } references[2]; /* to functions whose address is taken, and to those that are called */
};

struct loaded {
    const char *name; /* as the loader knows it; empty for the main program */
    uintptr_t start;
    uintptr_t end; /* the first address after it */
    bool marked; /* it defines the symbol `mark` */
    long space; /* its namespace (dlmopen), and the first object there; NULL: the program's */
    const void *list;
    struct tables tables; /* valid as long as it is loaded */
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

/* The same in the namespace of `near`. */
MUST_CHECK bool loader_find_near(const struct loaded *near, const void *address, const char *mark, struct loaded *out);

/* List the loaded objects that define `mark`; return how many were written, at most `room`. */
size_t loader_list(const char *mark, struct loaded *out, size_t room);

/* The same for the namespace of an open handle, if that is another one than the program's; else 0. */
size_t loader_list_space(void *handle, const char *mark, struct loaded *out, size_t room);

/* Return a handle of the object, which stays loaded until loader_let_go; NULL if it was unloaded. Slow. */
void *loader_hold(const struct loaded *object);
void loader_let_go(void *handle);

/* Give the handle up, and return it again if the object is still loaded; NULL: it is not. */
void *loader_renew(void *handle);

/* Return true if the object refers to a function `name` of another one. */
MUST_CHECK bool loader_refers(const struct loaded *object, const char *name);

/* Return the address of `name` as the object sees it: in itself, then in the libraries that it was linked to, never in this object. NULL if
 * there is none. */
void *loader_symbol(void *handle, const char *name);

/* Where a function that is found by its name belongs. */
struct listed {
    uint16_t at; /* from a base */
    bool needed;
};

/* Find `count` functions whose `names` stand one after the other, each with its NUL (pointers to names would be relocated at the start of each process): what
 * `find` returns for `how` is written to its place. Return the first that is needed and missing; NULL: none is. */
const char *loader_fill(void *base, const char *names, const struct listed *places, size_t count, void *(*find)(const void *how, const char *name, bool needed),
    const void *how);

/* Return the address of the function `name` that `object` itself defines, or else `other`; NULL if neither does. loader_hold must hold both.
 * Suited to many names: it takes no lock, and a missing name does not make the loader build a message, for which it would search translations. */
void *loader_defined(const struct loaded *object, const struct loaded *other, const char *name);

/* Return the function of another object, not of this one, to which the object's own reference to `name` is bound, or to whatever else begins so; NULL if it has
 * no such reference, or none is bound yet. */
void *loader_bound(const struct loaded *object, const char *name);

/* Return the definition of `name` that code at `caller` would call without this object. NULL if there is none. Slow. */
void *loader_for_caller(const void *caller, const char *name);

/* Return the definition of `name` that comes after this object's in the program's search order; NULL if there is none. */
void *loader_next(const char *name);

struct sought {
    const char *name;
    void *found; /* NULL at first, and if there is none */
    uint32_t hash; /* the loader's own */
};

/* The same for several functions of libc, and without dlsym, which may have to be loaded first and which clears the program's dlerror(). It takes no lock, and
 * looks no further than libc; but each of the `marks` that any object defines is found, too: only when the program starts. */
void loader_next_at_start(struct sought *list, size_t count, struct sought *marks, size_t mark_count);

/* The path of this object, as the loader knows it. After loader_next_at_start. */
extern const char *loader_own_path;

/* Return true if `function`, which is called `name`, is libc's own. Before glibc 2.34 a program with threads has some from libpthread. Takes no lock. */
MUST_CHECK bool loader_is_of_libc(const char *name, const void *function);

/* Find those of the marks that an object defines which was loaded since the last call. */
void loader_find_new(struct sought *marks, size_t count);

/* Return true if one of these two has looked at the objects. */
MUST_CHECK bool loader_has_looked(void);

/* Return the address of this object's own export `name`; NULL if there is none. */
void *loader_own(const char *name);

/* The real functions behind this object's own (dlsym_entry.S, dlsym.c). Before loader_ready they find nothing. */
extern void *(*loader_real_dlopen)(const char *name, int mode);
extern void *(*loader_real_dlmopen)(long space, const char *name, int mode);
extern void *(*loader_real_dlsym)(void *handle, const char *name);
extern void *(*loader_real_dlvsym)(void *handle, const char *name, const char *version);
extern int (*loader_real_dlclose)(void *handle);

/* Return true if libc is musl. After loader_next_at_start or loader_ready. */
MUST_CHECK bool loader_is_musl(void);

/* How often the program has had objects loaded: as long as it is the same, what was at an address is still there, or nothing is. */
extern _Atomic unsigned loader_opened;

/* A dlopen; a dlmopen into this namespace (dlsym_entry.S). */
void loader_opens(void);
void loader_enters(long space);

/* Find the real functions of the loader. Without them no function of OpenSSL can be found: every call of OpenSSL fails. */
void loader_ready(void);

#endif
