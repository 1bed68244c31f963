/* Which TLS library an object is or contains. */
#ifndef PINSHIM_TLS_H
#define PINSHIM_TLS_H

#include "libraries.h"

enum tls_kind {
    TLS_NONE = 0,
    TLS_OPENSSL, /* as a shared object, which the shim can interpose, or linked into an object that exports its functions */
    TLS_GNUTLS, /* as a shared object */
    TLS_UNUSABLE, /* OpenSSL, but without a function that the shim needs */
    TLS_INSIDE, /* OpenSSL linked into the object, whose functions are not exported, or too few of them */
    TLS_OTHER, /* another library, or code of another in the object */
    TLS_UNSEEN, /* code that makes its system calls itself: nothing of it passes through libc */
};

struct tls {
    enum tls_kind kind;
    const char *name; /* "OpenSSL", "GnuTLS" */
    char version[40]; /* may be empty */
    bool inside; /* OpenSSL is linked into the object */
    const char *lacks; /* TLS_UNUSABLE, TLS_INSIDE: a function that the shim needs; NULL: it is not known */
    const struct library *crypto; /* TLS_OPENSSL: the object that contains its libcrypto; NULL: the one that it is linked to */
};

/* Look at one library of `libraries`. `program`: it is the program itself, whose own functions cannot be interposed. */
struct tls tls_of(const struct libraries *libraries, const struct library *library, bool program);

/* Return true if the object names a libssl among its strings: it may load one later. */
MUST_CHECK bool tls_is_named(const struct elf *elf);

#endif
