/* Refusals as the program sees them. */
#ifndef PINSHIM_GTLS_REFUSE_H
#define PINSHIM_GTLS_REFUSE_H

#include "conn.h"

/* What each call on a refused connection returns. */
#define REFUSED GNUTLS_E_CERTIFICATE_ERROR

/* The connection was refused: send the alert, once, and let nothing more leave on its socket, in clear text either. Return REFUSED. errno is
 * preserved. */
int gtls_refuse(struct conn *conn);

#endif
