/* What a peer presented, read with the OpenSSL that received it. */
#ifndef PINSHIM_PEER_H
#define PINSHIM_PEER_H

#include "ossl.h"
#include "policy.h"

/* Write to `out` the digest of `length` bytes, digest_size(digest) bytes (FIPS 180-4). */
void peer_hash(const struct ossl *ossl, enum digest digest, const void *bytes, size_t length, uint8_t *out);

/* Write to `out` the SHA-256 digest of the certificate's DER, 32 bytes. Return false if it cannot be encoded. */
MUST_CHECK bool peer_hash_leaf(const struct ossl *ossl, const X509 *leaf, uint8_t *out);

/* Compute of the leaf, or (leaf NULL) of the raw public key, the digests that `pins` ask for; both NULL: a peer without a
 * certificate. Errors leave a digest unknown, so that it matches nothing. The caller marks the error queue. */
void peer_read(const struct ossl *ossl, const struct pins *pins, X509 *leaf, EVP_PKEY *raw_key, struct peer *out);

/* The peer as the log shows it. Each is empty where there is nothing. */
struct peer_shown {
    char spki[64];
    char cert[64];
    char subject[320];
    char issuer[320];
    char not_after[40]; /* RFC 3339, UTC */
};

void peer_show(const struct ossl *ossl, X509 *leaf, EVP_PKEY *raw_key, struct peer_shown *out);

#endif
