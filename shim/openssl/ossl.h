/* The OpenSSL libraries in this process, each with its own functions. Nothing of OpenSSL is linked. */
#ifndef PINSHIM_OSSL_H
#define PINSHIM_OSSL_H

#include "loader.h"
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <sys/types.h>

/* Macros from 3.0 on, functions before. */
#undef SSL_get_peer_certificate
#undef ERR_put_error

/* What the headers of some releases lack. */
#ifndef BIO_CTRL_GET_KTLS_SEND
#define BIO_CTRL_GET_KTLS_SEND 73
#endif
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;
SSL_CTX *SSL_CTX_new_ex(OSSL_LIB_CTX *library, const char *properties, const SSL_METHOD *method);
ossl_ssize_t SSL_sendfile(SSL *ssl, int fd, off_t offset, size_t size, int flags);
int SSL_CTX_set_client_cert_engine(SSL_CTX *ctx, struct engine_st *engine);
SSL_SESSION *d2i_SSL_SESSION_ex(SSL_SESSION **session, const unsigned char **der, long length, OSSL_LIB_CTX *library,
    const char *properties);
int SSL_set1_initial_peer_addr(SSL *ssl, const BIO_ADDR *address);
int SSL_write_ex2(SSL *ssl, const void *buffer, size_t size, uint64_t flags, size_t *done);

/* What is const in an interposed function's declaration from a release on. */
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#define CONST_FROM_3 const
#else
#define CONST_FROM_3
#endif
#if OPENSSL_VERSION_NUMBER >= 0x40000000L
#define CONST_FROM_4 const
#else
#define CONST_FROM_4
#endif

typedef int (*ossl_cert_callback)(SSL *, void *);
typedef int (*ossl_check_issued_callback)(X509_STORE_CTX *, const X509 *, const X509 *);
typedef int (*ossl_client_callback)(SSL *, X509 **, EVP_PKEY **);
typedef int (*ossl_copy_callback)(CRYPTO_EX_DATA *, const CRYPTO_EX_DATA *, void **, int, long, void *);
typedef int (*ossl_security_callback)(const SSL *, const SSL_CTX *, int, int, int, void *, void *);
typedef int (*ossl_session_callback)(SSL *, SSL_SESSION *);
typedef void (*ossl_info_callback)(const SSL *, int, int);

/* A function that only a libssl defines. */
#define OSSL_MARK "SSL_get_ex_data_X509_STORE_CTX_idx"

enum ossl_kind {
    OSSL_UNUSABLE = 0, /* OpenSSL, but too old or incomplete: its clients are refused */
    OSSL_USABLE,
    OSSL_FOREIGN, /* BoringSSL, LibreSSL and others with functions of the same names: left alone */
};

struct ossl {
    struct tls tls; /* first: see certs_library */
    enum ossl_kind kind;
    const char *lacks; /* OSSL_UNUSABLE: the first function that it would have to have; NULL: it has all */
    struct ossl *next_discarded; /* see discard */
    uintptr_t start; /* where its libssl is mapped */
    uintptr_t end;
    uintptr_t crypto_start; /* where its libcrypto is mapped; both 0 if the program or another library may be part of the same object */
    uintptr_t crypto_end;
    bool watched; /* libcrypto has this record for its callbacks */
    int leaf_index; /* in a certificate's ex_data: see session.c */
    bool param_known; /* the layout of its X509_VERIFY_PARAM is known: see param_is_readable */
    int param_hosts; /* the word in it that has the names, from 4.0 on; 0: not known */
    int param_addresses;
#define NEEDED(name, result, parameters) result(*name) parameters;
#define OPTIONAL NEEDED
#include "ossl_symbols.h"
#undef NEEDED
#undef OPTIONAL
};

/* What to do when libssl makes an SSL, and when an SSL, an SSL_CTX or a certificate is freed; conn.c defines it. Nothing is kept in the objects' ex_data:
 * some programs use indexes there that are not theirs, and libcrypto calls the program's functions for data that is set there. */
struct ossl_watch {
    void (*made)(const struct ossl *ossl, SSL *ssl);
    void (*freed)(const void *ossl, const void *object);
};
extern const struct ossl_watch ossl_watch;

/* What to do when libssl makes an SSL_CTX, whoever asked for it; handshake.c sets it. NULL: nothing. */
extern _Atomic(void (*)(const struct ossl *ossl, SSL_CTX *ctx)) ossl_context_made;

/* Return true if the code at `caller` is the library's own, or this object's: when libssl jumps from one function to another
 * (SSL_connect to SSL_do_handshake), the return address is still that of the first caller. */
static inline bool ossl_calls(const struct ossl *ossl, const void *caller)
{
    return (uintptr_t)caller - ossl->start < ossl->end - ossl->start
        || loader_is_own(caller);
}

#define OSSL_MAX 16
extern _Atomic(struct ossl *) ossl_known[OSSL_MAX];

/* Return the library at this address if it is known already. */
struct ossl *ossl_known_at(uintptr_t address);

/* Return the library that a loaded object is, known or not; NULL if it is no libssl. */
struct ossl *ossl_meet(const struct loaded *object);

/* Find the libcrypto whose functions a libssl uses; the same object if it contains them. */
void ossl_find_crypto(const struct loaded *ssl, struct loaded *crypto);

/* Find the library that contains `address`, even if it is not known yet (slow). NULL if no libssl does. */
struct ossl *ossl_at(const void *address);

/* The library whose handshake has called a verification of the program's in this thread: a function that this jumps to seems to be called by this object. */
extern _Thread_local const struct ossl *ossl_verifying;

/* Find the library whose X509_verify_cert is the one that an object with code at `caller` calls. `*real` is that function. */
struct ossl *ossl_of_verifier(const void *caller, int (**real)(X509_STORE_CTX *));

/* Find the library that code at `caller` verifies with, and set `*own` if that code is the libcrypto's itself. NULL if none of them is loaded. */
struct ossl *ossl_of_checker(const void *caller, bool *own);

/* Return true if `address` is in a libssl of OpenSSL. Only its version is read: the program may not have initialized it yet. */
bool ossl_is_at(const void *address);

/* Find the library that code at `caller` uses. NULL if that cannot be determined. Slow. */
struct ossl *ossl_of_caller(const void *caller);

/* Return true if the library made `object`, an SSL or an SSL_CTX. Both hold, in one of their first four words, a pointer to their
 * SSL_METHOD, which is static data of their libssl (1.1.1 to 4.0). */
static inline bool ossl_has_made(const struct ossl *ossl, const void *object)
{
    const uintptr_t *words = object;

    for (int k = 0; k < 4; k++) {
        if (words[k] - ossl->start < ossl->end - ossl->start)
            return true;
    }
    return false;
}

/* Find the library that made it. NULL if none did. */
struct ossl *ossl_of(const void *object);

#endif
