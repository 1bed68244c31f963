/* What the shim keeps of a program's objects, found by their address. Nothing of it is in the objects: their ex_data is shared ground, where
 * some programs write beside their own index, and libcrypto calls programs' functions for what is set there. */
#ifndef PINSHIM_STATE_H
#define PINSHIM_STATE_H

#include "ossl.h"

/* Return what is kept of the object; NULL: nothing. No lock is taken, so that a fork in another thread leaves none behind. */
MUST_CHECK void *state_of(const void *object);

/* Keep `attached` of the object in the place of what was kept, which is released. Return false, with nothing changed, if memory ran out. */
MUST_CHECK bool state_keep(const struct ossl *ossl, const void *object, struct ossl_attached *attached);

/* The object is no more, or another one is at its address: release what is kept of it. */
void state_drop(const struct ossl *ossl, const void *object);

#endif
