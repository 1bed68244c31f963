/* Digests of certificates and raw public keys that OpenSSL has parsed. */
#ifndef PINSHIM_DIGEST_H
#define PINSHIM_DIGEST_H

#include "ossl.h"
#include "policy.h"

/* Write to `out` the digest of the certificate (PIN_CERT) or of its SubjectPublicKeyInfo. Return false if it cannot be encoded. */
MUST_CHECK bool digest_certificate(const struct ossl *ossl, X509 *certificate, enum pin_kind kind, enum digest digest, uint8_t *out);

/* Add to `out` the digests of the leaf, or of the raw public key, that are `wanted` and not known yet. */
void digest_peer(const struct ossl *ossl, const bool wanted[PIN_KINDS][DIGESTS], X509 *leaf, EVP_PKEY *raw_key, struct peer *out);

#endif
