/* The evaluation of one peer, from the target to the log line. */
#ifndef PINSHIM_EVALUATION_H
#define PINSHIM_EVALUATION_H

#include "facts.h"
#include "log.h"
#include "peer.h"
#include "pinstore.h"
#include "policy.h"

/* Everything about it. About 4 KiB, too much for the stack of an ASYNC job: use evaluation_new. */
struct evaluation {
    const struct pinstore *store;
    struct target target;
    struct host address;
    bool target_final; /* the address is known, or never will be */
    uint16_t today; /* see struct peer */
    struct peer_digests digests; /* of the leaf: those that the pins asked for */
    struct judgement judgement;
    const char *remark; /* logged instead of the judgement's reason; NULL: nothing */
    const X509 *client; /* the certificate that was offered to the server; NULL: none */
    int cancelled; /* the thread's cancel state before */
};

/* Return memory for an evaluation that holds no pins yet, or NULL; evaluation_free gives it back. The thread cannot be cancelled until then. */
MUST_CHECK struct evaluation *evaluation_new(void);
void evaluation_free(struct evaluation *evaluation);

/* Return the pins in force, as pinstore_acquire does; files that they name are read with that OpenSSL. */
MUST_CHECK const struct pinstore *evaluation_pins(const struct ossl *ossl);

/* Judge the peer by what it has presented; all of `out` is set. The caller marks the error queue, preserves errno and calls evaluation_end. */
MUST_CHECK enum verdict evaluate(const struct ossl *ossl, SSL *ssl, const struct facts *facts, const struct presented *presented,
    struct evaluation *out);

/* Release the pins that the evaluation uses; its judgement points into them. */
void evaluation_end(struct evaluation *evaluation);

/* Return true unless more of the target may become known (an address, a port, the names that resolved to it), by which a rule could
 * refuse it. */
MUST_CHECK bool evaluation_is_final(const struct evaluation *evaluation);

/* Return true if this refusal is only reported. A configuration fault is never only reported: nothing was judged. */
MUST_CHECK bool evaluation_only_reported(const struct evaluation *evaluation);

/* Log which of the pins that were applied have expired or will within two weeks: once a day for each line; and once in a process that no rule for a name
 * was asked, because no name was known. */
void evaluation_notice(const struct evaluation *evaluation);

/* Log the judgement, if such verdicts are logged. An acceptance without a rule is logged as unpinned. */
void evaluation_log(const struct ossl *ossl, SSL *ssl, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict);

#endif
