/* What the shim keeps for a client's SSL, and what all other files need to know of it. */
#ifndef PINSHIM_CONN_H
#define PINSHIM_CONN_H

#include "callbacks.h"
#include "certs.h"
#include "evaluation.h"
#include "facts.h"
#include "state.h"

enum phase { PHASE_UNJUDGED = 0, PHASE_REFUSED, PHASE_CONFIRMED };

/* Early data: whether the program may continue to write it. A read does not end it. */
enum early { EARLY_NONE = 0, EARLY_BEGINS /* the ClientHello is not out yet */, EARLY_FLOWS };

/* Why early data could not be written, and to which target. */
struct early_failure {
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    char reason[700];
};

/* What is kept for a client's SSL. */
struct conn {
    struct attached attached;
    const struct ossl *ossl; /* made it */
    enum phase phase;
    struct logged logged;
    bool mode_changed; /* the verify mode was changed; `mode` is the program's, to be restored */
    int mode;
    X509 *leaf; /* the certificate that was accepted last; a reference */
    const X509 *verifying; /* the leaf that libssl verifies now; only compared */
    bool proven; /* its handshake was finished and confirmed */
    struct callbacks callbacks; /* what the program set on this SSL itself */
    bool driven; /* see conn_is_driven */
    bool left; /* a handshake was left by a jump, or its thread was cancelled in it: libssl takes itself to be in its midst for ever */
    bool writes_early; /* SSL_write_early_data is running, or was left so */
    bool starting; /* the handshake that is driven has just been prepared, and nothing of the program has run since: see start_handshake */
    bool unseen; /* it counts by within_unseen */
    bool followed; /* the shim hears of the end of the handshake: see unseen.c */
    ossl_info_callback info; /* the program's, while the shim's is set: see unseen.c */
    bool withheld; /* a session or something that needs no certificate was not offered */
    bool callbacks_removed; /* the program may have had callbacks for pre-shared keys or secrets, which were removed */
    bool lacks_offer; /* the server has ended the handshake, as one does for which too little was offered */
    bool is_without; /* and so there was nothing to offer */
    bool suite_refused; /* the suite that the server has chosen was refused */
    bool taken_off; /* a session that may not be resumed was removed */
    struct early_failure *early_failure; /* logged if the program gives up */
    enum early early;
    OSSL_HANDSHAKE_STATE early_state; /* libssl's state before anything was read */
    X509 *client; /* the certificate that was offered to the server; a reference */
    bool client_is_set; /* it is set on the SSL */
    bool post_handshake_auth; /* see client_cert_allow_requests */
    SSL_SESSION *judged; /* the session that may be resumed; a reference */
    struct facts facts;
    struct proxy_request *request; /* to a proxy, within this connection; NULL: none */
};

/* Return the SSL's state, NULL if there is none yet. conn_make makes it then, and returns NULL when memory ran out, which callers treat as a refusal.
 * */
struct conn *conn_of(const struct ossl *ossl, const SSL *ssl);
struct conn *conn_make(const struct ossl *ossl, SSL *ssl);

/* Call this before what is kept for an SSL is used in a handshake: processes may share OpenSSL's memory, with functions of the program's own for it, and another
 * one may have freed the SSL and made one at its address. What is kept is forgotten if this handshake is not the one that was seen here. */
void conn_forget_others(const struct ossl *ossl, const SSL *ssl);

void conn_set_phase(struct conn *conn, enum phase phase);

/* Keep the certificate, or the session, instead of the previous one. NULL: none. */
void conn_keep_leaf(const struct ossl *ossl, struct conn *conn, X509 *leaf);
void conn_keep_judged(const struct ossl *ossl, struct conn *conn, SSL_SESSION *session);

/* Restore the program's verify mode if a refusal has changed it. */
void conn_restore_mode(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* The callbacks of a QUIC connection run under its engine's lock, which is not recursive: docs/design.md lists what they may call. */
MUST_CHECK bool conn_is_quic(const struct ossl *ossl, const SSL *ssl);

/* Return true if the handshake or the connection has failed for good: every call fails, and moves no data. */
MUST_CHECK bool conn_has_failed(const struct ossl *ossl, const SSL *ssl);

/* Forget everything about the last handshake. */
void conn_start_afresh(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* Return true if the connection was refused. A refused SSL is in its initial state again only if it was reset: by SSL_clear,
 * SSL_set_connect_state, SSL_set_accept_state or BIO_reset. Then it can only start a new handshake. */
MUST_CHECK bool conn_is_refused(const struct ossl *ossl, const SSL *ssl, const struct conn *conn);

/* Remove from the SSL a client certificate that was set to be offered. */
void conn_take_client_cert_back(const struct ossl *ossl, SSL *ssl);

/* A connection that this thread has used and that was then a confirmed client's, or a server's; and the epoch of that moment. The epoch ends when
 * any client's connection is refused, restarted or freed; 0 marks an empty place. */
struct conn_known {
    const SSL *ssl;
    const struct ossl *ossl;
    uint64_t epoch;
    bool serves;
};
#define CONN_KNOWN 16
extern _Thread_local struct conn_known conn_known[CONN_KNOWN];
extern _Atomic uint64_t conn_epoch;

/* A client certificate was offered, or early data written, on some connection: reads must be examined (handshake_was_read). */
extern _Atomic bool conn_looks_at_reads;

/* Return the place where the connection is, if it is known. */
static inline struct conn_known *conn_known_place(const SSL *ssl)
{
    return &conn_known[((uintptr_t)ssl >> 4 ^ (uintptr_t)ssl >> 11) % CONN_KNOWN];
}

/* Return the library of a connection on which data may flow, without reading its state; NULL if handshake_ensure is needed. Nearly every call ends
 * here. A server's SSL may have become a client's since; or it may have been freed, and its memory may belong to another one, even of another
 * library. */
static inline const struct ossl *conn_sure(const SSL *ssl)
{
    const struct conn_known *known = conn_known_place(ssl);
    const struct ossl *ossl = known->ossl;

    if (known->ssl != ssl || known->epoch != atomic_load_explicit(&conn_epoch, memory_order_acquire))
        return NULL;
    return (known->serves ? ossl_has_made(ossl, ssl) && ossl->SSL_is_server(ssl) : ossl->SSL_is_init_finished(ssl)) ? ossl : NULL;
}

/* Return the shutdown state to set when the program asks for `mode`: a refused connection stays shut down. */
MUST_CHECK int conn_shutdown_mode(const struct ossl *ossl, const SSL *ssl, int mode);

/* The program sets a verify mode: forget the one that would be restored after a refusal. */
void conn_forget_mode(const struct ossl *ossl, SSL *ssl);

/* Return true while handshake.c drives the handshake, and will confirm it at its completion. */
MUST_CHECK bool conn_is_driven(const struct ossl *ossl, const SSL *ssl);

/* Return the callbacks that the program set on this SSL, NULL if none. conn_callbacks_make makes the record; NULL when memory ran out. */
struct callbacks *conn_callbacks(const struct ossl *ossl, const SSL *ssl);
struct callbacks *conn_callbacks_make(const struct ossl *ossl, SSL *ssl);

/* The same for the SSL or, with `ssl` NULL, for the SSL_CTX; NULL when memory ran out. Then nothing may be offered. */
struct callbacks *conn_callbacks_of(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl);

/* SSL_new has returned a new SSL: it keeps the callbacks that its SSL_CTX has now. */
void conn_made(const struct ossl *ossl, SSL *ssl);

/* SSL_dup has made `copy`: it keeps the callbacks that libssl has copied. */
void conn_copied(const struct ossl *ossl, SSL *copy, const SSL *from);

/* The program sets the peer's address of a QUIC connection. */
void conn_set_peer(const struct ossl *ossl, SSL *ssl, const BIO_ADDR *address);

#endif
