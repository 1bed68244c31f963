#include "peer.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 256 /* characters of a name in the log, whatever its length in the certificate */

static const EVP_MD *method(const struct ossl *ossl, enum digest digest)
{
    return digest == DIGEST_SHA256 ? ossl->EVP_sha256() : digest == DIGEST_SHA384 ? ossl->EVP_sha384() : ossl->EVP_sha512();
}

/* Encode the SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), algorithm and all: X509_pubkey_digest would hash the bare key.
 * Return its length and, in `*der`, memory for the caller to free; 0 for an error. */
static size_t encode_spki(const struct ossl *ossl, X509 *leaf, EVP_PKEY *raw_key, unsigned char **der)
{
    X509_PUBKEY *key = leaf != NULL ? ossl->X509_get_X509_PUBKEY(leaf) : NULL;
    int length = leaf != NULL ? ossl->i2d_X509_PUBKEY(key, NULL) : ossl->i2d_PUBKEY(raw_key, NULL);
    unsigned char *at;

    *der = NULL;
    if (length <= 0 || (at = malloc((size_t)length)) == NULL)
        return 0;
    *der = at;
    if ((leaf != NULL ? ossl->i2d_X509_PUBKEY(key, &at) : ossl->i2d_PUBKEY(raw_key, &at)) != length) {
        free(*der);
        *der = NULL;
        return 0;
    }
    return (size_t)length;
}

static void digest_all(const struct ossl *ossl, const bool wanted[PIN_KINDS][DIGESTS], X509 *leaf, EVP_PKEY *raw_key,
    struct peer *out)
{
    unsigned char *spki = NULL;
    size_t spki_length = 0;

    for (int digest = 0; digest < DIGESTS; digest++) {
        size_t size = digest_size((enum digest)digest);
        unsigned int made = 0;

        if (wanted[PIN_CERT][digest] && leaf != NULL)
            out->known[PIN_CERT][digest] =
                ossl->X509_digest(leaf, method(ossl, (enum digest)digest), out->digests[PIN_CERT][digest], &made) == 1
                && made == size;
        if (!wanted[PIN_SPKI][digest])
            continue;
        if (spki == NULL)
            spki_length = encode_spki(ossl, leaf, raw_key, &spki);
        made = 0;
        out->known[PIN_SPKI][digest] = spki != NULL
            && ossl->EVP_Digest(spki, spki_length, out->digests[PIN_SPKI][digest], &made, method(ossl, (enum digest)digest), NULL)
                == 1
            && made == size;
    }
    free(spki);
}

void peer_read(const struct ossl *ossl, const struct pins *pins, X509 *leaf, EVP_PKEY *raw_key, struct peer *out)
{
    bool wanted[PIN_KINDS][DIGESTS];

    memset(out, 0, sizeof(*out));
    out->has[PIN_CERT] = leaf != NULL;
    out->has[PIN_SPKI] = leaf != NULL || raw_key != NULL;
    for (int kind = 0; kind < PIN_KINDS; kind++) {
        for (int digest = 0; digest < DIGESTS; digest++)
            wanted[kind][digest] = pins_use(pins, (enum pin_kind)kind, (enum digest)digest);
    }
    if (out->has[PIN_SPKI])
        digest_all(ossl, (const bool(*)[DIGESTS])wanted, leaf, raw_key, out);
}

static void show_name(const struct ossl *ossl, const X509_NAME *name, char *out, size_t size)
{
    struct text text = text_over(out, size);
    BIO *bio = ossl->BIO_new(ossl->BIO_s_mem());
    char *bytes = NULL;

    if (bio == NULL)
        return;
    if (name != NULL && ossl->X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        long length = ossl->BIO_ctrl(bio, BIO_CTRL_INFO, 0, &bytes);

        if (length > 0 && bytes != NULL)
            text_add_escaped(&text, bytes, (size_t)length, NAME_LIMIT);
    }
    (void)ossl->BIO_free(bio);
}

void peer_show(const struct ossl *ossl, X509 *leaf, EVP_PKEY *raw_key, struct peer_shown *out)
{
    static const bool sha256_of_both[PIN_KINDS][DIGESTS] = {{true, false, false}, {true, false, false}};
    struct peer peer;
    struct text text;
    struct tm utc;

    memset(out, 0, sizeof(*out));
    memset(&peer, 0, sizeof(peer));
    if (leaf == NULL && raw_key == NULL)
        return;
    digest_all(ossl, sha256_of_both, leaf, raw_key, &peer);
    text = text_over(out->spki, sizeof(out->spki));
    if (peer.known[PIN_SPKI][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_SPKI][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    text = text_over(out->cert, sizeof(out->cert));
    if (peer.known[PIN_CERT][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_CERT][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    if (leaf == NULL)
        return;
    show_name(ossl, ossl->X509_get_subject_name(leaf), out->subject, sizeof(out->subject));
    show_name(ossl, ossl->X509_get_issuer_name(leaf), out->issuer, sizeof(out->issuer));
    text = text_over(out->not_after, sizeof(out->not_after));
    if (ossl->ASN1_TIME_to_tm(ossl->X509_get0_notAfter(leaf), &utc) == 1)
        text_add(&text, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
            utc.tm_sec);
}
