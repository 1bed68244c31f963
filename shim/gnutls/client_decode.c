#include "client_decode.h"

#include "memory.h"
#include "pem.h"

#include <string.h>

/* The client certificate while it is decoded. */
struct decoding {
    const struct gtls *gtls;
    const struct client_source *source;
    struct client_cert *out;
    gnutls_x509_crt_t leaf;
    gnutls_x509_privkey_t key;
    struct text *problem;
};

static gnutls_datum_t datum_of(struct bytes bytes)
{
    return (gnutls_datum_t) {(unsigned char *)(uintptr_t)bytes.at, (unsigned)bytes.length};
}

/* Append one certificate of the chain. */
static bool add_certificate(struct decoding *decoding, struct bytes der)
{
    const struct gtls *gtls = decoding->gtls;
    struct client_cert *out = decoding->out;
    const gnutls_datum_t datum = datum_of(der);
    gnutls_x509_crt_t crt = NULL;
    uint8_t *bigger;

    if (gtls->gnutls_x509_crt_init(&crt) < 0)
        return false;
    if (gtls->gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER) < 0 || (bigger = memory_resize(out->chain, out->chain_length + der.length)) == NULL) {
        gtls->gnutls_x509_crt_deinit(crt);
        return false;
    }
    memcpy(bigger + out->chain_length, der.at, der.length);
    out->chain = bigger;
    out->chain_length += der.length;
    if (decoding->leaf == NULL)
        decoding->leaf = crt;
    else
        gtls->gnutls_x509_crt_deinit(crt);
    return true;
}

static bool take_object(void *to, const char *label, bool encrypted, struct bytes der)
{
    struct bytes rest = der;

    (void)encrypted;
    return strstr(label, "CERTIFICATE") == NULL || strstr(label, "REQUEST") != NULL || add_certificate(to, der_take(&rest, DER_SEQUENCE));
}

/* Say why a key could not be read. */
static void explain_key(const struct decoding *decoding, bool encrypted)
{
    if (!encrypted)
        text_add(decoding->problem, "it has no private key that can be read");
    else if (decoding->source->passphrase == NULL)
        text_add(decoding->problem, "its key is encrypted, and no client-key-pass-file= gives the passphrase");
    else
        text_add(decoding->problem, "the passphrase does not decrypt it");
}

/* Return NULL if it is none. */
static gnutls_pkcs12_t as_pkcs12(const struct gtls *gtls, struct bytes file)
{
    const gnutls_datum_t datum = datum_of(file);
    gnutls_pkcs12_t bag = NULL;

    if (pem_is(file) || gtls->gnutls_pkcs12_init(&bag) < 0)
        return NULL;
    if (gtls->gnutls_pkcs12_import(bag, &datum, GNUTLS_X509_FMT_DER, 0) >= 0)
        return bag;
    gtls->gnutls_pkcs12_deinit(bag);
    return NULL;
}

/* Take the key from PKCS #12, and with `certificates` the certificates as well: GnuTLS gives the leaf first, then its issuers. */
static bool take_pkcs12(struct decoding *decoding, gnutls_pkcs12_t bag, bool certificates)
{
    const struct gtls *gtls = decoding->gtls;
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    bool taken = true;
    int result = gtls->gnutls_pkcs12_verify_mac(bag, decoding->source->passphrase);

    if (result == GNUTLS_E_MAC_VERIFY_FAILED) {
        explain_key(decoding, true);
        return false;
    }
    result = gtls->gnutls_pkcs12_simple_parse(bag, decoding->source->passphrase, &key, &chain, &count, NULL, NULL, NULL, 0);
    if (result < 0) {
        text_add(decoding->problem, "this GnuTLS cannot read it: it may be encrypted with an old cipher (RC2); encrypt it with AES");
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        gnutls_datum_t der = {NULL, 0};

        taken &= !certificates
            || (gtls->gnutls_x509_crt_export2(chain[i], GNUTLS_X509_FMT_DER, &der) >= 0 && add_certificate(decoding, (struct bytes) {der.data, der.size}));
        if (der.data != NULL)
            (*gtls->free)(der.data);
        gtls->gnutls_x509_crt_deinit(chain[i]);
    }
    if (chain != NULL)
        (*gtls->free)(chain);
    taken &= !certificates || count > 0;
    if (decoding->key == NULL)
        decoding->key = key;
    else if (key != NULL)
        gtls->gnutls_x509_privkey_deinit(key);
    if (!taken)
        text_add(decoding->problem, "it has no certificate with a key");
    return taken;
}

static bool take_certificates(struct decoding *decoding)
{
    const struct bytes file = decoding->source->certificate;
    gnutls_pkcs12_t bag = as_pkcs12(decoding->gtls, file);
    struct bytes rest = file;
    bool taken;

    if (bag != NULL) {
        taken = take_pkcs12(decoding, bag, true);
        decoding->gtls->gnutls_pkcs12_deinit(bag);
        return taken;
    }
    if (pem_is(file))
        taken = pem_read(file, take_object, decoding);
    else
        taken = add_certificate(decoding, der_take(&rest, DER_SEQUENCE));
    if (!taken)
        text_add(decoding->problem, "it has an object that cannot be read");
    else if (decoding->leaf == NULL)
        text_add(decoding->problem, "it has no certificate");
    return taken && decoding->leaf != NULL;
}

static bool take_key(struct decoding *decoding)
{
    const struct gtls *gtls = decoding->gtls;
    const struct bytes file = decoding->source->key.at != NULL ? decoding->source->key : decoding->source->certificate;
    const gnutls_datum_t datum = datum_of(file);
    gnutls_x509_crt_fmt_t form = pem_is(file) ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
    gnutls_pkcs12_t bag = as_pkcs12(gtls, file);
    bool taken;
    int result;

    if (decoding->key != NULL)
        gtls->gnutls_x509_privkey_deinit(decoding->key);
    decoding->key = NULL;
    if (bag != NULL) {
        taken = take_pkcs12(decoding, bag, false);
        gtls->gnutls_pkcs12_deinit(bag);
        if (taken && decoding->key == NULL)
            explain_key(decoding, false);
        return decoding->key != NULL;
    }
    if (gtls->gnutls_x509_privkey_init(&decoding->key) < 0)
        return false;
    result = gtls->gnutls_x509_privkey_import2(decoding->key, &datum, form, decoding->source->passphrase,
        decoding->source->passphrase == NULL ? GNUTLS_PKCS_PLAIN : 0);
    if (result >= 0)
        return true;
    gtls->gnutls_x509_privkey_deinit(decoding->key);
    decoding->key = NULL;
    explain_key(decoding, result == GNUTLS_E_DECRYPTION_FAILED || memmem(file.at, file.length, "ENCRYPTED", 9) != NULL);
    return false;
}

/* Keep the key as DER. */
static bool keep_key(struct decoding *decoding)
{
    const struct gtls *gtls = decoding->gtls;
    unsigned char ids[2][64];
    size_t sizes[2] = {sizeof(ids[0]), sizeof(ids[1])};
    gnutls_datum_t der = {NULL, 0};

    if (gtls->gnutls_x509_crt_get_key_id(decoding->leaf, GNUTLS_KEYID_USE_SHA256, ids[0], &sizes[0]) < 0
        || gtls->gnutls_x509_privkey_get_key_id(decoding->key, GNUTLS_KEYID_USE_SHA256, ids[1], &sizes[1]) < 0 || sizes[0] != sizes[1]
        || memcmp(ids[0], ids[1], sizes[0]) != 0) {
        text_add(decoding->problem, "the key does not match the certificate");
        return false;
    }
    if (gtls->gnutls_x509_privkey_export2_pkcs8(decoding->key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, &der) >= 0)
        decoding->out->key = memory_get(der.size);
    if (decoding->out->key != NULL) {
        memcpy(decoding->out->key, der.data, der.size);
        decoding->out->key_length = der.size;
    } else {
        text_add(decoding->problem, "the key cannot be encoded");
    }
    if (der.data != NULL) {
        explicit_bzero(der.data, der.size);
        (*gtls->free)(der.data);
    }
    return decoding->out->key != NULL;
}

bool gtls_client_decode(const struct tls *tls, const struct client_source *source, struct client_cert *out, enum client_file *faulty,
    struct text *problem)
{
    const struct gtls *gtls = (const struct gtls *)(const void *)tls;
    struct decoding decoding = {.gtls = gtls, .source = source, .out = out, .problem = problem};
    bool own_key = source->key.at != NULL;
    bool fine;

    *faulty = CLIENT_CERT;
    fine = take_certificates(&decoding);
    if (fine) {
        *faulty = own_key ? CLIENT_KEY : CLIENT_CERT;
        fine = ((decoding.key != NULL && !own_key) || take_key(&decoding)) && keep_key(&decoding);
    }
    if (decoding.leaf != NULL)
        gtls->gnutls_x509_crt_deinit(decoding.leaf);
    if (decoding.key != NULL)
        gtls->gnutls_x509_privkey_deinit(decoding.key);
    return fine;
}
