#include "arrival.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* libcrypto calls the shim when libssl makes an SSL_CTX, once the shim has registered with it. That allocates memory, and from its first allocation on
 * libcrypto accepts no memory functions of the program (CRYPTO_set_mem_functions). So the shim first sets a function of its own for allocations, which
 * is as malloc, and which the program may replace. It is told by which source file memory is allocated: for the SSL_CTX itself, that is libssl's
 * ssl_lib.c, which has initialized everything by then and holds no lock (1.1.1 to 4.0). */
#define MAKER "ssl_lib.c"
#define SMALLEST_CONTEXT 512

static _Atomic bool is_nameless; /* a library was built without the names of its files */

/* Here libcrypto is as it would be without the shim: its own function for allocations comes back. */
static void meet(const char *file)
{
    const struct ossl *ossl = ossl_at(file);

    if (ossl != NULL && ossl->CRYPTO_set_mem_functions != NULL && ossl->CRYPTO_malloc != NULL)
        (void)ossl->CRYPTO_set_mem_functions(ossl->CRYPTO_malloc, NULL, NULL);
}

static void *note_allocation(size_t size, const char *file, int line)
{
    size_t length;

    (void)line;
    if (size >= SMALLEST_CONTEXT) {
        length = file != NULL ? strlen(file) : 0;
        if (length == 0)
            atomic_store_explicit(&is_nameless, true, memory_order_relaxed);
        else if (length >= sizeof(MAKER) - 1 && memcmp(file + length - (sizeof(MAKER) - 1), MAKER, sizeof(MAKER) - 1) == 0)
            meet(file);
    }
    return size != 0 ? malloc(size) : NULL;
}

/* Return true if the malloc that it calls is the one that the shim calls: that of another object, or the program's own if that is exported. */
static bool shares_malloc(const struct loaded *object)
{
    return loader_refers(object, "malloc") || (object->name[0] == '\0' && loader_defined(object, object, "malloc") != NULL);
}

/* Return false if the library is to be met at once, or with the next call for `now`: it has allocated memory already, by its own functions or the program's,
 * or by a malloc that is hidden in it. */
static bool await(const struct loaded *object, bool *hidden)
{
    struct loaded crypto;
    int (*set)(ossl_malloc, void *, void *);
    void (*get)(ossl_malloc *, void *, void *);
    ossl_malloc own;
    ossl_malloc now = NULL;

    *hidden = false;
    ossl_find_crypto(object, &crypto);
    set = (int (*)(ossl_malloc, void *, void *))loader_defined(object, &crypto, "CRYPTO_set_mem_functions");
    get = (void (*)(ossl_malloc *, void *, void *))loader_defined(object, &crypto, "CRYPTO_get_mem_functions");
    own = (ossl_malloc)loader_defined(object, &crypto, "CRYPTO_malloc");
    if (set == NULL || get == NULL || own == NULL || !shares_malloc(&crypto)) {
        *hidden = true;
        return false;
    }
    get(&now, NULL, NULL);
    return now == note_allocation || (now == own && set(note_allocation, NULL, NULL) == 1);
}

void arrival_look(bool now)
{
    struct loaded found[OSSL_MAX];
    int saved = errno;
    size_t count = loader_list(OSSL_MARK, found, OSSL_MAX);
    bool hidden;

    for (size_t i = 0; i < count; i++) {
        if (ossl_known_at(found[i].start) != NULL)
            continue;
        if (await(&found[i], &hidden) ? now && atomic_load(&is_nameless) : now || !hidden)
            (void)ossl_at((const void *)found[i].start);
    }
    errno = saved;
}

/* There, the program calls functions that it has looked up one by one: nothing comes before that. */
void arrival_look_in(void *handle)
{
    struct loaded found[OSSL_MAX];
    int saved = errno;
    size_t count = loader_list_space(handle, OSSL_MARK, found, OSSL_MAX);

    for (size_t i = 0; i < count; i++)
        (void)ossl_meet(&found[i]);
    errno = saved;
}
