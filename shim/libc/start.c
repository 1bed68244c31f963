/* What happens when the object is loaded. */

#include "config.h"
#include "log.h"
#include "real.h"

static _Atomic(void *) found_at_start[REAL_COUNT];

static void find_all(void)
{
#define SOUGHT(name) {#name, NULL, 0},
    struct sought list[REAL_COUNT] = {FOUND_AT_START(SOUGHT)};
#undef SOUGHT

    loader_next_at_start(list, REAL_COUNT);
    for (int i = 0; i < REAL_COUNT; i++)
        atomic_store_explicit(&found_at_start[i], list[i].found, memory_order_relaxed);
}

/* Other objects may call before this one is ready. */
void *real_at(int index)
{
    void *found = atomic_load_explicit(&found_at_start[index], memory_order_relaxed);

    if (found == NULL) {
        find_all();
        found = atomic_load_explicit(&found_at_start[index], memory_order_relaxed);
    }
    return found;
}

__attribute__((constructor)) static void start(void)
{
    log_start();
    (void)config_get();
    find_all();
}
