/* The functions that resolve names, interposed: the results are remembered, and nothing else changes. */

#include "real.h"
#include "resolved.h"

#include <errno.h>

/* Define find_NAME() for a function that is looked up at its first call. */
#define LATE_FINDER(name) \
    static __typeof__(&name) find_##name(void) \
    { \
        static _Atomic(__typeof__(&name)) found; \
        __typeof__(&name) real = atomic_load_explicit(&found, memory_order_relaxed); \
\
        if (real == NULL) { \
            real = (__typeof__(&name))loader_next(#name); \
            atomic_store_explicit(&found, real, memory_order_relaxed); \
        } \
        return real; \
    }
LATE_FINDER(gai_error)
LATE_FINDER(getaddrinfo_a)
LATE_FINDER(gai_suspend)

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

static void remember_list(const char *name, const struct addrinfo *at)
{
    int saved = errno;

    for (; at != NULL; at = at->ai_next) {
        struct host host;

        if (at->ai_addr != NULL && host_from_sockaddr(at->ai_addr, at->ai_addrlen, &host))
            resolved_remember(name, host.address);
    }
    errno = saved;
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    __typeof__(&getaddrinfo) real = find_getaddrinfo();
    int result = real != NULL ? real(name, service, hints, found) : EAI_SYSTEM;

    if (result == 0 && name != NULL)
        remember_list(name, *found);
    return result;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    __typeof__(&gethostbyname) real = find_gethostbyname();
    struct hostent *entry = real != NULL ? real(name) : NULL;

    if (entry != NULL)
        remember_hostent(name, entry);
    return entry;
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    __typeof__(&gethostbyname2) real = find_gethostbyname2();
    struct hostent *entry = real != NULL ? real(name, family) : NULL;

    if (entry != NULL)
        remember_hostent(name, entry);
    return entry;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t size, struct hostent **found, int *error)
{
    __typeof__(&gethostbyname_r) real = find_gethostbyname_r();
    int result = real != NULL ? real(name, entry, buffer, size, found, error) : ENOSYS;

    if (result == 0 && *found != NULL)
        remember_hostent(name, *found);
    return result;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *buffer, size_t size, struct hostent **found,
    int *error)
{
    __typeof__(&gethostbyname2_r) real = find_gethostbyname2_r();
    int result = real != NULL ? real(name, family, entry, buffer, size, found, error) : ENOSYS;

    if (result == 0 && *found != NULL)
        remember_hostent(name, *found);
    return result;
}

/* A request of getaddrinfo_a is complete when this says so. */
EXPORT int gai_error(struct gaicb *request)
{
    __typeof__(&gai_error) real = find_gai_error();
    int result = real != NULL ? real(request) : EAI_SYSTEM;

    if (result == 0 && request != NULL && request->ar_name != NULL)
        remember_list(request->ar_name, request->ar_result);
    return result;
}

EXPORT int gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout)
{
    __typeof__(&gai_suspend) real = find_gai_suspend();
    int result = real != NULL ? real(list, count, timeout) : EAI_SYSTEM;

    for (int i = 0; i < count; i++) {
        if (list[i] != NULL)
            (void)gai_error((struct gaicb *)(uintptr_t)list[i]);
    }
    return result;
}

EXPORT int getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event)
{
    __typeof__(&getaddrinfo_a) real = find_getaddrinfo_a();
    int result = real != NULL ? real(mode, list, count, event) : EAI_SYSTEM;

    /* In this mode every request is complete now, and the program need not call gai_error. */
    for (int i = 0; mode == GAI_WAIT && result == 0 && i < count; i++) {
        if (list[i] != NULL)
            (void)gai_error(list[i]);
    }
    return result;
}
