#include "target.h"

#include "resolved.h"

#include <string.h>

static bool next_resolved(const struct target *target, uintptr_t *cursor, struct host *out)
{
    const struct host *address = target_at(target, target->count - 1);

    if (!resolved_next(address->address, cursor, out))
        return false;
    out->port = address->port;
    return true;
}

bool target_set_address(struct target *target, const struct host *address)
{
    if (target_add(target, address) == NULL)
        return false;
    target->next_resolved = next_resolved;
    return true;
}

/* RFC 6761, section 6.3: programs may skip the resolver for it. */
static bool is_localhost(const struct host *name)
{
    size_t length = strlen(name->name);
    size_t own = strlen("localhost");

    return length >= own && strcmp(name->name + length - own, "localhost") == 0 && (length == own || name->name[length - own - 1] == '.');
}

bool target_port_is_of(const struct host *name, const struct host *place)
{
    struct host resolved;
    uintptr_t cursor = 0;

    if (place->kind != HOST_ADDRESS || host_same(name, place))
        return host_same(name, place);
    if (is_localhost(name) && host_is_loopback(place))
        return true;
    while (resolved_next(place->address, &cursor, &resolved)) {
        if (host_same(&resolved, name))
            return true;
    }
    return false;
}
