/* The program's own verification callbacks. */
#ifndef PINSHIM_VERIFY_H
#define PINSHIM_VERIFY_H

#include "ossl.h"

typedef int verify_callback(X509_STORE_CTX *, void *);

#define VERIFY_PLACES 16

/* What stands on an SSL_CTX of them, with their arguments: libssl holds the two apart, and programs swap them for each connection. */
struct verification {
    const struct ossl *ossl;
    _Atomic uint64_t tickets; /* that were drawn to set one */
    _Atomic uint64_t current; /* the ticket of the one in force; 0: none */
    struct verify_place {
        _Atomic uint64_t ticket; /* of the one that stands here */
        _Atomic(verify_callback *) function; /* NULL: X509_verify_cert */
        _Atomic(void *) arg;
    } places[VERIFY_PLACES];
};

/* Set a verification callback of the program's that the verdict stands above. NULL goes back to the library's own. */
void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_callback *callback, void *arg);

#endif
