/* What is kept of objects, by their address. */
#include "state.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define OBJECTS 5000
#define THREADS 4

struct kept {
    struct attached attached;
    const void *object;
};

static _Atomic int released;

static void release(const void *library, void *attached)
{
    (void)library;
    atomic_fetch_add(&released, 1);
    free(attached);
}

/* Return false if it is not found there again. */
static bool keep(const void *object)
{
    struct kept *kept = malloc(sizeof(*kept));

    if (kept == NULL)
        abort();
    *kept = (struct kept) {{release}, object};
    return state_keep(NULL, object, &kept->attached) && state_of(object) == kept;
}

static void test_one(void)
{
    static char objects[4][64];

    check(state_of(objects[0]) == NULL, "nothing is kept at first");
    check(keep(objects[0]) && keep(objects[1]), "each object has its own");
    check(((struct kept *)state_of(objects[0]))->object == objects[0], "the other one's is not found");
    check(keep(objects[0]) && atomic_load(&released) == 1, "what was kept before is released");
    state_drop(NULL, objects[0]);
    check(state_of(objects[0]) == NULL && atomic_load(&released) == 2, "of one that is no more, nothing is kept");
    check(state_of(objects[1]) != NULL, "of another one, what was");
    state_drop(NULL, objects[0]);
    state_drop(NULL, objects[2]);
    check(atomic_load(&released) == 2, "nothing is released where nothing was");
    check(keep(objects[0]), "an object that comes to the address later has its own");
    state_drop(NULL, objects[0]);
    state_drop(NULL, objects[1]);
}

/* Objects lie among each other, so that the threads meet in every chain. */
static char objects[OBJECTS * THREADS][16];

static void *work(void *arg)
{
    const char(*first)[16] = arg;
    uintptr_t wrong = 0;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < OBJECTS; i++)
            wrong += !keep(first[i * THREADS]);
        for (int i = 0; i < OBJECTS; i++) {
            const struct kept *kept = state_of(first[i * THREADS]);

            wrong += kept == NULL || kept->object != first[i * THREADS];
            state_drop(NULL, first[i * THREADS]);
            wrong += state_of(first[i * THREADS]) != NULL;
        }
    }
    return (void *)wrong;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    uintptr_t wrong = 0;

    atomic_store(&released, 0);
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, objects[i]) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong += (uintptr_t)result;
    }
    check(wrong == 0, "%d threads find what they keep, each of its own objects", THREADS);
    check(atomic_load(&released) == THREADS * OBJECTS * 20, "all of it is released, once");
}

int main(void)
{
    test_one();
    test_threads();
    return unit_end("state");
}
