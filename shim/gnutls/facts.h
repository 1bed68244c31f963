/* The facts that identify the target: what the program told GnuTLS, its socket, and the names that it resolved. */
#ifndef PINSHIM_GTLS_FACTS_H
#define PINSHIM_GTLS_FACTS_H

#include "gtls.h"
#include "proxy.h"
#include "sent.h"
#include "target.h"

struct facts {
    struct told sni; /* the SNI that the program has set, and those that it has set during the handshake */
    struct told named; /* names that GnuTLS itself is to verify (gnutls_session_set_verify_cert) */
    struct told told; /* names that the program has checked the certificate for (gnutls_certificate_verify_peers3) */
    bool random_known; /* sent.h knows the client random of the last ClientHello */
    uint8_t random[HELLO_RANDOM];
    struct sent sent; /* where it was sent, once that is known */
};

/* Note a name as DNS has it: GnuTLS is given UTF-8. Return false if it was noted before. */
bool gtls_facts_note(const struct gtls *gtls, struct told *told, const char *name, size_t length);

/* Note the names and addresses that GnuTLS itself is to verify. */
void gtls_facts_set_named(const struct gtls *gtls, struct facts *facts, const gnutls_typed_vdata_st *data, unsigned count);

/* The same for those that the program checks. Return true if one of them was not known before. */
MUST_CHECK bool gtls_facts_note_data(const struct gtls *gtls, struct facts *facts, const gnutls_typed_vdata_st *data, unsigned count);

void gtls_facts_forget(struct facts *facts);

/* A ClientHello is made, and has its random. Return false if it is the one that was made before. */
MUST_CHECK bool gtls_facts_made(const struct gtls *gtls, gnutls_session_t session, struct facts *facts);

/* Find out where the ClientHello was sent, if that was not known yet. */
void gtls_facts_follow(struct facts *facts);

/* Return the session's socket, -1 if it is not known; `*own` becomes true if GnuTLS writes to it itself, or the program says that it is one. */
MUST_CHECK int gtls_facts_socket(const struct gtls *gtls, gnutls_session_t session, const struct facts *facts, bool *own);

/* Gather the target of a client connection. `address` becomes the address that it leads to, or HOST_UNREADABLE. Return true if the address is known,
 * or never will be. */
MUST_CHECK bool gtls_facts_read(const struct gtls *gtls, gnutls_session_t session, const struct facts *facts, struct target *out,
    struct host *address);

#endif
