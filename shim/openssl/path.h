/* Paths from a leaf to its issuers, found and verified here: never the chain that the peer sent as it came, nor what the program made of it. */
#ifndef PINSHIM_PATH_H
#define PINSHIM_PATH_H

#include "peer.h"

/* What policy.c asks of a peer that peer_read has read. */
extern const struct peer_path path_of_peer;

/* What may be spent on one peer, whatever it sends, in about 10 microseconds of processor time. */
struct path_budget {
    unsigned left; /* 0: exhausted */
};
#define PATH_BUDGET 2000
#define PATH_COST_UNKNOWN 400 /* of a signature by a key of a kind that is seldom met: it may be any */

/* Return true if `issuer` has signed `certificate`, and there was enough left to see that. Errors are left in the error queue. */
MUST_CHECK bool path_is_signed(const struct ossl *ossl, X509 *certificate, X509 *issuer, struct path_budget *budget);

/* Free what was kept of a peer. NULL does nothing. */
struct paths;
void path_free(const struct ossl *ossl, struct paths *paths);

#endif
