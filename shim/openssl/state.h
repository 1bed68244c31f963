/* What the shim keeps for a program's objects, found by their address. Nothing is kept in the objects' ex_data: some programs use indexes there that
 * are not theirs, and libcrypto calls the program's functions for data that is set there. */
#ifndef PINSHIM_STATE_H
#define PINSHIM_STATE_H

#include "ossl.h"

/* Return what is kept for the object; NULL: nothing. No lock is taken, because a fork in another thread could leave it locked. */
MUST_CHECK void *state_of(const void *object);

/* Keep `attached` for the object, and release what was kept before. Return false, with nothing changed, if memory ran out. */
MUST_CHECK bool state_keep(const struct ossl *ossl, const void *object, struct ossl_attached *attached);

/* The object was freed, or another one is at its address: release what is kept for it. */
void state_drop(const struct ossl *ossl, const void *object);

#endif
