/* Sessions whose peer this process has seen prove its certificate. A session from anywhere else says only what its maker wrote
 * into it. */
#ifndef PINSHIM_SESSION_H
#define PINSHIM_SESSION_H

#include "peer.h"

/* The peer of a handshake of this process has proven this certificate to be its own, or will have before its session has a master secret. `digests`
 * are those that were judged; NULL: none were kept. That is kept with the certificate, which a session shares with the copies that libssl makes
 * of it for TLS 1.3 tickets. */
void session_mark(const struct ossl *ossl, X509 *leaf, const struct peer_digests *digests);

/* Return the digests of the session's peer certificate, as it was when it was marked; NULL where none were kept. They last as long as
 * the session. */
const struct peer_digests *session_digests(const struct ossl *ossl, SSL_SESSION *session);

/* Return true if and only if the session's peer certificate carries the mark, and the session a master secret: one that stalled after its
 * certificate has none, and nobody without the certificate's key can know the secret of one that did not. */
MUST_CHECK bool session_is_proven(const struct ossl *ossl, const SSL_SESSION *session);

/* A mark is lost in the DER form. Call with each session that is written as DER, and with each that was read: a session that was
 * written here with its mark gets it back, if secret and certificate are the same. */
void session_written(const struct ossl *ossl, const SSL_SESSION *session);
void session_was_read(const struct ossl *ossl, SSL_SESSION *session);

#endif
