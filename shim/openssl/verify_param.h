/* The names and the addresses that a program told OpenSSL to verify. From 3.0 on there are getters. 1.1.1 has only setters, and the getters of
 * 4.0 do not give everything: there the structure itself is read, after its layout was checked by experiment. */
#ifndef PINSHIM_VERIFY_PARAM_H
#define PINSHIM_VERIFY_PARAM_H

#include "ossl.h"

/* Return true if this library's names can be read: it has the getters, or its structure has the layout of 1.1.1, which is
 * noted in `param_known`. */
MUST_CHECK bool param_is_readable(struct ossl *ossl);

/* Return the name at `index`, NULL after the last. It belongs to `param`, and is not always terminated. */
const char *param_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, size_t *length);

/* Write the address at `index` as text to `out`. Return false after the last. */
MUST_CHECK bool param_address(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, struct text *out);

#endif
