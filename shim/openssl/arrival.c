#include "arrival.h"

#include "ossl.h"
#include "real.h"

#include <errno.h>
#include <pthread.h>

/* libcrypto calls the shim when libssl makes an SSL_CTX, once the shim has registered with it. That allocates memory, and from its first allocation on
 * libcrypto accepts no memory functions of the program (CRYPTO_set_mem_functions). So the shim waits for the first thing that is to be initialized once,
 * which comes before everything else, but for setting these functions, and while the library holds no lock (1.1.1 to 4.0). */
static struct awaited {
    _Atomic(uintptr_t) start; /* where its libcrypto is mapped; 0: free, or it was met */
    _Atomic(uintptr_t) end;
    _Atomic(uintptr_t) ssl;
} awaited[OSSL_MAX];
static _Atomic uint32_t awaits; /* of these */

/* Return false if there is no room. */
static bool await(const struct loaded *crypto, const struct loaded *object)
{
    for (int i = 0; i < OSSL_MAX; i++) {
        uintptr_t none = 0;

        if (atomic_load(&awaited[i].ssl) == object->start)
            return true;
        if (!atomic_compare_exchange_strong(&awaited[i].ssl, &none, object->start))
            continue;
        atomic_store(&awaited[i].end, crypto->end);
        atomic_store(&awaited[i].start, crypto->start);
        atomic_fetch_add(&awaits, 1);
        return true;
    }
    return false;
}

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
        if (!loader_refers(&crypto, "pthread_once") || !await(&crypto, &found[i]))
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

static __attribute__((noinline, cold)) void meet(uintptr_t caller)
{
    static _Thread_local bool within; /* what is met calls this, too */
    int saved = errno;

    for (int i = 0; i < OSSL_MAX && !within; i++) {
        uintptr_t start = atomic_load(&awaited[i].start);
        uintptr_t ssl = atomic_load(&awaited[i].ssl);

        if (start == 0 || caller - start >= atomic_load(&awaited[i].end) - start)
            continue;
        within = true;
        (void)ossl_at((const void *)ssl);
        within = false;
        /* Another thread may have met it, too. */
        if (atomic_compare_exchange_strong(&awaited[i].start, &start, 0)) {
            atomic_store(&awaited[i].ssl, 0);
            atomic_fetch_sub(&awaits, 1);
        }
    }
    errno = saved;
}

/* Before glibc 2.34 a program without threads may have none, and look whether there is one. 0 and 2 are what glibc has there before and after. */
static int call_once(pthread_once_t *control, void (*routine)(void))
{
    if (*control == 0) {
        *control = 2;
        routine();
    }
    return 0;
}

EXPORT int pthread_once(pthread_once_t *control, void (*routine)(void))
{
    __typeof__(&pthread_once) real = (__typeof__(&pthread_once))real_now(AT_pthread_once);

    if (__builtin_expect(atomic_load_explicit(&awaits, memory_order_relaxed) != 0, 0))
        meet((uintptr_t)__builtin_return_address(0));
    if (real == NULL && (real = find_pthread_once()) == NULL)
        real = call_once;
    return real(control, routine);
}
