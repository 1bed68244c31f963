/* Sessions whose peer has proven its certificate to this process. A session from elsewhere proves nothing: anybody can write anything into it. */
#ifndef PINSHIM_GTLS_SESSION_H
#define PINSHIM_GTLS_SESSION_H

#include "decide.h"

/* The program wants to resume a session: hold it back until the handshake starts, when the target is known. Return what gnutls_session_set_data
 * would. */
int gtls_session_hold(struct conn *conn, const void *bytes, size_t size);

/* The handshake starts, or early data is to be written (`early`): offer the session that is held back if its peer satisfies the rules in force now for this
 * target. Return false if it was offered before, and may no longer be: then the connection is refused. */
MUST_CHECK bool gtls_session_offer(struct conn *conn, bool early);

/* The program has been given the connection's session. */
void gtls_session_written(struct conn *conn, const void *bytes, size_t size);

#endif
