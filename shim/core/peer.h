/* What a peer presented, for the policy and for the log. */
#ifndef PINSHIM_PEER_H
#define PINSHIM_PEER_H

#include "digest.h"

/* The same for policy.c; `peer` first. */
struct evidence {
    struct peer peer;
    const struct tls *tls;
    const struct presented *presented;
    struct paths *paths; /* path.c's, made when first needed */
};

static inline const struct evidence *peer_evidence(const struct peer *peer)
{
    return (const struct evidence *)peer;
}

/* Compute the digests that `pins` ask for and that are not known yet. A digest that cannot be computed stays unknown and matches
 * nothing. peer_forget is called at the end. */
void peer_read(const struct tls *tls, const struct pins *pins, const struct presented *presented, struct evidence *out);
void peer_forget(struct evidence *evidence);

/* Copy the peer's known digests to `out`. */
void peer_keep(const struct peer *peer, struct peer_digests *out);

/* The peer as the log shows it. Empty: nothing to show. */
struct peer_text {
    char spki[64];
    char cert[64];
    struct certificate_text leaf;
    char issuer_spki[64]; /* see peer_show_issuer */
};

void peer_show(const struct tls *tls, const struct presented *presented, struct peer_text *out);

/* Show the key that signed the leaf, if its certificate was sent or the program's own verification used it. */
void peer_show_issuer(const struct tls *tls, const struct presented *presented, struct peer_text *out);

#endif
