/* The evaluation of one peer: from the target to the decision. */
#ifndef PINSHIM_EVALUATION_H
#define PINSHIM_EVALUATION_H

#include "log.h"
#include "peer.h"
#include "pinstore.h"

/* Everything about it. About 4 KiB, too much for the stack of an ASYNC job: use evaluation_new. */
struct evaluation {
    /* Set by the caller of `evaluate`. */
    struct target target;
    struct host address; /* that the socket is connected to; HOST_UNREADABLE: not known */
    bool target_final; /* the address is known, or never will be */

    const struct pinstore *store;
    uint16_t today; /* see struct peer */
    struct peer_digests digests; /* of the leaf: those that the pins asked for */
    struct judgement judgement;
    const char *remark; /* logged instead of the judgement's reason; NULL: nothing */
    const struct certificate *client; /* the certificate that was offered to the server; NULL: none */
    int cancelled; /* the thread's cancel state before */
};

/* Return memory for an evaluation that holds no pins yet, or NULL; evaluation_free gives it back. The thread cannot be cancelled until then. */
MUST_CHECK struct evaluation *evaluation_new(void);
void evaluation_free(struct evaluation *evaluation);

/* Return the pins in force, as pinstore_acquire does; client certificates that they name are decoded by that library. */
MUST_CHECK const struct pinstore *evaluation_pins(const struct tls *tls);

/* The same before anything is judged: new pins that need a TLS library wait for a handshake, if there was one before. */
MUST_CHECK const struct pinstore *evaluation_prepare(void);

/* Judge the peer of `out->target` by what it has presented; all of `out` is set then. The caller preserves errno and calls evaluation_end. */
MUST_CHECK enum verdict evaluate(const struct tls *tls, const struct presented *presented, struct evaluation *out);

/* Release the pins that the evaluation uses; its judgement points into them. */
void evaluation_end(struct evaluation *evaluation);

/* Return true unless more of the target may become known (an address, a port, the names that resolved to it), by which a rule could
 * refuse it. */
MUST_CHECK bool evaluation_is_final(const struct evaluation *evaluation);

/* Return true if this refusal is only reported. A configuration fault is never only reported: nothing was judged. */
MUST_CHECK bool evaluation_only_reported(const struct evaluation *evaluation);

/* Return true if the peer may continue and a pin or pkix has accepted it, so that it must have proven its certificate's key to this process.
 * evaluation_refuse_unproven refuses it. */
MUST_CHECK bool evaluation_needs_proof(const struct evaluation *evaluation);
void evaluation_refuse_unproven(struct evaluation *evaluation);

enum decision { DECISION_REFUSE = 0, DECISION_ACCEPT, DECISION_ACCEPT_WITH_CLIENT_CERT /* the rule has one for this server */ };

/* What was logged of a connection. */
struct logged {
    bool refusal; /* a refusal or report */
    bool acceptance;
};

/* Decide on the peer that was evaluated; log a refusal once, and an acceptance if no other decision follows this one (`last`). */
MUST_CHECK enum decision evaluation_decide(const struct tls *tls, const struct presented *presented, const struct evaluation *evaluation, bool last,
    struct logged *logged);

/* What would be decided on a peer. */
struct outlook {
    bool accepted;
    bool by_pin; /* accepted by a pin or pkix, which needs proof of the key */
    bool final; /* nothing that may yet become known of the target could change the decision */
    bool open; /* not final, and nothing that is known by now refuses */
};

/* Return what would be decided, if the peer presented later what was evaluated now: a `session` with its certificate, or nothing. */
struct outlook evaluation_predict(const struct evaluation *evaluation, bool session);

#endif
