/* The functions that print to a stream, interposed: libc's own sending for them passes no function that is. Only streams that fdopen has put over a
 * socket are looked at, and of these only what can begin a request to a proxy, and what follows it. */

/* This file defines functions that the headers would define inline. */
#undef _FORTIFY_SOURCE
#define __NO_INLINE__ 1

#include "guard.h"
#include "proxy.h"
#include "real.h"
#include "socket.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static _Atomic bool any_streams;

/* Before any such stream exists, a call is passed on at once. */
#define PASS_ON(name, ...) \
    do { \
        __typeof__(&name) real = (__typeof__(&name))real_now(AT_##name); \
\
        if (__builtin_expect(real != NULL && !atomic_load_explicit(&any_streams, memory_order_relaxed), 1)) \
            return real(__VA_ARGS__); \
    } while (0)

/* Return the descriptor of a stream whose output must be looked at, if that begins with `first`; else -1. */
static int watched(FILE *stream, char first)
{
    int fd = atomic_load_explicit(&any_streams, memory_order_relaxed) ? fileno_unlocked(stream) : -1;
    unsigned marks = fd >= 0 ? socket_marks_of(fd) : 0;

    return (marks & SOCKET_HAS_STREAM) != 0 && ((marks & SOCKET_ASKS_PROXY) != 0 || proxy_request_may_begin((unsigned char)first)) ? fd : -1;
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    FILE *stream = find_fdopen()(fd, mode);

    if (stream != NULL && (proxy_socket(fd) != 0 || socket_was_connected(fd))) {
        atomic_store(&any_streams, true);
        socket_mark(fd, SOCKET_HAS_STREAM);
    }
    return stream;
}

EXPORT int fclose(FILE *stream)
{
    int fd = atomic_load_explicit(&any_streams, memory_order_relaxed) ? fileno_unlocked(stream) : -1;

    if (fd >= 0 && (socket_marks_of(fd) & SOCKET_HAS_STREAM) != 0) {
        guard_closing(fd);
        proxy_closing(fd);
        socket_closing(fd);
    }
    return find_fclose()(stream);
}

/* What is given to a stream will be sent in this order, whenever that is. */
static void given(int fd, const void *bytes, size_t size)
{
    if (fd >= 0)
        proxy_sent(fd, bytes, size, size);
}

#define PUTS(name) \
    static __attribute__((noinline, cold)) int name##_looked_at(const char *string, FILE *stream) \
    { \
        int fd = watched(stream, string[0]); \
        int result = find_##name()(string, stream); \
\
        if (result >= 0) \
            given(fd, string, strlen(string)); \
        return result; \
    } \
    EXPORT int name(const char *string, FILE *stream) \
    { \
        PASS_ON(name, string, stream); \
        return name##_looked_at(string, stream); \
    }
PUTS(fputs)
PUTS(fputs_unlocked)

#define PUTC(name) \
    static __attribute__((noinline, cold)) int name##_looked_at(int c, FILE *stream) \
    { \
        unsigned char byte = (unsigned char)c; \
        int fd = watched(stream, (char)c); \
        int result = find_##name()(c, stream); \
\
        if (result >= 0) \
            given(fd, &byte, 1); \
        return result; \
    } \
    EXPORT int name(int c, FILE *stream) \
    { \
        PASS_ON(name, c, stream); \
        return name##_looked_at(c, stream); \
    }
PUTC(fputc)
PUTC(fputc_unlocked)
PUTC(putc)
PUTC(putc_unlocked)
PUTC(_IO_putc)

#define WRITES(name) \
    static __attribute__((noinline, cold)) size_t name##_looked_at(const void *bytes, size_t size, size_t count, FILE *stream) \
    { \
        int fd = size > 0 && count > 0 ? watched(stream, *(const char *)bytes) : -1; \
        size_t result = find_##name()(bytes, size, count, stream); \
\
        given(fd, bytes, result * size); \
        return result; \
    } \
    EXPORT size_t name(const void *bytes, size_t size, size_t count, FILE *stream) \
    { \
        PASS_ON(name, bytes, size, count, stream); \
        return name##_looked_at(bytes, size, count, stream); \
    }
WRITES(fwrite)
WRITES(fwrite_unlocked)

/* What is printed, and as much of it as matters. It is printed a second time for that. */
struct printed {
    int length;
    char bytes[600];
};

static PRINTF_LIKE(2, 0) void print_again(struct printed *printed, const char *format, va_list args)
{
    int saved = errno;

    printed->length = vsnprintf(printed->bytes, sizeof(printed->bytes), format, args);
    errno = saved;
}

static void print_sent(int fd, const struct printed *printed, int result)
{
    if (result > 0 && result == printed->length)
        proxy_sent(fd, (const unsigned char *)printed->bytes, (size_t)result < sizeof(printed->bytes) ? (size_t)result : sizeof(printed->bytes) - 1,
            (size_t)result);
}

/* A format that begins with a conversion may print anything. */
static char first_of(const char *format)
{
    return format != NULL && format[0] == '%' ? 'C' : format != NULL ? format[0] : '\0';
}

/* `checked` is the argument of the functions that check (_FORTIFY_SOURCE); -1: it is none of these. */
static PRINTF_LIKE(3, 0) int print(FILE *stream, int checked, const char *format, va_list args)
{
    return checked < 0 ? find_vfprintf()(stream, format, args) : find___vfprintf_chk()(stream, checked, format, args);
}

static PRINTF_LIKE(3, 0) __attribute__((noinline, cold)) int print_looked_at(FILE *stream, int checked, const char *format, va_list args)
{
    int fd = watched(stream, first_of(format));
    struct printed printed;
    va_list again;
    int result;

    if (fd < 0)
        return print(stream, checked, format, args);
    va_copy(again, args);
    print_again(&printed, format, again);
    va_end(again);
    result = print(stream, checked, format, args);
    print_sent(fd, &printed, result);
    return result;
}

/* Call `function` with a list of the arguments after `format`. */
#define WITH_LIST(function, ...) \
    do { \
        va_list args; \
        int result; \
\
        va_start(args, format); \
        result = function(__VA_ARGS__, format, args); \
        va_end(args); \
        return result; \
    } while (0)

static inline PRINTF_LIKE(2, 0) int print_listed(FILE *stream, const char *format, va_list args)
{
    PASS_ON(vfprintf, stream, format, args);
    return print_looked_at(stream, -1, format, args);
}

static inline PRINTF_LIKE(3, 0) int print_checked(FILE *stream, int checked, const char *format, va_list args)
{
    PASS_ON(__vfprintf_chk, stream, checked, format, args);
    return print_looked_at(stream, checked, format, args);
}

EXPORT int vfprintf(FILE *stream, const char *format, va_list args)
{
    return print_listed(stream, format, args);
}

EXPORT int __vfprintf_chk(FILE *stream, int checked, const char *format, va_list args)
{
    return print_checked(stream, checked, format, args);
}

EXPORT int fprintf(FILE *stream, const char *format, ...)
{
    WITH_LIST(print_listed, stream);
}

EXPORT int __fprintf_chk(FILE *stream, int checked, const char *format, ...)
{
    WITH_LIST(print_checked, stream, checked);
}

/* These print to a descriptor at once. */
static PRINTF_LIKE(3, 0) int print_to(int fd, int checked, const char *format, va_list args)
{
    bool looks = fd >= 0 && (socket_marks_of(fd) != 0 || proxy_request_may_begin((unsigned char)first_of(format)));
    struct printed printed;
    va_list again;
    int result;

    if (looks) {
        va_copy(again, args);
        print_again(&printed, format, again);
        va_end(again);
    }
    result = checked < 0 ? find_vdprintf()(fd, format, args) : find___vdprintf_chk()(fd, checked, format, args);
    if (looks)
        print_sent(fd, &printed, result);
    return result;
}

EXPORT int vdprintf(int fd, const char *format, va_list args)
{
    return print_to(fd, -1, format, args);
}

EXPORT int __vdprintf_chk(int fd, int checked, const char *format, va_list args)
{
    return print_to(fd, checked, format, args);
}

EXPORT int dprintf(int fd, const char *format, ...)
{
    WITH_LIST(print_to, fd, -1);
}

EXPORT int __dprintf_chk(int fd, int checked, const char *format, ...)
{
    WITH_LIST(print_to, fd, checked);
}
