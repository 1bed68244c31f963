/* Connections to servers only to get their certificate: nothing is verified, and nothing is sent. */
#ifndef PINSHIM_DIAL_H
#define PINSHIM_DIAL_H

#include "host.h"

#include <openssl/ssl.h>

/* What a server has presented. */
struct dialled {
    SSL_CTX *ctx;
    SSL *ssl;
    STACK_OF(X509) *chain; /* as it came; the leaf first */
    struct host address; /* at which it was reached */
    bool asks; /* for a client certificate */
    int fd;
};

/* The protocols that start without TLS, for help texts. */
#define DIAL_PROTOCOLS "smtp, imap, pop3, ftp, postgres or none"

/* Return true if `protocol` is one of those. */
MUST_CHECK bool dial_knows(const char *protocol);

/* Connect to `host`, at a port that is not 0, and finish a handshake with its name as SNI. `protocol` says how the connection gets to TLS;
 * NULL: by the port, where that is the well-known one of such a protocol. `seconds` are shared among the host's addresses; what hangs
 * later is not limited (see workers.h). `*stage` says meanwhile what is being done. Return false with what is wrong, and what
 * to do, in `problem`; only after true is there something to close. */
MUST_CHECK bool dial(const struct host *host, const char *protocol, unsigned seconds, const char *volatile *stage, struct dialled *out,
    struct text *problem);

void dial_close(struct dialled *dialled);

/* Read HOST or HOST:PORT as a user writes it; without a port it is 0. Return false with what is wrong in `problem`. */
MUST_CHECK bool dial_host(const char *string, struct host *out, struct text *problem);

#endif
