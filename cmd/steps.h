/* The commands of a shell script, each examined: for `doctor`, which lists them, and `run`, which names those that nothing holds. */
#ifndef PINSHIM_STEPS_H
#define PINSHIM_STEPS_H

#include "examine.h"

struct step {
    unsigned line;
    char *name; /* what is shown of it */
    struct examination examination;
    bool unknown; /* what it runs is known only when the script runs */
    bool missing; /* it is not found here, and is no function of the script */
    struct step *next;
};

/* Find the commands of the shell script that `argv` starts, which was examined. "$@" stands for what follows the script there, where that is sure. NULL: it
 * is no shell's, or there are none. */
struct step *steps_find(const struct examination *examination, char *const *argv, enum ask ask);

/* Return true if the step is a program without TLS of its own. */
bool steps_quiet(const struct step *step);

/* Return true if neither the shim nor the guard holds what the step runs. */
bool steps_unheld(const struct step *step);

void steps_free(struct step *steps);

#endif
