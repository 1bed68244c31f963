/* The connections that a program made under the shim, read from its log, and judged by other pins. */
#ifndef PINSHIM_OBSERVED_H
#define PINSHIM_OBSERVED_H

#include "policy.h"

/* One connection, as a line of the log at the level debug has it. */
struct observed {
    struct host host; /* the first identity of the target; its port is 0 if it is unknown or a proxy's */
    bool unreadable; /* the program gave a name that is none */
    char spki[64]; /* in base64; empty: no key was presented */
    char identities[1100];
    char resolved[800];
    char address[64];
    char port[8];
    struct observed *next;
};

/* Add the connection to `target` from a line of the log, unless it is on the list already. Return it; it belongs to the caller's list. */
const struct observed *observed_add(struct observed **list, const char *line, const char *target);
void observed_free(struct observed *list);

/* Return true if the program gave a name. */
MUST_CHECK bool observed_is_named(const struct observed *observed);

/* Judge the connection by these pins, as the shim would. */
void observed_judge(const struct observed *observed, const struct pins *pins, struct judgement *out);

#endif
