/* Sessions whose peer has proven its certificate to this process, each by a SHA-256 digest of what a resumption trusts. */
#ifndef PINSHIM_PROVEN_H
#define PINSHIM_PROVEN_H

#include "text.h"

#define PROVEN_WORDS 4 /* of SHA-256 */

/* Remember a digest; the oldest are forgotten, which leads to a full handshake. No lock is taken. */
void proven_remember(const uint64_t digest[static PROVEN_WORDS]);

MUST_CHECK bool proven_knows(const uint64_t digest[static PROVEN_WORDS]);

#endif
