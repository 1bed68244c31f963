/* The verify hook: the decision inside the handshake, when libssl verifies a certificate that it received. */
#ifndef PINSHIM_VERIFY_H
#define PINSHIM_VERIFY_H

#include "conn.h"

/* The verification that the program runs while libssl waits for its callback: of which leaf, and what came of one with another X509_STORE_CTX. By
 * value, as such a callback may be left by longjmp: the leaf is only compared. */
struct beside {
    const X509 *leaf; /* NULL: no callback runs */
    void *chain; /* a stack of references; NULL: none */
};

/* What is to be judged is taken before the program's own callback sees it, which may set the whole of it up anew. */
struct captured {
    SSL *ssl; /* NULL: none, as in a program that verifies by itself */
    bool own; /* libssl asked, not a program that may verify any certificate beside any SSL */
    struct shown shown;
    struct beside outer; /* what this verification stands within */
};

void verify_capture(const struct ossl *ossl, X509_STORE_CTX *ctx, bool own, struct captured *captured);

/* The program has verified `ctx` by itself, with whatever result: the certificates count as candidates alone. */
void verify_note_beside(const struct ossl *ossl, X509_STORE_CTX *ctx);

/* Judge the peer. `result` is what the program's own verification said. Return what libssl is to go on with: `result`, or
 * 0 for a refusal, which is then fatal to the handshake whatever the program's verify mode. */
MUST_CHECK int verify_conclude(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct captured *captured, int result);

/* Set a verification callback of the program's that the verdict stands above. NULL goes back to the library's own. */
void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_function *callback, void *arg);

#endif
