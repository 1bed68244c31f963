#include "arrival.h"

#include "once.h"

#include <errno.h>
#include <string.h>

static void meet(const void *library)
{
    (void)ossl_at(library);
}

/* Return true for a libssl by itself, and not within an object that also calls it: what calls SSL_CTX_new comes through the shim, unless it finds that by
 * dlsym(RTLD_NEXT). So the library is met then, and a program that makes none pays nothing for it. */
static bool is_called_by_others(const struct loaded *object)
{
    const char *slash = strrchr(object->name, '/');
    const char *base = slash != NULL ? slash + 1 : object->name;

    return strncmp(base, "libssl", 6) == 0 && (base[6] == '.' || base[6] == '-') && loader_defined(object, object, "X509_free") == NULL;
}

/* libcrypto calls the shim when libssl makes an SSL_CTX, once the shim has registered with it. That allocates memory, and from its first allocation on
 * libcrypto accepts no memory functions of the program (CRYPTO_set_mem_functions). So the shim waits for the first thing that is to be initialized once,
 * which comes before everything else, but for setting these functions, and while the library holds no lock (1.1.1 to 4.0). */
static __attribute__((noinline)) void look(bool all)
{
    struct loaded found[OSSL_MAX];
    int saved = errno;
    size_t count = loader_list(OSSL_MARK, found, OSSL_MAX);
    struct loaded crypto;

    for (size_t i = 0; i < count; i++) {
        if (ossl_known_at(found[i].start) != NULL || (!all && is_called_by_others(&found[i])))
            continue;
        ossl_find_crypto(&found[i], &crypto);
        if (!loader_refers(&crypto, "pthread_once") || !once_await(&crypto, meet, (const void *)found[i].start))
            (void)ossl_meet(&found[i]);
    }
    errno = saved;
}

void arrival_look(void)
{
    look(false);
}

void arrival_look_next(void)
{
    look(true);
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
