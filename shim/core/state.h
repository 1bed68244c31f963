/* What the shim keeps for a program's objects, found by their address. */
#ifndef PINSHIM_STATE_H
#define PINSHIM_STATE_H

#include "text.h"

/* The start of what is kept for an object of a TLS library; `release` is called when the object is freed. */
struct attached {
    void (*release)(const void *library, void *attached);
};

/* Return what is kept for the object; NULL: nothing. No lock is taken, because a fork in another thread could leave it locked. */
MUST_CHECK void *state_of(const void *object);

/* Keep `attached` for the object, and release what was kept before. Return false, with nothing changed, if memory ran out. */
MUST_CHECK bool state_keep(const void *library, const void *object, struct attached *attached);

/* The object was freed, or another one is at its address: release what is kept for it. */
void state_drop(const void *library, const void *object);

#endif
