/* The system's trust store, as it was when the pins were loaded: later, after chroot say, its paths may lead to other files. */
#ifndef PINSHIM_ROOTS_H
#define PINSHIM_ROOTS_H

#include "file.h"

/* Written by one thread, then shared and only read. */
struct roots;

struct root {
    uint64_t subject; /* der_names.subject */
    const uint8_t *der; /* including what follows the certificate in OpenSSL's "TRUSTED CERTIFICATE" */
    size_t length;
    bool hashed; /* it is from a directory, where OpenSSL finds it only if its subject has this hash */
    uint32_t hash;
};

/* Return an empty trust store, with one owner; NULL when memory ran out. */
MUST_CHECK struct roots *roots_new(void);

/* Note a file or directory that it is read from, and its identity before reading. Return false when memory ran out. */
MUST_CHECK bool roots_note_place(struct roots *roots, const char *path, const struct file_identity *identity);

/* Append a certificate; `hash` NULL: from a bundle. Return false when memory ran out or it cannot be read. */
MUST_CHECK bool roots_add(struct roots *roots, const void *der, size_t length, const uint32_t *hash);

/* Return how many there are; remove all but the first `count`. */
size_t roots_count(const struct roots *roots);
void roots_cut(struct roots *roots, size_t count);

/* Give the next one with that subject; false after the last. `*cursor` starts at 0. */
MUST_CHECK bool roots_next(const struct roots *roots, uint64_t subject, size_t *cursor, struct root *out);

/* Return true if its files and directories have not changed. NULL: true. errno is not preserved. */
MUST_CHECK bool roots_stay(const struct roots *roots);

/* Return the age that the youngest of them had when roots_new was called. */
MUST_CHECK enum file_age roots_age(const struct roots *roots);

/* Add an owner; remove one, and free the store with the last. NULL does nothing. */
struct roots *roots_share(struct roots *roots);
void roots_free(struct roots *roots);

#endif
