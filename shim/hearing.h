/* One judgement of one peer, from what the program meant to the line in the log. */
#ifndef PINSHIM_HEARING_H
#define PINSHIM_HEARING_H

#include "log.h"
#include "ossl.h"
#include "pinstore.h"
#include "policy.h"

/* Everything about it. About 4 KiB: not for the stack of an ASYNC job. */
struct hearing {
    const struct pinstore *store;
    struct target target;
    struct host address;
    struct judgement judgement;
};

/* Judge the peer that shows `leaf` or, leaf NULL, `raw_key`; both NULL: no certificate. `begun`, `sni` and `wire` as for intent_read. The
 * caller marks the error queue, keeps errno and calls hearing_end. */
MUST_CHECK enum verdict hearing_hold(const struct ossl *ossl, SSL *ssl, bool begun, const char *sni, const struct host *wire,
    X509 *leaf, EVP_PKEY *raw_key, struct hearing *out);

/* Return true unless a rule for an address or a port may hold that is not known yet: the socket is not connected, or not known. */
MUST_CHECK bool hearing_knows_address(const struct hearing *hearing);

/* Return true if report mode lets this refusal pass. A fault is no verdict that it could let pass: nothing was judged. */
MUST_CHECK bool hearing_only_reported(const struct hearing *hearing);

/* Log the judgement, if such verdicts are logged. */
void hearing_log(const struct ossl *ossl, SSL *ssl, X509 *leaf, EVP_PKEY *raw_key, const struct hearing *hearing,
    enum event_verdict verdict);

/* Give back the pins that were judged by, to which the judgement points. */
void hearing_end(struct hearing *hearing);

#endif
