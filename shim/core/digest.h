/* Digests of certificates and raw public keys. */
#ifndef PINSHIM_DIGEST_H
#define PINSHIM_DIGEST_H

#include "policy.h"
#include "tls.h"

/* Write to `out` the digest of the certificate (PIN_CERT) or of its SubjectPublicKeyInfo. Return false if it has none. */
MUST_CHECK bool digest_bytes(struct bytes certificate, enum pin_kind kind, enum digest digest, uint8_t *out);

/* The same. Return false also if it cannot be encoded. */
MUST_CHECK bool digest_certificate(const struct tls *tls, const struct certificate *certificate, enum pin_kind kind, enum digest digest, uint8_t *out);

/* Return a number for these bytes, not 0. Anybody can find others that have the same. */
uint64_t digest_short(const void *bytes, size_t length);

/* Add to `out` the digests of the leaf, or of the raw public key, that are `wanted` and not known yet. */
void digest_peer(const struct tls *tls, const bool wanted[PIN_KINDS][DIGESTS], const struct presented *presented, struct peer *out);

#endif
