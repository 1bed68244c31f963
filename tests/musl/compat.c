/* What Debian's libssl, libcrypto and libgnutls, and these tests, call of glibc, and musl does not have. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <syslog.h>

static void must_fit(size_t size, size_t room)
{
    if (size > room)
        abort();
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    must_fit(size, room);
    return memcpy(to, from, size);
}

void *__memset_chk(void *to, int byte, size_t size, size_t room)
{
    must_fit(size, room);
    return memset(to, byte, size);
}

char *__strcat_chk(char *to, const char *from, size_t room)
{
    must_fit(strlen(to) + strlen(from) + 1, room);
    return strcat(to, from);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    must_fit(size, room);
    return memmove(to, from, size);
}

void __explicit_bzero_chk(void *to, size_t size, size_t room)
{
    must_fit(size, room);
    explicit_bzero(to, size);
}

char *__strcpy_chk(char *to, const char *from, size_t room)
{
    must_fit(strlen(from) + 1, room);
    return strcpy(to, from);
}

char *__stpcpy_chk(char *to, const char *from, size_t room)
{
    must_fit(strlen(from) + 1, room);
    return stpcpy(to, from);
}

int __vsprintf_chk(char *to, int checked, size_t room, const char *format, va_list args)
{
    int length = vsnprintf(to, room, format, args);

    (void)checked;
    must_fit((size_t)length + 1, room);
    return length;
}

int __vasprintf_chk(char **to, int checked, const char *format, va_list args)
{
    (void)checked;
    return vasprintf(to, format, args);
}

int __asprintf_chk(char **to, int checked, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    va_start(args, format);
    length = vasprintf(to, format, args);
    va_end(args);
    return length;
}

int __printf_chk(int checked, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    va_start(args, format);
    length = vprintf(format, args);
    va_end(args);
    return length;
}

int __sprintf_chk(char *to, int checked, size_t room, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    va_start(args, format);
    length = vsnprintf(to, room, format, args);
    va_end(args);
    must_fit((size_t)length + 1, room);
    return length;
}

int __snprintf_chk(char *to, size_t size, int checked, size_t room, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    must_fit(size, room);
    va_start(args, format);
    length = vsnprintf(to, size, format, args);
    va_end(args);
    return length;
}

int __vfprintf_chk(FILE *stream, int checked, const char *format, va_list args)
{
    (void)checked;
    return vfprintf(stream, format, args);
}

int __fprintf_chk(FILE *stream, int checked, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    va_start(args, format);
    length = vfprintf(stream, format, args);
    va_end(args);
    return length;
}

/* Not __vdprintf_chk: the shim must do without it. */
int __dprintf_chk(int fd, int checked, const char *format, ...)
{
    va_list args;
    int length;

    (void)checked;
    va_start(args, format);
    length = vdprintf(fd, format, args);
    va_end(args);
    return length;
}

void __syslog_chk(int priority, int checked, const char *format, ...)
{
    va_list args;

    (void)checked;
    va_start(args, format);
    vsyslog(priority, format, args);
    va_end(args);
}

long __fdelt_chk(long fd)
{
    return fd / (long)(8 * sizeof(long));
}

int __vsnprintf_chk(char *to, size_t size, int checked, size_t room, const char *format, va_list args)
{
    (void)checked;
    must_fit(size, room);
    return vsnprintf(to, size, format, args);
}

/* C23's. */
long __isoc23_strtol(const char *text, char **end, int base)
{
    return strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return strtoul(text, end, base);
}

int __isoc23_fscanf(FILE *file, const char *format, ...)
{
    va_list args;
    int count;

    va_start(args, format);
    count = vfscanf(file, format, args);
    va_end(args);
    return count;
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
    va_list args;
    int count;

    va_start(args, format);
    count = vsscanf(text, format, args);
    va_end(args);
    return count;
}

/* Newer releases of musl have it for what was linked before, and not for the linker. */
#undef fopen64
FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}

/* On arm64. */
unsigned long __getauxval(unsigned long type)
{
    return getauxval(type);
}

_Noreturn void __longjmp_chk(jmp_buf where, int value)
{
    longjmp(where, value);
}

/* Of GnuTLS and what that needs. */
char __libc_single_threaded = 0;

int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *object)
{
    (void)object;
    return pthread_atfork(before, parent, child);
}

int pthread_rwlockattr_setkind_np(pthread_rwlockattr_t *attributes, int kind)
{
    (void)attributes;
    (void)kind;
    return 0;
}

void _obstack_newchunk(void *obstack, int length)
{
    (void)obstack;
    (void)length;
    abort();
}

int obstack_vprintf(void *obstack, const char *format, va_list args)
{
    (void)obstack;
    (void)format;
    (void)args;
    abort();
}

/* For asynchronous jobs, which libcrypto then finds to be impossible. */
int getcontext(void *context)
{
    (void)context;
    return -1;
}

int setcontext(const void *context)
{
    (void)context;
    return -1;
}

int swapcontext(void *before, const void *context)
{
    (void)before;
    (void)context;
    return -1;
}

void makecontext(void *context, void (*function)(void), int count, ...)
{
    (void)context;
    (void)function;
    (void)count;
    abort();
}
