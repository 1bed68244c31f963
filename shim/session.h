/* Sessions whose peer this process has seen prove its certificate. A session from anywhere else says only what its maker wrote
 * into it. */
#ifndef PINSHIM_SESSION_H
#define PINSHIM_SESSION_H

#include "peer.h"

/* Mark the session as one whose peer certificate `leaf`, with these digests, was accepted in a handshake of this process. The mark and the
 * digests follow the copies that libssl makes for TLS 1.3 tickets. */
void session_mark(const struct ossl *ossl, SSL_SESSION *session, X509 *leaf, const struct peer_digests *digests);

/* Return the digests of the session's peer certificate, as it was when the session was marked; NULL where none were kept. They last as long as
 * the session. */
const struct peer_digests *session_digests(const struct ossl *ossl, SSL_SESSION *session);

/* Return true if and only if the session carries the mark and a master secret: one that stalled after its certificate has none,
 * and nobody without the certificate's key can know the secret of one that did not. */
MUST_CHECK bool session_is_proven(const struct ossl *ossl, const SSL_SESSION *session);

/* A mark is lost in the DER form. Call with each session that is written as DER, and with each that was read: a session that was
 * written here with its mark gets it back, if secret and certificate are the same. */
void session_written(const struct ossl *ossl, const SSL_SESSION *session);
void session_was_read(const struct ossl *ossl, SSL_SESSION *session);

#endif
