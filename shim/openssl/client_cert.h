/* The client certificate that a rule gives to its server: offered when that server asks for one (RFC 8446, section 4.3.2; RFC 5246, section
 * 7.4.4), in the handshake or after it, and its own certificate has satisfied the rule. What the program sets itself comes first. */
#ifndef PINSHIM_CLIENT_CERT_H
#define PINSHIM_CLIENT_CERT_H

#include "conn.h"

/* Let libssl ask here when the server asks. For an SSL whose server was accepted by a rule that has a client certificate. */
void client_cert_arm(const struct ossl *ossl, SSL *ssl);

/* The two share their certificates from now on (SSL_copy_session_id, SSL_dup): none of a rule is offered on either. */
void client_cert_share(const struct ossl *ossl, SSL *to, SSL *from);

/* Where the target's rule has a client certificate, let the server ask for it after the handshake, too (RFC 8446, section 4.2.6): most
 * programs that have none do not say that they could answer. */
void client_cert_allow_requests(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* libssl waits for the server, or has finished: it has used a client certificate that was put on the SSL, or found that it does not suit what the
 * server asks for. */
void client_cert_settle(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* The same after a call that returned `result`; and if the server ended the connection over it, say so. */
void client_cert_follow(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result);

/* Set what the program sets. With `ssl` NULL of `ctx`. */
void client_cert_set_callback(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_cert_callback callback, void *arg);
void client_cert_set_post_handshake_auth(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, int enabled);

/* From now on an engine is asked for the client certificates of the SSL_CTX, before anybody else. */
void client_cert_leave_to_engine(const struct ossl *ossl, SSL_CTX *ctx);

#endif
