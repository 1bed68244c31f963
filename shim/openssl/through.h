/* Connections that run within another SSL, whose client has asked a proxy there: HTTPS proxies. */
#ifndef PINSHIM_THROUGH_H
#define PINSHIM_THROUGH_H

#include "hello.h"
#include "ossl.h"
#include "proxy.h"

/* Some client has begun a request and not ended it: everything that is written counts. */
extern _Atomic bool through_reads_on;

/* Return true if what was written must be looked at: the beginning of a request to a proxy, or of a TLS handshake. */
static inline bool through_may_look(const void *bytes)
{
    unsigned char first = *(const unsigned char *)bytes;

    return proxy_request_may_begin(first) || hello_may_begin(first) || atomic_load_explicit(&through_reads_on, memory_order_relaxed);
}

/* The program has written these bytes, one or more, on the connection. errno is preserved. */
void through_written(const struct ossl *ossl, SSL *ssl, const void *bytes, size_t size);

/* If the connection runs within another SSL, find out what its client asked a proxy for there, and return true. PROXY_UNCLEAR: nothing that was seen. */
MUST_CHECK bool through_find(const struct ossl *ossl, SSL *ssl, struct proxied *out);

#endif
