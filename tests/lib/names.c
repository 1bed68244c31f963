/* Preloaded after the shim: resolves every name below pinned.example to 127.0.0.1, as a name server would. */

#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

static const char *answer(const char *name)
{
    static const char domain[] = ".pinned.example";
    size_t length = name != NULL ? strlen(name) : 0;

    return length >= sizeof(domain) && strcmp(name + length - (sizeof(domain) - 1), domain) == 0 ? "127.0.0.1" : name;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    __typeof__(&getaddrinfo) real = (__typeof__(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo");

    return real(answer(name), service, hints, found);
}

struct hostent *gethostbyname(const char *name)
{
    __typeof__(&gethostbyname) real = (__typeof__(&gethostbyname))dlsym(RTLD_NEXT, "gethostbyname");

    return real(answer(name));
}
