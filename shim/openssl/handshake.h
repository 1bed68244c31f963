/* Handshake functions and I/O calls of a client: what they finish is judged before data moves. Every function here leaves errno and the error queue
 * as the library's own function would, but for the errors that a refusal raises. */
#ifndef PINSHIM_HANDSHAKE_H
#define PINSHIM_HANDSHAKE_H

#include "conn.h"

/* Run the handshake function `real` on `ssl` and judge what it finished. Return what it returned, or -1 for a refusal. */
MUST_CHECK int handshake_run(const struct ossl *ossl, SSL *ssl, int (*real)(SSL *));

enum handshake_call {
    CALL_WRITES,
    CALL_READS,
    CALL_SENDS_FILE,
    CALL_INNER, /* libssl's own call, or one that was jumped to from a callback that libssl called */
};

/* Make sure that data may move on `ssl`: a client's unfinished handshake is driven and judged first. Return true if so; else the
 * caller returns its failure value, and the library's state and errors say why. A read on a connection that was confirmed may
 * run a renegotiation by itself, as it must where data arrives in between; a new certificate is judged in the verify hook. An inner call drives
 * nothing, but what it finds finished is judged. */
MUST_CHECK bool handshake_ensure(const struct ossl *ossl, SSL *ssl, enum handshake_call call);

/* A call that reads returned `result`: take off a client certificate that the server got meanwhile; if the server ended the connection over it, say
 * so. Between two writes of early data, judge what the read has driven. Return true if the program may have what was read; else the
 * caller takes it back and returns its failure value. Does nothing where conn_looks_at_reads is false. */
MUST_CHECK bool handshake_was_read(const struct ossl *ossl, SSL *ssl, int result);

/* Let a client send early data only on a session that may be resumed for its target now. Return true if the real call may run. */
MUST_CHECK bool handshake_ready_early(const struct ossl *ossl, SSL *ssl);

/* That call returned `result`. */
void handshake_was_early(const struct ossl *ossl, SSL *ssl, int result);

/* Run the real SSL_clear: the SSL starts afresh, as the program had set it up. */
MUST_CHECK int handshake_clear(const struct ossl *ossl, SSL *ssl);

#endif
