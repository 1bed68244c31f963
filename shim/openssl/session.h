/* Sessions whose peer has proven its certificate to this process. A session from elsewhere proves nothing: anybody can write anything
 * into it. */
#ifndef PINSHIM_SESSION_H
#define PINSHIM_SESSION_H

#include "ossl.h"

/* Mark a leaf: the peer of one of this process's handshakes has proven it, or will before its session has a master secret. `digests`
 * are those that were judged; NULL: none. The mark is kept with the certificate, which a session shares with the copies that libssl makes
 * of it for TLS 1.3 tickets. */
void session_mark(const struct ossl *ossl, X509 *leaf, const struct peer_digests *digests);

/* Remember the leaf, which was marked, for the SSL's SSL_CTX. session_recall writes to `out` the digests of its key, which cost more than half of
 * what the shim adds to a handshake, if `leaf` is the same certificate again. Return false if it is not. */
void session_remember(const struct ossl *ossl, const SSL *ssl, X509 *leaf);
MUST_CHECK bool session_recall(const struct ossl *ossl, const SSL *ssl, X509 *leaf, struct peer_digests *out);

/* The peer of a client's connection has presented this leaf; whether one has. */
void session_presented(const struct ossl *ossl, X509 *leaf);
MUST_CHECK bool session_is_peers(const struct ossl *ossl, const X509 *leaf);

/* The leaf's peer was judged for a name that the program checks the certificate for by itself (told.h): a session with it is resumed only if it satisfies
 * the rules for that name, too. */
void session_was_told(const struct ossl *ossl, const X509 *leaf, const char *name, size_t length);

/* Write the next of these names to `*name`, which is valid as long as the session. `*cursor` is NULL at first. Return false after the last. */
MUST_CHECK bool session_next_told(const struct ossl *ossl, SSL_SESSION *session, const void **cursor, const char **name, size_t *length);

/* Have no session with this leaf resumed any longer. */
void session_spoil(const struct ossl *ossl, X509 *leaf);

/* Return the digests of the session's peer certificate, as they were when it was marked; NULL if none were kept. They are valid as long as
 * the session. */
const struct peer_digests *session_digests(const struct ossl *ossl, SSL_SESSION *session);

/* Return true if and only if the session's peer certificate is marked and the session has a master secret. If the handshake stalled after the
 * certificate, there is no secret; otherwise only the owner of the certificate's key can know it. */
MUST_CHECK bool session_is_proven(const struct ossl *ossl, const SSL_SESSION *session);

/* DER does not keep the mark. Call session_written with each session that is written as DER, and session_read with each that was read: a session that
 * was written with its mark gets it back, if secret and certificate are the same. */
void session_written(const struct ossl *ossl, const SSL_SESSION *session);
void session_was_read(const struct ossl *ossl, SSL_SESSION *session);

#endif
