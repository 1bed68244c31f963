/* The verify hook: the decision in the handshake, when libssl verifies a certificate that it received. */
#ifndef PINSHIM_VERIFY_H
#define PINSHIM_VERIFY_H

#include "conn.h"

/* A verification that the program runs itself in its callback, with another X509_STORE_CTX: of which leaf, and with what result. By
 * value, because a program may leave such a callback by longjmp: the leaf is only compared. */
struct beside {
    const X509 *leaf; /* NULL: no callback is running */
    void *chain; /* a stack of references; NULL: none */
};

/* What will be judged. It is captured before the program's own callback runs, which may re-initialize the X509_STORE_CTX. */
struct captured {
    SSL *ssl; /* NULL: none, as when a program verifies by itself */
    bool own; /* called by libssl, not by the program, which may verify any certificate */
    struct presented presented;
    struct beside outer; /* that of the enclosing verification */
};

void verify_capture(const struct ossl *ossl, X509_STORE_CTX *ctx, bool own, struct captured *captured);

/* The program itself has verified `ctx`, with whatever result: the certificates count as candidates alone. */
void verify_note_beside(const struct ossl *ossl, X509_STORE_CTX *ctx);

/* Judge the peer. `result` is that of the program's own verification. Return the result for libssl: `result`, or
 * 0 for a refusal, which is then fatal to the handshake whatever the program's verify mode. */
MUST_CHECK int verify_conclude(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct captured *captured, int result);

/* Set the program's verification callback, wrapped so that the verdict comes last. NULL restores the library's own. */
void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_function *callback, void *arg);

/* The same for a new SSL_CTX, on which the program has set none yet. */
void verify_arm(const struct ossl *ossl, SSL_CTX *ctx);

/* If the program has set one without a call that was seen, wrap it. */
void verify_follow(const struct ossl *ossl, SSL_CTX *ctx);

/* A second look, where the first may have been replaced unseen: libssl has taken the certificate of the peer, and is about to check its signature.
 * Return false for a refusal. */
MUST_CHECK bool verify_before_signature(const struct ossl *ossl, SSL *ssl);

#endif
