/* What the shim keeps for a client's session, and what all other files need to know of it. */
#ifndef PINSHIM_GTLS_CONN_H
#define PINSHIM_GTLS_CONN_H

#include "certs.h"
#include "evaluation.h"
#include "facts.h"
#include "state.h"
#include "within.h"

enum phase { PHASE_UNJUDGED = 0, PHASE_REFUSED, PHASE_CONFIRMED };

/* What is kept for a client's session. */
struct conn {
    struct attached attached;
    const struct gtls *gtls;
    gnutls_session_t session;
    unsigned flags; /* of gnutls_init */
    enum phase phase;
    struct logged logged;
    bool begun; /* a handshake is running, or has ended without a verdict */
    bool again; /* it follows on a confirmed one */
    bool false_start; /* it has returned, and data may be sent, but it is not finished */
    bool alerted; /* the alert of a refusal was sent */
    uint8_t *leaf; /* the certificate that was accepted last; NULL: none */
    size_t leaf_length;
    bool proven; /* its handshake was finished and confirmed */
    uint64_t signature; /* see told.c */
    gnutls_certificate_verify_function *verify; /* the program's, set on this session; NULL: none */
    bool automatic; /* see gtls_verify_set_automatic */
    unsigned automatic_status;
    gnutls_typed_vdata_st automatic_host;
    gnutls_typed_vdata_st *automatic_data;
    unsigned automatic_count;
    uint8_t *held; /* the session that the program wants to resume; NULL: none */
    size_t held_length;
    bool held_proven; /* this process has seen its peer prove the certificate */
    bool offered; /* it is offered */
    bool passed_over; /* it will not be: early data was dropped, which the server would seem to have taken */
    bool held_digested;
    struct peer_digests held_digests; /* of its peer's leaf, those that were computed */
    uint8_t *client; /* the client certificate that was chosen for the server, and its chain; NULL: none */
    size_t client_length;
    struct facts facts;
    struct proxy_request *request; /* to a proxy, within this connection; NULL: none */
};

/* Return what is kept for the session; NULL: nothing, it is a server's, or was made unseen. */
struct conn *gtls_conn_of(gnutls_session_t session);

/* gnutls_init has made a client's session: keep a state for it, until GnuTLS frees it, and set the verify hook. Return false if that fails. */
MUST_CHECK bool gtls_conn_made(const struct gtls *gtls, gnutls_session_t session, unsigned flags, gnutls_certificate_verify_function *hook);

/* A ClientHello may have been made: note its random. Return false if it is the one that was made before. */
bool gtls_conn_hear_hello(struct conn *conn);

/* Forget everything about the last handshake, but where its ClientHello was sent. */
void gtls_conn_start_afresh(struct conn *conn);

/* Keep the leaf instead of the previous one. NULL: none. */
void gtls_conn_keep_leaf(struct conn *conn, const struct certificate *leaf);

/* Keep the session to be resumed, in memory that is freed later, instead of the previous one. NULL: none. */
void gtls_conn_keep_session(struct conn *conn, uint8_t *bytes, size_t size);

/* Return true if the leaf is the one that is kept. */
MUST_CHECK bool gtls_conn_has_leaf(const struct conn *conn, const struct certificate *leaf);

/* The session whose handshake this thread drives through the shim; NULL: none. Only compared, or looked up: it may be gone if the handshake was left by a
 * jump. */
extern _Thread_local gnutls_session_t gtls_conn_driven;

#endif
