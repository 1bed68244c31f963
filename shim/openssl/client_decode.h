/* Decoding client certificates and their keys. */
#ifndef PINSHIM_CLIENT_DECODE_H
#define PINSHIM_CLIENT_DECODE_H

#include "ossl.h"

/* The `read_client` of OpenSSL's struct tls. The error queue is left as it was. */
bool client_decode(const struct tls *tls, const struct client_source *source, struct client_cert *out, enum client_file *faulty,
    struct text *problem);

#endif
