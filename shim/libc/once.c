#include "once.h"

#include <errno.h>

#define PLACES 16

static struct awaited {
    _Atomic(const void *) what; /* NULL: free */
    _Atomic(uintptr_t) start; /* where the object is mapped; 0: it is not awaited yet, or no more */
    uintptr_t end;
    void (*meet)(const void *);
} awaited[PLACES];
_Atomic uint32_t once_awaits;
_Atomic(void *) once_next;

bool once_await(const struct loaded *object, void (*meet)(const void *what), const void *what)
{
    for (int i = 0; i < PLACES; i++) {
        const void *none = NULL;

        if (atomic_load(&awaited[i].what) == what)
            return true;
        if (!atomic_compare_exchange_strong(&awaited[i].what, &none, what))
            continue;
        awaited[i].end = object->end;
        awaited[i].meet = meet;
        atomic_store(&awaited[i].start, object->start);
        atomic_fetch_add(&once_awaits, 1);
        atomic_store(&once_next, NULL);
        return true;
    }
    return false;
}

void once_called(const void *caller)
{
    static _Thread_local bool within; /* what is met calls pthread_once, too */
    int saved = errno;

    for (int i = 0; i < PLACES && !within; i++) {
        uintptr_t start = atomic_load(&awaited[i].start);

        if (start == 0 || (uintptr_t)caller - start >= awaited[i].end - start)
            continue;
        within = true;
        awaited[i].meet(atomic_load(&awaited[i].what));
        within = false;
        if (!atomic_compare_exchange_strong(&awaited[i].start, &start, 0))
            continue;
        atomic_fetch_sub(&once_awaits, 1);
        atomic_store(&awaited[i].what, NULL);
    }
    errno = saved;
}
