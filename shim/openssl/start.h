/* The start of a client's handshake. */
#ifndef PINSHIM_START_H
#define PINSHIM_START_H

#include "conn.h"

/* Say before and after a query about suites that no handshake starts in it; afterwards with the value returned before. This is said in errno, which
 * libssl's state machine clears when it starts: so it ends even if a callback leaves the query by a jump. */
int start_asking(void);
void start_asked(int before);
MUST_CHECK bool start_is_asked(void);

/* A client's handshake starts on `ssl`, and not only a query, however it is driven: record the facts by which it will be judged, and remove a session that may
 * not be resumed for its target. libssl says so once for each version that it may offer: `alone` is true if no code of the program has run before
 * this call, since the last. */
void start_handshake(const struct ossl *ossl, SSL *ssl, bool alone);

/* The same if there is a state already. The caller marks the error queue and preserves errno. */
void start_known(const struct ossl *ossl, SSL *ssl, struct conn *conn);

#endif
