#include "gtls.h"

#include "certs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Atomic(struct gtls *) gtls_known[GTLS_MAX];

static bool is_gone(const struct gtls *gtls)
{
    void *handle = atomic_load_explicit(&gtls->handle, memory_order_acquire);

    return handle == GTLS_GOES || handle == GTLS_GONE;
}

/* While it is held, no other object can be where it is. */
static bool is_held(const struct gtls *gtls)
{
    return (uintptr_t)atomic_load_explicit(&gtls->handle, memory_order_acquire) > (uintptr_t)GTLS_GONE;
}

/* Let the record that is known hold the library, if it is the same, and free the new one. But not before all entry points of one that was unloaded are
 * void. */
static bool take_over(struct gtls *known, struct gtls *gtls)
{
    void *handle = atomic_load(&gtls->handle);
    void *before = atomic_load(&known->handle);

    if (memcmp(&known->usable, &gtls->usable, sizeof(*known) - offsetof(struct gtls, usable)) != 0)
        return false;
    while (before == NULL || before == GTLS_GONE) {
        if (!atomic_compare_exchange_strong(&known->handle, &before, handle))
            continue;
        free(gtls);
        return true;
    }
    if (before == GTLS_GOES)
        return false;
    loader_let_go(handle);
    free(gtls);
    return true;
}

/* Publish without a lock, so that a fork in another thread leaves nothing locked. Return the record in use afterwards; NULL if there is no room. The record
 * of a library that was unloaded is never freed: another thread may have just found it. */
static struct gtls *publish(struct gtls *gtls)
{
    struct gtls *there;

    for (int i = 0; i < GTLS_MAX; i++) {
        there = NULL;
        if (atomic_compare_exchange_strong(&gtls_known[i], &there, gtls))
            return gtls;
        if (take_over(there, gtls))
            return there;
    }
    for (int i = 0; i < GTLS_MAX; i++) {
        there = atomic_load(&gtls_known[i]);
        if (atomic_load(&there->handle) == GTLS_GONE && atomic_compare_exchange_strong(&gtls_known[i], &there, gtls))
            return gtls;
    }
    loader_let_go(atomic_load(&gtls->handle));
    free(gtls);
    return NULL;
}

/* Return the library there; NULL: it is not known, or just then it is not known whether it is still there. */
static struct gtls *known_at(uintptr_t address)
{
    for (int i = 0; i < GTLS_MAX; i++) {
        struct gtls *gtls = atomic_load_explicit(&gtls_known[i], memory_order_acquire);

        if (gtls == NULL)
            break;
        if (address - gtls->start < gtls->end - gtls->start && is_held(gtls))
            return gtls;
    }
    return NULL;
}

/* The functions in the order of the list, and where they belong in a struct gtls. */
static const char names[] =
#define NEEDED(name, result, parameters) #name "\0"
#define OPTIONAL NEEDED
#include "gtls_symbols.h"
#undef NEEDED
#undef OPTIONAL
    ;
static const struct listed places[] = {
#define NEEDED(name, result, parameters) {offsetof(struct gtls, name), true},
#define OPTIONAL(name, result, parameters) {offsetof(struct gtls, name), false},
#include "gtls_symbols.h"
#undef NEEDED
#undef OPTIONAL
};

static void *find(const void *object, const char *name, bool needed)
{
    (void)needed;
    return loader_defined(object, object, name);
}

/* Return the library that `object` is, or NULL if it is not a libgnutls. */
static struct gtls *examine(const struct loaded *object)
{
    struct gtls *gtls = known_at(object->start);
    void *handle;

    if (gtls != NULL || !object->marked)
        return gtls;
    gtls = calloc(1, sizeof(*gtls));
    if (gtls == NULL)
        return NULL;
    gtls->start = object->start;
    gtls->end = object->end;
    gtls->stays = object->list != NULL || loader_is_musl() || atomic_load(&loader_opened) == 0;
    /* It stays loaded until gtls_closed. */
    handle = loader_hold(object);
    if (handle == NULL) {
        free(gtls);
        return NULL;
    }
    atomic_init(&gtls->handle, handle);
    gtls->usable = loader_fill(gtls, names, places, sizeof(places) / sizeof(places[0]), find, object) == NULL;
    gtls->malloc = (void *(**)(size_t))loader_symbol(handle, "gnutls_malloc");
    gtls->free = (void (**)(void *))loader_symbol(handle, "gnutls_free");
    gtls->usable &= gtls->malloc != NULL && gtls->free != NULL;
    gtls_certs_bind(gtls);
    return publish(gtls);
}

bool gtls_is_at(const void *address)
{
    int saved = errno;
    struct loaded object;
    bool is = known_at((uintptr_t)address) != NULL || (loader_find(address, GTLS_MARK, &object) && object.marked);

    errno = saved;
    return is;
}

struct gtls *gtls_at(const void *address)
{
    struct gtls *gtls = known_at((uintptr_t)address);
    int saved = errno;
    struct loaded object;

    if (gtls == NULL && loader_find(address, GTLS_MARK, &object))
        gtls = examine(&object);
    errno = saved;
    return gtls;
}

bool gtls_judges(const void *start)
{
    for (int i = 0; i < GTLS_MAX && gtls_known[i] != NULL; i++) {
        if (gtls_known[i]->start == (uintptr_t)start && !is_gone(gtls_known[i]))
            return gtls_known[i]->usable && (is_held(gtls_known[i]) || gtls_is_at(start));
    }
    return gtls_is_at(start);
}

/* Nothing tells how many handles the program has: this object's is given up, and taken again if the library is still there. In between, no thread believes that it is
 * there without a look (known_at). No lock is held: what is unloaded may run the program's code, and that may wait for any thread. */
void gtls_closed(const void *closed, void (*gone)(const void *library))
{
    for (int i = 0; i < GTLS_MAX; i++) {
        void *again;
        struct gtls *gtls = atomic_load(&gtls_known[i]);
        void *handle = gtls != NULL ? atomic_load(&gtls->handle) : NULL;

        if ((uintptr_t)handle <= (uintptr_t)GTLS_GONE || handle != closed || gtls->stays || !atomic_compare_exchange_strong(&gtls->handle, &handle, NULL))
            continue;
        again = loader_renew(handle);
        handle = NULL;
        if (again != NULL && !atomic_compare_exchange_strong(&gtls->handle, &handle, again))
            loader_let_go(again);
        handle = NULL;
        if (again != NULL || is_held(gtls) || !atomic_compare_exchange_strong(&gtls->handle, &handle, GTLS_GOES))
            continue;
        gone(gtls);
        atomic_store(&gtls->handle, GTLS_GONE);
        /* What was remembered of callers is void. */
        atomic_fetch_add(&loader_opened, 1);
    }
}

void gtls_look_in(void *handle)
{
    struct loaded there[GTLS_MAX];

    for (size_t left = loader_list_space(handle, GTLS_MARK, there, GTLS_MAX); left > 0; left--)
        (void)examine(&there[left - 1]);
}

/* Which library is used by which code. A place is written once, and again when other code may be there. */
#define CALLERS 256
#define BUSY 1
static struct caller {
    _Atomic(uintptr_t) at; /* 0: free */
    _Atomic unsigned opened; /* loader_opened, before it was found */
    _Atomic(struct gtls *) gtls;
} callers[CALLERS];

static struct caller *place_of(const void *caller)
{
    return &callers[((uintptr_t)caller >> 2 ^ (uintptr_t)caller >> 12) % CALLERS];
}

static void remember(const void *caller, struct gtls *gtls, unsigned opened)
{
    struct caller *place = place_of(caller);
    uintptr_t before = atomic_load(&place->at);

    if (before == BUSY || (before != 0 && atomic_load(&place->opened) == opened) || !atomic_compare_exchange_strong(&place->at, &before, BUSY))
        return;
    atomic_store(&place->gtls, gtls);
    atomic_store(&place->opened, opened);
    atomic_store(&place->at, (uintptr_t)caller);
}

static struct gtls *remembered(const void *caller, unsigned opened)
{
    const struct caller *place = place_of(caller);
    struct gtls *gtls;

    if (atomic_load(&place->at) != (uintptr_t)caller || atomic_load(&place->opened) != opened)
        return NULL;
    gtls = atomic_load(&place->gtls);
    return atomic_load(&place->at) == (uintptr_t)caller ? gtls : NULL;
}

/* The loader looks in what is global first, and then in what the caller is linked to; but releases of another ABI have symbols of other versions. */
static struct gtls *find_bound(const void *caller)
{
    struct loaded object;
    const void *bound = NULL;
    struct gtls *first;
    struct gtls *linked;

    /* What was bound when another library was global stays bound. */
    if (loader_find(caller, GTLS_MARK, &object))
        bound = object.marked ? caller : loader_bound(&object, "gnutls_");
    if (bound != NULL)
        return gtls_at(bound);
    linked = gtls_at(loader_for_caller(caller, GTLS_MARK));
    first = linked != NULL && linked->usable ? gtls_at(loader_next(GTLS_MARK)) : NULL;
    return first != NULL && first->usable ? first : linked;
}

struct gtls *gtls_of_caller(const void *caller)
{
    unsigned opened = atomic_load(&loader_opened);
    struct gtls *gtls = remembered(caller, opened);
    struct loaded objects[2];
    int saved = errno;

    if (gtls != NULL)
        return gtls;
    gtls = known_at((uintptr_t)caller);
    if (gtls == NULL)
        gtls = loader_list(GTLS_MARK, objects, 2) == 1 ? examine(&objects[0]) : find_bound(caller);
    if (gtls != NULL)
        remember(caller, gtls, opened);
    errno = saved;
    return gtls;
}

struct gtls *gtls_of_unkept(const void *caller)
{
    struct gtls *first = atomic_load_explicit(&gtls_known[0], memory_order_acquire);
    struct gtls *own;

    if (first == NULL || is_gone(first))
        return gtls_of_caller(caller);
    own = atomic_load_explicit(&gtls_known[1], memory_order_acquire) != NULL ? known_at((uintptr_t)caller) : NULL;
    return own != NULL ? own : first;
}
