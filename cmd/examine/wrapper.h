/* Ordinary programs that start another one, which their arguments name: nice, timeout, xargs. */
#ifndef PINSHIM_WRAPPER_H
#define PINSHIM_WRAPPER_H

#include <stddef.h>

/* Return the name of the wrapper, if `path` is one by its file name, and in `*command` where the command begins among its `count` arguments
 * (the first is its own name). NULL: it is none, or starts nothing with these. */
const char *wrapper_read(const char *path, char *const *argv, size_t count, size_t *command);

#endif
