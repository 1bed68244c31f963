/* SHA-256, SHA-384 and SHA-512 (FIPS 180-4), of bytes that are in memory as a whole. */
#ifndef PINSHIM_SHA2_H
#define PINSHIM_SHA2_H

#include "pins.h"

/* Write to `out` the digest of `length` bytes: digest_size(digest) bytes. */
void sha2(enum digest digest, const void *bytes, size_t length, uint8_t *out);

#endif
