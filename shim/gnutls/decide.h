/* Decisions about one peer, by what it has presented or in advance. */
#ifndef PINSHIM_GTLS_DECIDE_H
#define PINSHIM_GTLS_DECIDE_H

#include "conn.h"

/* What a peer has presented, with the memory for it. */
struct gathered {
    struct presented presented;
    struct certificate leaf;
    struct certificates sent;
    struct certificates verified;
    struct public_key key;
};

/* What the peer has presented up to now, as GnuTLS keeps it. gtls_decide_forget is called at the end. */
void gtls_decide_presented(const struct conn *conn, struct gathered *out);

/* The same for these certificates, the leaf first. */
void gtls_decide_gather(const struct conn *conn, const gnutls_datum_t *sent, unsigned count, struct gathered *out);
void gtls_decide_forget(const struct conn *conn, struct gathered *gathered);

/* Evaluate the peer by what it has presented (evaluate). */
enum verdict gtls_decide_evaluate(struct conn *conn, const struct presented *presented, struct evaluation *out);

/* Log the evaluation (report). */
void gtls_decide_report(const struct conn *conn, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict);

/* Decide on the peer; log a refusal once, and an acceptance if no other decision follows this one (`last`). */
MUST_CHECK enum decision gtls_decide(struct conn *conn, const struct presented *presented, bool last);

/* Return the client certificate that was chosen for the server; without DER: none. gtls_certs_forget_one is called at the end. */
struct certificate gtls_decide_client(const struct conn *conn);

/* Return what would be decided on a peer that presents that later. Nothing is logged. `digests` become those of its leaf. */
struct outlook gtls_decide_predict(struct conn *conn, const struct presented *presented, struct peer_digests *digests);

#endif
