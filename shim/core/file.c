#include "file.h"
#include "kernel.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define COARSEST_CLOCK 2 /* seconds: FAT's, the coarsest of all file systems */
#define TRIES 5 /* to read a file that is being rewritten */
#define LINKS 40 /* symbolic links in one path, as the kernel has it */
#define PROC_MAGIC 0x9fa0 /* PROC_SUPER_MAGIC */

static bool examine(int fd, struct stat *status)
{
    return kernel_call(SYS_fstat, fd, status) == 0;
}

static struct file_identity identity_of(const struct stat *status)
{
    return (struct file_identity) {status->st_dev, status->st_ino, status->st_size, status->st_mtim, status->st_ctim, status->st_mode};
}

void file_identify(const char *path, struct file_identity *out)
{
    struct stat status;

    memset(out, 0, sizeof(*out));
    if (kernel_call(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0)
        *out = identity_of(&status);
}

bool file_may_read(void)
{
    static const long calls[] = {SYS_newfstatat, SYS_openat, SYS_fstat, SYS_fstatfs, SYS_readlinkat, SYS_getdents64, SYS_lseek, SYS_read, SYS_pread64,
        SYS_close};
    bool may = true;

    for (size_t i = 0; kernel_is_filtered() && may && i < sizeof(calls) / sizeof(calls[0]); i++)
        may = kernel_allows(calls[i]);
    return may;
}

bool file_same(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified.tv_sec == b->modified.tv_sec
        && a->modified.tv_nsec == b->modified.tv_nsec && a->changed.tv_sec == b->changed.tv_sec
        && a->changed.tv_nsec == b->changed.tv_nsec;
}

bool file_stays(const char *path, const struct file_identity *before)
{
    struct file_identity now;

    errno = 0;
    file_identify(path, &now);
    return errno == EACCES || file_same(&now, before);
}

bool file_is_settled(const struct file_identity *file, time_t now)
{
    return now > file->changed.tv_sec + COARSEST_CLOCK;
}

char *file_beside(const char *path, const char *beside)
{
    const char *slash = path[0] != '/' ? strrchr(beside, '/') : NULL;
    size_t directory = slash != NULL ? (size_t)(slash + 1 - beside) : 0;
    char *whole = malloc(directory + strlen(path) + 1);

    if (whole == NULL)
        return NULL;
    memcpy(whole, beside, directory);
    memcpy(whole + directory, path, strlen(path) + 1);
    return whole;
}

enum step { STEP_FAILED = -1, STEP_ON = 0, STEP_LINK, STEP_PROC };

/* Go from the directory `*at` to `part`. If that is a symbolic link, it is not followed: `link` becomes its text. */
static enum step step(int *at, const char *part, char *link, size_t size)
{
    int next = (int)kernel_call(SYS_openat, *at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct statfs system;
    enum step result = STEP_ON;
    ssize_t length;

    if (next < 0)
        return STEP_FAILED;
    length = kernel_call(SYS_readlinkat, next, "", link, size - 1);
    if (kernel_call(SYS_fstatfs, next, &system) != 0)
        result = STEP_FAILED;
    else if (system.f_type == PROC_MAGIC)
        result = STEP_PROC;
    else if (length >= 0)
        result = STEP_LINK;
    if (result != STEP_ON) {
        int saved = errno;

        (void)kernel_call(SYS_close, next);
        errno = saved;
    }
    if (result == STEP_LINK)
        link[length] = '\0';
    if (result != STEP_ON)
        return result;
    (void)kernel_call(SYS_close, *at);
    *at = next;
    return STEP_ON;
}

/* Walk the path in `rest` part by part: the kernel would follow such links without a trace. */
static enum step walk(char rest[static PATH_MAX], char link[static PATH_MAX])
{
    int at = (int)kernel_call(SYS_openat, AT_FDCWD, rest[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum step result = at >= 0 ? STEP_ON : STEP_FAILED;
    int links = 0;

    while (result == STEP_ON || result == STEP_LINK) {
        size_t begin = strspn(rest, "/");
        size_t length = strcspn(rest + begin, "/");
        char part[NAME_MAX + 1];

        if (length == 0)
            break;
        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            result = STEP_FAILED;
            break;
        }
        memcpy(part, rest + begin, length);
        part[length] = '\0';
        memmove(rest, rest + begin + length, strlen(rest + begin + length) + 1);
        result = step(&at, part, link, PATH_MAX);
        if (result == STEP_LINK) {
            if (links++ == LINKS || strlen(link) + strlen(rest) + 2 > PATH_MAX) {
                errno = ELOOP;
                result = STEP_FAILED;
                break;
            }
            if (link[0] == '/') {
                (void)kernel_call(SYS_close, at);
                at = (int)kernel_call(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (at < 0)
                    result = STEP_FAILED;
            }
            memmove(rest + strlen(link) + 1, rest, strlen(rest) + 1);
            *stpcpy(rest, link) = '/';
        }
    }
    if (at >= 0) {
        int saved = errno;

        (void)kernel_call(SYS_close, at);
        errno = saved;
    }
    return result;
}

bool file_is_fleeting(const char *path, const char *what, struct text *problem)
{
    char *rest = malloc((size_t)2 * PATH_MAX); /* not on the stack: OpenSSL's own fibres have little */
    enum step end = STEP_FAILED;

    if (rest == NULL) {
        text_add(problem, "out of memory");
        return true;
    }
    errno = ENAMETOOLONG;
    if (strlen(path) < PATH_MAX) {
        strcpy(rest, path); /* fits: checked above */
        end = walk(rest, rest + PATH_MAX);
    }
    free(rest);
    if (end == STEP_PROC)
        text_add(problem, "%s is reached through /proc or /dev/fd, where the program may have another file later; expected the path of a file", what);
    else if (end == STEP_FAILED && errno != ENOENT && errno != ENOTDIR)
        text_add(problem, "cannot open %s: %m", what);
    else
        return false;
    return true;
}

static char *read_all(int fd, const char *what, size_t limit, size_t expected, size_t *length, struct text *problem)
{
    size_t room = expected + 1;
    char *buffer = malloc(room);

    if (buffer != NULL)
        memory_prefer_large_pages(buffer, room);
    *length = 0;
    for (;;) {
        long got;

        if (buffer != NULL && *length == room) {
            char *bigger = room <= limit ? realloc(buffer, room * 2) : NULL;

            if (bigger == NULL)
                free(buffer);
            buffer = bigger;
            room *= 2;
        }
        if (buffer == NULL) {
            text_add(problem, "out of memory");
            return NULL;
        }
        got = kernel_call(SYS_pread64, fd, buffer + *length, room - *length, *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            text_add(problem, "cannot read %s: %m", what);
            free(buffer);
            return NULL;
        }
        if (got == 0)
            return buffer;
        *length += (size_t)got;
    }
}

/* Check an open file. Return false if it must not be read. */
static bool may_read(int fd, const char *what, size_t limit, struct file_identity *identity, struct text *problem)
{
    struct stat status;

    if (!examine(fd, &status)) {
        text_add(problem, "cannot examine %s: %m", what);
        return false;
    }
    *identity = identity_of(&status);
    if (!S_ISREG(status.st_mode))
        text_add(problem, "%s is not a regular file", what);
    else if ((status.st_mode & S_IWOTH) != 0)
        text_add(problem, "%s is world-writable; expected a mode such as 0644", what);
    else if (status.st_size < 0 || (uint64_t)status.st_size > limit)
        text_add(problem, "%s is too large", what);
    else
        return true;
    return false;
}

static char *read_steady(int fd, const char *what, size_t limit, struct file_identity *identity, size_t *length, struct text *problem)
{
    for (int i = 0; i < TRIES; i++) {
        struct file_identity before;
        struct stat status;
        char *buffer;

        if (!may_read(fd, what, limit, identity, problem))
            return NULL;
        before = *identity;
        buffer = read_all(fd, what, limit, (size_t)before.size, length, problem);
        if (buffer == NULL)
            return NULL;
        if (examine(fd, &status)) {
            *identity = identity_of(&status);
            if (file_same(&before, identity))
                return buffer;
        }
        free(buffer);
    }
    text_add(problem, "%s keeps changing while it is read", what);
    return NULL;
}

/* O_NONBLOCK: a FIFO in the file's place must not stop the program. */
static int open_file(const char *path)
{
    return (int)kernel_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

char *file_read(const char *path, const char *what, size_t limit, struct file_identity *identity, size_t *length, struct text *problem)
{
    int fd = open_file(path);
    char *buffer;

    memset(identity, 0, sizeof(*identity));
    if (fd < 0) {
        text_add(problem, "cannot open %s: %m", what);
        return NULL;
    }
    buffer = read_steady(fd, what, limit, identity, length, problem);
    (void)kernel_call(SYS_close, fd);
    return buffer;
}
