/* The pins that are in force in this process. */
#ifndef PINSHIM_PINSTORE_H
#define PINSHIM_PINSTORE_H

#include "pins.h"

struct pinstore {
    const struct pins *pins; /* NULL: nothing can be judged, because of the fault */
    char fault[400]; /* the first fault of the configuration, printable */
};

/* Return what is in force, loaded at the first call; its faults are logged then, once each. NULL when memory ran out. errno is
 * preserved. */
const struct pinstore *pinstore_get(void);

#endif
