/* The pins that are in force in this process: those of the pins file as it is now, or as it last was without a fault. */
#ifndef PINSHIM_PINSTORE_H
#define PINSHIM_PINSTORE_H

#include "pins.h"

/* Never changes between pinstore_acquire and pinstore_release. */
struct pinstore {
    const struct pins *pins; /* NULL: nothing can be judged, because of the fault */
    char fault[400]; /* the first configuration fault, printable; if there are pins: why the file as it is now is not in force */
};

/* Return the pins in force; pinstore_release gives them back. The pins file and the files that it names (through `reader`) are read at
 * the first call, and again when they have changed. NULL when memory ran out. errno is preserved. */
MUST_CHECK const struct pinstore *pinstore_acquire(const struct pins_reader *reader);

/* Log the faults of the file, once: a client does a handshake. A program may make an SSL_CTX and never use it. errno is preserved. */
void pinstore_log_faults(const struct pinstore *store);

/* Return the pins as they were read last; NULL if they were not read. Makes no system call. */
MUST_CHECK const struct pinstore *pinstore_hold(void);

/* Return true if pins with a client certificate have been in force in this process. */
MUST_CHECK bool pinstore_had_client(void);

/* Give it back, from any thread. NULL does nothing. errno is preserved. */
void pinstore_release(const struct pinstore *store);

#endif
