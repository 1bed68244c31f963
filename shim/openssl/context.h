/* What the shim keeps for an SSL_CTX: the callbacks that the program has set on it. */
#ifndef PINSHIM_CONTEXT_H
#define PINSHIM_CONTEXT_H

#include "callbacks.h"
#include "state.h"

struct context {
    struct attached attached;
    struct callbacks callbacks;
    ossl_security_callback initial; /* the library's own */
    _Atomic bool seen; /* the program's calls come through the shim */
    _Atomic(ossl_session_callback) new_session[2]; /* the program's, if the shim has wrapped them: see unseen.c */
    _Atomic int last_session; /* which of them was wrapped last */
    struct verification verification;
    _Atomic(X509 *) last_leaf; /* a reference: see session_recall */
};

/* Return what is kept for it, NULL if nothing. context_make makes it; NULL when memory ran out. `ctx` may be NULL. */
struct context *context_of(const struct ossl *ossl, const SSL_CTX *ctx);
struct context *context_make(const struct ossl *ossl, SSL_CTX *ctx);

/* The program has made it by a call that came through the shim. */
void context_see(const struct ossl *ossl, SSL_CTX *ctx);

/* Return true if it is not known that the program's calls for this SSL come through the shim: its SSL_CTX was made without. */
MUST_CHECK bool context_is_unseen(const struct ossl *ossl, const SSL *ssl);

/* Return the callbacks that the program set on the SSL_CTX; NULL: none. */
const struct callbacks *context_callbacks(const struct ossl *ossl, const SSL_CTX *ctx);

/* Return the SSL_CTX's verification callbacks, made if there are none; NULL when memory ran out. */
struct verification *context_verification(const struct ossl *ossl, SSL_CTX *ctx);

/* Before the program's callback for `object` is called, and after that, with what `before` was set to. Not if it is false: then calls of the shim's callback, which
 * calls the program's, which calls the shim's, which it has found, would not end. A call that was left by a jump does not count for long: its stack is used
 * again. */
MUST_CHECK bool callbacks_enter(const void *object, unsigned *before);
void callbacks_leave(unsigned before);

/* Return true if the program set none of them. */
bool callbacks_are_empty(const struct callbacks *callbacks);

#endif
