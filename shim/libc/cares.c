/* c-ares, by which programs resolve names: what it finds in /etc/hosts it never asks a name server for. Its answers come by a callback, which it calls exactly
 * once, sometimes before the call returns; it is called through one of this object's. Nothing of it is linked: its types here are what every release since 1.16
 * has in common. */

#include "real.h"
#include "resolved.h"

#include <stdlib.h>

struct found_addresses {
    void *aliases;
    const struct found_address {
        int ttl;
        int flags;
        int family;
        int type;
        int protocol;
        socklen_t length;
        const struct sockaddr *address;
        const struct found_address *next;
    } *first;
};

typedef void host_callback(void *arg, int status, int timeouts, struct hostent *entry);
typedef void addresses_callback(void *arg, int status, int timeouts, struct found_addresses *found);

/* The program's callback, and the name that it asked for. */
struct asked {
    union {
        host_callback *host;
        addresses_callback *addresses;
    } callback;
    void *arg;
    char name[];
};

#define NO_MEMORY 15 /* ARES_ENOMEM */

static bool can_be_host(const char *name)
{
    return name != NULL && strnlen(name, HOST_NAME_MAX_LENGTH + 2) <= HOST_NAME_MAX_LENGTH + 1;
}

/* Return NULL if memory ran out. */
static struct asked *note_asked(const char *name, void *arg)
{
    struct asked *asked = malloc(sizeof(*asked) + strlen(name) + 1);

    if (asked == NULL)
        return NULL;
    asked->arg = arg;
    memcpy(asked->name, name, strlen(name) + 1);
    return asked;
}

static void host_found(void *arg, int status, int timeouts, struct hostent *entry)
{
    struct asked *asked = arg;
    host_callback *callback = asked->callback.host;
    struct host host;

    for (char **at = entry != NULL ? entry->h_addr_list : NULL; at != NULL && *at != NULL; at++) {
        if (host_from_bytes(entry->h_addrtype, *at, &host))
            resolved_learn(asked->name, host.address);
    }
    arg = asked->arg;
    free(asked);
    callback(arg, status, timeouts, entry);
}

static void addresses_found(void *arg, int status, int timeouts, struct found_addresses *found)
{
    struct asked *asked = arg;
    addresses_callback *callback = asked->callback.addresses;
    struct host host;

    for (const struct found_address *at = found != NULL ? found->first : NULL; at != NULL; at = at->next) {
        if (at->address != NULL && host_from_sockaddr(at->address, at->length, &host))
            resolved_learn(asked->name, host.address);
    }
    arg = asked->arg;
    free(asked);
    callback(arg, status, timeouts, found);
}

static void *find(const char *name, const void *caller)
{
    void *found = loader_next(name);

    return found != NULL ? found : loader_for_caller(caller, name);
}

void ares_gethostbyname(void *channel, const char *name, int family, host_callback *callback, void *arg);
EXPORT void ares_gethostbyname(void *channel, const char *name, int family, host_callback *callback, void *arg)
{
    __typeof__(&ares_gethostbyname) real = (__typeof__(&ares_gethostbyname))find("ares_gethostbyname", __builtin_return_address(0));
    struct asked *asked = real != NULL && callback != NULL && can_be_host(name) ? note_asked(name, arg) : NULL;

    if (asked != NULL) {
        asked->callback.host = callback;
        real(channel, name, family, host_found, asked);
    } else if (callback != NULL && (real == NULL || can_be_host(name))) {
        callback(arg, NO_MEMORY, 0, NULL);
    } else if (real != NULL) {
        real(channel, name, family, callback, arg);
    }
}

void ares_getaddrinfo(void *channel, const char *name, const char *service, const void *hints, addresses_callback *callback, void *arg);
EXPORT void ares_getaddrinfo(void *channel, const char *name, const char *service, const void *hints, addresses_callback *callback, void *arg)
{
    __typeof__(&ares_getaddrinfo) real = (__typeof__(&ares_getaddrinfo))find("ares_getaddrinfo", __builtin_return_address(0));
    struct asked *asked = real != NULL && callback != NULL && can_be_host(name) ? note_asked(name, arg) : NULL;

    if (asked != NULL) {
        asked->callback.addresses = callback;
        real(channel, name, service, hints, addresses_found, asked);
    } else if (callback != NULL && (real == NULL || can_be_host(name))) {
        callback(arg, NO_MEMORY, 0, NULL);
    } else if (real != NULL) {
        real(channel, name, service, hints, callback, arg);
    }
}
