/* Ordinary programs that start another one, which their arguments name: nice, timeout, xargs. */
#ifndef PINSHIM_WRAPPER_H
#define PINSHIM_WRAPPER_H

#include <stdbool.h>
#include <stddef.h>

enum wrapper_kind {
    WRAPPER_PLAIN = 0, /* it becomes the command, or starts it, with its own environment and root directory */
    WRAPPER_ROOT, /* the same in another root directory */
    WRAPPER_SHELL, /* it starts a shell, with the command as an argument */
    WRAPPER_ELSEWHERE, /* something else starts it: a manager, a container's runtime */
};

/* What was read of a wrapper and its arguments. */
struct wrapped {
    const char *name;
    enum wrapper_kind kind;
    size_t command; /* where the command begins among the arguments; WRAPPER_SHELL: which of them is the command; 0: none was found */
    const char *root; /* WRAPPER_ROOT: the new root directory; NULL: made up of several, or not known */
    const char *reason; /* WRAPPER_ELSEWHERE: why, a clause */
    const char *next; /* WRAPPER_ELSEWHERE: what to do; NULL: "pinshim run" goes before the command */
};

/* Read the arguments of a wrapper. Return false if `path` is none by its file name, or starts nothing with these `count` arguments (the first is its own
 * name). */
bool wrapper_read(const char *path, char *const *argv, size_t count, struct wrapped *out);

#endif
