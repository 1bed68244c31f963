/* The start of a client's handshake. */
#ifndef PINSHIM_START_H
#define PINSHIM_START_H

#include "conn.h"

/* Say before and after a query about suites that no handshake starts in it; afterwards with the value returned before. */
bool start_asking(bool asking);

/* A client's handshake starts on `ssl`, however it is driven: record the facts by which it will be judged, and remove a session that may
 * not be resumed for its target. */
void start_handshake(const struct ossl *ossl, SSL *ssl);

/* The same if there is a state already. The caller marks the error queue and preserves errno. */
void start_known(const struct ossl *ossl, SSL *ssl, struct conn *conn);

#endif
