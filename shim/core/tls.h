/* What core needs of a TLS library, and what the code for that library tells core of a peer. Core looks at bytes in DER; what only the library can do,
 * about certificates alone, it asks for through a struct tls. What its functions leave in the library's error state is removed by the caller of evaluate,
 * evaluation_decide and report; parse, trust_store and read_client, which are called when pins are loaded, too, leave nothing there. */
#ifndef PINSHIM_TLS_H
#define PINSHIM_TLS_H

#include "der.h"
#include "pins.h"

/* These are the library's own: for OpenSSL an X509, a stack of X509, an EVP_PKEY. */
struct certificate;
struct certificates;
struct public_key;

/* Digests of one leaf, those that were computed. */
struct peer_digests {
    bool known[PIN_CERT + 1][DIGESTS];
    uint8_t bytes[PIN_CERT + 1][DIGESTS][DIGEST_MAX];
};

/* What a peer has presented. All NULL: a peer without a certificate. */
struct presented {
    const struct certificate *leaf;
    const struct public_key *raw_key; /* without a certificate (RFC 7250) */
    const struct certificates *sent; /* by the peer, the leaf first */
    const struct certificates *verified; /* those that the program's verification used, the leaf first: its store may have other issuers */
    const struct certificates *elsewhere; /* the same for a verification that the program ran itself, in a callback of the library's */
    const struct peer_digests *digests; /* the leaf's, from an earlier judgement; NULL: none */
    /* For the log. */
    const char *version; /* of the protocol: "TLSv1.3" */
    bool resumed;
};

/* A path, to be verified as a TLS server's: no SHA-1, no RSA below 1024 bits. */
struct path {
    struct certificate *const *at; /* the leaf first, each issued by the next; the last is the only trust anchor */
    size_t length;
    bool root; /* the anchor is one as the system's trust store has it. Otherwise any certificate is */
};

/* A certificate as the log shows it, escaped. */
struct certificate_text {
    char subject[320];
    char issuer[320];
    char not_after[40]; /* RFC 3339, UTC */
};

/* What a client certificate is read from. */
struct client_source {
    struct bytes certificate; /* PEM or PKCS #12 */
    struct bytes key; /* PEM, DER or PKCS #12; none: the certificate's file has it */
    const char *passphrase; /* NULL: none was given. The user is never asked for it */
};

struct tls {
    /* Append name and release, as in "openssl 3.0.22". */
    void (*print_name)(const struct tls *tls, struct text *out);

    /* Return the DER of a certificate, or the SubjectPublicKeyInfo of a key; none if it cannot be encoded. `*memory` is then to be freed, and may be
     * NULL. */
    struct bytes (*encode)(const struct tls *tls, const struct certificate *certificate, void **memory);
    struct bytes (*encode_key)(const struct tls *tls, const struct public_key *key, void **memory);

    /* Return how many there are, and one of them; its list owns it. NULL is an empty list. */
    size_t (*count)(const struct tls *tls, const struct certificates *list);
    const struct certificate *(*at)(const struct tls *tls, const struct certificates *list, size_t index);

    /* Return the certificate in DER, to be released; NULL if it cannot be read. With `root` it is one of the system's trust store, and keeps what
     * it is trusted for; `*hidden` becomes true if the library would not find it there. */
    struct certificate *(*parse)(const struct tls *tls, struct bytes der);
    struct certificate *(*parse_root)(const struct tls *tls, const struct root *root, bool *hidden);

    /* Return another reference to the certificate, to be released; NULL if that fails. */
    struct certificate *(*hold)(const struct tls *tls, const struct certificate *certificate);
    void (*release)(const struct tls *tls, struct certificate *certificate);

    /* Return true if the issuer's name, key identifier and key usage fit, whoever has signed the certificate. */
    bool (*may_issue)(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate);
    bool (*has_signed)(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate);

    /* Verify exactly that path. A `problem` is a constant text. */
    bool (*verify)(const struct tls *tls, const struct path *path, const char **problem);

    /* Return true if the certificate is valid for the name (RFC 6125, without partial wildcards) or the address. */
    bool (*is_for)(const struct tls *tls, const struct certificate *certificate, const struct host *host, const char **problem);

    void (*describe)(const struct tls *tls, const struct certificate *certificate, struct certificate_text *out);

    /* Give the paths of the system's trust store: a bundle, and directories with colons between. */
    void (*trust_store)(const struct tls *tls, const char **file, const char **directories);

    /* Decode a client certificate and its key: fill chain and key of `out` (memory.h). If it returns false, the caller frees what is there, and `faulty` is the
     * file that has the problem. */
    bool (*read_client)(const struct tls *tls, const struct client_source *source, struct client_cert *out, enum client_file *faulty,
        struct text *problem);
};

#endif
