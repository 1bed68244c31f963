/* Refusals, as the program finds them. */
#ifndef PINSHIM_REFUSE_H
#define PINSHIM_REFUSE_H

#include "conn.h"

/* Push the error of a refusal: "certificate verify failed". */
void refuse_push_error(const struct ossl *ossl);

/* Make a call on a refused connection fail as the refusal did. */
void refuse_again(const struct ossl *ossl, SSL *ssl);

/* Say, once, that clients of this OpenSSL are refused because the shim cannot use it. */
void refuse_library(void);

/* Return true if the call can be told to be a server's, in a library that is not usable. An SSL of TLS_method() counts as one until
 * SSL_connect. */
MUST_CHECK bool refuse_spares(const struct ossl *ossl, const SSL *ssl);

/* Return true if `*ssl` is of a usable library and was not refused; else the call fails here. `*ssl` becomes its connection, where it
 * was a stream of one (QUIC); `*conn` is the connection's state, NULL where there is none yet. */
MUST_CHECK bool refuse_unless_open(const struct ossl *ossl, SSL **ssl, struct conn **conn);

#endif
