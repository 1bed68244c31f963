/* Names and addresses that a program checks a peer's certificate for by itself: by gnutls_certificate_verify_peers3, gnutls_x509_crt_check_hostname and
 * their kin. They are the target of the connection whose peer has presented the certificate. */
#ifndef PINSHIM_GTLS_TOLD_H
#define PINSHIM_GTLS_TOLD_H

#include "conn.h"

/* The session's peer has presented the leaf, which this thread may soon check. */
void gtls_told_expect(struct conn *conn, const struct certificate *leaf);

/* Return true if the program has checked this leaf for a name that it told in no other way: on a resumption it might not do so again. Perhaps also for
 * another leaf. */
MUST_CHECK bool gtls_told_knows(struct bytes leaf);

/* The program checks the session's peer for this. Return false if the connection was, or is, refused, so that the check must fail. errno is
 * preserved. */
MUST_CHECK bool gtls_told_data(struct conn *conn, const gnutls_typed_vdata_st *data, unsigned count);

/* The program checks that certificate (`crt`, or if that is NULL, `der`) for this. If it is a client connection's peer's, the same. */
MUST_CHECK bool gtls_told_apart(const struct gtls *gtls, gnutls_x509_crt_t crt, const gnutls_datum_t *der, const gnutls_typed_vdata_st *data,
    unsigned count);

/* The same for a name alone. */
MUST_CHECK bool gtls_told_name(const struct gtls *gtls, gnutls_x509_crt_t crt, const gnutls_datum_t *der, const char *name);

#endif
