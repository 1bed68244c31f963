/* Reading certificates and keys from files, for pins. */
#ifndef PINSHIM_PINFILE_H
#define PINSHIM_PINFILE_H

#include "pins.h"

/* The `read` of a struct pins_reader. PEM with one object or several, or DER with one: certificates; for PIN_SPKI also public keys and certificate
 * requests. Other objects in PEM are skipped. The file must be regular and not world-writable, like the pins file. */
bool pinfile_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem);

/* The `read_roots` of a struct pins_reader with a TLS library: the places of that library's trust store. */
struct roots *pinfile_read_roots(const struct pins_reader *reader);

#endif
