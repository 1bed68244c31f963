/* What happens when the object is loaded. */

#include "backend.h"
#include "config.h"
#include "exec.h"
#include "log.h"
#include "once.h"
#include "real.h"
#include "required.h"
#include "socket.h"

#include <stdlib.h>

_Atomic(void *) real_found[REAL_COUNT];

/* What musl does not have: programs for glibc that run under it call these, and what brings them along (gcompat) calls, for its part, functions that this
 * object interposes, so that all would be seen twice. */
static ssize_t checked_read(int fd, void *bytes, size_t size, size_t room)
{
    if (size > room)
        abort();
    return find_read()(fd, bytes, size);
}

static ssize_t checked_recv(int fd, void *bytes, size_t size, size_t room, int flags)
{
    if (size > room)
        abort();
    return find_recv()(fd, bytes, size, flags);
}

static ssize_t checked_recvfrom(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *from, socklen_t *length)
{
    if (size > room)
        abort();
    return find_recvfrom()(fd, bytes, size, flags, from, length);
}

static PRINTF_LIKE(3, 0) int checked_vfprintf(FILE *stream, int checked, const char *format, va_list args)
{
    (void)checked;
    return find_vfprintf()(stream, format, args);
}

static PRINTF_LIKE(3, 0) int checked_vdprintf(int fd, int checked, const char *format, va_list args)
{
    (void)checked;
    return find_vdprintf()(fd, format, args);
}

static void complete_musl(struct sought list[static REAL_COUNT])
{
    list[AT___read_chk].found = (void *)checked_read;
    list[AT___recv_chk].found = (void *)checked_recv;
    list[AT___recvfrom_chk].found = (void *)checked_recvfrom;
    list[AT___vfprintf_chk].found = (void *)checked_vfprintf;
    list[AT___vdprintf_chk].found = (void *)checked_vdprintf;
    list[AT_fcntl64].found = list[AT_fcntl].found;
    list[AT_sendfile64].found = list[AT_sendfile].found;
}

static void find_all(struct sought *marks, size_t mark_count)
{
#define SOUGHT(name) {#name, NULL, 0},
    struct sought list[REAL_COUNT] = {FOUND_AT_START(SOUGHT)};
#undef SOUGHT

    loader_next_at_start(list, REAL_COUNT, marks, mark_count);
    if (loader_is_musl())
        complete_musl(list);
    for (int i = 0; i < REAL_COUNT; i++)
        atomic_store_explicit(&real_found[i], list[i].found, memory_order_relaxed);
}

/* Other objects may call before this one is ready. */
void *real_at(int index)
{
    if (real_now(index) == NULL)
        find_all(NULL, 0);
    return real_now(index);
}

/* Before glibc 2.34 a program without threads may have none, and look whether there is one. 0 and 2 are what glibc has there before and after. */
static int run_once(pthread_once_t *control, void (*routine)(void))
{
    if (*control == 0) {
        *control = 2;
        routine();
    }
    return 0;
}

static __attribute__((noinline, cold)) int once_slowly(pthread_once_t *control, void (*routine)(void), const void *caller)
{
    __typeof__(&pthread_once) real = find_pthread_once();

    if (atomic_load(&once_awaits) != 0) {
        once_called(caller);
    } else if (real != NULL) {
        atomic_store(&once_next, (void *)real);
        /* Something may have come to be awaited meanwhile. */
        if (atomic_load(&once_awaits) != 0)
            atomic_store(&once_next, NULL);
    }
    return (real != NULL ? real : run_once)(control, routine);
}

/* OpenSSL calls it hundreds of times a handshake. */
EXPORT int pthread_once(pthread_once_t *control, void (*routine)(void))
{
    __typeof__(&pthread_once) next = (__typeof__(&pthread_once))atomic_load_explicit(&once_next, memory_order_relaxed);

    return __builtin_expect(next != NULL, 1) ? next(control, routine) : once_slowly(control, routine, __builtin_return_address(0));
}

__attribute__((constructor)) static void start(void)
{
    struct sought marks[BACKENDS];
    size_t mark_count;

    log_start();
    (void)config_get();
    mark_count = backend_marks(marks);
    find_all(marks, mark_count);
    exec_start();
    backend_arrived(marks, mark_count);
    /* A filter of which this object does not hear may forbid it later. The first access is one that writes: else the page costs two faults. */
    for (int fd = 0; fd < 3; fd++) {
        socket_mark(fd, 0);
        if (!socket_is_none(fd) && required_inherited(fd))
            socket_has_stream(fd);
    }
}
