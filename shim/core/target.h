/* What identifies the target: what the program named, its socket, and what it resolved. */
#ifndef PINSHIM_TARGET_H
#define PINSHIM_TARGET_H

#include "policy.h"
#include "proxy_request.h"

/* Names that the program told the TLS library apart from the SNI, or has checked a certificate for by itself. Zeroed: none. */
struct told {
    char *names; /* each with its length before it; NULL: none */
    size_t length;
    bool lost; /* memory for them ran out */
};

/* Note a name. Return false if it was noted before. */
MUST_CHECK bool target_note_told(struct told *told, const char *name, size_t length);

/* Read the next of the names at `*at`, which is 0 at first. Return false after the last. */
MUST_CHECK bool target_next_told(const struct told *told, size_t *at, const char **name, size_t *length);
void target_forget_told(struct told *told);

/* Add a host that the program named. Duplicates are skipped where that is easy to see. */
void target_name(struct target *target, const char *string, size_t length);

/* Add a name to verify. A pattern (".example.com", X509_VERIFY_PARAM_set1_host) is not a host: it counts only if no name is known. */
void target_name_to_verify(struct target *target, const char *string, size_t length);
void target_add_told(struct target *target, const struct told *told);

/* Add the address to which the connection leads, as the last identity. Where the program gave no name, those that it resolved to this address count, with
 * its port. Return false when memory ran out. */
bool target_set_address(struct target *target, const struct host *address);

/* Return true if this host, which the program named, tells whom a connection to `place` is for. An address does not, nor does "localhost" where that is the
 * address of another host: libcoap sends it to all. */
MUST_CHECK bool target_is_name(const struct host *host, const struct host *place);

/* Complete the target, whose names are there, by where the connection leads: what a proxy was asked for, or else the address (HOST_UNREADABLE: not
 * known). */
void target_lead(struct target *target, enum proxy_asked asked, const struct host *place);

/* Return true if the port of `place`, an address or the host that a proxy was asked for, is certainly the one that the program meant for the name: it
 * resolved the name to the address, or asked for it. Otherwise the socket may lead to a proxy or through a tunnel. */
MUST_CHECK bool target_port_is_of(const struct host *name, const struct host *place);

#endif
