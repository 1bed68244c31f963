/* Paths from a leaf to its issuers, built and verified here: neither the chain as the peer sent it nor the program's own verification is trusted. */
#ifndef PINSHIM_PATH_H
#define PINSHIM_PATH_H

#include "peer.h"

/* The functions for policy.c, for a peer that peer_read has read. */
extern const struct peer_path path_of_peer;

/* What may be spent on one peer, whatever it sends, in units of about 10 microseconds of processor time. */
struct path_budget {
    unsigned left; /* 0: exhausted */
};
#define PATH_BUDGET 2000
#define PATH_COST_UNKNOWN 400 /* of a signature by a key of a rare kind: assume the highest */

/* Return true if `issuer` has signed `certificate`, and the budget was enough to check it. */
MUST_CHECK bool path_is_signed(const struct tls *tls, const struct certificate *certificate, const struct certificate *issuer,
    struct path_budget *budget);

/* Free what was kept for a peer. NULL does nothing. */
struct paths;
void path_free(const struct tls *tls, struct paths *paths);

#endif
