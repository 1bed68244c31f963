#include "client_decode.h"

#include "certs.h"
#include "memory.h"
#include "pem.h"

#include <string.h>

#define REASON_MAC 113 /* PKCS12_R_MAC_VERIFY_FAILURE */

/* The client certificate while it is decoded. */
struct decoding {
    const struct ossl *ossl;
    const struct client_source *source;
    struct client_cert *out;
    X509 *leaf;
    EVP_PKEY *key;
    bool asked; /* OpenSSL has asked for the passphrase */
    struct text *problem;
};

/* Append one certificate of the chain. */
static bool add_certificate(struct decoding *decoding, X509 *certificate)
{
    const struct ossl *ossl = decoding->ossl;
    struct client_cert *out = decoding->out;
    int length = ossl->i2d_X509(certificate, NULL);
    uint8_t *bigger = length > 0 ? memory_resize(out->chain, out->chain_length + (size_t)length) : NULL;
    unsigned char *at;

    if (bigger == NULL)
        return false;
    out->chain = bigger;
    at = bigger + out->chain_length;
    length = ossl->i2d_X509(certificate, &at);
    if (length <= 0)
        return false;
    out->chain_length += (size_t)length;
    if (decoding->leaf == NULL && ossl->X509_up_ref(certificate) == 1)
        decoding->leaf = certificate;
    return decoding->leaf != NULL;
}

static bool take_der(struct decoding *decoding, struct bytes der)
{
    X509 *certificate = decoding->ossl->d2i_X509(NULL, &der.at, (long)der.length);
    bool taken = certificate != NULL && add_certificate(decoding, certificate);

    if (certificate != NULL)
        decoding->ossl->X509_free(certificate);
    return taken;
}

static bool take_object(void *to, const char *label, bool encrypted, struct bytes der)
{
    (void)encrypted;
    return strstr(label, "CERTIFICATE") == NULL || strstr(label, "REQUEST") != NULL || take_der(to, der);
}

/* Give OpenSSL the passphrase (pem_password_cb). Without this callback it would ask on the terminal. */
static int give_passphrase(char *buffer, int size, int writing, void *arg)
{
    struct decoding *decoding = arg;
    const char *passphrase = decoding->source->passphrase;
    size_t length = passphrase != NULL ? strnlen(passphrase, (size_t)size + 1) : 0;

    (void)writing;
    decoding->asked = true;
    if (passphrase == NULL || length > (size_t)size)
        return -1;
    memcpy(buffer, passphrase, length);
    return (int)length;
}

/* Say why a key could not be read. */
static void explain_key(struct decoding *decoding)
{
    if (!decoding->asked)
        text_add(decoding->problem, "it has no private key that can be read");
    else if (decoding->source->passphrase == NULL)
        text_add(decoding->problem, "its key is encrypted, and no client-key-pass-file= gives the passphrase");
    else
        text_add(decoding->problem, "the passphrase does not decrypt it");
}

static PKCS12 *as_pkcs12(const struct ossl *ossl, struct bytes file)
{
    return pem_is(file) ? NULL : ossl->d2i_PKCS12(NULL, &file.at, (long)file.length);
}

/* Append each issuer after the certificate that it has issued, as RFC 5246, section 7.4.2, requires; 1.1.1 gives them in reverse order. Certificates
 * outside the chain are not sent. */
static bool add_chain(struct decoding *decoding, X509 *leaf, const void *others)
{
    const struct ossl *ossl = decoding->ossl;
    int count = ossl->OPENSSL_sk_num(others);
    X509 *last = leaf;
    int added = 0;

    for (int i = 0; i < count && added < count; i++) {
        X509 *issuer = ossl->OPENSSL_sk_value(others, i);

        if (issuer == last || ossl->X509_check_issued(issuer, last) != X509_V_OK)
            continue;
        if (!add_certificate(decoding, issuer))
            return false;
        last = issuer;
        added++;
        i = -1;
    }
    return true;
}

/* Take the key from PKCS #12, and with `certificates` the certificates as well. */
static bool take_pkcs12(struct decoding *decoding, PKCS12 *bag, bool certificates)
{
    const struct ossl *ossl = decoding->ossl;
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    void *others = NULL;
    bool taken = ossl->PKCS12_parse(bag, decoding->source->passphrase, &key, &leaf, &others) == 1;

    if (!taken) {
        decoding->asked = (ossl->ERR_peek_last_error() & 0xfff) == REASON_MAC;
        if (decoding->asked)
            explain_key(decoding);
        else
            text_add(decoding->problem, "this OpenSSL cannot read it: it may be encrypted with an old cipher (RC2); encrypt it with AES");
        return false;
    }
    if (certificates)
        taken = leaf != NULL && add_certificate(decoding, leaf) && (others == NULL || add_chain(decoding, leaf, others));
    for (int i = 0; others != NULL && i < ossl->OPENSSL_sk_num(others); i++)
        ossl->X509_free(ossl->OPENSSL_sk_value(others, i));
    if (others != NULL)
        ossl->OPENSSL_sk_free(others);
    if (leaf != NULL)
        ossl->X509_free(leaf);
    if (decoding->key == NULL)
        decoding->key = key;
    else if (key != NULL)
        ossl->EVP_PKEY_free(key);
    if (!taken)
        text_add(decoding->problem, "it has no certificate with a key");
    return taken;
}

static bool take_certificates(struct decoding *decoding)
{
    const struct bytes file = decoding->source->certificate;
    PKCS12 *bag = as_pkcs12(decoding->ossl, file);
    bool taken;

    if (bag != NULL) {
        taken = take_pkcs12(decoding, bag, true);
        decoding->ossl->PKCS12_free(bag);
        return taken;
    }
    if (pem_is(file))
        taken = pem_read(file, take_object, decoding);
    else
        taken = take_der(decoding, file);
    if (!taken)
        text_add(decoding->problem, "it has an object that cannot be read");
    else if (decoding->leaf == NULL)
        text_add(decoding->problem, "it has no certificate");
    return taken && decoding->leaf != NULL;
}

static bool take_key(struct decoding *decoding)
{
    const struct ossl *ossl = decoding->ossl;
    const struct bytes file = decoding->source->key.at != NULL ? decoding->source->key : decoding->source->certificate;
    const unsigned char *at = file.at;
    PKCS12 *bag = as_pkcs12(ossl, file);
    BIO *bio;
    bool taken;

    if (decoding->key != NULL)
        ossl->EVP_PKEY_free(decoding->key);
    decoding->key = NULL;
    if (bag != NULL) {
        taken = take_pkcs12(decoding, bag, false);
        ossl->PKCS12_free(bag);
        if (taken && decoding->key == NULL)
            explain_key(decoding);
        return decoding->key != NULL;
    }
    bio = ossl->BIO_new_mem_buf(file.at, (int)file.length);
    if (bio != NULL && pem_is(file)) {
        decoding->key = ossl->PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, decoding);
    } else if (bio != NULL) {
        decoding->key = ossl->d2i_AutoPrivateKey(NULL, &at, (long)file.length);
        if (decoding->key == NULL)
            decoding->key = ossl->d2i_PKCS8PrivateKey_bio(bio, NULL, give_passphrase, decoding);
    }
    if (bio != NULL)
        (void)ossl->BIO_free(bio);
    if (decoding->key == NULL)
        explain_key(decoding);
    return decoding->key != NULL;
}

/* Keep the key as DER. */
static bool keep_key(struct decoding *decoding)
{
    const struct ossl *ossl = decoding->ossl;
    unsigned char *der = NULL;
    int length;

    if (ossl->X509_check_private_key(decoding->leaf, decoding->key) != 1) {
        text_add(decoding->problem, "the key does not match the certificate");
        return false;
    }
    length = ossl->i2d_PrivateKey(decoding->key, &der);
    decoding->out->key = length > 0 ? memory_get((size_t)length) : NULL;
    if (decoding->out->key != NULL) {
        memcpy(decoding->out->key, der, (size_t)length);
        decoding->out->key_length = (size_t)length;
    } else {
        text_add(decoding->problem, "the key cannot be encoded");
    }
    if (length > 0) {
        explicit_bzero(der, (size_t)length);
        ossl->CRYPTO_free(der, "", 0);
    }
    return decoding->out->key != NULL;
}

bool client_decode(const struct tls *tls, const struct client_source *source, struct client_cert *out, enum client_file *faulty,
    struct text *problem)
{
    struct decoding decoding = {.ossl = certs_library(tls), .source = source, .out = out, .problem = problem};
    const struct ossl *ossl = decoding.ossl;
    bool own_key = source->key.at != NULL;
    bool fine;

    (void)ossl->ERR_set_mark();
    *faulty = CLIENT_CERT;
    fine = take_certificates(&decoding);
    if (fine) {
        *faulty = own_key ? CLIENT_KEY : CLIENT_CERT;
        fine = ((decoding.key != NULL && !own_key) || take_key(&decoding)) && keep_key(&decoding);
    }
    (void)ossl->ERR_pop_to_mark();
    if (decoding.leaf != NULL)
        ossl->X509_free(decoding.leaf);
    if (decoding.key != NULL)
        ossl->EVP_PKEY_free(decoding.key);
    return fine;
}
