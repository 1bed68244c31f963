#ifndef PINSHIM_BASENAME_H
#define PINSHIM_BASENAME_H

#include <string.h>

/* Return what stands after the last slash of `path`, within it. */
static inline const char *program_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

#endif
