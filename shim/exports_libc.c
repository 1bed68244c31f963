/* The resolver functions of libc that the shim stands before: what was resolved is remembered, nothing else changes. */

#include "config.h"
#include "loader.h"
#include "log.h"
#include "resolved.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default"), noinline))

/* Find the real function once. */
#define FIND(name) \
    static _Atomic(__typeof__(&name)) cached; \
    __typeof__(&name) real = atomic_load_explicit(&cached, memory_order_relaxed); \
    if (real == NULL) { \
        real = (__typeof__(&name))loader_next(#name); \
        atomic_store_explicit(&cached, real, memory_order_relaxed); \
    }

__attribute__((constructor)) static void start(void)
{
    log_remember_stderr();
    (void)config_get();
}

static void remember_hostent(const char *name, const struct hostent *entry)
{
    int saved = errno;

    for (char **at = entry->h_addr_list; at != NULL && *at != NULL; at++) {
        struct host host;

        if (host_from_bytes(entry->h_addrtype, *at, &host))
            resolved_remember(name, host.address);
    }
    errno = saved;
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    FIND(getaddrinfo)
    int result = real != NULL ? real(name, service, hints, found) : EAI_SYSTEM;
    int saved = errno;

    if (result == 0 && name != NULL) {
        for (const struct addrinfo *at = *found; at != NULL; at = at->ai_next) {
            struct host host;

            if (at->ai_addr != NULL && host_from_sockaddr(at->ai_addr, at->ai_addrlen, &host))
                resolved_remember(name, host.address);
        }
    }
    errno = saved;
    return result;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    FIND(gethostbyname)
    struct hostent *entry = real != NULL ? real(name) : NULL;

    if (entry != NULL)
        remember_hostent(name, entry);
    return entry;
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    FIND(gethostbyname2)
    struct hostent *entry = real != NULL ? real(name, family) : NULL;

    if (entry != NULL)
        remember_hostent(name, entry);
    return entry;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t size, struct hostent **found, int *error)
{
    FIND(gethostbyname_r)
    int result = real != NULL ? real(name, entry, buffer, size, found, error) : ENOSYS;

    if (result == 0 && *found != NULL)
        remember_hostent(name, *found);
    return result;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *buffer, size_t size, struct hostent **found,
    int *error)
{
    FIND(gethostbyname2_r)
    int result = real != NULL ? real(name, family, entry, buffer, size, found, error) : ENOSYS;

    if (result == 0 && *found != NULL)
        remember_hostent(name, *found);
    return result;
}
