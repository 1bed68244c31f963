/* What the shim keeps of an SSL_CTX: the callbacks that the program has set on it. */
#ifndef PINSHIM_CONTEXT_H
#define PINSHIM_CONTEXT_H

#include "callbacks.h"

struct context {
    struct ossl_attached attached;
    struct callbacks callbacks;
    ossl_security_callback initial; /* the library's own */
    struct verification verification;
};

/* Return what is kept of it, NULL where that is nothing; or made, NULL where memory ran out. `ctx` may be NULL. */
struct context *context_of(const struct ossl *ossl, const SSL_CTX *ctx);
struct context *context_make(const struct ossl *ossl, SSL_CTX *ctx);

/* Return what the program set on the SSL_CTX; NULL: nothing. */
const struct callbacks *context_callbacks(const struct ossl *ossl, const SSL_CTX *ctx);

/* Return the SSL_CTX's own verification callbacks, made if there are none; NULL where memory ran out. */
struct verification *context_verification(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if the program set nothing of it. */
bool callbacks_are_empty(const struct callbacks *callbacks);

#endif
