/* Connections that run within another SSL, whose client has asked a proxy there: HTTPS proxies. */
#ifndef PINSHIM_THROUGH_H
#define PINSHIM_THROUGH_H

#include "ossl.h"
#include "within.h"

/* The program has written these bytes, one or more, on the connection. errno is preserved. */
void through_written(const struct ossl *ossl, SSL *ssl, const void *bytes, size_t size);

/* If the connection runs within another SSL, find out what its client asked a proxy for there, and return true. PROXY_UNCLEAR: nothing that was seen. */
MUST_CHECK bool through_find(const struct ossl *ossl, SSL *ssl, struct proxied *out);

#endif
