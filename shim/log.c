#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 8192

static const char *const verdicts[] = {"fault", "refused", "reported", "accepted"};
/* RFC 5424, section 6.2.1: facility daemon (3); error, warning, notice, informational. */
static const int priorities[] = {3 * 8 + 3, 3 * 8 + 4, 3 * 8 + 5, 3 * 8 + 6};

static struct {
    bool known;
    dev_t device;
    ino_t inode;
} first_stderr;

static bool examine(int fd, struct stat *status)
{
    return syscall(SYS_fstat, fd, status) == 0; /* not fstat(): see pins_load */
}

void log_remember_stderr(void)
{
    struct stat status;
    int saved = errno;

    first_stderr.known = examine(STDERR_FILENO, &status);
    if (first_stderr.known) {
        first_stderr.device = status.st_dev;
        first_stderr.inode = status.st_ino;
    }
    errno = saved;
}

/* A program that closed its standard error may have a socket or a database under that number now. Only a regular file opened for
 * appending and kept across exec, as dup2 leaves it, in the place of a standard error that was there at the start, is taken for a log
 * that the program chose. */
static bool stderr_is_ours(void)
{
    struct stat status;
    int flags;

    if (!first_stderr.known || !examine(STDERR_FILENO, &status))
        return false;
    if (status.st_dev == first_stderr.device && status.st_ino == first_stderr.inode)
        return true;
    flags = S_ISREG(status.st_mode) ? fcntl(STDERR_FILENO, F_GETFL) : -1;
    return flags != -1 && (flags & O_APPEND) != 0 && fcntl(STDERR_FILENO, F_GETFD) == 0;
}

/* A reader that has gone must not kill the program: SIGPIPE is held back, and taken if this write raised it. */
static void write_once(int fd, const char *bytes, size_t length)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe_only;
    sigset_t before;
    sigset_t pending;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    (void)sigpending(&pending);
    if (sigprocmask(SIG_BLOCK, &pipe_only, &before) != 0)
        return;
    if (write(fd, bytes, length) < 0 && errno == EPIPE && sigismember(&pending, SIGPIPE) == 0)
        (void)sigtimedwait(&pipe_only, NULL, &at_once);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static void write_syslog(enum event_verdict verdict, const char *line, size_t length)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char buffer[8];
    struct text priority = text_over(buffer, sizeof(buffer));
    struct iovec parts[2] = {{buffer, 0}, {(void *)(uintptr_t)line, length}};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)&address, .msg_namelen = sizeof(address), .msg_iov = parts, .msg_iovlen = 2};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    text_add(&priority, "<%d>", priorities[verdict]);
    parts[0].iov_len = priority.length;
    (void)sendmsg(fd, &message, MSG_NOSIGNAL);
    (void)close(fd);
}

static void write_line(enum event_verdict verdict, struct text *line)
{
    const struct config *config = config_get();
    int fd;

    if (config->log == LOG_TO_NONE)
        return;
    if (config->log == LOG_TO_SYSLOG || (config->log == LOG_TO_STDERR && !stderr_is_ours())) {
        write_syslog(verdict, line->at, line->length);
        return;
    }
    /* The newline has its place whatever was cut. */
    if (line->length + 1 >= line->size)
        line->length = line->size - 2;
    line->at[line->length++] = '\n';
    if (config->log == LOG_TO_STDERR) {
        write_once(STDERR_FILENO, line->at, line->length);
        return;
    }
    fd = open(config->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return;
    write_once(fd, line->at, line->length);
    (void)close(fd);
}

static bool given(const char *string)
{
    return string != NULL && string[0] != '\0';
}

static void put_text(const struct event *event, struct text *out)
{
    text_add(out, "pinshim[%d]: %s", (int)getpid(), verdicts[event->verdict]);
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

/* Every object has every member: who reads them need not ask which are there. */
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
    char exe[256];
    char shown[320];
    struct text escaped = text_over(shown, sizeof(shown));
    ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe));
    struct timespec now = {0, 0};
    struct tm utc;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) == NULL)
        memset(&utc, 0, sizeof(utc));
    text_add(out, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\"pid\":%d", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
        utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000, (int)getpid());
    if (length > 0)
        text_add_escaped(&escaped, exe, (size_t)length, 256);
    put_member(out, "exe", shown);
    put_member(out, "verdict", verdicts[event->verdict]);
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

    return config->log != LOG_TO_NONE && (verdict != EVENT_ACCEPTED || config->level != LEVEL_REFUSED);
}

void log_event(const struct event *event)
{
    int saved = errno;
    char spare[512];
    char *buffer;
    struct text line;

    if (!log_wants(event->verdict))
        return;
    /* On the heap: OpenSSL's own fibres have little stack. */
    buffer = malloc(LINE_SIZE);
    line = buffer != NULL ? text_over(buffer, LINE_SIZE) : text_over(spare, sizeof(spare));
    if (config_get()->format == FORMAT_JSON)
        put_json(event, &line);
    else
        put_text(event, &line);
    write_line(event->verdict, &line);
    free(buffer);
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
