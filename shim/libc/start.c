/* What happens when the object is loaded. */

#include "config.h"
#include "exec.h"
#include "log.h"
#include "real.h"
#include "socket.h"

_Atomic(void *) real_found[REAL_COUNT];

static void find_all(void)
{
#define SOUGHT(name) {#name, NULL, 0},
    struct sought list[REAL_COUNT] = {FOUND_AT_START(SOUGHT)};
#undef SOUGHT

    loader_next_at_start(list, REAL_COUNT);
    for (int i = 0; i < REAL_COUNT; i++)
        atomic_store_explicit(&real_found[i], list[i].found, memory_order_relaxed);
}

/* Other objects may call before this one is ready. */
void *real_at(int index)
{
    if (real_now(index) == NULL)
        find_all();
    return real_now(index);
}

__attribute__((constructor)) static void start(void)
{
    log_start();
    (void)config_get();
    find_all();
    exec_start();
    /* A filter of which this object does not hear may forbid it later. */
    for (int fd = 0; fd < 3; fd++)
        (void)!socket_is_none(fd);
}
