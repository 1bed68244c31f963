/* The verify hook: the verify function of each client's session. GnuTLS calls it whether the program has set one or not. */
#ifndef PINSHIM_GTLS_VERIFY_H
#define PINSHIM_GTLS_VERIFY_H

#include "decide.h"

/* The hook: asked by GnuTLS for each peer's certificate. */
int gtls_verify(gnutls_session_t session);

/* The program sets the verify function of a session; the hook calls it. */
void gtls_verify_set(struct conn *conn, gnutls_certificate_verify_function *function);

/* The program has had GnuTLS verify the certificate for these names (gnutls_session_set_verify_cert), after gtls_verify_set with NULL. `copy`: the data are
 * the caller's. */
void gtls_verify_set_automatic(struct conn *conn, gnutls_typed_vdata_st *data, unsigned count, bool copy);

#endif
