/* What the shim keeps for credentials: the functions that the program has set on them; and of sessions that are not judged, their library. */
#ifndef PINSHIM_GTLS_CREDENTIALS_H
#define PINSHIM_GTLS_CREDENTIALS_H

#include "gtls.h"
#include "state.h"

struct credentials {
    struct attached attached;
    const struct gtls *gtls;
    _Atomic(gnutls_certificate_verify_function *) verify;
    /* Of the functions that retrieve a client certificate one at most is set. */
    _Atomic(gnutls_certificate_retrieve_function *) retrieve;
    _Atomic(gnutls_certificate_retrieve_function2 *) retrieve2;
    _Atomic(gnutls_certificate_retrieve_function3 *) retrieve3;
    _Atomic bool armed; /* client_cert.c's is set instead */
};

/* Return what is kept for them, NULL if nothing. gtls_credentials_make makes it; NULL when memory ran out. `object` may be NULL. */
struct credentials *gtls_credentials_of(const void *object);
struct credentials *gtls_credentials_make(const struct gtls *gtls, const void *object);

/* The object is new, or about to be freed. */
void gtls_credentials_forget(const struct gtls *gtls, const void *object);

#endif
