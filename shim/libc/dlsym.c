/* What dlsym and dlvsym answer (interpose.S): for a function that this object stands before, its own. */

#include "dlsym.h"

#include "backend.h"
#include "loader.h"

#include <dlfcn.h>
#include <string.h>

/* Returned in two registers, to assembler. */
struct answer {
    void *value;
    uintptr_t answered;
};

struct answer exports_dlsym(void *handle, const char *name);
struct answer exports_dlvsym(void *handle, const char *name, const char *version);

static const struct answer not_answered = {NULL, 0};

static bool is_of_backend(const char *name)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (strstr(name, backends[i]->part) != NULL)
            return true;
    }
    return false;
}

/* Only functions of TLS libraries, and by which filters are installed. Others of libc have more than one object standing before them, and whoever asks libc
 * for one of them may stand behind this object: given this object's, it would call in a circle. */
static void *find_own(const char *name)
{
    return name != NULL && (is_of_backend(name) || strcmp(name, "prctl") == 0 || strcmp(name, "syscall") == 0) ? loader_own(name) : NULL;
}

/* Where the caller matters, the real function must find it on the stack. A search from RTLD_DEFAULT finds this object anyway. */
static bool caller_matters(void *handle)
{
    return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

static const struct backend *backend_of(const void *address)
{
    for (int i = 0; backends[i] != NULL; i++) {
        if (backends[i]->owns(address))
            return backends[i];
    }
    return NULL;
}

/* Another preloaded object may stand before this one: its function, as for a call without dlsym. But not that of a program which has
 * a TLS library of its own: the caller has asked for another's. */
static void *first_in_scope(const struct backend *backend, const char *name, void *own)
{
    void *first = loader_real_dlsym(RTLD_DEFAULT, name);
    struct loaded object;

    return loader_find(first, backend->mark, &object) && object.name[0] != '\0' && !object.marked ? first : own;
}

/* Answer with this object's function only in place of one that stands in a TLS library: another object that stands before it, too,
 * keeps its own. A NULL is passed on as it is, with dlerror set. */
static struct answer replace(const char *name, void *own, void *found)
{
    void *instead = found != NULL ? dlsym_instead(name, found) : NULL;
    const struct backend *backend = found != NULL && instead == NULL ? backend_of(found) : NULL;

    if (instead != NULL)
        return (struct answer) {instead, 1};
    return (struct answer) {backend != NULL ? first_in_scope(backend, name, own) : found, 1};
}

struct answer exports_dlsym(void *handle, const char *name)
{
    void *own = caller_matters(handle) ? NULL : find_own(name);

    loader_ready();
    return own == NULL ? not_answered : replace(name, own, loader_real_dlsym(handle, name));
}

struct answer exports_dlvsym(void *handle, const char *name, const char *version)
{
    void *own = caller_matters(handle) ? NULL : find_own(name);

    loader_ready();
    return own == NULL ? not_answered : replace(name, own, loader_real_dlvsym(handle, name, version));
}
