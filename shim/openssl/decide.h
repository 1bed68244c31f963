/* Decisions about one peer, by what it has presented or in advance. */
#ifndef PINSHIM_DECIDE_H
#define PINSHIM_DECIDE_H

#include "conn.h"

/* Evaluate the peer by what it has presented (evaluate), as one of the target that these facts identify. The caller marks the error queue. */
MUST_CHECK enum verdict decide_by_facts(const struct ossl *ossl, SSL *ssl, const struct facts *facts, const struct presented *presented,
    struct evaluation *out);
enum verdict decide_evaluate(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, struct evaluation *out);

/* Log the evaluation (report). */
void decide_report(const struct ossl *ossl, SSL *ssl, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict);

/* Decide on the peer; log a refusal once, and an acceptance if no other decision follows this one (`last`). On acceptance `digests` (NULL: not
 * wanted) become those of its leaf. `conn` NULL: memory ran out. */
MUST_CHECK enum decision decide(const struct ossl *ossl, SSL *ssl, struct conn *conn, const struct presented *presented, bool last,
    struct peer_digests *digests);

/* What the peer has presented up to now, as libssl keeps it. Return the leaf, a reference. */
X509 *decide_presented(const struct ossl *ossl, SSL *ssl, struct presented *out);

/* Return true if the session may be resumed: the certificate that its peer has proven to this process satisfies the rules in force now
 * for this target. Nothing is logged: without the session the peer has to present its certificate. The caller of decide_may_resume marks the
 * error queue. */
MUST_CHECK bool decide_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session);
MUST_CHECK bool decide_offers_session(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session);

/* Return true if a peer without a certificate would be refused for this target, or might be when more of the target is known. Then
 * something is not offered, which is logged if the handshake fails. */
MUST_CHECK bool decide_withholds(const struct ossl *ossl, SSL *ssl);

/* Return true if more of the target will be known when the server has chosen a suite, and no rule that applies already refuses a suite without a
 * certificate: then decide_refuses_suite decides. */
MUST_CHECK bool decide_when_chosen(const struct ossl *ossl, SSL *ssl);

/* The server has chosen a suite without a certificate. Return true if that must be refused; the handshake then fails as a refusal. */
MUST_CHECK bool decide_refuses_suite(const struct ossl *ossl, SSL *ssl);

#endif
