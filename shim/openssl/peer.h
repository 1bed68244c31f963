/* What a peer presented, read with the OpenSSL that received it. */
#ifndef PINSHIM_PEER_H
#define PINSHIM_PEER_H

#include "digest.h"

/* Digests of one leaf, as far as they were computed. */
struct peer_digests {
    bool known[PIN_CERT + 1][DIGESTS];
    uint8_t bytes[PIN_CERT + 1][DIGESTS][DIGEST_MAX];
};

/* What a peer has shown. All NULL: a peer without a certificate. */
struct shown {
    X509 *leaf;
    EVP_PKEY *raw_key; /* without a certificate (RFC 7250) */
    const void *chain; /* a stack of the certificates that it sent */
    const void *verified; /* a stack of those that the program's verification used: it may have issuers of its own */
    const void *elsewhere; /* the same of one that it ran by itself, beside libssl's */
    const struct peer_digests *digests; /* the leaf's, from when it was judged before; NULL: none */
};

/* The same for policy.c; `peer` first. */
struct evidence {
    struct peer peer;
    const struct ossl *ossl;
    struct shown shown;
    struct paths *paths; /* path.c's, made when first asked for */
};

static inline const struct evidence *peer_evidence(const struct peer *peer)
{
    return (const struct evidence *)peer;
}

/* Compute of what was shown the digests that `pins` ask for and that are not known. Errors leave a digest unknown, so that it matches
 * nothing. The caller marks the error queue, and ends with peer_forget. */
void peer_read(const struct ossl *ossl, const struct pins *pins, const struct shown *shown, struct evidence *out);
void peer_forget(struct evidence *evidence);

/* Keep the digests that are known of the peer. */
void peer_keep(const struct peer *peer, struct peer_digests *out);

/* The peer as the log shows it. Each is empty where there is nothing. */
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

void peer_show(const struct ossl *ossl, const struct shown *shown, struct peer_text *out);

/* Show the key that signed the leaf, where its certificate was sent, or used by the program's own verification. */
void peer_show_issuer(const struct ossl *ossl, const struct shown *shown, struct peer_text *out);

#endif
