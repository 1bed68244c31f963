#include "observed.h"

#include "event.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

static void member(const char *line, const char *name, char *out, size_t size)
{
    struct text text = text_over(out, size);

    if (!event_member(line, name, &text))
        out[0] = '\0';
}

/* Read the next of the hosts at `*at`, which have blanks between; a question mark behind one says that its port is in doubt. Return false after
 * the last. */
static bool next_host(const char **at, struct host *out)
{
    size_t length;
    bool doubtful;

    *at += strspn(*at, " ");
    length = strcspn(*at, " ");
    if (length == 0)
        return false;
    doubtful = length > 1 && (*at)[length - 1] == '?';
    (void)host_parse(*at, length - (doubtful ? 1 : 0), out);
    out->port_doubtful = doubtful;
    *at += length;
    return true;
}

const struct observed *observed_add(struct observed **list, const char *line, const char *target)
{
    struct observed *observed = output_allocate(NULL, sizeof(*observed));
    const char *at = observed->identities;

    memset(observed, 0, sizeof(*observed));
    member(line, "spki_sha256", observed->spki, sizeof(observed->spki));
    member(line, "identities", observed->identities, sizeof(observed->identities));
    member(line, "resolved", observed->resolved, sizeof(observed->resolved));
    member(line, "address", observed->address, sizeof(observed->address));
    member(line, "port", observed->port, sizeof(observed->port));
    observed->unreadable = strstr(observed->identities, "??") != NULL;
    if (!next_host(&at, &observed->host) || observed->host.kind == HOST_UNREADABLE) {
        (void)host_parse(target, strlen(target), &observed->host);
        /* Escaped and shortened, it may look like a name. */
        if (observed->unreadable)
            observed->host.kind = HOST_UNREADABLE;
    }
    for (; *list != NULL; list = &(*list)->next) {
        if (strcmp((*list)->spki, observed->spki) == 0 && strcmp((*list)->identities, observed->identities) == 0
            && strcmp((*list)->resolved, observed->resolved) == 0 && strcmp((*list)->address, observed->address) == 0
            && strcmp((*list)->port, observed->port) == 0) {
            free(observed);
            return *list;
        }
    }
    return *list = observed;
}

void observed_free(struct observed *list)
{
    while (list != NULL) {
        struct observed *next = list->next;

        free(list);
        list = next;
    }
}

/* What is judged, and where its resolved names are read from. */
struct meant {
    struct target target; /* first: the policy hands it back */
    const struct observed *observed;
};

static bool next_resolved(const struct target *target, uintptr_t *cursor, struct host *out)
{
    const struct meant *meant = (const void *)target;
    const char *at = meant->observed->resolved + *cursor;

    if (!next_host(&at, out))
        return false;
    *cursor = (uintptr_t)(at - meant->observed->resolved);
    out->port = target_at(target, target->count - 1)->port;
    return true;
}

/* As facts_read of the shim puts it together. */
static void read_target(const struct observed *observed, struct meant *out)
{
    const char *at = observed->identities;
    uint16_t port = text_port(observed->port, strlen(observed->port));
    struct host host;

    memset(out, 0, sizeof(*out));
    out->observed = observed;
    while (next_host(&at, &host)) {
        out->target.named |= host.kind != HOST_ADDRESS;
        if (host.port == 0 && observed->address[0] != '\0') { /* a proxy's */
            host.port = port;
            host.port_doubtful = true;
        }
        (void)target_add(&out->target, &host);
    }
    /* The socket's address is the last of them. */
    if (observed->address[0] != '\0' && out->target.count > 0)
        out->target.next_resolved = next_resolved;
}

bool observed_is_named(const struct observed *observed)
{
    struct meant meant;
    bool named;

    read_target(observed, &meant);
    named = meant.target.named;
    target_free(&meant.target);
    return named;
}

void observed_judge(const struct observed *observed, const struct pins *pins, struct judgement *out)
{
    struct meant meant;
    struct peer peer;

    read_target(observed, &meant);
    memset(&peer, 0, sizeof(peer));
    if (text_base64(observed->spki, strlen(observed->spki), peer.digests[PIN_SPKI][DIGEST_SHA256], digest_size(DIGEST_SHA256)))
        peer.has[PIN_SPKI] = peer.known[PIN_SPKI][DIGEST_SHA256] = true;
    policy_judge(pins, &meant.target, &peer, out);
    target_free(&meant.target);
}
