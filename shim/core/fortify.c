/* What _FORTIFY_SOURCE turns calls into. These are glibc's own; musl has none, so this object brings those that it calls. */

#undef _FORTIFY_SOURCE

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);
void *__memset_chk(void *to, int byte, size_t size, size_t room);
void __explicit_bzero_chk(void *to, size_t size, size_t room);
char *__strcpy_chk(char *to, const char *from, size_t room);
char *__stpcpy_chk(char *to, const char *from, size_t room);
int __vsnprintf_chk(char *to, size_t size, int flags, size_t room, const char *format, va_list args) PRINTF_LIKE(5, 0);

/* Glibc ends the program, too. */
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

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    must_fit(size, room);
    return memmove(to, from, size);
}

void *__memset_chk(void *to, int byte, size_t size, size_t room)
{
    must_fit(size, room);
    return memset(to, byte, size);
}

void __explicit_bzero_chk(void *to, size_t size, size_t room)
{
    must_fit(size, room);
    explicit_bzero(to, size);
}

char *__strcpy_chk(char *to, const char *from, size_t room)
{
    must_fit(strlen(from) + 1, room);
    return strcpy(to, from); /* fits: just compared */
}

char *__stpcpy_chk(char *to, const char *from, size_t room)
{
    must_fit(strlen(from) + 1, room);
    return stpcpy(to, from); /* the same */
}

int __vsnprintf_chk(char *to, size_t size, int flags, size_t room, const char *format, va_list args)
{
    (void)flags;
    must_fit(size, room);
    return vsnprintf(to, size, format, args);
}
