/* What dlsym and dlvsym answer (interpose.S): for a function that this object stands before, its own. */

#include "loader.h"
#include "ossl.h"

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

/* Whoever asks for them may have them. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct own {
    const char *name;
    void *function;
};

/* Only functions of libssl. Those of libc have more than one object standing before them, and whoever asks libc for one of them
 * may stand behind this object: given this object's, it would call in a circle. */
static const struct own *find_own(const char *name)
{
    static const struct own table[] = {
#define ENTRY(symbol) {#symbol, (void *)(uintptr_t)&symbol},
#include "exports_table.h"
#undef ENTRY
    };

    if (name == NULL || strstr(name, "SSL_") == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

/* Where the caller matters, the real function must find it on the stack. A search from RTLD_DEFAULT finds this object anyway. */
static bool caller_matters(void *handle)
{
    return handle == RTLD_NEXT || handle == RTLD_DEFAULT;
}

/* Answer with this object's function only in place of one that stands in a libssl: another object that stands before libssl, too,
 * keeps its own. A NULL is passed on as it is, with dlerror set. */
static struct answer replace(const struct own *own, void *found)
{
    return (struct answer) {found != NULL && ossl_is_at(found) ? own->function : found, 1};
}

struct answer exports_dlsym(void *handle, const char *name)
{
    const struct own *own = caller_matters(handle) ? NULL : find_own(name);

    loader_ready();
    return own == NULL ? not_answered : replace(own, loader_real_dlsym(handle, name));
}

struct answer exports_dlvsym(void *handle, const char *name, const char *version)
{
    const struct own *own = caller_matters(handle) ? NULL : find_own(name);

    loader_ready();
    return own == NULL ? not_answered : replace(own, loader_real_dlvsym(handle, name, version));
}
