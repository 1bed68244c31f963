/* The system's trust store, as it was when the pins were loaded: what a process finds at its paths later may be somebody else's. */
#ifndef PINSHIM_ROOTS_H
#define PINSHIM_ROOTS_H

#include "file.h"

/* Written by one thread, then shared and only read. */
struct roots;

struct root {
    uint64_t subject; /* der_names.subject */
    const uint8_t *der; /* with what OpenSSL's "TRUSTED CERTIFICATE" has after the certificate */
    size_t length;
    bool hashed; /* it stood in a directory, where OpenSSL finds it only if its subject has this hash */
    uint32_t hash;
};

/* Return an empty trust store, with one owner; NULL when memory ran out. */
MUST_CHECK struct roots *roots_new(void);

/* Note a file or directory that it is read from, as it was before. Return false when memory ran out. */
MUST_CHECK bool roots_note_place(struct roots *roots, const char *path, const struct file_identity *identity);

/* Append a certificate; `hash` NULL: of a bundle. Return false when memory ran out or it cannot be read. */
MUST_CHECK bool roots_add(struct roots *roots, const void *der, size_t length, const uint32_t *hash);

/* Return how many there are; give up all but the first `count`. */
size_t roots_count(const struct roots *roots);
void roots_cut(struct roots *roots, size_t count);

/* Return the next one after `*cursor`, which starts at 0, with that subject; false after the last. */
MUST_CHECK bool roots_next(const struct roots *roots, uint64_t subject, size_t *cursor, struct root *out);

/* Return true if its places are as they were. NULL: true. errno is not preserved. */
MUST_CHECK bool roots_stay(const struct roots *roots);

/* Return true if none of its places had just been written at `now` (file_is_settled). */
MUST_CHECK bool roots_are_settled(const struct roots *roots, time_t now);

/* Add an owner; take one away, and free the store with the last. NULL does nothing. */
struct roots *roots_share(struct roots *roots);
void roots_free(struct roots *roots);

#endif
