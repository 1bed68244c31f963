/* A stack of the shim's own. What the program calls may be on a stack that has little left: in a signal handler on an alternate one of 8 kB (SIGSTKSZ), of which the
 * kernel's own frame takes half, or in a coroutine. */
#ifndef PINSHIM_STACK_H
#define PINSHIM_STACK_H

#include <stdbool.h>

/* Call `function` on another stack, of 64 kB, or on this one if there is no memory, or a filter of the program forbids to block signals: a handler that ran there
 * might need more, and one on an alternate stack would overwrite the caller's. It must not take long, nor call a TLS library. */
void stack_call(void (*function)(void *), void *with);

/* Return true in a signal handler that runs on an alternate stack. */
bool stack_is_alternate(void);

#endif
