#include "arrival.h"

#include "once.h"

#include <errno.h>

static void meet(const void *library)
{
    (void)ossl_at(library);
}

/* libcrypto calls the shim when libssl makes an SSL_CTX, once the shim has registered with it. That allocates memory, and from its first allocation on
 * libcrypto accepts no memory functions of the program (CRYPTO_set_mem_functions). So the shim waits for the first thing that is to be initialized once,
 * which comes before everything else, but for setting these functions, and while the library holds no lock (1.1.1 to 4.0). */
void arrival_look(void)
{
    struct loaded found[OSSL_MAX];
    int saved = errno;
    size_t count = loader_list(OSSL_MARK, found, OSSL_MAX);
    struct loaded crypto;

    for (size_t i = 0; i < count; i++) {
        if (ossl_known_at(found[i].start) != NULL)
            continue;
        ossl_find_crypto(&found[i], &crypto);
        if (!loader_refers(&crypto, "pthread_once") || !once_await(&crypto, meet, (const void *)found[i].start))
            (void)ossl_meet(&found[i]);
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
