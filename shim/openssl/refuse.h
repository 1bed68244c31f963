/* Refusals as the program sees them. */
#ifndef PINSHIM_REFUSE_H
#define PINSHIM_REFUSE_H

#include "conn.h"

/* Push the error of a refusal: "certificate verify failed". */
void refuse_push_error(const struct ossl *ossl);

/* Make a call on a refused connection fail as the refusal did. */
void refuse_again(const struct ossl *ossl, SSL *ssl);

/* The connection was refused: let nothing more leave on its socket, in clear text either, once the alert has gone out; with `done` it has been written to
 * the SSL's BIO. */
void refuse_socket(const struct ossl *ossl, SSL *ssl, const struct conn *conn, bool done);

/* Log once that clients of this OpenSSL are refused because the shim cannot use it. */
void refuse_library(void);

/* Return true if the call is recognizably a server's, in a library that is not usable. An SSL of TLS_method() counts as a server until
 * SSL_connect. */
MUST_CHECK bool refuse_spares(const struct ossl *ossl, const SSL *ssl);

/* Return true if `*ssl` belongs to a usable library and was not refused; else make the call fail. If `*ssl` is a stream (QUIC), it becomes the
 * stream's connection; `*conn` becomes the connection's state, NULL if there is none yet. */
MUST_CHECK bool refuse_unless_open(const struct ossl *ossl, SSL **ssl, struct conn **conn);

#endif
