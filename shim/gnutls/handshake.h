/* Handshakes, and the calls that move data. */
#ifndef PINSHIM_GTLS_HANDSHAKE_H
#define PINSHIM_GTLS_HANDSHAKE_H

#include "conn.h"

/* Run a client's handshake, and judge the peer at its completion. Return what gnutls_handshake would, or REFUSED. */
int gtls_handshake_run(struct conn *conn);

/* Return 0 if the program's data may leave; else the failure of the call: the connection is, or becomes, refused, or is not judged yet. `by_library`: GnuTLS
 * itself calls. */
MUST_CHECK int gtls_handshake_may_write(struct conn *conn, bool by_library);

/* The program has written these bytes, one or more: it may ask a proxy for a host. errno is preserved. */
void gtls_handshake_was_written(struct conn *conn, const void *bytes, size_t size);

/* Early data is to be written, which may come before the handshake. Return true if that may be. */
MUST_CHECK bool gtls_handshake_may_send_early(struct conn *conn);

/* A call that receives, which may have driven a handshake, has returned. Return false if the connection was refused. */
MUST_CHECK bool gtls_handshake_was_read(struct conn *conn, ssize_t result);

#endif
