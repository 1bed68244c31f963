/* Preloaded after the shim: resolves every name below pinned.example to 127.0.0.1, as a name server would; hugeN.example to 4096 addresses, as
 * many as an answer of DNS has room for. */

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static const char *answer(const char *name)
{
    static const char domain[] = ".pinned.example";
    size_t length = name != NULL ? strlen(name) : 0;

    return length >= sizeof(domain) && strcmp(name + length - (sizeof(domain) - 1), domain) == 0 ? "127.0.0.1" : name;
}

/* Each in one piece of memory, as freeaddrinfo expects. */
static int answer_much(uint32_t number, struct addrinfo **found)
{
    struct whole {
        struct addrinfo info;
        struct sockaddr_in6 address;
    };

    *found = NULL;
    for (uint32_t i = 0; i < 4096; i++) {
        struct whole *whole = calloc(1, sizeof(*whole));
        uint32_t words[4] = {htonl(0x20010db8), htonl(number), 0, htonl(i)};

        if (whole == NULL)
            return EAI_MEMORY;
        whole->address.sin6_family = AF_INET6;
        memcpy(&whole->address.sin6_addr, words, sizeof(words));
        whole->info = (struct addrinfo) {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof(whole->address),
            .ai_addr = (struct sockaddr *)&whole->address, .ai_next = *found};
        *found = &whole->info;
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    __typeof__(&getaddrinfo) real = (__typeof__(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo");

    if (name != NULL && strncmp(name, "huge", 4) == 0 && strcmp(name + strcspn(name, "."), ".example") == 0)
        return answer_much((uint32_t)atoi(name + 4), found);
    return real(answer(name), service, hints, found);
}

struct hostent *gethostbyname(const char *name)
{
    __typeof__(&gethostbyname) real = (__typeof__(&gethostbyname))dlsym(RTLD_NEXT, "gethostbyname");

    return real(answer(name));
}
