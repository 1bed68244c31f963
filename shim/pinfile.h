/* Certificates and keys in files, for pins. */
#ifndef PINSHIM_PINFILE_H
#define PINSHIM_PINFILE_H

#include "ossl.h"
#include "pinstore.h"

/* The `read` of a struct pins_reader whose `library` is a struct ossl. PEM with one object or several, or DER with one: certificates, for
 * PIN_SPKI public keys and certificate requests as well. Other objects in PEM are passed over. The file must be regular and not for
 * everybody to write, as the pins file. The error queue is left as it was. */
bool pinfile_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem);

/* Do pinstore_acquire with that OpenSSL. */
MUST_CHECK const struct pinstore *pinfile_acquire(const struct ossl *ossl);

#endif
