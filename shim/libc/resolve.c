/* The functions that resolve names, interposed: the results are remembered, and nothing else changes. */

#include "loader.h"
#include "real.h"
#include "resolved.h"
#include "resolver.h"

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
            resolved_learn(name, host.address);
    }
    errno = saved;
}

static bool is_ascii(const char *name)
{
    while (*name > 0)
        name++;
    return *name == '\0';
}

/* With AI_IDN glibc looks up the name's xn-- form, which libidn2 makes for it, and so for this. Return it, to be freed by `*release`; NULL: it cannot be
 * made. */
static char *ascii_form(const char *name, void (**release)(void *))
{
    int (*look_up)(const char *, char **, int);
    char *form = NULL;
    struct loaded idn2 = {.name = ""};
    void *handle;

    if (loader_list("idn2_lookup_ul", &idn2, 1) != 1)
        return NULL;
    handle = loader_hold(&idn2);
    look_up = (int (*)(const char *, char **, int))loader_symbol(handle, "idn2_lookup_ul");
    *release = (void (*)(void *))loader_symbol(handle, "idn2_free");
    if (look_up == NULL || *release == NULL || look_up(name, &form, 0) != 0)
        form = NULL;
    loader_let_go(handle);
    return form;
}

static void remember_list(const char *name, int flags, const struct addrinfo *at)
{
    int saved = errno;
    void (*release)(void *) = NULL;
    char *form = (flags & AI_IDN) != 0 && !is_ascii(name) ? ascii_form(name, &release) : NULL;

    if (form != NULL)
        name = form;
    for (; at != NULL; at = at->ai_next) {
        struct host host;

        if (at->ai_addr != NULL && host_from_sockaddr(at->ai_addr, at->ai_addrlen, &host))
            resolved_learn(name, host.address);
    }
    if (form != NULL)
        release(form);
    errno = saved;
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    __typeof__(&getaddrinfo) real = find_getaddrinfo();
    int result = real != NULL ? real(name, service, hints, found) : EAI_SYSTEM;

    if (result == 0 && name != NULL)
        remember_list(name, hints != NULL ? hints->ai_flags : 0, *found);
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
        remember_list(request->ar_name, request->ar_request != NULL ? request->ar_request->ai_flags : 0, request->ar_result);
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

/* libc's functions that ask name servers (resolver(3)): in libresolv.so.2 as __res_query, from glibc 2.34 on in libc.so.6 as res_query, and under the
 * older name for programs from before; in musl as res_query. <resolv.h> would rename these here. */
struct resolver_state;

static void *find_resolver(_Atomic(void *) *found, const char *name, const void *caller)
{
    const char *other = name[0] == '_' ? name + 2 : NULL;
    void *real = atomic_load_explicit(found, memory_order_relaxed);

    if (real == NULL)
        real = loader_next(name);
    if (real == NULL && other != NULL)
        real = loader_next(other);
    /* An interpreter's module may have brought libresolv for itself alone. */
    if (real == NULL)
        real = loader_for_caller(caller, name);
    atomic_store_explicit(found, real, memory_order_relaxed);
    return real;
}

/* Define a function under both names. `given` is the name that it was called with; the answer is cut to the program's buffer. */
#define RESOLVER(name, parameters, arguments, given) RESOLVER_NAMED(name, parameters, arguments, given) RESOLVER_NAMED(__##name, parameters, arguments, given)
#define RESOLVER_NAMED(name, parameters, arguments, given) \
    int name parameters; \
    EXPORT int name parameters \
    { \
        static _Atomic(void *) found; \
        int(*real) parameters = (int(*) parameters)find_resolver(&found, #name, __builtin_return_address(0)); \
        int size = real != NULL ? real arguments : -1; \
\
        if (size > 0 && room > 0) \
            resolver_answered(given, answer, (size_t)(size < room ? size : room)); \
        return size; \
    }

RESOLVER(res_query, (const char *host, int class, int type, unsigned char *answer, int room), (host, class, type, answer, room), host)
RESOLVER(res_search, (const char *host, int class, int type, unsigned char *answer, int room), (host, class, type, answer, room), host)
RESOLVER(res_querydomain, (const char *host, const char *domain, int class, int type, unsigned char *answer, int room),
    (host, domain, class, type, answer, room), host)
RESOLVER(res_send, (const unsigned char *query, int length, unsigned char *answer, int room), (query, length, answer, room), NULL)
RESOLVER(res_nquery, (struct resolver_state * state, const char *host, int class, int type, unsigned char *answer, int room),
    (state, host, class, type, answer, room), host)
RESOLVER(res_nsearch, (struct resolver_state * state, const char *host, int class, int type, unsigned char *answer, int room),
    (state, host, class, type, answer, room), host)
RESOLVER(res_nquerydomain, (struct resolver_state * state, const char *host, const char *domain, int class, int type, unsigned char *answer, int room),
    (state, host, domain, class, type, answer, room), host)
RESOLVER(res_nsend, (struct resolver_state * state, const unsigned char *query, int length, unsigned char *answer, int room),
    (state, query, length, answer, room), NULL)

/* The child may resolve names for this process. */
EXPORT pid_t fork(void)
{
    resolved_share();
    return find_fork()();
}
