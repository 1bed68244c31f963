/* The impostor of "pinshim prove": a server on loopback to which all TCP connections of a program are led (redirect/redirect.c). What is not meant for a
 * pinned target it passes on. */
#ifndef PINSHIM_IMPOSTOR_H
#define PINSHIM_IMPOSTOR_H

#include "pins.h"

#include <openssl/x509.h>
#include <sys/types.h>

enum stage {
    STAGE_PASSED_ON = 0, /* not for a pinned target */
    STAGE_NO_TLS, /* no ClientHello came */
    STAGE_HANDSHAKE, /* it ended in the handshake */
    STAGE_DONE, /* the program completed the handshake */
};

/* What happened on one connection. Its process writes it, the command reads it. */
struct met {
    volatile enum stage stage;
    volatile bool pinned;
    pid_t pid;
    char exe[256];
    struct host address; /* to which the program has connected */
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    volatile uint64_t bytes; /* within TLS */
    volatile uint64_t plain; /* before it, but for a protocol's request to start it */
    volatile bool client_cert; /* it came */
    volatile bool ended;
    char said[100]; /* how the program ended the handshake */
};

struct impostor {
    const struct pins *pins;
    X509 *ca; /* which issues its certificates */
    EVP_PKEY *ca_key;
    EVP_PKEY *keys[2]; /* the leaf's: EC, RSA */
    char spki[2][64]; /* their digests, in base64 */
    uint16_t port;
    char word[36]; /* without which a connection is closed: others may connect to loopback, too */
    pid_t server;
    struct met *met; /* shared */
    volatile uint32_t *count;
};

#define IMPOSTOR_MOST 4096 /* connections */

/* Read a CA and its key from a PEM file. Return false with what is wrong, and what to do, in `problem`. */
MUST_CHECK bool impostor_read_ca(const char *path, struct impostor *impostor, struct text *problem);

/* Start it, with a CA of its own if it has none. Return false with what is wrong in `problem`. */
MUST_CHECK bool impostor_start(struct impostor *impostor, struct text *problem);

/* The program has ended: wait until all that it sent was read, for a few seconds where something holds its connections open; then end the impostor. */
void impostor_stop(struct impostor *impostor);

/* Return true if the certificate's SPKI pin, in base64, is one of the impostor's. */
MUST_CHECK bool impostor_is(const struct impostor *impostor, const char *spki);

/* How many there are, of at most IMPOSTOR_MOST. */
uint32_t impostor_count(const struct impostor *impostor);

#endif
