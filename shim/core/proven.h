/* Sessions whose peer has proven its certificate to this process, each by a digest of what a resumption trusts. */
#ifndef PINSHIM_PROVEN_H
#define PINSHIM_PROVEN_H

#include "text.h"

#define PROVEN_WORDS 4 /* of SHA-256 */

/* Write a digest of all these bytes, which nobody outside this process can foresee. */
void proven_digest(const void *bytes, size_t size, uint64_t out[static PROVEN_WORDS]);

/* SipHash-2-4 with 128 bits (Aumasson and Bernstein), a keyed hash. */
void proven_siphash(const uint64_t key[static 2], const void *bytes, size_t size, uint64_t out[static 2]);

/* Remember a digest; the oldest are forgotten, which leads to a full handshake. No lock is taken. */
void proven_remember(const uint64_t digest[static PROVEN_WORDS]);

MUST_CHECK bool proven_knows(const uint64_t digest[static PROVEN_WORDS]);

#endif
