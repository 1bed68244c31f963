/* The GnuTLS libraries in this process, each with its own functions. Nothing of GnuTLS is linked. */
#ifndef PINSHIM_GTLS_H
#define PINSHIM_GTLS_H

#include "loader.h"
#include "tls.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs12.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <sys/types.h>

/* 3.7.4; in a header of an older release it is missing. */
ssize_t gnutls_record_send_file(gnutls_session_t session, int fd, off_t *offset, size_t count);

/* A function that only a libgnutls defines, of whatever release, and that is not interposed. */
#define GTLS_MARK "gnutls_global_init"

struct gtls {
    struct tls tls; /* first: see gtls_certs_library */
    _Atomic(void *) handle; /* which keeps it loaded, or one of these; NULL: the program closes something */
    bool stays; /* it is never unloaded */
    /* From here on equal if another one was loaded to where this one was, as far as can be seen. */
    bool usable; /* else it is too old or incomplete: it is left to the guard */
    uintptr_t start; /* where it is mapped */
    uintptr_t end;
    void *(**malloc)(size_t); /* gnutls_malloc and gnutls_free, which are variables */
    void (**free)(void *);
#define NEEDED(name, result, parameters) result(*name) parameters;
#define OPTIONAL NEEDED
#include "gtls_symbols.h"
#undef NEEDED
#undef OPTIONAL
};

#define GTLS_GOES ((void *)1) /* it was unloaded just now */
#define GTLS_GONE ((void *)2)
#define GTLS_MAX 16
extern _Atomic(struct gtls *) gtls_known[GTLS_MAX];

/* Return true if the code at `caller` is the library's own, or this object's. */
static inline bool gtls_calls(const struct gtls *gtls, const void *caller)
{
    return (uintptr_t)caller - gtls->start < gtls->end - gtls->start || loader_is_own(caller);
}

/* Find the library that contains `address`, even if it is not known yet (slow). NULL if no libgnutls does. */
struct gtls *gtls_at(const void *address);

/* Return true if `address` is in a libgnutls. */
bool gtls_is_at(const void *address);

/* Return true if the libgnutls that is loaded at `start` is judged. One that has not been met has no client. */
bool gtls_judges(const void *start);

/* Know the libraries in the namespace to which the handle leads (dlmopen): what the program finds there by dlsym is then interposed. */
void gtls_look_in(void *handle);

/* The program has closed a handle: if it was its last one of a library, that is unloaded, which `gone` is told. */
void gtls_closed(const void *closed, void (*gone)(const void *library));

/* Find the library that code at `caller` is linked to, or else the only one. NULL if that cannot be determined. Slow only the first time. */
struct gtls *gtls_of_caller(const void *caller);

/* Return the library of a session that nothing is kept for: the first, but for one whose own code calls. Each library is known once it has made a session. */
struct gtls *gtls_of_unkept(const void *caller);

#endif
