/* The functions of libc that the shim stands before. What was resolved is remembered, and where a handshake is sent to is noted;
 * nothing else changes. */

#include "config.h"
#include "hearing.h"
#include "kernel.h"
#include "loader.h"
#include "log.h"
#include "resolved.h"
#include "wire.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HEAP_RESERVE (96 << 10)
#define EXPORT __attribute__((visibility("default"), noinline))

/* What is found when the object is loaded. The first of the calls that send may come from a signal handler, where no symbol may be
 * looked up; and a look-up for the others would clear what dlerror() has for the program. */
#define FOUND_AT_START(each) \
    each(send) each(sendto) each(sendmsg) each(write) each(writev) each(connect) each(close) each(prctl) each(syscall) \
    each(getaddrinfo) each(gethostbyname) each(gethostbyname2) each(gethostbyname_r) each(gethostbyname2_r)

void *exports_instead(const char *name, const void *found);

enum {
#define INDEX(name) AT_##name,
    FOUND_AT_START(INDEX)
#undef INDEX
    COUNT
};

static _Atomic(void *) found_at_start[COUNT];

static void find_all(void)
{
#define SOUGHT(name) {#name, NULL, 0},
    struct sought list[COUNT] = {FOUND_AT_START(SOUGHT)};
#undef SOUGHT

    loader_next_at_start(list, COUNT);
    for (int i = 0; i < COUNT; i++)
        atomic_store_explicit(&found_at_start[i], list[i].found, memory_order_relaxed);
}

/* Other objects may call before this one is ready. */
static void *found_or_find(int index)
{
    void *found = atomic_load_explicit(&found_at_start[index], memory_order_relaxed);

    if (found == NULL) {
        find_all();
        found = atomic_load_explicit(&found_at_start[index], memory_order_relaxed);
    }
    return found;
}

/* Define find_NAME(). */
#define FINDER(name) \
    static __typeof__(&name) find_##name(void) \
    { \
        return (__typeof__(&name))found_or_find(AT_##name); \
    }
FOUND_AT_START(FINDER)
#undef FINDER

/* The same for what is looked for at the first call. */
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

__attribute__((constructor)) static void start(void)
{
    log_start();
    (void)config_get();
    find_all();
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

/* What getaddrinfo_a was asked for is complete when this says so. */
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

    /* In this mode all is complete now, and nobody has to ask. */
    for (int i = 0; mode == GAI_WAIT && result == 0 && i < count; i++) {
        if (list[i] != NULL)
            (void)gai_error(list[i]);
    }
    return result;
}

EXPORT ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    ssize_t sent = find_send()(fd, bytes, size, flags);

    wire_note(fd, bytes, sent, NULL, 0);
    return sent;
}

EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    ssize_t sent = find_sendto()(fd, bytes, size, flags, to, length);

    wire_note(fd, bytes, sent, to, length);
    return sent;
}

/* How many of the bytes that were sent stand in the first part. */
static ssize_t in_first(const struct iovec *parts, ssize_t sent)
{
    return parts[0].iov_len < (size_t)sent ? (ssize_t)parts[0].iov_len : sent;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = find_sendmsg()(fd, message, flags);

    if (sent > 0 && message->msg_iovlen > 0)
        wire_note(fd, message->msg_iov[0].iov_base, in_first(message->msg_iov, sent), message->msg_name, message->msg_namelen);
    return sent;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    ssize_t sent = find_write()(fd, bytes, size);

    wire_note(fd, bytes, sent, NULL, 0);
    return sent;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t sent = find_writev()(fd, parts, count);

    if (sent > 0 && count > 0)
        wire_note(fd, parts[0].iov_base, in_first(parts, sent), NULL, 0);
    return sent;
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int result = find_connect()(fd, to, length);

    wire_connected(fd, result == 0 || errno == EINPROGRESS || errno == EINTR ? to : NULL, length);
    return result;
}

EXPORT int close(int fd)
{
    wire_closing(fd);
    return find_close()(fd);
}

/* What a handshake needs is read before the program shuts itself off. One without a libssl has to open files for it later, anyway. */
static struct kernel_filter *filtering(const struct sock_fprog *program)
{
    void *volatile reserve;
    struct loaded found[OSSL_MAX];
    struct tm when;
    int saved = errno;
    size_t count = kernel_is_filtered() ? 0 : loader_list(OSSL_MARK, found, OSSL_MAX);

    for (size_t i = 0; i < count; i++) {
        const struct ossl *ossl = ossl_at((const void *)found[i].start);

        if (ossl != NULL && ossl->kind == OSSL_USABLE)
            pinstore_release(hearing_pins(ossl));
    }
    if (count > 0) {
        log_prepare();
        hearing_discard(hearing_make());
        /* OpenSSL asks for the time, for which libc reads the time zone's file once. */
        (void)gmtime_r(&(time_t) {0}, &when);
        /* What stays with the heap is there when it may grow no more. */
        reserve = malloc(HEAP_RESERVE);
        free(reserve);
    }
    errno = saved;
    return kernel_filter_begin(program);
}

/* One call that may install a filter, by prctl(2) or seccomp(2): the number and what follows it. */
static bool installs(const long call[static 7], const struct sock_fprog **program)
{
    bool strict = call[0] == SYS_prctl ? call[2] == SECCOMP_MODE_STRICT : call[1] == SECCOMP_SET_MODE_STRICT;
    bool filter = call[0] == SYS_prctl ? call[2] == SECCOMP_MODE_FILTER : call[1] == SECCOMP_SET_MODE_FILTER;

    *program = filter ? (const struct sock_fprog *)call[3] : NULL;
    /* libseccomp asks without a filter, to see whether there is such a call. */
    return ((call[0] == SYS_prctl && call[1] == PR_SET_SECCOMP) || call[0] == SYS_seccomp)
        && (strict || (filter && *program != NULL && (*program)->filter != NULL));
}

static long pass_call(const long call[static 7])
{
    return find_syscall()(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
}

static long pass_filter(const long call[static 7], const struct sock_fprog *program)
{
    struct kernel_filter *filter = filtering(program);
    long result = pass_call(call);

    kernel_filter_end(filter, result >= 0);
    return result;
}

/* Which arguments there are, only the kernel knows. libc itself passes on what stands in their places. */
static void read_arguments(long call[static 7], int first, va_list args)
{
    for (int i = first; i < 7; i++)
        call[i] = va_arg(args, long);
}

EXPORT int prctl(int option, ...)
{
    long call[7] = {SYS_prctl, option};
    const struct sock_fprog *program;
    va_list args;

    va_start(args, option);
    read_arguments(call, 2, args);
    va_end(args);
    if (installs(call, &program))
        return (int)pass_filter(call, program);
    return find_prctl()(option, call[2], call[3], call[4], call[5]);
}

EXPORT long syscall(long number, ...)
{
    long call[7] = {number};
    const struct sock_fprog *program;
    va_list args;

    va_start(args, number);
    read_arguments(call, 1, args);
    va_end(args);
    return installs(call, &program) ? pass_filter(call, program) : pass_call(call);
}

/* For a program that asks dlsym for libc's own. Only where nothing else stands between this object and libc: it would call in a circle. */
void *exports_instead(const char *name, const void *found)
{
    if (strcmp(name, "prctl") == 0 && found == (const void *)find_prctl())
        return (void *)prctl;
    if (strcmp(name, "syscall") == 0 && found == (const void *)find_syscall())
        return (void *)syscall;
    return NULL;
}
