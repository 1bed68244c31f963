#include "log.h"

#include "file.h"
#include "kernel.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 8192
#define HEADROOM 8 /* before it, for syslog's priority or a newline */
#define HIGH_DESCRIPTOR 512 /* above the descriptors that programs use */
#define NULL_DEVICE 0x103 /* /dev/null: its major and minor number */

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

static const char *const verdicts[] = {"fault", "refused", "reported", "accepted", "unpinned", "notice"};
/* RFC 5424, section 6.2.1: facility daemon (3); error, warning, notice, informational. */
static const int priorities[] = {3 * 8 + 3, 3 * 8 + 4, 3 * 8 + 5, 3 * 8 + 6, 3 * 8 + 6, 3 * 8 + 5};

/* Where a line can go. If one place does not take it, the next is tried. */
enum place { TO_FILE = 0, TO_STDERR, TO_SYSLOG, PLACES };

struct identity {
    bool known;
    dev_t device;
    ino_t inode;
    mode_t mode;
    nlink_t links;
    dev_t special; /* of a device file: which device */
};

static struct identity first_stderr;
static char program[64]; /* its name, escaped: a copy, because programs overwrite the original */

/* How to write to a descriptor without waiting. */
enum manner {
    BY_WRITE, /* it never waits: a regular file, or opened with O_NONBLOCK */
    BY_DATAGRAM, /* the same, and it never raises a signal */
    BY_SEND,
    BY_SHARE, /* other processes share its flags, which must not be changed */
};

/* What was opened before the program installed a filter, or changed its root directory: descriptors on which a plain write never waits. */
static struct prepared {
    int fd; /* plus 1; 0: none */
    enum manner manner;
    struct identity file;
} prepared[PLACES];
static bool file_size_limited; /* at that time */
static bool pipes_signal;
static _Atomic bool moved; /* to another root directory, where a path may lead to anyone's file */

static struct identity identify(int fd)
{
    struct stat status;

    if (kernel_call(SYS_fstat, fd, &status) != 0)
        return (struct identity) {.known = false};
    return (struct identity) {true, status.st_dev, status.st_ino, status.st_mode, status.st_nlink, status.st_rdev};
}

static bool same_file(const struct identity *a, const struct identity *b)
{
    return a->known && b->known && a->device == b->device && a->inode == b->inode;
}

void log_start(void)
{
    const char *name = program_invocation_short_name;
    struct text text = text_over(program, sizeof(program));
    int saved = errno;

    if (name != NULL)
        text_add_escaped(&text, name, strlen(name), sizeof(program) - 1);
    first_stderr = identify(STDERR_FILENO);
    errno = saved;
}

/* The path of the program, escaped, as it was at the first call. */
static const char *read_exe(void)
{
    static char shown[320];
    static _Atomic bool known;
    char exe[256];
    char escaped[sizeof(shown)];
    struct text text = text_over(escaped, sizeof(escaped));
    long length;

    if (atomic_load_explicit(&known, memory_order_acquire))
        return shown;
    length = kernel_call(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", exe, sizeof(exe));
    if (length > 0) {
        text_add_escaped(&text, exe, (size_t)length, 256);
        /* Every thread writes the same bytes. */
        memcpy(shown, escaped, text.length + 1);
        atomic_store_explicit(&known, true, memory_order_release);
    }
    return shown;
}

/* If the program closed its standard error, descriptor 2 may now be a socket or a database. A file that has replaced the standard error from
 * the start is taken for the program's own log only if it is a regular file, opened for appending, and kept across exec (as dup2 leaves it). Nobody
 * reads /dev/null: it does not stand in for another place. */
static bool stderr_is_ours(struct identity *now)
{
    long flags;

    *now = identify(STDERR_FILENO);
    if (!first_stderr.known || !now->known || (S_ISCHR(now->mode) && now->special == NULL_DEVICE && config_get()->log != LOG_TO_STDERR))
        return false;
    if (same_file(now, &first_stderr))
        return true;
    flags = S_ISREG(now->mode) ? kernel_call(SYS_fcntl, STDERR_FILENO, F_GETFL) : -1;
    return flags != -1 && (flags & O_APPEND) != 0 && kernel_call(SYS_fcntl, STDERR_FILENO, F_GETFD) == 0;
}

static bool is_ready(int fd)
{
    struct pollfd ready = {fd, POLLOUT, 0};
    struct timespec at_once = {0, 0};
    long count = kernel_call(SYS_ppoll, &ready, 1, &at_once, NULL, 0);

#ifdef SYS_poll
    if (count < 0)
        count = kernel_call(SYS_poll, &ready, 1, 0);
#endif
    return count == 1 && (ready.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) == POLLOUT;
}

/* A write may raise these signals, each in this thread alone: SIGPIPE (the reader is gone), SIGXFSZ (the limit of file sizes), SIGTTOU (a terminal
 * in whose background this runs). Block them. Return false if that is impossible. */
static bool hold_signals(int fd, enum manner manner, bool regular, struct kernel_held *held)
{
    return kernel_hold_signals(KERNEL_SIGNAL(SIGPIPE) | KERNEL_SIGNAL(SIGXFSZ) | KERNEL_SIGNAL(SIGTTOU), held) || manner == BY_SEND || manner == BY_DATAGRAM || (regular ? !file_size_limited : !pipes_signal || is_ready(fd));
}

/* Discard the signals that this write has raised. */
static void let_signals(struct kernel_held *held)
{
    kernel_let_signals(errno == EPIPE ? KERNEL_SIGNAL(SIGPIPE) : errno == EFBIG ? KERNEL_SIGNAL(SIGXFSZ) : 0, held);
}

/* A new open file description, with flags of its own. */
static int open_again(int fd)
{
    char path[32];
    struct text text = text_over(path, sizeof(path));

    text_add(&text, "/proc/self/fd/%d", fd);
    return (int)kernel_call(SYS_openat, AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static long write_shared(int fd, const char *bytes, size_t length)
{
    struct iovec part = {(void *)(uintptr_t)bytes, length};
    long result = kernel_call(SYS_pwritev2, fd, &part, 1, -1, 0, RWF_NOWAIT);
    int own;

    /* Pipes support this since Linux 6.4; terminals do not. */
    if (result >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != EPERM))
        return result;
    own = open_again(fd);
    if (own >= 0) {
        result = kernel_call(SYS_write, own, bytes, length);
        (void)kernel_call(SYS_close, own);
        return result;
    }
    /* It belongs to another user. A pipe that is ready has room for a line. */
    if (is_ready(fd))
        return kernel_call(SYS_write, fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
    errno = EAGAIN;
    return -1;
}

static long write_some(int fd, enum manner manner, const char *bytes, size_t length)
{
    if (manner == BY_SEND)
        return kernel_call(SYS_sendto, fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    return manner == BY_SHARE ? write_shared(fd, bytes, length) : kernel_call(SYS_write, fd, bytes, length);
}

/* Write all of the bytes; the buffer has one more byte before them and one after. If an earlier line was cut off (`torn`), a newline goes first. */
static bool write_all(int fd, enum manner manner, bool regular, char *bytes, size_t length, _Atomic bool *torn)
{
    const char before = bytes[-1];
    char *at = bytes;
    size_t left = length;
    struct kernel_held held;
    long written;

    if (!hold_signals(fd, manner, regular, &held)) {
        errno = EPERM;
        return false;
    }
    errno = 0;
    if (manner != BY_DATAGRAM) {
        bytes[left++] = '\n';
        if (atomic_load(torn)) {
            *--at = '\n';
            left++;
        }
    }
    while (left > 0) {
        written = write_some(fd, manner, at, left);
        if (written <= 0 && (written == 0 || errno != EINTR))
            break;
        at += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    if (left == 0)
        atomic_store(torn, false);
    else if (at > bytes)
        atomic_store(torn, true);
    bytes[-1] = before;
    let_signals(&held);
    return left == 0;
}

static bool write_prepared(enum place place, char *bytes, size_t length, _Atomic bool *torn)
{
    int fd = prepared[place].fd - 1;
    struct identity now;

    if (fd < 0)
        return false;
    now = identify(fd);
    /* It was closed, and its number is another file's now; or the file was removed. */
    if (now.known ? !same_file(&now, &prepared[place].file) || (place == TO_FILE && now.links == 0) : kernel_allows(SYS_fstat)) {
        prepared[place].fd = 0;
        errno = EBADF;
        return false;
    }
    return write_all(fd, prepared[place].manner, S_ISREG(prepared[place].file.mode), bytes, length, torn);
}

bool log_is_pins(void)
{
    const struct config *config = config_get();
    struct file_identity log;
    struct file_identity pins;

    if (strcmp(config->log_file, config->pins_file) == 0)
        return true;
    if (!file_may_read())
        return false;
    file_identify(config->log_file, &log);
    file_identify(config->pins_file, &pins);
    return log.inode != 0 && log.inode == pins.inode && log.device == pins.device;
}

/* errno becomes 0 where it is the pins file. */
static int open_log(int create)
{
    if (log_is_pins()) {
        errno = 0;
        return -1;
    }
    return (int)kernel_call(SYS_openat, AT_FDCWD, config_get()->log_file, O_WRONLY | O_APPEND | create | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static bool write_file(char *bytes, size_t length)
{
    static _Atomic bool torn;
    bool written = atomic_load(&moved) && write_prepared(TO_FILE, bytes, length, &torn);
    struct identity now;
    int saved;
    int fd;

    if (written || (atomic_load(&moved) && prepared[TO_FILE].fd != 0))
        return written;
    fd = open_log(O_CREAT);
    if (fd < 0)
        return kernel_is_filtered() && write_prepared(TO_FILE, bytes, length, &torn);
    now = identify(fd);
    written = write_all(fd, BY_WRITE, S_ISREG(now.mode), bytes, length, &torn);
    saved = errno;
    (void)kernel_call(SYS_close, fd);
    errno = saved;
    return written;
}

static enum manner manner_of(mode_t mode)
{
    return S_ISSOCK(mode) ? BY_SEND : S_ISREG(mode) ? BY_WRITE : BY_SHARE;
}

static bool write_stderr(char *bytes, size_t length)
{
    static _Atomic bool torn;
    struct identity now;

    if (kernel_is_filtered() && write_prepared(TO_STDERR, bytes, length, &torn))
        return true;
    if (stderr_is_ours(&now))
        return write_all(STDERR_FILENO, manner_of(now.mode), S_ISREG(now.mode), bytes, length, &torn);
    errno = EBADF;
    return false;
}

static int open_syslog(void)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = (int)kernel_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && kernel_call(SYS_connect, fd, &address, sizeof(address)) != 0) {
        int saved = errno;

        (void)kernel_call(SYS_close, fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Send one datagram; the buffer has room for the priority before the bytes. */
static bool write_syslog(enum event_verdict verdict, char *bytes, size_t length)
{
    static _Atomic bool torn;
    char buffer[HEADROOM];
    struct text priority = text_over(buffer, sizeof(buffer));
    bool written;
    int saved;
    int fd;

    text_add(&priority, "<%d>", priorities[verdict]);
    bytes -= priority.length;
    length += priority.length;
    memcpy(bytes, buffer, priority.length);
    if (atomic_load(&moved) && write_prepared(TO_SYSLOG, bytes, length, &torn))
        return true;
    fd = open_syslog();
    if (fd < 0)
        return kernel_is_filtered() && write_prepared(TO_SYSLOG, bytes, length, &torn);
    written = write_all(fd, BY_DATAGRAM, false, bytes, length, &torn);
    saved = errno;
    (void)kernel_call(SYS_close, fd);
    errno = saved;
    return written;
}

/* Move a descriptor of the shim's own to a number that no program waits for, or give it up. */
static int move_high(int fd)
{
    int high = -1;

    for (int least = HIGH_DESCRIPTOR; fd >= 0 && high < 0 && least > STDERR_FILENO; least /= 2)
        high = (int)kernel_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least);
    if (fd >= 0)
        (void)kernel_call(SYS_close, fd);
    return high;
}

static void prepare(enum place place, int fd, enum manner manner)
{
    if (fd >= 0)
        prepared[place] = (struct prepared) {fd + 1, manner, identify(fd)};
}

/* Return true unless there is something open for this place. */
static bool lacks(enum place place)
{
    struct identity now = identify(prepared[place].fd - 1);

    return !same_file(&now, &prepared[place].file);
}

static void prepare_paths(int create)
{
    struct sigaction action;
    struct rlimit limit = {0, 0};

    file_size_limited = kernel_call(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
    pipes_signal = sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler != SIG_IGN;
    (void)kernel_pid();
    (void)read_exe();
    if (config_get()->log == LOG_TO_FILE && lacks(TO_FILE))
        prepare(TO_FILE, move_high(open_log(create)), BY_WRITE);
    if (lacks(TO_SYSLOG))
        prepare(TO_SYSLOG, move_high(open_syslog()), BY_DATAGRAM);
}

void log_prepare(void)
{
    struct identity now;
    int saved = errno;

    if (config_get()->log == LOG_TO_NONE)
        return;
    prepare_paths(O_CREAT);
    if (stderr_is_ours(&now)) {
        bool shared = manner_of(now.mode) == BY_SHARE;

        prepare(TO_STDERR, shared ? move_high(open_again(STDERR_FILENO)) : STDERR_FILENO, shared ? BY_WRITE : manner_of(now.mode));
    }
    errno = saved;
}

void log_moves(bool may_log)
{
    int saved = errno;

    if (config_get()->log != LOG_TO_NONE)
        prepare_paths(may_log ? O_CREAT : 0);
    errno = saved;
}

void log_moved(bool elsewhere)
{
    int saved = errno;

    if (elsewhere)
        atomic_store(&moved, true);
    for (int i = 0; i < PLACES && !atomic_load(&moved) && !kernel_is_filtered(); i++) {
        if (prepared[i].fd != 0)
            (void)kernel_call(SYS_close, prepared[i].fd - 1);
        prepared[i].fd = 0;
    }
    errno = saved;
}

static const char *const places[] = {"the log file", "standard error", "syslog"};

/* Not inline: every line would take its room on the stack. */
__attribute__((noinline)) static void say_elsewhere(enum place wanted, enum place place, int problem)
{
    char buffer[1200];
    struct text reason = text_over(buffer, sizeof(buffer));
    const struct event event = {.verdict = EVENT_NOTICE, .reason = buffer};

    text_add(&reason, "%s ", places[wanted]);
    if (wanted == TO_FILE)
        text_add_escaped(&reason, config_get()->log_file, strlen(config_get()->log_file), 1000);
    if (wanted == TO_FILE)
        text_add(&reason, " ");
    errno = problem;
    text_add(&reason, problem != 0 ? "cannot be written: %m" : "is the pins file");
    text_add(&reason, "; its lines go to %s", places[place]);
    log_event(&event);
}

/* Write to the first place that takes the line. If that is not the one that was asked for, say so once. */
static void write_line(enum event_verdict verdict, char *bytes, size_t body, size_t length)
{
    static const enum place orders[][PLACES + 1] = {
        [LOG_TO_STDERR] = {TO_STDERR, TO_SYSLOG, PLACES},
        [LOG_TO_SYSLOG] = {TO_SYSLOG, TO_STDERR, PLACES},
        [LOG_TO_FILE] = {TO_FILE, TO_STDERR, TO_SYSLOG, PLACES},
    };
    static _Atomic bool said;
    const enum place *place = orders[config_get()->log];
    const enum place *first = place;
    int problem = 0;

    for (;; place++) {
        if (*place == PLACES)
            return;
        if (*place == TO_FILE ? write_file(bytes, length)
                : *place == TO_STDERR ? write_stderr(bytes + body, length - body)
                                      : write_syslog(verdict, bytes, length))
            break;
        if (place == first)
            problem = errno;
    }
    if (place != first && !atomic_exchange(&said, true))
        say_elsewhere(*first, *place, problem);
}

static void put_time(struct text *out)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    text_add_time(out, (uint64_t)now.tv_sec);
    text_add(out, ".%03ldZ", now.tv_nsec / 1000000);
}

static bool given(const char *string)
{
    return string != NULL && string[0] != '\0';
}

static void put_text(const struct event *event, struct text *out)
{
    text_add(out, "pinshim[%d]: %s", kernel_pid(), verdicts[event->verdict]);
    if (given(event->target))
        text_add(out, " %s", event->target);
    text_add(out, ": %s", given(event->reason) ? event->reason : "no reason given");
    if (given(event->spki_sha256) || given(event->cert_sha256)) {
        text_add(out, "; peer");
        if (given(event->spki_sha256))
            text_add(out, " spki-sha256:%s", event->spki_sha256);
        if (given(event->cert_sha256))
            text_add(out, " cert-sha256:%s", event->cert_sha256);
        if (event->subject != NULL)
            text_add(out, " subject \"%s\"", event->subject);
    }
    if (event->client != NULL)
        text_add(out, "; client certificate \"%s\" offered", event->client);
    if (given(event->wanted))
        text_add(out, "; wanted %s", event->wanted);
}

/* Every object has every member, so that readers need not check which are there. */
static void put_member(struct text *out, const char *name, const char *value)
{
    text_add(out, ",\"%s\":", name);
    if (given(value))
        text_add_json(out, value);
    else
        text_add(out, "null");
}

static void put_json(const struct event *event, struct text *out)
{
    text_add(out, "{\"time\":\"");
    put_time(out);
    text_add(out, "\",\"pid\":%d", kernel_pid());
    put_member(out, "exe", read_exe());
    put_member(out, "verdict", verdicts[event->verdict]);
    put_member(out, "library", event->library);
    put_member(out, "target", event->target);
    put_member(out, "address", event->address);
    if (event->port != 0)
        text_add(out, ",\"port\":%u", event->port);
    else
        put_member(out, "port", NULL);
    put_member(out, "rule", event->rule);
    put_member(out, "reason", event->reason);
    put_member(out, "matched", event->matched);
    put_member(out, "spki_sha256", event->spki_sha256);
    put_member(out, "cert_sha256", event->cert_sha256);
    put_member(out, "subject", event->subject);
    put_member(out, "issuer", event->issuer);
    if (config_get()->level == LEVEL_DEBUG) {
        put_member(out, "issuer_spki_sha256", event->issuer_spki_sha256);
        put_member(out, "identities", event->identities);
        put_member(out, "resolved", event->resolved);
    }
    put_member(out, "not_after", event->not_after);
    put_member(out, "tls", event->tls);
    text_add(out, ",\"resumed\":%s,\"client_cert\":%s}", event->resumed ? "true" : "false", event->client != NULL ? "true" : "false");
}

bool log_wants(enum event_verdict verdict)
{
    const struct config *config = config_get();

    return config->log != LOG_TO_NONE && ((verdict != EVENT_ACCEPTED && verdict != EVENT_UNPINNED) || config->level != LEVEL_REFUSED);
}

static struct spare spare_lines;

void log_event(const struct event *event)
{
    int saved = errno;
    char spare[512];
    char *buffer;
    struct text line;
    size_t body;
    int cancelled;

    if (!log_wants(event->verdict))
        return;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
    /* On the heap: OpenSSL's own fibres have little stack. */
    buffer = spare_take(&spare_lines, HEADROOM + LINE_SIZE);
    /* There is always room for the newline, even if the line is cut. */
    line = buffer != NULL ? text_over(buffer + HEADROOM, LINE_SIZE - 1) : text_over(spare + HEADROOM, sizeof(spare) - HEADROOM - 1);
    if (config_get()->format != FORMAT_JSON) {
        put_time(&line);
        text_add(&line, " %s ", program);
    }
    body = line.length;
    if (config_get()->format == FORMAT_JSON)
        put_json(event, &line);
    else
        put_text(event, &line);
    write_line(event->verdict, line.at, body, line.length);
    spare_let_go(&spare_lines, buffer);
    (void)pthread_setcancelstate(cancelled, NULL);
    errno = saved;
}

void log_fault(const char *format, ...)
{
    char buffer[1024];
    struct text reason = text_over(buffer, sizeof(buffer));
    struct event event = {.verdict = EVENT_FAULT, .reason = buffer};
    va_list args;

    va_start(args, format);
    text_add_va(&reason, format, args);
    va_end(args);
    log_event(&event);
}
