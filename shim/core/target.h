/* What a socket and what the program resolved say of the target. */
#ifndef PINSHIM_TARGET_H
#define PINSHIM_TARGET_H

#include "policy.h"

/* Add the address to which the connection leads, as the last identity. Where the program gave no name, those that it resolved to this address count, with
 * its port. Return false when memory ran out. */
bool target_set_address(struct target *target, const struct host *address);

/* Return true if the port of `place`, an address or the host that a proxy was asked for, is certainly the one that the program meant for the name: it
 * resolved the name to the address, or asked for it. Otherwise the socket may lead to a proxy or through a tunnel. */
MUST_CHECK bool target_port_is_of(const struct host *name, const struct host *place);

#endif
