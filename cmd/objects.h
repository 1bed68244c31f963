/* Certificates, requests and keys in a file. */
#ifndef PINSHIM_OBJECTS_H
#define PINSHIM_OBJECTS_H

#include "text.h"

#include <openssl/x509.h>

enum object_kind { OBJECT_CERTIFICATE = 0, OBJECT_REQUEST, OBJECT_KEY };

struct object {
    enum object_kind kind;
    X509 *certificate; /* only the member of its kind is not NULL */
    X509_REQ *request;
    EVP_PKEY *key; /* private or public */
};

struct objects {
    struct object *at;
    size_t count;
};

/* Read the file's objects: PEM with one object or several, or DER with one; "-" is standard input. Return false with what is wrong, and
 * what to do, in `problem`: also if it has only an encrypted key. The user is never asked for a passphrase. */
MUST_CHECK bool objects_read(const char *path, struct objects *out, struct text *problem);

/* Free what was read. */
void objects_free(struct objects *objects);

/* Return the first object of that kind, for a certificate preferably one that is not a CA's; NULL: none. */
const struct object *objects_find(const struct objects *objects, enum object_kind kind);

/* Write the SHA-256 digest of the object's SubjectPublicKeyInfo. Return false if it cannot be encoded. */
MUST_CHECK bool objects_spki(const struct object *object, uint8_t out[static 32]);

/* Who gets the names of an object; NULL: nobody. */
struct objects_takers {
    void *to;
    void (*take)(void *to, const char *name);
    void (*odd)(void *to, const char *name); /* those that are neither a host name nor *.SUFFIX, escaped */
};

/* Give each name and address that the certificate or the request is for, as the pins file spells it, to `take`. */
void objects_names(const struct object *object, struct objects_takers takers);

#endif
