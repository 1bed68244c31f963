/* What OpenSSL knows of certificates, for core: its struct tls. */
#ifndef PINSHIM_CERTS_H
#define PINSHIM_CERTS_H

#include "ossl.h"

/* Set the functions of the library's struct tls. */
void certs_bind(struct ossl *ossl);

static inline const struct ossl *certs_library(const struct tls *tls)
{
    return (const struct ossl *)(const void *)tls;
}

static inline const struct certificate *certs_from(const X509 *certificate)
{
    return (const void *)certificate;
}

static inline const struct public_key *certs_from_key(const EVP_PKEY *key)
{
    return (const void *)key;
}

static inline X509 *certs_x509(const struct certificate *certificate)
{
    return (X509 *)(uintptr_t)certificate;
}

#endif
