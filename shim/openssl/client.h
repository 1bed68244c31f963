/* The client certificate that a rule gives to its server: offered when that server asks for one (RFC 8446, section 4.3.2; RFC 5246, section
 * 7.4.4), in the handshake or after it, and its own certificate has satisfied the rule. What the program sets itself comes first. */
#ifndef PINSHIM_CLIENT_H
#define PINSHIM_CLIENT_H

#include "ossl.h"

/* Let libssl ask here when the server asks. For an SSL whose server was accepted by a rule that has a client certificate. */
void client_stand_ready(const struct ossl *ossl, SSL *ssl);

/* The two share their certificates from now on (SSL_copy_session_id, SSL_dup): none of a rule is offered on either. */
void client_share(const struct ossl *ossl, SSL *to, SSL *from);

/* Take the certificate that was offered off the SSL again, which is then as the program had left it. */
void client_take_back(const struct ossl *ossl, SSL *ssl, const X509 *given);

#endif
