/* What dlsym and dlvsym return (called from dlsym_entry.S): for a function that this object interposes, its own. */

#include "backend.h"
#include "loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Returned in two registers, to the assembler code. */
struct answer {
    uintptr_t value;
    enum { NOT_ANSWERED = 0, ANSWERED, ANSWERED_BY_ENTRY } answered; /* the last: the value is where it is among the entry points */
};

struct answer exports_dlsym(void *handle, const char *name);
struct answer exports_dlvsym(void *handle, const char *name, const char *version);

static const struct answer not_answered = {0, NOT_ANSWERED};

/* Not strstr(), as in loader.c: whoever interposes that may be looking for the real one. */
static bool has_part(const char *name, const char *part)
{
    for (; *name != '\0'; name++) {
        size_t same = 0;

        while (part[same] != '\0' && name[same] == part[same])
            same++;
        if (part[same] == '\0')
            return true;
    }
    return false;
}

static bool is_of_backend(const char *name)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (has_part(name, backends[i]->part))
            return true;
    }
    return false;
}

/* Return libc's function if `name` is one of the loader's that this object interposes. */
static const void *real_of_loader(const char *name)
{
    if (strcmp(name, "dlopen") == 0)
        return (const void *)loader_real_dlopen;
    if (strcmp(name, "dlmopen") == 0)
        return (const void *)loader_real_dlmopen;
    if (strcmp(name, "dlsym") == 0)
        return (const void *)loader_real_dlsym;
    return strcmp(name, "dlvsym") == 0 ? (const void *)loader_real_dlvsym : NULL;
}

/* Return true if the real function must find the caller on the stack. A search from RTLD_DEFAULT finds this object anyway. */
static bool caller_matters(void *handle)
{
    return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

static bool is_in_backend(const void *address, const void **library)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->owns(address, library))
            return true;
    }
    return false;
}

/* The entry points of dlsym_entry.S: each sets dlsym_asked to a library, and jumps to this object's function, which is always the same. */
#define ENTRIES 256
#ifdef __aarch64__
#define ENTRY(at) ((at) * 8)
#else
#define ENTRY(at) ((at) * 4 + (at) / 32 * 8)
#endif
struct given {
    _Atomic(void *) own; /* NULL: free */
    _Atomic(const void *) library;
};
extern struct given dlsym_given[ENTRIES] __attribute__((visibility("hidden")));
struct given dlsym_given[ENTRIES];

_Thread_local const void *dlsym_asked;

/* Return an entry point: the library's, one that was the function's in a library that is gone, or a free one; if there is none, the function itself. */
static struct answer entry_for(void *own, const void *library)
{
    for (size_t at = 0; at < (size_t)2 * ENTRIES; at++) {
        struct given *given = &dlsym_given[at % ENTRIES];
        const void *left = DLSYM_GONE;
        void *there = NULL;

        if (at >= ENTRIES && atomic_compare_exchange_strong(&given->own, &there, own))
            atomic_store(&given->library, library);
        else if (atomic_load(&given->own) != own
            || (atomic_load(&given->library) != library && (at < ENTRIES || !atomic_compare_exchange_strong(&given->library, &left, library))))
            continue;
        return (struct answer) {ENTRY(at % ENTRIES), ANSWERED_BY_ENTRY};
    }
    return (struct answer) {(uintptr_t)own, ANSWERED};
}

static void gone(const void *library)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        const void *there = library;

        (void)atomic_compare_exchange_strong(&dlsym_given[i].library, &there, DLSYM_GONE);
    }
}

/* Return true if it is the function of libc, or of its loader, that this object calls. If another object interposes it, too, it is not: an object that
 * comes after this one may ask libc for it, and would get this object's, and the calls would go in a circle. */
static bool is_behind_own(const char *name, const void *found)
{
    return found == real_of_loader(name) || (!is_of_backend(name) && found == loader_next(name));
}

/* Return this object's function only instead of one in a TLS library, or libc's own. It leads to the library that was asked: never to another object's
 * function of that name, which may be the one that asks. A NULL is passed on, with dlerror set. */
static struct answer replace(const char *name, void *own, void *found)
{
    const void *library = NULL;
    bool interposed = found != NULL && (is_behind_own(name, found) || is_in_backend(found, &library));

    return library != NULL ? entry_for(own, library) : (struct answer) {(uintptr_t)(interposed ? own : found), ANSWERED};
}

/* Whoever has loaded a library looks for its functions next. */
static void look_next(const char *name)
{
    for (int i = 0; name != NULL && backends[i] != NULL; i++) {
        if (backends[i]->look_next != NULL && has_part(name, backends[i]->part))
            backends[i]->look_next();
    }
}

static void look(void *handle, const char *name)
{
    static _Thread_local bool within; /* what has arrived may look for functions when it is met */
    int saved = errno;
    struct sought marks[BACKENDS];
    size_t count;

    if (within)
        return;
    /* Whoever interposes malloc looks for the next one so, and must not be asked for memory then. A sanitizer's runtime, which comes before this object is
     * ready, looks for it in all objects, too. */
    if (handle == RTLD_NEXT || (handle == RTLD_DEFAULT && !loader_has_looked())) {
        look_next(name);
        return;
    }
    within = true;
    count = backend_marks(marks);
    loader_find_new(marks, count);
    backend_arrived(marks, count);
    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->look_in != NULL)
            backends[i]->look_in(handle);
    }
    within = false;
    errno = saved;
}

struct answer exports_dlsym(void *handle, const char *name)
{
    void *own = caller_matters(handle) || name == NULL ? NULL : loader_own(name);

    loader_ready();
    look(handle, name);
    return own == NULL ? not_answered : replace(name, own, loader_real_dlsym(handle, name));
}

struct answer exports_dlvsym(void *handle, const char *name, const char *version)
{
    void *own = caller_matters(handle) || name == NULL ? NULL : loader_own(name);

    loader_ready();
    look(handle, name);
    return own == NULL ? not_answered : replace(name, own, loader_real_dlvsym(handle, name, version));
}

__attribute__((visibility("default"))) int dlclose(void *handle)
{
    int result;

    loader_ready();
    result = loader_real_dlclose(handle);
    if (result == 0) {
        int saved = errno;

        for (int i = 0; backends[i] != NULL; i++) {
            if (backends[i]->closed != NULL)
                backends[i]->closed(handle, gone);
        }
        errno = saved;
    }
    return result;
}
