/* Names and addresses that a program checks a peer's certificate for by itself: by X509_check_host and its kin, or by a verification with an
 * X509_STORE_CTX of its own. They are the target of the connection whose peer has presented the certificate. */
#ifndef PINSHIM_TOLD_H
#define PINSHIM_TOLD_H

#include "conn.h"

/* The SSL's peer has presented `leaf`, which this thread may soon check. */
void told_expect(const struct ossl *ossl, SSL *ssl, X509 *leaf);

/* The program checks `certificate` for a host. If it is a client connection's peer's, the connection is judged for that host as well: at once if its
 * verification is over, else with it. Return false if the connection was refused, so that the check must fail. errno and the error queue are
 * preserved. */
MUST_CHECK bool told_name(const struct ossl *ossl, const X509 *certificate, const char *name, size_t length);
MUST_CHECK bool told_address(const struct ossl *ossl, const X509 *certificate, const unsigned char *address, size_t length);

/* The same for what the parameter of the program's own verification has. */
MUST_CHECK bool told_param(const struct ossl *ossl, X509_STORE_CTX *ctx);

#endif
