/* Reading certificates and keys from files, for pins. */
#ifndef PINSHIM_PINFILE_H
#define PINSHIM_PINFILE_H

#include "ossl.h"
#include "pins.h"

/* The `read` of a struct pins_reader whose `library` is a struct ossl. PEM with one object or several, or DER with one: certificates; for
 * PIN_SPKI also public keys and certificate requests. Other objects in PEM are skipped. The file must be regular and not world-writable,
 * like the pins file. The error queue is left as it was. */
bool pinfile_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem);

/* Return true if the bytes look like PEM (RFC 7468). */
MUST_CHECK bool pinfile_is_pem(const unsigned char *bytes, size_t length);

/* Pass each object in PEM to `take`, decoded from base64, until it returns false. Return true if it never did and every object could be
 * read. */
MUST_CHECK bool pinfile_read_pem(const struct ossl *ossl, const unsigned char *bytes, size_t length,
    bool (*take)(void *to, const char *name, const unsigned char *der, size_t length), void *to);

/* The `read_roots` of a struct pins_reader whose `library` is a struct ossl: what that library's X509_STORE_set_default_paths stands for. */
struct roots *pinfile_read_roots(const struct pins_reader *reader);

#endif
