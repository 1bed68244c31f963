/* What `run` and `learn` share: starting a program with the shim, or refusing to. */
#ifndef PINSHIM_LAUNCH_H
#define PINSHIM_LAUNCH_H

#include "examine.h"

/* As for env(1). */
enum launch_status { LAUNCH_FAILED = 125, LAUNCH_CANNOT_RUN = 126, LAUNCH_NOT_FOUND = 127 };

/* Examine the command, and refuse it with a message if it would be neither judged nor guarded; with `force`, only warn. Return 0, or the status to exit with;
 * then `out` is freed. */
MUST_CHECK int launch_examine(char *const *argv, bool force, struct examination *out);

/* Say what is not as with a program whose TLS is judged; else nothing. With PINSHIM_LOG_FORMAT=json these are notices of the log. With `tls_required` a
 * rule keeps it from continuing in plaintext. */
void launch_print_conditions(const struct examination *examination, bool tls_required);

/* The same of what a shell script starts: what is neither judged nor guarded, and what continues in plaintext. */
void launch_print_steps(const struct examination *examination, char *const *argv, bool tls_required);

/* The pins file is faulty, which has been said: say what to do. */
void launch_advise_pins(const char *path);

/* Set a variable of this process's environment; a failure ends the command. */
void launch_set(const char *name, const char *value);

/* Let the program's children have the shim also where their environment is cleared, unless the user has said how. */
void launch_inherit(void);

/* Return `path` as an absolute one, for the caller to free. Symbolic links stay: they may be swapped later. */
char *launch_absolute(const char *path);

/* Become the command, with the shim preloaded. Returns only on failure, with the exit status. */
int launch_exec(const struct examination *examination, char *const *argv);

#endif
