/* The names and the addresses that a program told OpenSSL to verify. From 3.0 on there are functions that tell; 1.1.1 has only ones
 * that set, and 4.0 ones that do not give all: these are read as the structure is laid out, after that was put to the proof. */
#ifndef PINSHIM_VERIFY_PARAM_H
#define PINSHIM_VERIFY_PARAM_H

#include "ossl.h"

/* Return true if this library's names can be read: it has the functions, or a structure of its laid out as in 1.1.1, which is
 * noted in `param_known`. */
MUST_CHECK bool param_is_readable(struct ossl *ossl);

/* Return the name at `index`, NULL after the last. It belongs to `param`, and need not end with a zero. */
const char *param_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, size_t *length);

/* Write the address at `index` as text to `out`. Return false after the last. */
MUST_CHECK bool param_address(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, struct text *out);

#endif
