#include "digest.h"

#include "der.h"
#include "sha2.h"

#include <stdlib.h>

typedef int encoder(const void *object, unsigned char **out);

/* Return the length of the object's DER encoding and, in `*der`, memory for the caller to free; 0 for an error. */
static size_t encode(encoder *function, const void *object, unsigned char **der)
{
    int length = object != NULL ? function(object, NULL) : 0;
    unsigned char *at;

    *der = NULL;
    if (length <= 0 || (at = malloc((size_t)length)) == NULL)
        return 0;
    *der = at;
    if (function(object, &at) == length)
        return (size_t)length;
    free(*der);
    *der = NULL;
    return 0;
}

/* The parts of a certificate, or of a raw public key, that are hashed. */
struct encoded {
    unsigned char *whole; /* to be freed */
    struct bytes parts[PIN_CERT + 1];
};

/* Encode it: OpenSSL gives a certificate as it was received. A part that cannot be encoded is missing. */
static struct encoded encode_peer(const struct ossl *ossl, X509 *leaf, EVP_PKEY *raw_key)
{
    struct encoded encoded = {.whole = NULL};
    size_t length = leaf != NULL ? encode(ossl->i2d_X509, leaf, &encoded.whole) : encode(ossl->i2d_PUBKEY, raw_key, &encoded.whole);
    struct bytes whole = {encoded.whole, length};

    if (leaf != NULL)
        encoded.parts[PIN_CERT] = whole;
    encoded.parts[PIN_SPKI] = leaf != NULL ? der_spki_of_certificate(whole) : whole;
    return encoded;
}

bool digest_certificate(const struct ossl *ossl, X509 *certificate, enum pin_kind kind, enum digest digest, uint8_t *out)
{
    struct encoded encoded = encode_peer(ossl, certificate, NULL);
    struct bytes bytes = encoded.parts[kind == PIN_CERT ? PIN_CERT : PIN_SPKI];

    if (bytes.at != NULL)
        sha2(digest, bytes.at, bytes.length, out);
    free(encoded.whole);
    return bytes.at != NULL;
}

void digest_peer(const struct ossl *ossl, const bool wanted[PIN_KINDS][DIGESTS], X509 *leaf, EVP_PKEY *raw_key,
    struct peer *out)
{
    struct encoded encoded = {.whole = NULL};

    for (int kind = 0; kind <= PIN_CERT; kind++) {
        for (int digest = 0; digest < DIGESTS; digest++) {
            if (!wanted[kind][digest] || out->known[kind][digest])
                continue;
            if (encoded.whole == NULL)
                encoded = encode_peer(ossl, leaf, raw_key);
            if (encoded.parts[kind].at == NULL)
                break;
            sha2((enum digest)digest, encoded.parts[kind].at, encoded.parts[kind].length, out->digests[kind][digest]);
            out->known[kind][digest] = true;
        }
    }
    free(encoded.whole);
}
