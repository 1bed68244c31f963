/* The functions of libc that stand behind those that this object interposes. */
#ifndef PINSHIM_REAL_H
#define PINSHIM_REAL_H

#include "loader.h"

#include <netdb.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default"), noinline))

/* What is found when the object is loaded. The first of the calls that send may come from a signal handler, where no symbol may be
 * looked up; and a look-up for the others would clear what dlerror() has for the program. */
#define FOUND_AT_START(each) \
    each(send) each(sendto) each(sendmsg) each(write) each(writev) each(connect) each(close) each(prctl) each(syscall) \
    each(getaddrinfo) each(gethostbyname) each(gethostbyname2) each(gethostbyname_r) each(gethostbyname2_r)

enum {
#define INDEX(name) AT_##name,
    FOUND_AT_START(INDEX)
#undef INDEX
    REAL_COUNT
};

/* Return the function at one of those numbers; NULL where libc has none. */
void *real_at(int index);

/* Define find_NAME(), which returns the real one. */
#define FINDER(name) \
    static inline __typeof__(&name) find_##name(void) \
    { \
        return (__typeof__(&name))real_at(AT_##name); \
    }
FOUND_AT_START(FINDER)
#undef FINDER

#endif
