/* Reading whole files that their owner may replace or rewrite meanwhile. */
#ifndef PINSHIM_FILE_H
#define PINSHIM_FILE_H

#include "text.h"

#include <sys/types.h>
#include <time.h>

/* What tells a file from what stood, or stands, under the same path. All zero: none. */
struct file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
    mode_t mode;
};

/* Return false for a program that has forbidden itself what reading files and directories takes, by whomever. */
MUST_CHECK bool file_may_read(void);

/* Look which file stands at `path`, through symbolic links. errno is not preserved. */
void file_identify(const char *path, struct file_identity *out);

/* Return true if both are of one file that has not changed. */
MUST_CHECK bool file_same(const struct file_identity *a, const struct file_identity *b);

/* Return true if what stands at `path` is what was there. In a directory that the program may no longer look into it is taken to be. errno is not
 * preserved. */
MUST_CHECK bool file_stays(const char *path, const struct file_identity *before);

/* Return true if the file had not just been written at `now` (seconds): written again, it would be the same to the file system's clock. */
MUST_CHECK bool file_is_settled(const struct file_identity *file, time_t now);

/* Return `path` as it is meant in the file `beside`: a relative one starts in that file's directory. To be freed; NULL when memory ran
 * out. */
MUST_CHECK char *file_beside(const char *path, const char *beside);

/* Return true if `path` leads through a proc file system, as /dev/fd and /dev/stdin do, and so to whatever has a descriptor's number then: that is the
 * program's to use again; or if that cannot be told. The reason is in `problem`, with the path as `what`. A path that leads nowhere passes. errno is not
 * preserved. */
MUST_CHECK bool file_is_fleeting(const char *path, const char *what, struct text *problem);

/* Read the regular file at `path`, as it is between two looks at it that agree. Return its bytes, for the caller to free, and their number in
 * `length`; or NULL with the fault, which calls the file `what`, in `problem`. A file that everybody may write is a fault, and one of
 * more than `limit` bytes. `identity` is the file's that was read or refused; zeroed where none could be opened. errno is not preserved. */
MUST_CHECK char *file_read(const char *path, const char *what, size_t limit, struct file_identity *identity, size_t *length,
    struct text *problem);

#endif
