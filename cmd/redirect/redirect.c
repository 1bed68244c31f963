/* libpinshim-prove.so, which only "pinshim prove" preloads, behind libpinshim.so: TCP connections lead to the impostor on loopback, which is told whom
 * they were for. libpinshim.so takes the address that the program asked for as the target, as it does with torsocks and proxychains. */

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The oldest version of it, which every glibc has. */
#ifdef __GLIBC__
#if defined(__x86_64__)
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
#elif defined(__aarch64__)
__asm__(".symver dlsym,dlsym@GLIBC_2.17");
#endif
#endif

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

#define NAMES 512
#define NAME_ROOM 256
#define GIVEN 4 /* names of one address */

/* Names that were resolved, by address; the oldest gives way. A slot is read only while its turn is complete. */
static struct resolved {
    _Atomic unsigned ready;
    struct in6_addr address;
    char name[NAME_ROOM];
} resolved[NAMES];
static _Atomic unsigned turns;

#define NEXT(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

/* Return the impostor's port; 0: there is none. It is followed by a word that only the program that it is for knows. */
static in_port_t impostor(void)
{
    const char *port = getenv("LIBPINSHIM_PROVE");

    return port != NULL ? htons((uint16_t)strtoul(port, NULL, 10)) : 0;
}

/* Read an internet address, IPv4 as ::ffff:a.b.c.d. Return its port, 0: it is none. */
static in_port_t read_address(const struct sockaddr *from, socklen_t length, struct in6_addr *out)
{
    if (from != NULL && from->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const void *)from;

        memset(out, 0, sizeof(*out));
        out->s6_addr[10] = out->s6_addr[11] = 0xff;
        memcpy(out->s6_addr + 12, &in->sin_addr, 4);
        return in->sin_port;
    }
    if (from != NULL && from->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in6 = (const void *)from;

        *out = in6->sin6_addr;
        return in6->sin6_port;
    }
    return 0;
}

static void note_name(const char *name, const struct in6_addr *address)
{
    struct resolved *slot = &resolved[atomic_fetch_add(&turns, 1) % NAMES];

    if (name == NULL || strlen(name) >= NAME_ROOM || strpbrk(name, " ,\r\n") != NULL)
        return;
    atomic_store(&slot->ready, 0);
    slot->address = *address;
    strcpy(slot->name, name); /* fits: just compared */
    atomic_store(&slot->ready, 1);
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int result = NEXT(getaddrinfo)(name, service, hints, found);
    int saved = errno;
    struct in6_addr address;

    for (const struct addrinfo *at = result == 0 ? *found : NULL; at != NULL; at = at->ai_next) {
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6) {
            (void)read_address(at->ai_addr, at->ai_addrlen, &address);
            note_name(name, &address);
        }
    }
    errno = saved;
    return result;
}

static void note_entry(const char *name, const struct hostent *entry)
{
    struct in6_addr address;

    for (char **at = entry != NULL ? entry->h_addr_list : NULL; at != NULL && *at != NULL; at++) {
        memset(&address, 0, sizeof(address));
        address.s6_addr[10] = address.s6_addr[11] = 0xff;
        memcpy(entry->h_addrtype == AF_INET ? address.s6_addr + 12 : address.s6_addr, *at, entry->h_addrtype == AF_INET ? 4 : 16);
        note_name(name, &address);
    }
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    struct hostent *entry = NEXT(gethostbyname)(name);

    note_entry(name, entry);
    return entry;
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    struct hostent *entry = NEXT(gethostbyname2)(name, family);

    note_entry(name, entry);
    return entry;
}

EXPORT int gethostbyname_r(const char *name, struct hostent *entry, char *buffer, size_t size, struct hostent **result, int *error)
{
    int failed = NEXT(gethostbyname_r)(name, entry, buffer, size, result, error);

    note_entry(name, failed == 0 ? *result : NULL);
    return failed;
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *entry, char *buffer, size_t size, struct hostent **result, int *error)
{
    int failed = NEXT(gethostbyname2_r)(name, family, entry, buffer, size, result, error);

    note_entry(name, failed == 0 ? *result : NULL);
    return failed;
}

/* Tell the impostor, on the connection itself, who connects to where, in one line: the word, PID, address, port, program, names. */
static bool introduce(int fd, const struct in6_addr *address, in_port_t port)
{
    char line[400 + 256 + GIVEN * NAME_ROOM];
    const char *given = getenv("LIBPINSHIM_PROVE");
    const char *word = given != NULL ? strchr(given, ':') : NULL;
    char exe[256] = "?";
    char shown[INET6_ADDRSTRLEN] = "";
    ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    int names = 0;
    int size;

    if (length > 0)
        exe[length] = '\0';
    for (char *at = exe; *at != '\0'; at++)
        *at = *at == ' ' || *at == '\n' ? '_' : *at;
    (void)inet_ntop(AF_INET6, address, shown, sizeof(shown));
    size = snprintf(line, sizeof(line), "pinshim-prove %.64s %ld %s %u %s ", word != NULL ? word + 1 : "-", (long)getpid(), shown, ntohs(port), exe);
    for (unsigned i = 0; i < NAMES && names < GIVEN; i++) {
        if (atomic_load(&resolved[i].ready) != 0 && memcmp(&resolved[i].address, address, sizeof(*address)) == 0) {
            size_t width = strlen(resolved[i].name);

            /* Most have been resolved more than once. */
            if (strstr(line, resolved[i].name) == NULL || names == 0)
                size += snprintf(line + size, sizeof(line) - (size_t)size, "%s%.*s", names++ > 0 ? "," : "", (int)width, resolved[i].name);
        }
    }
    size += snprintf(line + size, sizeof(line) - (size_t)size, "\n");
    return NEXT(send)(fd, line, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Where there is no way to an IPv6 address, programs go on with IPv4. */
static bool has_way(const struct sockaddr *to, socklen_t length)
{
    int probe = to->sa_family == AF_INET6 ? socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    bool has = probe < 0 || NEXT(connect)(probe, to, length) == 0;
    int saved = errno;

    if (probe >= 0)
        (void)close(probe);
    errno = saved;
    return has;
}

static bool is_led(int fd, const struct sockaddr *to, socklen_t length, struct in6_addr *address, in_port_t *port)
{
    static const struct in6_addr loopback = {.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    socklen_t size = sizeof(int);
    int type = 0;

    if (impostor() == 0)
        return false;
    *port = read_address(to, length, address);
    return *port != 0 && *port != htons(53) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM
        && !(*port == impostor() && memcmp(address, &loopback, sizeof(loopback)) == 0);
}

/* Connect without waiting for more than loopback. */
static int lead(int fd, int family)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = impostor(), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = impostor()};
    const int off = 0;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off, sizeof(off));
    if (family == AF_INET)
        return NEXT(connect)(fd, (const void *)&in, sizeof(in));
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    (void)inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr);
    return NEXT(connect)(fd, (const void *)&in6, sizeof(in6));
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    struct in6_addr address;
    in_port_t port;
    int saved = errno;
    int flags;
    int result;

    if (!is_led(fd, to, length, &address, &port)) {
        errno = saved;
        return NEXT(connect)(fd, to, length);
    }
    if (!has_way(to, length))
        return -1;
    flags = fcntl(fd, F_GETFL);
    if ((flags & O_NONBLOCK) != 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    result = lead(fd, to->sa_family);
    if (result == 0 && !introduce(fd, &address, port)) {
        errno = ECONNREFUSED;
        result = -1;
    }
    if (result == 0)
        errno = saved;
    saved = errno;
    if ((flags & O_NONBLOCK) != 0)
        (void)fcntl(fd, F_SETFL, flags);
    errno = saved;
    return result;
}

/* TCP Fast Open connects as it sends. */
EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    if ((flags & MSG_FASTOPEN) != 0 && to != NULL && impostor() != 0) {
        if (connect(fd, to, length) != 0)
            return -1;
        return NEXT(send)(fd, bytes, size, flags & ~MSG_FASTOPEN);
    }
    return NEXT(sendto)(fd, bytes, size, flags, to, length);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr led;

    if ((flags & MSG_FASTOPEN) == 0 || message == NULL || message->msg_name == NULL || impostor() == 0)
        return NEXT(sendmsg)(fd, message, flags);
    if (connect(fd, message->msg_name, message->msg_namelen) != 0)
        return -1;
    led = *message;
    led.msg_name = NULL;
    led.msg_namelen = 0;
    return NEXT(sendmsg)(fd, &led, flags & ~MSG_FASTOPEN);
}
