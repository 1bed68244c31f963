/* The program's own verification callbacks. */
#ifndef PINSHIM_VERIFY_H
#define PINSHIM_VERIFY_H

#include "ossl.h"

/* Set a verification callback of the program's that the verdict stands above. NULL goes back to the library's own. */
void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, int (*callback)(X509_STORE_CTX *, void *), void *arg);

#endif
