/* The functions that install a seccomp filter or change the root directory, interposed: what handshakes need is read before. */

#include "backend.h"
#include "evaluation.h"
#include "exec.h"
#include "file.h"
#include "guard.h"
#include "kernel.h"
#include "log.h"
#include "real.h"
#include "send.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define HEAP_RESERVE (96 << 10)

/* Return true if there is a TLS library. */
static bool prepare(void)
{
    bool any = false;

    for (int i = 0; !kernel_is_filtered() && backends[i] != NULL; i++)
        any |= backends[i]->prepare();
    return any;
}

/* Read what a handshake needs before the filter is installed. A program without a libssl would have to open files to load one later, anyway. */
static struct kernel_filter *filtering(const struct sock_fprog *program)
{
    void *volatile reserve;
    struct tm when;
    int saved = errno;
    bool any = prepare();

    if (!any && !kernel_is_filtered())
        guard_prepare();
    if (any) {
        log_prepare();
        /* OpenSSL needs the time, for which libc reads the time zone's file once. */
        (void)gmtime_r(&(time_t) {0}, &when);
        /* Memory that the heap keeps is there when the heap may no longer grow. */
        reserve = malloc(HEAP_RESERVE);
        free(reserve);
    }
    errno = saved;
    return kernel_filter_begin(program);
}

/* The kernel says what is wrong with a filter that it cannot read. */
static bool is_readable(const struct sock_fprog *program)
{
    return kernel_readable(program, sizeof(*program)) == sizeof(*program)
        && kernel_readable(program->filter, program->len * sizeof(program->filter[0])) == program->len * sizeof(program->filter[0]);
}

/* Return true if this call installs a filter, by prctl(2) or seccomp(2). `call` is the number and the arguments. */
static bool installs(const long call[static 7], const struct sock_fprog **program)
{
    bool strict = call[0] == SYS_prctl ? call[2] == SECCOMP_MODE_STRICT : call[1] == SECCOMP_SET_MODE_STRICT;
    bool filter = call[0] == SYS_prctl ? call[2] == SECCOMP_MODE_FILTER : call[1] == SECCOMP_SET_MODE_FILTER;

    *program = filter ? (const struct sock_fprog *)call[3] : NULL;
    /* libseccomp calls it without a filter, to see whether the system call exists. */
    return ((call[0] == SYS_prctl && call[1] == PR_SET_SECCOMP) || call[0] == SYS_seccomp) && (strict || (filter && is_readable(*program)));
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

/* Where the pins file is not, it may be in the new root. A program that does no TLS hears nothing of all this. */
static void moves(void)
{
    const struct pinstore *held;
    struct file_identity pins;
    bool any = false;

    file_identify(config_get()->pins_file, &pins);
    if (pins.inode != 0) {
        any = prepare();
        held = pinstore_hold();
        pinstore_release(held != NULL ? held : evaluation_pins(NULL));
    }
    log_moves(any);
}

/* A child that shares its parent's memory may have been given thread-local storage that is all zero, as Chromium's sandbox does before chroot: even errno is nowhere. */
static bool has_thread(void)
{
#ifdef __x86_64__
    const void *own;

    __asm__("mov %%fs:0, %0" : "=r"(own));
    return own != NULL;
#else
    return true;
#endif
}

static long pass_root(const long call[static 7], send_passing *pass)
{
    struct file_identity before;
    struct file_identity after;
    long result;
    int saved;

    if (!has_thread())
        return pass_call(call);
    saved = errno;
    file_identify("/", &before);
    if (!kernel_is_filtered())
        moves();
    errno = saved;
    result = pass(call);
    saved = errno;
    file_identify("/", &after);
    log_moved(result == 0 && (before.device != after.device || before.inode != after.inode));
    errno = saved;
    return result;
}

/* The next one may be that of another preloaded library. */
static long pass_chroot(const long call[static 7])
{
    struct sought next = {"chroot", NULL, 0};
    __typeof__(&chroot) real;

    loader_next_at_start(&next, 1, NULL, 0);
    real = (__typeof__(&chroot))next.found;
    return real != NULL ? real((const char *)call[1]) : pass_call(call);
}

EXPORT int chroot(const char *path)
{
    const long call[7] = {SYS_chroot, (long)path};

    return (int)pass_root(call, pass_chroot);
}

/* Only the kernel knows how many arguments there are. libc, too, passes on whatever is in their places. */
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
    if (number == SYS_execve || number == SYS_execveat)
        return exec_call(call, pass_call);
    if (number == SYS_chroot)
        return pass_root(call, pass_call);
    return installs(call, &program) ? pass_filter(call, program) : send_call(call, pass_call, __builtin_return_address(0));
}
