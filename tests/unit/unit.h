/* A table-driven test: check() counts and prints what failed, unit_end() sums up. */
#ifndef PINSHIM_UNIT_H
#define PINSHIM_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int unit_passed;
static int unit_failed;

#define check(condition, ...) unit_check((condition), __FILE__, __LINE__, __VA_ARGS__)

/* `format` names the row: what is to hold. */
__attribute__((format(printf, 4, 5))) static inline void unit_check(bool holds, const char *file, int line, const char *format, ...)
{
    va_list args;

    if (holds) {
        unit_passed++;
        return;
    }
    unit_failed++;
    printf("not ok %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* Print the line that tests/run adds up. Return the exit status. */
static inline int unit_end(const char *name)
{
    printf("unit %s: %d passed, %d failed\n", name, unit_passed, unit_failed);
    return unit_failed == 0 && unit_passed > 0 ? 0 : 1;
}

#endif
