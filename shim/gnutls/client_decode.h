/* Decoding client certificates and their keys. */
#ifndef PINSHIM_GTLS_CLIENT_DECODE_H
#define PINSHIM_GTLS_CLIENT_DECODE_H

#include "gtls.h"

/* The `read_client` of GnuTLS's struct tls. */
bool gtls_client_decode(const struct tls *tls, const struct client_source *source, struct client_cert *out, enum client_file *faulty,
    struct text *problem);

#endif
