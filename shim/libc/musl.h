/* What this object interposes, and the headers of musl do not declare. */
#ifndef PINSHIM_MUSL_H
#define PINSHIM_MUSL_H

#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __GLIBC__
typedef int mmsg_flags;
#else
#include <link.h>
#include <signal.h>
#include <sys/sendfile.h>

#undef sendfile64

typedef unsigned mmsg_flags;

struct gaicb {
    const char *ar_name;
    const char *ar_service;
    const struct addrinfo *ar_request;
    struct addrinfo *ar_result;
};

#define GAI_WAIT 0
#define AI_IDN 0x40
#define LM_ID_BASE 0
#define RTLD_DI_LMID 1

extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t sendfile64(int fd, int from, off_t *offset, size_t size);
int fcntl64(int fd, int command, ...);
int gai_error(struct gaicb *request);
int gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout);
int getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event);
#endif

#endif
