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
    struct host address; /* at which it was reached, as of dial_find */
    bool asks; /* for a client certificate */
    bool nowhere; /* it was not reached because this machine has no way to such addresses */
    int fd;
};

/* Which of its keys a server is to show; many have two. */
enum dial_key { DIAL_ANY = 0, DIAL_RSA, DIAL_EC };

#define DIAL_ADDRESSES 16

struct dial_addresses {
    size_t count;
    struct host at[DIAL_ADDRESSES]; /* with "%INTERFACE" as the name, if they are link-local */
    bool guessed; /* they are one address at all interfaces, and few of these lead to such a host */
};

/* The protocols that start without TLS, for help texts. */
#define DIAL_PROTOCOLS "smtp, imap, pop3, ftp, sieve, nntp, postgres, mysql, ldap, xmpp or none"

/* Return true if `protocol` is one of those. */
MUST_CHECK bool dial_knows(const char *protocol);

/* Append one of those addresses, as fe80::1%eth0 or 192.0.2.1; or with its port, as [fe80::1%eth0]:443 or 192.0.2.1:443. */
void dial_print_address(const struct host *address, struct text *out);
void dial_print(const struct host *address, struct text *out);

/* Find the host's addresses, with its port, which is not 0: a link-local one without an interface at each of them. `*stage` says meanwhile what is being done. Return false with what is wrong in `problem`. */
MUST_CHECK bool dial_find(const struct host *host, const char *volatile *stage, struct dial_addresses *out, struct text *problem);

/* Connect to one of these addresses, within so many milliseconds, and finish a handshake with the host's name as SNI. `protocol` says how the connection
 * gets to TLS; NULL: by the port, where that is the well-known one of such a protocol. What hangs after it is connected is not limited (see workers.h).
 * Return false with what is wrong, and what to do, in `problem`; only after true is there something to close. */
MUST_CHECK bool dial(const struct host *host, const struct host *address, enum dial_key key, const char *protocol, unsigned milliseconds,
    const char *volatile *stage, struct dialled *out, struct text *problem);

/* Return the kind of key that the server did not show. */
enum dial_key dial_other_key(const struct dialled *dialled);

void dial_close(struct dialled *dialled);

/* Read HOST or HOST:PORT as a user writes it; without a port it is 0. The interface of a link-local address becomes its name: "%eth0". Return false with what is wrong in `problem`. */
MUST_CHECK bool dial_host(const char *string, struct host *out, struct text *problem);

#endif
