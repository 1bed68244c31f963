/* The functions that print to a stream, interposed: libc's own sending for them passes no function that is. Only streams that fdopen has put over a
 * socket, and standard streams over a copy of one, are looked at, and of these only what can begin a ClientHello or a request to a proxy, and what follows it; all of it where only TLS may be
 * sent. */

/* This file defines functions that the headers would define inline. */
#undef _FORTIFY_SOURCE
#define __NO_INLINE__ 1

#include "guard.h"
#include "proxy.h"
#include "real.h"
#include "required.h"
#include "socket.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Before any such stream exists, a call is passed on at once. */
#define PASS_ON(name, ...) \
    do { \
        __typeof__(&name) real = (__typeof__(&name))real_now(AT_##name); \
\
        if (__builtin_expect(real != NULL && !atomic_load_explicit(&socket_streams, memory_order_relaxed), 1)) \
            return real(__VA_ARGS__); \
    } while (0)

/* Return the descriptor of a stream whose output must be looked at, if that begins with `first`; else -1. */
static int watched(FILE *stream, char first)
{
    int fd = atomic_load_explicit(&socket_streams, memory_order_relaxed) ? fileno_unlocked(stream) : -1;
    unsigned marks = fd >= 0 ? socket_marks_of(fd) : 0;

    return (marks & SOCKET_HAS_STREAM) != 0
            && ((marks & (SOCKET_ASKS_PROXY | SOCKET_GUARDED)) != 0 || proxy_request_may_begin((unsigned char)first) || hello_may_begin((uint8_t)first))
        ? fd
        : -1;
}

/* Bytes are to be sent, sooner or later, on the descriptor (-1: none that is watched). Return false if they must not: errno is set then, and the
 * socket is shut down. */
static bool permits(int fd, const void *bytes, size_t size, const void *caller)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct plaintext said;
    bool after = false;

    if (fd < 0 || size == 0)
        return true;
    if ((socket_marks_of(fd) & SOCKET_MAY_ASK_IN_CLEAR) != 0 && !required_permits_asking(fd, bytes, size))
        return false;
    if ((hello_may_begin(*(const uint8_t *)bytes) || (socket_marks_of(fd) & (SOCKET_BEGINS_HELLO | SOCKET_IS_REFUSED)) != 0)
        && !guard_permits(fd, &part, 1, NULL, 0, caller, &after))
        return false;
    if (after)
        guard_sent(fd, (ssize_t)size);
    if (required_looks(fd, *(const uint8_t *)bytes)) {
        if (!required_permits(fd, &part, 1, &said))
            return false;
        required_sent(fd, &said, bytes, size, size, size);
    }
    return true;
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    FILE *stream = find_fdopen()(fd, mode);

    if (stream != NULL && (socket_number(fd) != 0 || socket_was_connected(fd)))
        socket_has_stream(fd);
    /* What putc_unlocked, inlined, puts into a buffer is seen nowhere; without one it calls __overflow. */
    if (stream != NULL && (socket_marks_of(fd) & SOCKET_NEEDS_TLS) != 0 && strpbrk(mode, "wa+") != NULL)
        (void)setvbuf(stream, NULL, _IONBF, 0);
    return stream;
}

EXPORT int fclose(FILE *stream)
{
    int fd = atomic_load_explicit(&socket_streams, memory_order_relaxed) ? fileno_unlocked(stream) : -1;

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
    if (fd >= 0) {
        proxy_sent(fd, bytes, size, size);
        required_asked(fd);
    }
}

#define PUTS(name) \
    static __attribute__((noinline, cold)) int name##_looked_at(const char *string, FILE *stream) \
    { \
        int fd = watched(stream, string[0]); \
        int result; \
\
        if (!permits(fd, string, strlen(string), __builtin_return_address(0))) \
            return EOF; \
        result = find_##name()(string, stream); \
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
        int result; \
\
        if (!permits(fd, &byte, 1, __builtin_return_address(0))) \
            return EOF; \
        result = find_##name()(c, stream); \
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

static __attribute__((noinline, cold)) int overflow_looked_at(FILE *stream, int c)
{
    unsigned char byte = (unsigned char)c;
    int fd = watched(stream, (char)c);
    int result;

    if (!permits(fd, &byte, 1, __builtin_return_address(0)))
        return EOF;
    result = find___overflow()(stream, c);
    if (result >= 0)
        given(fd, &byte, 1);
    return result;
}

EXPORT int __overflow(FILE *stream, int c)
{
    PASS_ON(__overflow, stream, c);
    return overflow_looked_at(stream, c);
}

static __attribute__((noinline, cold)) int putchar_looked_at(int c)
{
    return putc_looked_at(c, stdout);
}

EXPORT int putchar(int c)
{
    PASS_ON(putchar, c);
    return putchar_looked_at(c);
}

static __attribute__((noinline, cold)) int puts_looked_at(const char *string)
{
    int fd = watched(stdout, string[0]);
    int result;

    if (!permits(fd, string, strlen(string), __builtin_return_address(0)) || !permits(fd, "\n", 1, __builtin_return_address(0)))
        return EOF;
    result = find_puts()(string);
    if (result >= 0) {
        given(fd, string, strlen(string));
        given(fd, "\n", 1);
    }
    return result;
}

EXPORT int puts(const char *string)
{
    PASS_ON(puts, string);
    return puts_looked_at(string);
}

#define WRITES(name) \
    static __attribute__((noinline, cold)) size_t name##_looked_at(const void *bytes, size_t size, size_t count, FILE *stream) \
    { \
        int fd = size > 0 && count > 0 ? watched(stream, *(const char *)bytes) : -1; \
        size_t result; \
\
        if (!permits(fd, bytes, size * count, __builtin_return_address(0))) \
            return 0; \
        result = find_##name()(bytes, size, count, stream); \
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

/* Return false if what is to be printed must not be sent. What is too long for a request to start TLS is none. */
static bool print_permits(int fd, const struct printed *printed, const void *caller)
{
    size_t known = (size_t)printed->length < sizeof(printed->bytes) ? (size_t)printed->length : sizeof(printed->bytes) - 1;

    return printed->length <= 0 || (permits(fd, printed->bytes, known, caller) && ((size_t)printed->length == known || permits(fd, "", 1, caller)));
}

static void print_sent(int fd, const struct printed *printed, int result)
{
    if (result > 0 && result == printed->length) {
        proxy_sent(fd, (const unsigned char *)printed->bytes, (size_t)result < sizeof(printed->bytes) ? (size_t)result : sizeof(printed->bytes) - 1,
            (size_t)result);
        required_asked(fd);
    }
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
    if (!print_permits(fd, &printed, __builtin_return_address(0)))
        return -1;
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

EXPORT int vprintf(const char *format, va_list args)
{
    return print_listed(stdout, format, args);
}

EXPORT int __vprintf_chk(int checked, const char *format, va_list args)
{
    return print_checked(stdout, checked, format, args);
}

EXPORT int printf(const char *format, ...)
{
    WITH_LIST(print_listed, stdout);
}

EXPORT int __printf_chk(int checked, const char *format, ...)
{
    WITH_LIST(print_checked, stdout, checked);
}

EXPORT int __fprintf_chk(FILE *stream, int checked, const char *format, ...)
{
    WITH_LIST(print_checked, stream, checked);
}

/* These print to a descriptor at once. */
static PRINTF_LIKE(3, 0) int print_to(int fd, int checked, const char *format, va_list args)
{
    bool looks = fd >= 0
        && ((socket_marks_of(fd) & ~(unsigned)(SOCKET_IS_ONE | SOCKET_IS_NONE)) != 0 || proxy_request_may_begin((unsigned char)first_of(format)) || hello_may_begin((uint8_t)first_of(format)));
    struct printed printed;
    va_list again;
    int result;

    if (looks) {
        va_copy(again, args);
        print_again(&printed, format, again);
        va_end(again);
        if (!print_permits(fd, &printed, __builtin_return_address(0)))
            return -1;
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
