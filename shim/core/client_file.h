/* Reading client certificates and their keys from files. */
#ifndef PINSHIM_CLIENT_FILE_H
#define PINSHIM_CLIENT_FILE_H

#include "pins.h"

/* The `read_client` of a struct pins_reader; without a TLS library nothing is read, and the certificate is empty. The certificate's file has the leaf first, then its chain, in PEM; or all of it in
 * PKCS #12 (RFC 7292). The key's file is PEM, DER or PKCS #12; without one, the certificate's file has the key. Files with the key or its passphrase
 * (the first line of its file) must be readable by owner and group only. */
bool client_file_read(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem);

#endif
