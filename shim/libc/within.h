/* TLS connections that run within another one, whose client has asked a proxy there: HTTPS proxies. */
#ifndef PINSHIM_WITHIN_H
#define PINSHIM_WITHIN_H

#include "hello.h"
#include "proxy.h"
#include "sent.h"

#include <stdatomic.h>

/* Some client has begun a request and not ended it: everything that is written counts. */
extern _Atomic bool within_reads_on;

/* Return true if what was written on a TLS connection must be looked at: the beginning of a request to a proxy, or of a TLS handshake. */
static inline bool within_may_look(const void *bytes)
{
    unsigned char first = *(const unsigned char *)bytes;

    return proxy_request_may_begin(first) || (hello_may_begin(first) && !hello_may_be_old(first)) || atomic_load_explicit(&within_reads_on, memory_order_relaxed);
}

/* The program has written these bytes, one or more, on a client's TLS connection. `*request` is what is kept of its requests to a proxy; NULL: nothing.
 * errno is not preserved. */
void within_written(struct proxy_request **request, const void *bytes, size_t size);

/* Find out what a proxy was asked for on a connection with these requests. PROXY_UNCLEAR: nothing that was seen. */
void within_read(const struct proxy_request *request, struct proxied *out);

/* If the ClientHello with this random was written on another TLS connection, find out what its client had asked a proxy for there, and return true. */
MUST_CHECK bool within_find(const uint8_t random[static HELLO_RANDOM], struct proxied *out);

/* A client's connection begins, or is over, on which what the program writes is not seen. */
void within_unseen(int more);

/* A client has made a ClientHello with this random, and has an answer, but no address is known to which it was sent. `own`: its own connection counts by
 * within_unseen. Return how a name may have been given that is not known: to a proxy, within another connection; NULL: it cannot have been. */
const char *within_hidden(enum sent_state state, bool own);

/* Return true if any ClientHello was. */
MUST_CHECK bool within_is_used(void);

#endif
