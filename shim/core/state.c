#include "state.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The place for one object. Places are reused and never freed: another thread may be anywhere in a chain. */
struct place {
    _Atomic(const void *) object; /* NULL: free */
    _Atomic(struct attached *) attached;
    struct place *next;
};

#define CHAINS 16384 /* a power of two; a page of them takes memory only when it is first used */
static _Atomic(struct place *) chains[CHAINS];

static _Atomic(struct place *) *chain_of(const void *object)
{
    return &chains[((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15 / (UINT64_MAX / CHAINS + 1)];
}

static struct place *find(struct place *place, const void *object)
{
    while (place != NULL && atomic_load_explicit(&place->object, memory_order_acquire) != object)
        place = place->next;
    return place;
}

void *state_of(const void *object)
{
    struct place *place = find(atomic_load_explicit(chain_of(object), memory_order_acquire), object);

    return place != NULL ? atomic_load_explicit(&place->attached, memory_order_acquire) : NULL;
}

/* Return a place for an object that has none. */
static struct place *claim(_Atomic(struct place *) *chain, const void *object)
{
    struct place *place;

    for (place = atomic_load(chain); place != NULL; place = place->next) {
        const void *none = NULL;

        if (atomic_load_explicit(&place->object, memory_order_relaxed) == NULL
            && atomic_compare_exchange_strong(&place->object, &none, object))
            return place;
    }
    place = calloc(1, sizeof(*place));
    if (place == NULL)
        return NULL;
    atomic_init(&place->object, object);
    place->next = atomic_load(chain);
    while (!atomic_compare_exchange_weak(chain, &place->next, place))
        ;
    return place;
}

bool state_keep(const void *library, const void *object, struct attached *attached)
{
    _Atomic(struct place *) *chain = chain_of(object);
    struct place *place = find(atomic_load(chain), object);

    if (place == NULL)
        place = claim(chain, object);
    if (place == NULL)
        return false;
    attached = atomic_exchange(&place->attached, attached);
    if (attached != NULL)
        attached->release(library, attached);
    return true;
}

void state_drop(const void *library, const void *object)
{
    struct place *place = find(atomic_load_explicit(chain_of(object), memory_order_acquire), object);

    /* There may be more than one, if two threads used the same SSL_CTX at once. */
    for (; place != NULL; place = find(place->next, object)) {
        struct attached *attached = atomic_exchange(&place->attached, NULL);

        atomic_store_explicit(&place->object, NULL, memory_order_release);
        if (attached != NULL)
            attached->release(library, attached);
    }
}
