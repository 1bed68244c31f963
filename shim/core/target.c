#include "target.h"

#include "resolved.h"

#include <stdlib.h>
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

bool target_next_told(const struct told *told, size_t *at, const char **name, size_t *length)
{
    if (*at >= told->length)
        return false;
    memcpy(length, told->names + *at, sizeof(*length));
    *name = told->names + *at + sizeof(*length);
    *at += sizeof(*length) + *length;
    return true;
}

bool target_note_told(struct told *told, const char *name, size_t length)
{
    const char *known;
    size_t known_length;
    size_t at = 0;
    char *bigger;

    while (target_next_told(told, &at, &known, &known_length)) {
        if (known_length == length && memcmp(known, name, length) == 0)
            return false;
    }
    bigger = realloc(told->names, told->length + sizeof(length) + length);
    if (bigger == NULL) {
        told->lost = true;
        return true;
    }
    memcpy(bigger + told->length, &length, sizeof(length));
    memcpy(bigger + told->length + sizeof(length), name, length);
    told->names = bigger;
    told->length += sizeof(length) + length;
    return true;
}

void target_forget_told(struct told *told)
{
    free(told->names);
    *told = (struct told) {.names = NULL};
}

void target_name(struct target *target, const char *string, size_t length)
{
    struct host host;

    host_parse(string, length, &host);
    if (host.kind == HOST_NAME && host.name[0] == '.')
        host.kind = HOST_UNREADABLE;
    if (host.kind != HOST_ADDRESS)
        target->named = true;
    for (size_t i = 0; i < target->count && i < TARGET_FEW; i++) {
        if (host_same(target_at(target, i), &host) && target_at(target, i)->port == host.port)
            return;
    }
    (void)target_add(target, &host);
}

void target_name_to_verify(struct target *target, const char *string, size_t length)
{
    if (length == 0 || string[0] != '.')
        target_name(target, string, length);
    else
        target->pattern = true;
}

void target_add_told(struct target *target, const struct told *told)
{
    const char *name;
    size_t length;
    size_t at = 0;

    while (target_next_told(told, &at, &name, &length))
        target_name_to_verify(target, name, length);
    target->overflow |= told->lost;
}

/* The program said which names it takes, and nothing says which of them it means. */
static void add_pattern(struct target *target, const struct host *place)
{
    static const struct host pattern = {.kind = HOST_UNREADABLE, .name = "a pattern of names"};
    struct host resolved;
    uintptr_t cursor = 0;

    if (target->pattern && !target->named && place->kind != HOST_NAME
        && !(place->kind == HOST_ADDRESS && resolved_next(place->address, &cursor, &resolved)))
        (void)target_add(target, &pattern);
}

bool target_is_name(const struct host *host, const struct host *place)
{
    return host->kind != HOST_ADDRESS
        && !(host->kind == HOST_NAME && strcmp(host->name, "localhost") == 0 && place->kind == HOST_ADDRESS && !host_is_loopback(place));
}

/* Add the host that a proxy was asked for, unless the program named it as well. */
static void add_asked(struct target *target, const struct host *host)
{
    bool known = false;

    target->named |= host->kind == HOST_NAME;
    for (size_t i = 0; i < target->count; i++)
        known |= host->kind == HOST_NAME && host_same(target_at(target, i), host);
    if (!known)
        (void)target_add(target, host);
}

/* Give each host that has no port that of the place to which the connection leads. */
static void add_ports(struct target *target, const struct host *place)
{
    for (size_t i = 0; i < target->count; i++) {
        struct host *host = target_at(target, i);

        if (host->port != 0)
            continue;
        host->port = place->port;
        host->port_doubtful = host->kind != HOST_ADDRESS && !target_port_is_of(host, place);
    }
}

/* A proxy was asked, and it is not known for which host: the port is not known either. Only what has a name is still judged by it; what there is
 * besides, the proxy's own address at most, must satisfy its rules as well, for this may be no proxy. */
static void add_unclear(struct target *target, enum proxy_asked asked)
{
    static const struct host unreadable;

    if (!target->named || asked == PROXY_LOST)
        (void)target_add(target, &unreadable);
}

void target_lead(struct target *target, enum proxy_asked asked, const struct host *place)
{
    bool named = false;

    for (size_t i = 0; i < target->count; i++)
        named |= target_is_name(target_at(target, i), place);
    target->named &= named;
    if (asked == PROXY_UNCLEAR || asked == PROXY_LOST)
        add_unclear(target, asked);
    else if (place->kind != HOST_UNREADABLE)
        add_ports(target, place);
    add_pattern(target, place);
    if (place->kind == HOST_NAME)
        add_asked(target, place);
    else if (place->kind == HOST_ADDRESS)
        (void)target_set_address(target, place);
}
