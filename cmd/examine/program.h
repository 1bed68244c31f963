/* Which program a command finally runs, by way of PATH, #! lines, env, and wrappers such as nice. */
#ifndef PINSHIM_PROGRAM_H
#define PINSHIM_PROGRAM_H

#include "basename.h"
#include "text.h"

/* What was seen, in order: a word that says of what kind it is, and the rest. */
struct seen {
    const char *what;
    char *text;
    struct seen *next;
};

void seen_add(struct seen **list, const char *what, const char *format, ...) PRINTF_LIKE(3, 4);
void seen_free(struct seen *list);

struct program {
    int error; /* 0; or why there is nothing to run, as exec(3) has it: ENOENT, EACCES, ENOEXEC, ELOOP */
    char *first; /* the file to execute for the command itself; NULL: not found */
    char *path; /* what runs in the end, as an absolute path without symbolic links */
    char *called; /* the name under which that was called */
    char *named; /* the same, but for a script its own name */
    char *first_line; /* of the last script; NULL: there was none */
    char *obstacle; /* why the shim would not be in it: a clause; NULL: nothing */
    char *obstacle_next; /* what to do */
    const char *obstacle_code; /* one word for machines */
    const char *cleaner; /* a program on the way, while it is followed */
    char *root; /* its root directory, where that is another; NULL: it is this one's */
    char *library_path; /* the LD_LIBRARY_PATH that it is started with; NULL: as it is now */
    bool script; /* it runs a script, whose path is `subject` */
    char *subject;
};

/* Follow the command `argv`, which ends with NULL, to its program. What was met is added to `seen`. */
void program_follow(char *const *argv, struct program *out, struct seen **seen);
void program_free(struct program *program);

/* Append the command as a shell takes it; what is longer than there is room for ends with "...". */
void program_print(char *const *argv, struct text *out);

#endif
