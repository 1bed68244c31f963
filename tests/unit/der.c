/* der.c and sha2.c beside OpenSSL: the SubjectPublicKeyInfo of every kind of key, in certificates and in requests; malformed ones; digests. */

#include "der.h"
#include "sha2.h"
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_1 = 0, VERSION_3 = 2 };

static EVP_PKEY *generate(const char *type, const char *names[][2])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(OBJ_txt2nid(type), NULL);
    EVP_PKEY *key = NULL;

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    for (size_t i = 0; names != NULL && names[i][0] != NULL; i++) {
        if (EVP_PKEY_CTX_ctrl_str(ctx, names[i][0], names[i][1]) <= 0) {
            EVP_PKEY_CTX_free(ctx);
            return NULL;
        }
    }
    (void)EVP_PKEY_keygen(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

#define OPTIONS(...) (const char *[][2]) {__VA_ARGS__, {NULL, NULL}}
#define EC(curve, ...) generate("id-ecPublicKey", OPTIONS({"ec_paramgen_curve", curve}, ##__VA_ARGS__))
#define RSA(type, bits, ...) generate(type, OPTIONS({"rsa_keygen_bits", bits}, ##__VA_ARGS__))

/* The public half of a key on P-256, with its point in the compressed form. */
static EVP_PKEY *compress(EVP_PKEY *key)
{
    enum { BEFORE = 26, COORDINATE = 32, LENGTH = BEFORE + 1 + COORDINATE };
    unsigned char der[128] = {0};
    unsigned char *end = der;
    const unsigned char *at = der;
    EVP_PKEY *compressed;

    if (i2d_PUBKEY(key, NULL) != BEFORE + 1 + 2 * COORDINATE || i2d_PUBKEY(key, &end) < 0)
        return NULL;
    der[1] -= COORDINATE;
    der[BEFORE - 2] -= COORDINATE;
    der[BEFORE] = (unsigned char)(2 | (end[-1] & 1));
    compressed = d2i_PUBKEY(NULL, &at, LENGTH);
    check(compressed != NULL && i2d_PUBKEY(compressed, NULL) == LENGTH, "a compressed point");
    return compressed;
}

/* A certificate of `key`, signed by `signer`; as version 1 where it has no extension. */
static X509 *certify(EVP_PKEY *key, EVP_PKEY *signer, bool version_1)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_NAME_new();

    X509_set_version(certificate, version_1 ? VERSION_1 : VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"www.example", -1, -1, 0);
    X509_set_subject_name(certificate, name);
    X509_set_issuer_name(certificate, name);
    X509_NAME_free(name);
    X509_set_pubkey(certificate, key);
    check(X509_sign(certificate, signer, EVP_sha256()) > 0, "the certificate is signed");
    return certificate;
}

static bool same(struct bytes a, const unsigned char *at, int length)
{
    return a.at != NULL && length > 0 && a.length == (size_t)length && memcmp(a.at, at, a.length) == 0;
}

/* Names without the bit that says that they are made of others, which OpenSSL takes. */
static void unmark_names(const char *what, X509 *certificate, const unsigned char *der, int length, const unsigned char *spki, int spki_length)
{
    X509_NAME *const names[] = {X509_get_issuer_name(certificate), X509_get_subject_name(certificate)};

    for (int i = 0; i < 2; i++) {
        unsigned char *changed = OPENSSL_memdup(der, (size_t)length);
        unsigned char *name = NULL;
        int name_length = i2d_X509_NAME(names[i], &name);
        const unsigned char *from = changed;
        unsigned char *at = name_length > 0 ? memmem(changed, (size_t)length, name, (size_t)name_length) : NULL;
        X509 *read;

        check(at != NULL && at[0] == 0x30, "%s: name %d is there", what, i);
        if (at != NULL)
            at[0] = 0x10;
        read = d2i_X509(NULL, &from, length);
        check(read != NULL && same(der_spki_of_certificate((struct bytes) {changed, (size_t)length}), spki, spki_length), "%s: name %d without its bit", what, i);
        X509_free(read);
        OPENSSL_free(name);
        OPENSSL_free(changed);
    }
}

/* What is cut out is what OpenSSL encodes. Each cut or changed certificate gives that, or nothing. */
static void compare(const char *name, EVP_PKEY *key, EVP_PKEY *signer, bool version_1)
{
    X509 *certificate = certify(key, signer, version_1);
    unsigned char *der = NULL;
    unsigned char *spki = NULL;
    int length = i2d_X509(certificate, &der);
    int spki_length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
    struct bytes found = der_spki_of_certificate((struct bytes) {der, (size_t)length});
    unsigned char *longer = malloc((size_t)length + 3);

    check(same(found, spki, spki_length), "%s: the SPKI of a certificate", name);
    check(der_is_spki((struct bytes) {spki, (size_t)spki_length}), "%s: an SPKI by itself", name);
    check(!der_is_spki((struct bytes) {spki, (size_t)spki_length - 1}), "%s: an SPKI cut off", name);
    for (int i = 0; i < length; i++) {
        unsigned char *cut = malloc((size_t)i + 1); /* of that size, for the address sanitizer */

        memcpy(cut, der, (size_t)i);
        check(der_spki_of_certificate((struct bytes) {cut, (size_t)i}).at == NULL, "%s: cut off after %d", name, i);
        free(cut);
    }
    memcpy(longer, der, (size_t)length);
    memcpy(longer + length, "\x30\x01\x00", 3);
    check(same(der_spki_of_certificate((struct bytes) {longer, (size_t)length + 3}), spki, spki_length), "%s: with more behind it", name);
    free(longer);
    unmark_names(name, certificate, der, length, spki, spki_length);
    OPENSSL_free(der);
    OPENSSL_free(spki);
    X509_free(certificate);
}

static void compare_request(const char *name, EVP_PKEY *key)
{
    bool digestless = EVP_PKEY_id(key) == EVP_PKEY_ED25519 || EVP_PKEY_id(key) == EVP_PKEY_ED448;
    X509_REQ *request = X509_REQ_new();
    unsigned char *der = NULL;
    unsigned char *spki = NULL;
    int length;
    int spki_length;

    X509_REQ_set_pubkey(request, key);
    if (X509_REQ_sign(request, key, digestless ? NULL : EVP_sha256()) > 0) {
        length = i2d_X509_REQ(request, &der);
        spki_length = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(request), &spki);
        check(same(der_spki_of_request((struct bytes) {der, (size_t)length}), spki, spki_length), "%s: the SPKI of a request", name);
        check(der_spki_of_certificate((struct bytes) {der, (size_t)length}).at == NULL, "%s: a request is no certificate", name);
        check(der_spki_of_request((struct bytes) {der, (size_t)length - 1}).at == NULL, "%s: a request cut off", name);
        OPENSSL_free(der);
        OPENSSL_free(spki);
    }
    X509_REQ_free(request);
}

static void test_keys(void)
{
    const struct {
        const char *name;
        EVP_PKEY *key;
        bool optional; /* not every release has it */
    } keys[] = {
        {"P-256", EC("P-256"), false},
        {"P-384", EC("P-384"), false},
        {"P-521", EC("P-521"), false},
        {"secp256k1", EC("secp256k1"), false},
        {"brainpoolP256r1", EC("brainpoolP256r1"), true},
        {"P-256 with explicit parameters", EC("P-256", {"ec_param_enc", "explicit"}), false},
        {"RSA 1024", RSA("rsaEncryption", "1024"), false},
        {"RSA 3072", RSA("rsaEncryption", "3072"), false},
        {"RSA-PSS", RSA("RSASSA-PSS", "2048"), false},
        {"RSA-PSS with parameters", RSA("RSASSA-PSS", "2048", {"rsa_pss_keygen_md", "sha256"}, {"rsa_pss_keygen_mgf1_md", "sha256"}, {"rsa_pss_keygen_saltlen", "32"}), false},
        {"Ed25519", generate("ED25519", NULL), false},
        {"Ed448", generate("ED448", NULL), false},
        {"X25519", generate("X25519", NULL), false},
        {"ML-DSA-65", generate("ML-DSA-65", NULL), true},
        {"SLH-DSA-SHA2-128s", generate("SLH-DSA-SHA2-128s", NULL), true},
    };
    EVP_PKEY *signer = EC("P-256");
    EVP_PKEY *compressed = compress(signer);

    compare("P-256, compressed", compressed, signer, false);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        check(keys[i].key != NULL || keys[i].optional, "%s: a key", keys[i].name);
        if (keys[i].key == NULL)
            continue;
        compare(keys[i].name, keys[i].key, signer, false);
        compare_request(keys[i].name, keys[i].key);
        EVP_PKEY_free(keys[i].key);
    }
    compare("version 1", signer, signer, true);
    EVP_PKEY_free(compressed);
    EVP_PKEY_free(signer);
}

/* The parts of a small certificate, which is rebuilt with one of them in another form. */
static void test_forms(void)
{
    static const struct {
        const char *what;
        const char *bytes; /* a certificate */
        size_t length;
        bool holds;
    } rows[] = {
#define ROW(what, bytes, holds) {what, bytes, sizeof(bytes) - 1, holds}
#define SPKI "\x30\x09\x30\x03\x06\x01\x2a\x03\x02\x00\x01"
#define TBS "\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00" SPKI
        ROW("version 1", "\x30\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", true),
        ROW("version 3", "\x30\x22\x30\x1b\xa0\x03\x02\x01\x02" TBS "\x30\x00\x03\x01\x00", true),
        ROW("an indefinite length", "\x30\x80\x30\x16" TBS "\x30\x00\x03\x01\x00\x00\x00", false),
        ROW("a length in a byte too many", "\x30\x81\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", true),
        ROW("a length of zeros first", "\x30\x82\x00\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", true),
        ROW("a length of eight bytes", "\x30\x88\x00\x00\x00\x00\x00\x00\x00\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", true),
        ROW("a length of nine bytes", "\x30\x89\x00\x00\x00\x00\x00\x00\x00\x00\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", false),
        ROW("a length beyond all memory", "\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff\x30\x16" TBS "\x30\x00\x03\x01\x00", false),
        ROW("an SPKI with a length in a byte too many", "\x30\x1e\x30\x17\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00\x30\x81\x09\x30\x03\x06\x01\x2a\x03\x02\x00\x01\x30\x00\x03\x01\x00", false),
        ROW("a key with a length in a byte too many", "\x30\x1e\x30\x17\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00\x30\x0a\x30\x03\x06\x01\x2a\x03\x81\x02\x00\x01\x30\x00\x03\x01\x00", false),
        ROW("an algorithm with a length in a byte too many", "\x30\x1e\x30\x17\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00\x30\x0a\x30\x81\x03\x06\x01\x2a\x03\x02\x00\x01\x30\x00\x03\x01\x00", false),
        ROW("a length that leads beyond the end", "\x30\x85\x01\x00\x00\x00\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", false),
        ROW("a tag of several bytes", "\x3f\x81\x1d\x30\x16" TBS "\x30\x00\x03\x01\x00", false),
        ROW("no signature", "\x30\x1a\x30\x16" TBS "\x30\x00", false),
        ROW("more behind the signature", "\x30\x1f\x30\x16" TBS "\x30\x00\x03\x01\x00\x05\x00", false),
        ROW("nothing", "", false),
        ROW("a tag alone", "\x30", false),
        ROW("an SPKI without an algorithm", "\x30\x19\x30\x12\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00\x30\x05\x30\x00\x03\x01\x00\x30\x00\x03\x01\x00", false),
        ROW("an SPKI with more behind the key", "\x30\x1f\x30\x18\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00\x30\x0b\x30\x03\x06\x01\x2a\x03\x02\x00\x01\x05\x00\x30\x00\x03\x01\x00", false),
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes found = der_spki_of_certificate((struct bytes) {(const uint8_t *)rows[i].bytes, rows[i].length});

        check((found.at != NULL) == rows[i].holds, "%s", rows[i].what);
        if (rows[i].holds)
            check(same(found, (const unsigned char *)SPKI, sizeof(SPKI) - 1), "%s: its SPKI", rows[i].what);
    }
    check(der_spki_of_certificate((struct bytes) {NULL, 0}).at == NULL, "no bytes at all");
}

/* Every length around the ends of blocks; FIPS 180-4's examples are among what OpenSSL is tested with. */
static void test_digests(void)
{
    static const struct {
        enum digest digest;
        unsigned char *(*function)(const unsigned char *, size_t, unsigned char *);
    } digests[] = {{DIGEST_SHA256, SHA256}, {DIGEST_SHA384, SHA384}, {DIGEST_SHA512, SHA512}};
    static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
        0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t bytes[600];
    uint8_t ours[DIGEST_MAX];
    uint8_t theirs[DIGEST_MAX];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 131 + (i >> 3));
    for (size_t k = 0; k < sizeof(digests) / sizeof(digests[0]); k++) {
        for (size_t length = 0; length <= sizeof(bytes); length++) {
            sha2(digests[k].digest, bytes, length, ours);
            digests[k].function(bytes, length, theirs);
            check(memcmp(ours, theirs, digest_size(digests[k].digest)) == 0, "digest %zu of %zu bytes", k, length);
        }
    }
    sha2(DIGEST_SHA256, "abc", 3, ours);
    check(memcmp(ours, abc, sizeof(abc)) == 0, "the example of one block");
}

/* A certificate whose issuer and subject are one common name each, of these types. */
static bool names_agree(int type_a, const char *a, int length_a, int type_b, const char *b, int length_b, bool *openssl)
{
    X509 *certificate = X509_new();
    X509_NAME *issuer = X509_NAME_new();
    X509_NAME *subject = X509_NAME_new();
    EVP_PKEY *key = EC("P-256");
    unsigned char *der = NULL;
    struct der_names names = {1, 2};
    int length;

    X509_NAME_add_entry_by_NID(issuer, NID_commonName, type_a, (const unsigned char *)a, length_a, -1, 0);
    X509_NAME_add_entry_by_NID(subject, NID_commonName, type_b, (const unsigned char *)b, length_b, -1, 0);
    X509_set_version(certificate, VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_issuer_name(certificate, issuer);
    X509_set_subject_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    check(X509_sign(certificate, key, EVP_sha256()) > 0, "the certificate is signed");
    *openssl = X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(certificate)) == 0;
    length = i2d_X509(certificate, &der);
    check(der_read_names((struct bytes) {der, (size_t)length}, &names), "names are read");
    for (int i = 0; i < length; i++) {
        unsigned char *cut = malloc((size_t)i + 1);
        struct der_names unwanted;

        memcpy(cut, der, (size_t)i);
        check(!der_read_names((struct bytes) {cut, (size_t)i}, &unwanted), "names cut off after %d", i);
        free(cut);
    }
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    X509_NAME_free(issuer);
    X509_NAME_free(subject);
    X509_free(certificate);
    return names.issuer == names.subject;
}

#define STRING(type, text) type, text, sizeof(text) - 1

static void test_names(void)
{
    static const struct {
        int type;
        const char *text;
        int length;
    } strings[] = {
        {STRING(V_ASN1_UTF8STRING, "Some CA 1")},
        {STRING(V_ASN1_PRINTABLESTRING, "Some CA 1")},
        {STRING(V_ASN1_PRINTABLESTRING, "  some   ca 1 ")},
        {STRING(V_ASN1_T61STRING, "SOME CA 1")},
        {STRING(V_ASN1_BMPSTRING, "\0S\0o\0m\0e\0 \0C\0A\0 \0""1")},
        {STRING(V_ASN1_UNIVERSALSTRING, "\0\0\0S\0\0\0o\0\0\0m\0\0\0e\0\0\0 \0\0\0C\0\0\0A\0\0\0 \0\0\0""1")},
        {STRING(V_ASN1_UTF8STRING, "Some CA 2")},
        {STRING(V_ASN1_UTF8STRING, "S\xc3\xb6me CA 1")},
        {STRING(V_ASN1_T61STRING, "S\xf6me CA 1")},
        {STRING(V_ASN1_BMPSTRING, "\0S\0\xf6\0m\0e\0 \0C\0A\0 \0""1")},
        {STRING(V_ASN1_UTF8STRING, "")},
    };
    size_t count = sizeof(strings) / sizeof(strings[0]);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            bool openssl;
            bool ours = names_agree(strings[i].type, strings[i].text, strings[i].length, strings[k].type, strings[k].text,
                strings[k].length, &openssl);

            check(ours || !openssl, "names %zu and %zu are one to OpenSSL", i, k);
            check(i == 6 || k == 6 ? ours == (i == k) : true, "names %zu and %zu differ", i, k);
        }
    }
}

int main(void)
{
    test_names();
    test_keys();
    test_forms();
    test_digests();
    return unit_end("der");
}
