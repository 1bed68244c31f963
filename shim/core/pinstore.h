/* The pins that are in force in this process: those of the pins file as it is now, or as it last was without a fault. */
#ifndef PINSHIM_PINSTORE_H
#define PINSHIM_PINSTORE_H

#include "pins.h"

/* Never changes while it is held. */
struct pinstore {
    const struct pins *pins; /* NULL: nothing can be judged, because of the fault */
    char fault[400]; /* the first fault of the configuration, printable; beside pins: why the file as it is now is not in force */
};

/* Return what is in force, to be given back with pinstore_release. The pins file, with what it names through `reader`, is read at the first call, and again where it is
 * another one than that; its faults are logged then, once each. NULL when memory ran out. errno is preserved. */
MUST_CHECK const struct pinstore *pinstore_acquire(const struct pins_reader *reader);

/* Return true if pins with a client certificate have been in force in this process. */
MUST_CHECK bool pinstore_had_client(void);

/* Give it back, from whichever thread. NULL does nothing. errno is preserved. */
void pinstore_release(const struct pinstore *store);

#endif
