/* Reading whole files that their owner may replace or rewrite at the same time. */
#ifndef PINSHIM_FILE_H
#define PINSHIM_FILE_H

#include "text.h"

#include <sys/types.h>
#include <time.h>

/* What distinguishes a file from another one at the same path, earlier or later. All zero: none. */
struct file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
    mode_t mode;
};

/* Return false if the program's seccomp filter forbids the system calls that reading files and directories takes. */
MUST_CHECK bool file_may_read(void);

/* Find out which file is at `path`, following symbolic links. errno is not preserved. */
void file_identify(const char *path, struct file_identity *out);

/* Return true if both identify the same file, unchanged. */
MUST_CHECK bool file_same(const struct file_identity *a, const struct file_identity *b);

/* Return true if the file at `path` is still the same. It is assumed to be if the program may no longer search its directory. errno is not
 * preserved. */
MUST_CHECK bool file_stays(const char *path, const struct file_identity *before);

/* Whether a second write could leave a file's timestamps as they are. */
enum file_age {
    FILE_FRESH = 0, /* it could: the clock of its file system may not have moved since the first one */
    FILE_YOUNG, /* only if that clock is not this system's (network file systems) */
    FILE_SETTLED,
};

/* Return the time by the clock from which timestamps are taken. */
MUST_CHECK struct timespec file_clock(void);

/* Return the age that the file had at `now` (file_clock). */
MUST_CHECK enum file_age file_age(const struct file_identity *file, const struct timespec *now);

static inline enum file_age file_younger(enum file_age one, enum file_age other)
{
    return one < other ? one : other;
}

/* Wait until nothing was written to the file at `path` for 100 ms, or another one has replaced it, but no longer than two seconds: what there is of a file
 * that is being written may look whole. errno is not preserved. */
void file_await_writer(const char *path);

/* Return `path` as the file `beside` means it: a relative path starts in that file's directory. memory_let_go releases it; NULL when memory ran
 * out. */
MUST_CHECK char *file_beside(const char *path, const char *beside);

/* Return true if `path` leads through a proc file system, as /dev/fd and /dev/stdin do, or if that cannot be found out. Such a path means whatever
 * file has that descriptor's number at the time, and programs reuse these numbers. The reason is in `problem`, which calls the path `what`. A path
 * that leads nowhere is no problem here. errno is not preserved. */
MUST_CHECK bool file_is_fleeting(const char *path, const char *what, struct text *problem);

/* Read the regular file at `path`; its identity must be the same before and after. Return its bytes, for memory_let_go, and their number in
 * `length`; or NULL with the fault, which calls the file `what`, in `problem`. A world-writable file is a fault, and so is one of
 * more than `limit` bytes. `identity` becomes that of the file that was read or refused; all zero if none could be opened. errno is not preserved. */
MUST_CHECK char *file_read(const char *path, const char *what, size_t limit, struct file_identity *identity, size_t *length,
    struct text *problem);

#endif
