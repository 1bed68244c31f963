/* A stack of the shim's own. What the program calls in a signal handler may be on an alternate stack of 8 kB (SIGSTKSZ), of which the kernel's own frame takes half. */
#ifndef PINSHIM_STACK_H
#define PINSHIM_STACK_H

#include <stdbool.h>

/* Call `function`: in a signal handler that runs on an alternate stack, on another one, of 64 kB, with signals blocked, since a handler that ran there might need more,
 * and one on the alternate stack would overwrite the caller's. On this one if there is no memory, or a filter of the program forbids to block signals. It must not take
 * long, nor call a TLS library. */
void stack_call(void (*function)(void *), void *with);

/* Return true in a signal handler that runs on an alternate stack. */
bool stack_is_alternate(void);

#endif
