/* The functions of libc that this object interposes: the real ones. */
#ifndef PINSHIM_REAL_H
#define PINSHIM_REAL_H

#include "loader.h"
#include "musl.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default"), noinline))

/* What no header declares without optimization. */
int _IO_putc(int c, FILE *stream);
int __overflow(FILE *stream, int c);
int __printf_chk(int checked, const char *format, ...) PRINTF_LIKE(2, 3);
int __vprintf_chk(int checked, const char *format, va_list args) PRINTF_LIKE(2, 0);
int __fprintf_chk(FILE *stream, int checked, const char *format, ...) PRINTF_LIKE(3, 4);
int __vfprintf_chk(FILE *stream, int checked, const char *format, va_list args) PRINTF_LIKE(3, 0);
int __dprintf_chk(int fd, int checked, const char *format, ...) PRINTF_LIKE(3, 4);
int __vdprintf_chk(int fd, int checked, const char *format, va_list args) PRINTF_LIKE(3, 0);

/* Functions that are found when the object is loaded. The first call that sends may come from a signal handler, where no symbol may be
 * looked up; and a later look-up for the others would clear the program's dlerror(). */
#define FOUND_AT_START(each) \
    each(send) each(sendto) each(sendmsg) each(sendmmsg) each(write) each(writev) each(pwritev2) each(pwritev64v2) each(sendfile) each(sendfile64) each(splice) each(socket) each(socketpair) each(accept) each(accept4) each(connect) each(close) each(dup) each(dup2) each(dup3) each(fcntl) each(fcntl64) each(prctl) each(syscall) \
    each(recv) each(recvfrom) each(recvmsg) each(recvmmsg) each(read) each(readv) each(__recv_chk) each(__recvfrom_chk) each(__read_chk) \
    each(putchar) each(puts) each(__overflow) each(fdopen) each(fclose) each(fputs) each(fputs_unlocked) each(fputc) each(fputc_unlocked) each(putc) each(putc_unlocked) each(_IO_putc) \
    each(fwrite) each(fwrite_unlocked) each(vfprintf) each(__vfprintf_chk) each(vdprintf) each(__vdprintf_chk) \
    each(pthread_once) each(fork) each(getaddrinfo) each(gethostbyname) each(gethostbyname2) each(gethostbyname_r) each(gethostbyname2_r)

/* What recv, recvfrom and read become where the compiler knows the buffer's size (_FORTIFY_SOURCE). musl has none. */
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *from, socklen_t *length);
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);

enum {
#define INDEX(name) AT_##name,
    FOUND_AT_START(INDEX)
#undef INDEX
    REAL_COUNT
};

/* Return the function with one of these numbers; NULL if libc does not have it. */
void *real_at(int index);

/* The same without looking: NULL also if they were not found yet. */
extern __attribute__((visibility("hidden"))) _Atomic(void *) real_found[REAL_COUNT];
static inline void *real_now(int index)
{
    return atomic_load_explicit(&real_found[index], memory_order_relaxed);
}

/* Define find_NAME(), which returns the real one. */
#define FINDER(name) \
    static inline __typeof__(&name) find_##name(void) \
    { \
        return (__typeof__(&name))real_at(AT_##name); \
    }
FOUND_AT_START(FINDER)
#undef FINDER

#endif
