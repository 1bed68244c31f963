/* PEM (RFC 7468, RFC 1421): objects in base64 between lines that name them. */
#ifndef PINSHIM_PEM_H
#define PINSHIM_PEM_H

#include "der.h"

/* Return true if the bytes look like PEM. */
MUST_CHECK bool pem_is(struct bytes bytes);

/* Takes an object: its label, as in "CERTIFICATE"; whether its header says that it is encrypted (RFC 1421, section 4.6.1.1); and its bytes, which are
 * erased afterwards. Returns false to stop. */
typedef bool pem_take(void *to, const char *label, bool encrypted, struct bytes der);

/* Give each object to `take`, until it returns false. Return true if it never did and every object could be read: one that is cut off or garbled
 * must not go unnoticed. Text between objects is skipped. */
MUST_CHECK bool pem_read(struct bytes bytes, pem_take *take, void *to);

#endif
