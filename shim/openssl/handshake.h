/* Handshake functions and I/O calls of a client: a handshake that they finish is judged before data moves. Every function here leaves errno and the
 * error queue as the library's own function would, except for the errors of a refusal. */
#ifndef PINSHIM_HANDSHAKE_H
#define PINSHIM_HANDSHAKE_H

#include "conn.h"

/* Run the handshake function `real` on `ssl` and judge the handshake if it is finished. Return its result, or -1 for a refusal. */
MUST_CHECK int handshake_run(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *));

enum handshake_call {
    CALL_WRITES,
    CALL_READS,
    CALL_SENDS_FILE,
    CALL_INNER, /* libssl's own call, or a jump from a callback that libssl called */
};

/* Make sure that data may move on `ssl`: a client's unfinished handshake is driven and judged first. Return true if so; else the
 * caller returns its failure value, and the library's state and errors say why. A read on a confirmed connection may
 * run a renegotiation by itself, as it must when data arrives in between; the verify hook judges a new certificate. An inner call drives
 * no handshake, but a finished one is judged. */
MUST_CHECK bool handshake_ensure(const struct ossl *ossl, SSL *ssl, enum handshake_call call);

/* A call that reads has returned `result`: remove a client certificate that the server has got meanwhile; if the server ended the connection because
 * of it, log that. Between two writes of early data, judge the handshake as far as the read has driven it. Return true if the program may have the
 * data; else the caller erases it and returns its failure value. Does nothing while conn_looks_at_reads is false. */
MUST_CHECK bool handshake_was_read(const struct ossl *ossl, SSL *ssl, int result);

/* Allow early data only on a session that may be resumed for its target now. Return true if the real call may run. */
MUST_CHECK bool handshake_ready_early(const struct ossl *ossl, SSL *ssl);

/* The real call has returned `result`. */
void handshake_was_early(const struct ossl *ossl, SSL *ssl, int result);

/* Run the real SSL_clear: the SSL starts afresh, as the program has set it up. */
MUST_CHECK int handshake_clear(const struct ossl *ossl, SSL *ssl);

#endif
