/* Jobs that may hang, each in a child process with a time limit. */
#ifndef PINSHIM_WORKERS_H
#define PINSHIM_WORKERS_H

#include "text.h"

enum { WORKER_TIMED_OUT = -1, WORKER_DIED = -2 };

struct workers {
    size_t count; /* of jobs */
    size_t most; /* at the same time */
    unsigned seconds; /* for each */
    int (*work)(void *arg, size_t job); /* in a child; what it returns, 0 to 127, is the outcome. It may call alarm(0) */
    void (*done)(void *arg, size_t job, int outcome); /* in the parent, as each ends; an outcome, or one of those above */
    void *arg;
};

/* Run them all. */
void workers_run(const struct workers *workers);

/* Return `size` zeroed bytes that children share with the parent. They are never given back. */
void *workers_share(size_t size) __attribute__((returns_nonnull));

#endif
