/* Client certificates with their keys, in files. */
#ifndef PINSHIM_CLIENT_FILE_H
#define PINSHIM_CLIENT_FILE_H

#include "ossl.h"
#include "pins.h"

/* The `read_client` of a struct pins_reader whose `library` is a struct ossl. The certificate's file has the leaf first, and its chain after it, in
 * PEM; or all of it in PKCS #12 (RFC 7292). The key's file is PEM, DER or PKCS #12; without one the certificate's file has the key. Nobody but
 * owner and group may read what has the key or its passphrase, which is the first line of its file. Nobody is ever asked for one. The error
 * queue is left as it was. */
bool client_file_read(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem);

#endif
