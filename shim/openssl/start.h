/* The start of a client's handshake. */
#ifndef PINSHIM_START_H
#define PINSHIM_START_H

#include "conn.h"

/* A client's handshake starts on `ssl`, however it is driven: take down what it is to be judged by, and take off a session that may
 * not be resumed for its target. */
void start_handshake(const struct ossl *ossl, SSL *ssl);

/* The same where there is a state. The caller marks the error queue and keeps errno. */
void start_known(const struct ossl *ossl, SSL *ssl, struct conn *conn);

#endif
