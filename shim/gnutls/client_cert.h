/* The client certificate of a rule, offered to a server that has satisfied the rule, unless the program has its own. */
#ifndef PINSHIM_GTLS_CLIENT_CERT_H
#define PINSHIM_GTLS_CLIENT_CERT_H

#include "credentials.h"
#include "decide.h"

/* A handshake starts: be asked when the server asks for a certificate, if some rule has one. */
void gtls_client_cert_arm(struct conn *conn);

/* The program sets the function that retrieves its certificate, of one of three kinds, or none. */
void gtls_client_cert_set(const struct gtls *gtls, gnutls_certificate_credentials_t object, gnutls_certificate_retrieve_function *function,
    gnutls_certificate_retrieve_function2 *function2, gnutls_certificate_retrieve_function3 *function3);

/* The verify hook has accepted the server. Return false if a certificate was chosen before, as under TLS 1.3, that this server may not get. */
MUST_CHECK bool gtls_client_cert_stays(struct conn *conn);

/* The handshake is finished: log if the certificate was not sent. */
void gtls_client_cert_settle(struct conn *conn);

/* A handshake or a call that receives has failed: the server may have refused the certificate. */
void gtls_client_cert_follow(struct conn *conn, ssize_t result);

#endif
