/* Lines of the shim's JSON log, read again: one flat object each. */
#ifndef PINSHIM_EVENT_H
#define PINSHIM_EVENT_H

#include "text.h"

/* Append the value of the member `name` of the object in `line`: a string without its quotes and escapes, anything else as it stands.
 * Return true if and only if the object has it, not as null, and is well-formed up to there. */
MUST_CHECK bool event_member(const char *line, const char *name, struct text *out);

#endif
