/* What the shim keeps of a client's SSL, and what every other part needs to know of it. */
#ifndef PINSHIM_CONN_H
#define PINSHIM_CONN_H

#include "callbacks.h"
#include "evaluation.h"

enum phase { PHASE_UNJUDGED = 0, PHASE_REFUSED, PHASE_CONFIRMED };

/* Early data: whether the program may go on to write it. A read does not end it. */
enum early { EARLY_NONE = 0, EARLY_BEGINS /* the ClientHello is not out yet */, EARLY_FLOWS };

/* Why early data could not be written, and for which target. */
struct unsaid {
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    char reason[700];
};

/* What is kept of a client's SSL. */
struct conn {
    struct ossl_attached attached;
    enum phase phase;
    bool logged; /* this connection's refusal or report */
    bool mode_changed; /* the verify mode below is the program's, and to be restored */
    int mode;
    X509 *leaf; /* the certificate that was accepted last; a reference */
    bool proven; /* its handshake was finished and confirmed */
    struct callbacks callbacks; /* what the program set on this SSL itself */
    bool driven; /* see conn_is_driven */
    bool withheld; /* something that needs no certificate was not offered */
    bool suite_refused; /* that the server has chosen */
    bool taken_off; /* a session, that may not be resumed */
    struct unsaid *unsaid; /* see handshake.c */
    enum early early;
    OSSL_HANDSHAKE_STATE early_state; /* of libssl, where nothing was read yet */
    bool acceptance_logged;
    X509 *client; /* the certificate that was offered to the server; a reference */
    bool client_is_on; /* the SSL */
    bool post_handshake_auth; /* see client_cert_allow_requests */
    SSL_SESSION *judged; /* what may be resumed; a reference */
    struct facts facts;
};

/* Return the SSL's state, NULL where there is none yet; or made, NULL when memory ran out, which the callers take for a refusal. */
struct conn *conn_of(const struct ossl *ossl, const SSL *ssl);
struct conn *conn_make(const struct ossl *ossl, SSL *ssl);

void conn_set_phase(struct conn *conn, enum phase phase);

/* Keep the certificate, or the session, in the place of the one that was kept. NULL: none. */
void conn_keep_leaf(const struct ossl *ossl, struct conn *conn, X509 *leaf);
void conn_keep_judged(const struct ossl *ossl, struct conn *conn, SSL_SESSION *session);

/* Put the program's verify mode back, where a refusal has changed it. */
void conn_restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* The callbacks of a QUIC connection run under its engine's lock, which does not nest: see docs/design.md for what may be called there. */
MUST_CHECK bool conn_is_quic(const struct ossl *ossl, const SSL *ssl);

/* Return true if libssl has ended the handshake or the connection for good: every call fails, and moves nothing. */
MUST_CHECK bool conn_has_failed(const struct ossl *ossl, const SSL *ssl);

/* Nothing of the last handshake is left. */
void conn_start_afresh(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* Return true if the connection was refused. A refused SSL is back in its first state only where somebody has reset it: by SSL_clear,
 * SSL_set_connect_state, SSL_set_accept_state, BIO_reset. Then it can only begin a new handshake. */
MUST_CHECK bool conn_is_refused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn);

/* Take a client certificate that was offered off the SSL again. */
void conn_take_client_cert_back(const struct ossl *ossl, SSL *ssl);

/* A connection that this thread has used and that was a client's and confirmed then, or a server's; and when. A client's connection that is
 * refused, begun anew or freed ends the epoch; 0 is none, where nothing stands yet. */
struct conn_known {
    const SSL *ssl;
    const struct ossl *ossl;
    uint64_t epoch;
    bool serves;
};
#define CONN_KNOWN 16
extern _Thread_local struct conn_known conn_known[CONN_KNOWN];
extern _Atomic uint64_t conn_epoch;

/* A client certificate was offered, or early data written, on some connection: reads are looked at (handshake_was_read). */
extern _Atomic bool conn_looks_at_reads;

/* Return where it stands if it is known. */
static inline struct conn_known *conn_known_place(const SSL *ssl)
{
    return &conn_known[((uintptr_t)ssl >> 4 ^ (uintptr_t)ssl >> 11) % CONN_KNOWN];
}

/* Return the library of a connection on which data may flow, without a look at its state; NULL where that takes handshake_ensure. Nearly every call.
 * A server's may have become a client's since, or have been freed, and its memory be another one's, of another library even. */
static inline const struct ossl *conn_sure(const SSL *ssl)
{
    const struct conn_known *known = conn_known_place(ssl);

    if (known->ssl != ssl || known->epoch != atomic_load_explicit(&conn_epoch, memory_order_acquire))
        return NULL;
    if (known->serves ? ossl_has_made(known->ossl, ssl) && known->ossl->SSL_is_server(ssl) : known->ossl->SSL_is_init_finished(ssl))
        return known->ossl;
    return NULL;
}

/* Return the shutdown state that may be set where the program asks for `mode`: a refused connection stays shut. */
MUST_CHECK int conn_shutdown_mode(const struct ossl *ossl, const SSL *ssl, int mode);

/* The program sets a verify mode of its own: the one that a refusal is to put back is forgotten. */
void conn_forget_mode(const struct ossl *ossl, SSL *ssl);

/* Return true while a handshake function of handshake.c drives the handshake, and will judge what it finishes. */
MUST_CHECK bool conn_is_driven(const struct ossl *ossl, const SSL *ssl);

/* Return what a program set on this SSL, NULL where that is nothing; or made, NULL where memory ran out. */
struct callbacks *conn_callbacks(const struct ossl *ossl, const SSL *ssl);
struct callbacks *conn_callbacks_make(const struct ossl *ossl, SSL *ssl);

/* The same of the SSL or, with `ssl` NULL, of the SSL_CTX; NULL where memory ran out. Then nothing may be offered. */
struct callbacks *conn_callbacks_of(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl);

/* SSL_new has returned a new SSL: it keeps what its SSL_CTX has now. */
void conn_made(const struct ossl *ossl, SSL *ssl);

/* SSL_dup has made `copy` of an SSL: it keeps what libssl has copied. */
void conn_copied(const struct ossl *ossl, SSL *copy, const SSL *from);

/* The program names the peer of a QUIC connection. */
void conn_set_peer(const struct ossl *ossl, SSL *ssl, const BIO_ADDR *address);

#endif
