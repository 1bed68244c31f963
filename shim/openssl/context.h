/* What the shim keeps for an SSL_CTX: the callbacks that the program has set on it. */
#ifndef PINSHIM_CONTEXT_H
#define PINSHIM_CONTEXT_H

#include "callbacks.h"
#include "state.h"

struct context {
    struct attached attached;
    struct callbacks callbacks;
    ossl_security_callback initial; /* the library's own */
    struct verification verification;
};

/* Return what is kept for it, NULL if nothing. context_make makes it; NULL when memory ran out. `ctx` may be NULL. */
struct context *context_of(const struct ossl *ossl, const SSL_CTX *ctx);
struct context *context_make(const struct ossl *ossl, SSL_CTX *ctx);

/* Return the callbacks that the program set on the SSL_CTX; NULL: none. */
const struct callbacks *context_callbacks(const struct ossl *ossl, const SSL_CTX *ctx);

/* Return the SSL_CTX's verification callbacks, made if there are none; NULL when memory ran out. */
struct verification *context_verification(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if the program set none of them. */
bool callbacks_are_empty(const struct callbacks *callbacks);

#endif
