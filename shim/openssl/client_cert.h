/* The client certificate of a rule. It is offered when the server asks for one (RFC 8446, section 4.3.2; RFC 5246, section
 * 7.4.4), in the handshake or after it, and the server's own certificate has satisfied the rule. A certificate that the program sets goes first. */
#ifndef PINSHIM_CLIENT_CERT_H
#define PINSHIM_CLIENT_CERT_H

#include "conn.h"

/* Install the callback with which libssl asks for a client certificate. For an SSL whose server was accepted by a rule that has one. */
void client_cert_arm(const struct ossl *ossl, SSL *ssl);

/* For a client whose calls are not seen, in place of the callback: the server is about to prove its key. Set the certificate of its rule, unless the
 * program has set one. Return false if the handshake must fail. */
MUST_CHECK bool client_cert_offer_unseen(const struct ossl *ossl, SSL *ssl);

/* The two SSLs share their certificates from now on (SSL_copy_session_id, SSL_dup): a rule's certificate is offered on neither. */
void client_cert_share(const struct ossl *ossl, SSL *to, SSL *from);

/* If the target's rule has a client certificate, let the server ask for it after the handshake, too (RFC 8446, section 4.2.6): most
 * programs without a client certificate do not offer that. */
void client_cert_allow_requests(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* libssl waits for the server or has finished: it has used the client certificate that was set on the SSL, or found that it does not fit the
 * server's request. */
void client_cert_settle(const struct ossl *ossl, SSL *ssl, struct conn *conn);

/* The same after a call that returned `result`. If the server ended the connection because of the client certificate, log that. */
void client_cert_follow(const struct ossl *ossl, SSL *ssl, struct conn *conn, int result);

/* Set the program's callback, on `ssl`, or on `ctx` if `ssl` is NULL. */
void client_cert_set_callback(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, ossl_cert_callback callback, void *arg);
void client_cert_set_post_handshake_auth(const struct ossl *ossl, SSL_CTX *ctx, SSL *ssl, int enabled);

/* From now on an engine is asked first for the client certificates of the SSL_CTX. */
void client_cert_leave_to_engine(const struct ossl *ossl, SSL_CTX *ctx);

#endif
