/* What GnuTLS knows of certificates, for core: its struct tls. */
#ifndef PINSHIM_GTLS_CERTS_H
#define PINSHIM_GTLS_CERTS_H

#include "gtls.h"

/* A certificate: its DER, which another one owns, and GnuTLS's own object, once it is needed. */
struct certificate {
    unsigned owners;
    struct bytes der;
    gnutls_x509_crt_t crt; /* NULL: not imported yet */
    bool unreadable;
};

/* Certificates, the leaf first. Nothing is read before it is needed. */
struct certificates {
    const gnutls_datum_t *sent; /* by the peer; NULL: none */
    unsigned sent_count;
    gnutls_certificate_credentials_t trusted; /* instead: the leaf, and the issuers of those sent that the program's credentials trust; NULL: none */
    bool read;
    size_t count;
    struct certificate *at;
};

/* A raw public key. */
struct public_key {
    struct bytes spki;
};

/* Set the functions of the library's struct tls. */
void gtls_certs_bind(struct gtls *gtls);

/* Free what was read of the list. */
void gtls_certs_forget(const struct gtls *gtls, struct certificates *list);

/* Free what was read of a certificate that is no list's. */
void gtls_certs_forget_one(const struct gtls *gtls, struct certificate *certificate);

static inline const struct gtls *gtls_certs_library(const struct tls *tls)
{
    return (const struct gtls *)(const void *)tls;
}

#endif
