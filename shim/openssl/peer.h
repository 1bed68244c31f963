/* What a peer presented, read with the OpenSSL that received it. */
#ifndef PINSHIM_PEER_H
#define PINSHIM_PEER_H

#include "digest.h"

/* Digests of one leaf, those that were computed. */
struct peer_digests {
    bool known[PIN_CERT + 1][DIGESTS];
    uint8_t bytes[PIN_CERT + 1][DIGESTS][DIGEST_MAX];
};

/* What a peer has presented. All NULL: a peer without a certificate. */
struct presented {
    X509 *leaf;
    EVP_PKEY *raw_key; /* without a certificate (RFC 7250) */
    const void *chain; /* a stack of the certificates that it sent */
    const void *verified; /* a stack of those that the program's verification used: its store may have other issuers */
    const void *elsewhere; /* the same for a verification that the program ran itself, in a callback of libssl's */
    const struct peer_digests *digests; /* the leaf's, from an earlier judgement; NULL: none */
};

/* The same for policy.c; `peer` first. */
struct evidence {
    struct peer peer;
    const struct ossl *ossl;
    struct presented presented;
    struct paths *paths; /* path.c's, made when first needed */
};

static inline const struct evidence *peer_evidence(const struct peer *peer)
{
    return (const struct evidence *)peer;
}

/* Compute the digests that `pins` ask for and that are not known yet. A digest that cannot be computed stays unknown and matches
 * nothing. The caller marks the error queue, and calls peer_forget at the end. */
void peer_read(const struct ossl *ossl, const struct pins *pins, const struct presented *presented, struct evidence *out);
void peer_forget(struct evidence *evidence);

/* Copy the peer's known digests to `out`. */
void peer_keep(const struct peer *peer, struct peer_digests *out);

/* The peer as the log shows it. Empty: nothing to show. */
struct peer_text {
    char spki[64];
    char cert[64];
    char subject[320];
    char issuer[320];
    char not_after[40]; /* RFC 3339, UTC */
    char issuer_spki[64]; /* see peer_show_issuer */
};

/* Write the subject of a certificate, escaped. */
void peer_show_subject(const struct ossl *ossl, const X509 *certificate, char *out, size_t size);

void peer_show(const struct ossl *ossl, const struct presented *presented, struct peer_text *out);

/* Show the key that signed the leaf, if its certificate was sent or the program's own verification used it. */
void peer_show_issuer(const struct ossl *ossl, const struct presented *presented, struct peer_text *out);

#endif
