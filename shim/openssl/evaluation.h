/* One judgement of one peer, from what the program meant to the line in the log. */
#ifndef PINSHIM_EVALUATION_H
#define PINSHIM_EVALUATION_H

#include "facts.h"
#include "log.h"
#include "peer.h"
#include "pinstore.h"
#include "policy.h"

/* Everything about it. About 4 KiB: not for the stack of an ASYNC job, but from evaluation_new. */
struct evaluation {
    const struct pinstore *store;
    struct target target;
    struct host address;
    bool settled; /* the address is known, or never will be */
    uint16_t today; /* see struct peer */
    struct peer_digests digests; /* of the leaf, as far as they were asked for */
    struct judgement judgement;
    const char *remark; /* what is logged in the place of the judgement's reason; NULL: nothing */
    const X509 *client; /* the certificate that was offered to the server; NULL: none */
    int cancelled; /* the thread's state before it */
};

/* Return memory for one that holds no pins, or NULL; evaluation_free gives it back. In between the thread cannot be cancelled. */
MUST_CHECK struct evaluation *evaluation_new(void);
void evaluation_free(struct evaluation *evaluation);

/* Return the pins in force, as pinstore_acquire does; files that they name are read with that OpenSSL. */
MUST_CHECK const struct pinstore *evaluation_pins(const struct ossl *ossl);

/* Judge the peer by what it has shown; all of `out` is set. The caller marks the error queue, keeps errno and calls evaluation_end. */
MUST_CHECK enum verdict evaluate(const struct ossl *ossl, SSL *ssl, const struct facts *facts, const struct shown *shown,
    struct evaluation *out);

/* Give back the pins that the evaluation holds; its judgement points into them. */
void evaluation_end(struct evaluation *evaluation);

/* Return true unless more of the target may be known later, and a rule refuse it then: an address, a port, the names that were resolved to
 * it. */
MUST_CHECK bool evaluation_is_settled(const struct evaluation *evaluation);

/* Return true if report mode lets this refusal pass. A fault is no verdict that it could let pass: nothing was judged. */
MUST_CHECK bool evaluation_only_reported(const struct evaluation *evaluation);

/* Log that pins which were asked expire within two weeks, or have: once a day for each line. */
void evaluation_notice(const struct evaluation *evaluation);

/* Log the judgement, if such verdicts are logged. What is accepted without a rule is logged as unpinned. */
void evaluation_log(const struct ossl *ossl, SSL *ssl, const struct shown *shown, const struct evaluation *evaluation, enum event_verdict verdict);

#endif
