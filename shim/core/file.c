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

#define SECOND INT64_C(1000000000) /* in nanoseconds, as the next two are */
#define COARSE_STEP 10000000 /* timestamps of a coarser clock than the kernel's are multiples of it (FAT, exFAT, ext4 with small inodes) */
#define TICKS 100000000 /* ticks of the kernel's clock, or of a clock that is nearly the same */
#define COARSEST_CLOCK 2 /* seconds: FAT's, the coarsest of all file systems */
#define TRIES 5 /* to read a file that is being rewritten */
#define PAUSE 10000000 /* nanoseconds between two looks at a file that is being written */
#define MOST_PAUSES 200
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
    static const long calls[] = {SYS_newfstatat, SYS_openat, SYS_fstat, SYS_statfs, SYS_readlinkat, SYS_getdents64, SYS_lseek, SYS_read, SYS_pread64,
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

struct timespec file_clock(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now;
}

enum file_age file_age(const struct file_identity *file, const struct timespec *now)
{
    int64_t passed = ((int64_t)now->tv_sec - file->changed.tv_sec) * SECOND + now->tv_nsec - file->changed.tv_nsec;
    bool coarse = file->changed.tv_nsec % COARSE_STEP == 0;

    if (now->tv_sec > file->changed.tv_sec + COARSEST_CLOCK)
        return FILE_SETTLED;
    return passed >= -COARSEST_CLOCK * SECOND && (coarse || passed <= TICKS) ? FILE_FRESH : FILE_YOUNG;
}

void file_await_writer(const char *path)
{
    ino_t first = 0;

    for (int i = 0; i < MOST_PAUSES; i++) {
        struct timespec pause = {0, PAUSE};
        const struct timespec now = file_clock();
        struct file_identity file;
        int64_t passed;

        file_identify(path, &file);
        first = i == 0 ? file.inode : first;
        passed = ((int64_t)now.tv_sec - file.modified.tv_sec) * SECOND + now.tv_nsec - file.modified.tv_nsec;
        /* Timestamps may be of a finer clock, which is ahead by a tick. One that has replaced another is whole. */
        if (file.inode == 0 || file.inode != first || passed < -TICKS || passed > TICKS
            || (kernel_call(SYS_ppoll, NULL, 0, &pause, NULL, 0) < 0 && errno != EINTR))
            return;
    }
}

char *file_beside(const char *path, const char *beside)
{
    const char *slash = path[0] != '/' ? strrchr(beside, '/') : NULL;
    size_t directory = slash != NULL ? (size_t)(slash + 1 - beside) : 0;
    char *whole = memory_get(directory + strlen(path) + 1);

    if (whole == NULL)
        return NULL;
    memcpy(whole, beside, directory);
    memcpy(whole + directory, path, strlen(path) + 1);
    return whole;
}

enum step { STEP_FAILED = -1, STEP_ON = 0, STEP_LINK, STEP_PROC };

/* See what is at `path`, whose last part alone may be a symbolic link. That is not followed: `link` becomes its text. */
static enum step step(const char *path, char link[static PATH_MAX])
{
    struct statfs system;
    long length = kernel_call(SYS_readlinkat, AT_FDCWD, path, link, PATH_MAX - 1);

    if (length >= 0) {
        link[length] = '\0';
        return STEP_LINK;
    }
    if (errno != EINVAL || kernel_call(SYS_statfs, path, &system) != 0)
        return STEP_FAILED;
    return system.f_type == PROC_MAGIC ? STEP_PROC : STEP_ON;
}

struct walk {
    char done[PATH_MAX]; /* without symbolic links */
    char rest[PATH_MAX];
    char link[PATH_MAX];
};

/* Walk the path in `rest` part by part: the kernel would follow such links without a trace. Without a descriptor: the program may have none left. */
static enum step walk(struct walk *walk)
{
    enum step result = STEP_ON;
    int links = 0;

    walk->done[0] = '\0';
    if (walk->rest[0] == '/')
        strcpy(walk->done, "/");
    while (result == STEP_ON) {
        size_t begin = strspn(walk->rest, "/");
        size_t length = strcspn(walk->rest + begin, "/");
        size_t before = strlen(walk->done);
        bool slash = before > 0 && walk->done[before - 1] != '/';

        if (length == 0)
            break;
        if (before + slash + length + 1 > PATH_MAX) {
            errno = ENAMETOOLONG;
            return STEP_FAILED;
        }
        if (slash)
            strcpy(walk->done + before, "/"); /* fits: checked above */
        memcpy(walk->done + before + slash, walk->rest + begin, length);
        walk->done[before + slash + length] = '\0';
        memmove(walk->rest, walk->rest + begin + length, strlen(walk->rest + begin + length) + 1);
        result = step(walk->done, walk->link);
        if (result != STEP_LINK)
            continue;
        if (links++ == LINKS || strlen(walk->link) + strlen(walk->rest) + 2 > PATH_MAX) {
            errno = ELOOP;
            return STEP_FAILED;
        }
        strcpy(walk->done + (walk->link[0] == '/' ? 0 : before), walk->link[0] == '/' ? "/" : "");
        memmove(walk->rest + strlen(walk->link) + 1, walk->rest, strlen(walk->rest) + 1);
        *stpcpy(walk->rest, walk->link) = '/';
        result = STEP_ON;
    }
    return result;
}

bool file_is_fleeting(const char *path, const char *what, struct text *problem)
{
    struct walk *steps = memory_get(sizeof(*steps)); /* not on the stack: OpenSSL's own fibres have little */
    enum step end = STEP_FAILED;

    if (steps == NULL) {
        text_add(problem, "out of memory");
        return true;
    }
    errno = ENAMETOOLONG;
    if (strlen(path) < PATH_MAX) {
        strcpy(steps->rest, path); /* fits: checked above */
        end = walk(steps);
    }
    memory_let_go(steps);
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
    char *buffer = memory_get(room);

    if (buffer != NULL)
        memory_prefer_large_pages(buffer, room);
    *length = 0;
    for (;;) {
        long got;

        if (buffer != NULL && *length == room) {
            char *bigger = room <= limit ? memory_resize(buffer, room * 2) : NULL;

            if (bigger == NULL)
                memory_let_go(buffer);
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
            memory_let_go(buffer);
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
        memory_let_go(buffer);
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
