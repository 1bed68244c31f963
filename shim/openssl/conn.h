/* One client connection: when it is judged, and what follows. Every function here leaves errno and the error queue as the
 * library's own function would, but for the errors that a refusal raises. */
#ifndef PINSHIM_CONN_H
#define PINSHIM_CONN_H

#include "hearing.h"
#include "offer.h"
#include "peer.h"

/* A verification that libssl runs for a certificate that it received. What is to be judged is taken before the program's own callback
 * sees it, which may set the whole of it up anew. */
struct door {
    SSL *ssl; /* NULL: none, as in a program that verifies by itself */
    bool own; /* libssl asked, not a program that may verify any certificate beside any SSL */
    struct shown shown;
};

void conn_door_open(const struct ossl *ossl, X509_STORE_CTX *ctx, bool own, struct door *door);

/* Judge the peer inside the handshake. `result` is what the program's own verification said. Return what libssl is to go on with: `result`, or
 * 0 for a refusal, which is then fatal to the handshake whatever the program's verify mode. */
MUST_CHECK int conn_door_judge(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct door *door, int result);

/* Run the handshake function `real` on `ssl` and judge what it finished. Return what it returned, or -1 for a refusal. */
MUST_CHECK int conn_handshake(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *));

enum conn_call {
    CONN_WRITES,
    CONN_READS,
    CONN_SENDS_FILE,
    CONN_INNER, /* libssl's own call, or one that was jumped to from a callback that libssl called */
};

/* Make sure that data may flow on `ssl`: a client's unfinished handshake is driven and judged first. Return true if so; else the
 * caller returns its failure value, and the library's state and errors say why. A read on a connection that was confirmed may
 * run a renegotiation by itself, as it must where data arrives in between; a new certificate is judged at the door. An inner call drives
 * nothing, but what it finds finished is judged. */
MUST_CHECK bool conn_ready(const struct ossl *ossl, SSL *ssl, enum conn_call call);

/* A call that reads returned `result`: take off a client certificate that the server got meanwhile; if the server ended the connection over it, say
 * so. Between two writes of early data, judge what the read has driven. Return true if the program may have what was read; else the
 * caller takes it back and returns its failure value. Does nothing where conn_looks_at_reads is false. */
MUST_CHECK bool conn_was_read(const struct ossl *ossl, SSL *ssl, int result);
extern _Atomic bool conn_looks_at_reads;

/* Judge the server anew that asks for a client certificate. Return the one to offer, or NULL. It is held by `out`, of hearing_make, which
 * is to be ended in either case. */
MUST_CHECK const struct client_cert *conn_hear_client(const struct ossl *ossl, SSL *ssl, struct hearing *out);

/* The client certificate `leaf`, a reference that is taken, was put on the SSL. */
void conn_gave_client(const struct ossl *ossl, SSL *ssl, X509 *leaf, struct hearing *hearing);

/* Take it off again. */
void conn_take_client_back(const struct ossl *ossl, SSL *ssl);

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

/* Return where it stands if it is known. */
static inline struct conn_known *conn_known_place(const SSL *ssl)
{
    return &conn_known[((uintptr_t)ssl >> 4 ^ (uintptr_t)ssl >> 11) % CONN_KNOWN];
}

/* Return the library of a connection on which data may flow, without a look at its state; NULL where that takes conn_ready. Nearly every call.
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

/* Let a client send early data only on a session that may be resumed for its target now. Return true if the real call may run. */
MUST_CHECK bool conn_ready_early(const struct ossl *ossl, SSL *ssl);

/* That call returned `result`. */
void conn_was_early(const struct ossl *ossl, SSL *ssl, int result);

/* A client's handshake begins on `ssl`, however it is driven: take down what it is to be judged by, and take off a session that may
 * not be resumed for its target. */
void conn_begin(const struct ossl *ossl, SSL *ssl);

/* Return true if the session may be resumed: the rules in force now, for this target, are satisfied by the certificate that its peer
 * has proven to this process. Nothing is logged: without the session the peer has to show its certificate. */
MUST_CHECK bool conn_may_resume(const struct ossl *ossl, SSL *ssl, SSL_SESSION *session);

/* Return true if a peer without a certificate would be refused for this target, or may be when more of it is known. Then something is not
 * offered, which is logged if the handshake fails. */
MUST_CHECK bool conn_withholds(const struct ossl *ossl, SSL *ssl);

/* Return true if the target will be known better when the server has chosen a suite, and no rule that holds already refuses one without a
 * certificate: then conn_refuses_suite decides. */
MUST_CHECK bool conn_judges_suite(const struct ossl *ossl, SSL *ssl);

/* The same where the server has chosen a suite without a certificate: if it may not, the handshake fails as a refusal. */
MUST_CHECK bool conn_refuses_suite(const struct ossl *ossl, SSL *ssl);

/* Return true while a handshake function of this module drives the handshake, and will judge what it finishes. */
MUST_CHECK bool conn_is_driven(const struct ossl *ossl, const SSL *ssl);

/* Return what a program set on this SSL, NULL where that is nothing; or made, NULL where memory ran out. */
struct offer *conn_offer(const struct ossl *ossl, const SSL *ssl);
struct offer *conn_offer_make(const struct ossl *ossl, SSL *ssl);

/* SSL_new has returned a new SSL: it keeps what its SSL_CTX has now. */
void conn_made(const struct ossl *ossl, SSL *ssl);

/* SSL_dup has made `copy` of an SSL: it keeps what libssl has copied. */
void conn_copied(const struct ossl *ossl, SSL *copy, const SSL *from);

/* The program names the peer of a QUIC connection. */
void conn_set_peer(const struct ossl *ossl, SSL *ssl, const BIO_ADDR *address);

/* Run the real SSL_clear: the SSL starts afresh, as the program had set it up. */
MUST_CHECK int conn_clear(const struct ossl *ossl, SSL *ssl);

#endif
