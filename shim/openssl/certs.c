#include "certs.h"

#include "client_decode.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 256 /* characters of a name in the log, whatever its length in the certificate */

/* "OpenSSL 3.0.22 28 Oct 2025": the name in lower case, and the release. */
static void print_name(const struct tls *tls, struct text *out)
{
    const char *version = certs_library(tls)->OpenSSL_version(OPENSSL_VERSION);
    size_t name = strcspn(version, " ");
    size_t length = version[name] != '\0' ? name + 1 + strcspn(version + name + 1, " ") : name;

    for (size_t i = 0; i < name; i++)
        text_add(out, "%c", version[i] | 0x20);
    text_add_escaped(out, version + name, length - name, 20);
}

typedef int encoder(const void *object, unsigned char **out);

static struct bytes encode_by(encoder *function, const void *object, void **memory)
{
    int length = function(object, NULL);
    unsigned char *at;

    *memory = NULL;
    if (length <= 0 || (at = malloc((size_t)length)) == NULL)
        return (struct bytes) {NULL, 0};
    *memory = at;
    return function(object, &at) == length ? (struct bytes) {*memory, (size_t)length} : (struct bytes) {NULL, 0};
}

/* OpenSSL gives a certificate as it was received. */
static struct bytes encode(const struct tls *tls, const struct certificate *certificate, void **memory)
{
    return encode_by(certs_library(tls)->i2d_X509, certificate, memory);
}

static struct bytes encode_key(const struct tls *tls, const struct public_key *key, void **memory)
{
    return encode_by(certs_library(tls)->i2d_PUBKEY, key, memory);
}

static size_t count(const struct tls *tls, const struct certificates *list)
{
    int number = list != NULL ? certs_library(tls)->OPENSSL_sk_num(list) : 0;

    return number > 0 ? (size_t)number : 0;
}

static const struct certificate *at(const struct tls *tls, const struct certificates *list, size_t index)
{
    return certs_library(tls)->OPENSSL_sk_value(list, (int)index);
}

static struct certificate *parse(const struct tls *tls, struct bytes der)
{
    const struct ossl *ossl = certs_library(tls);
    X509 *certificate = NULL;

    (void)ossl->ERR_set_mark();
    (void)ossl->d2i_X509(&certificate, &der.at, (long)der.length);
    (void)ossl->ERR_pop_to_mark();
    return (void *)certificate;
}

static struct certificate *parse_root(const struct tls *tls, const struct root *root, bool *hidden)
{
    const struct ossl *ossl = certs_library(tls);
    const unsigned char *der = root->der;
    X509 *certificate = ossl->d2i_X509_AUX(NULL, &der, (long)root->length);

    *hidden = certificate != NULL && root->hashed && ossl->X509_subject_name_hash(certificate) != root->hash;
    if (!*hidden)
        return (void *)certificate;
    ossl->X509_free(certificate);
    return NULL;
}

static struct certificate *hold(const struct tls *tls, const struct certificate *certificate)
{
    X509 *held = certs_x509(certificate);

    return certs_library(tls)->X509_up_ref(held) == 1 ? (void *)held : NULL;
}

static void release(const struct tls *tls, struct certificate *certificate)
{
    certs_library(tls)->X509_free(certs_x509(certificate));
}

static bool may_issue(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate)
{
    return certs_library(tls)->X509_check_issued(certs_x509(issuer), certs_x509(certificate)) == X509_V_OK;
}

static bool has_signed(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate)
{
    const struct ossl *ossl = certs_library(tls);
    EVP_PKEY *key = ossl->X509_get0_pubkey(certs_x509(issuer));

    return key != NULL && ossl->X509_verify(certs_x509(certificate), key) == 1;
}

/* The path that is being verified in this thread, for take_next. */
struct verifying {
    const struct path *path;
    const struct ossl *ossl;
};
static _Thread_local const struct verifying *verifying;

/* Make libcrypto follow the path as it was built: of several certificates with one name it would take the first, and not try the next. */
static int take_next(X509_STORE_CTX *ctx, const X509 *certificate, const X509 *issuer)
{
    const struct path *path = verifying->path;

    (void)ctx;
    for (size_t i = 0; i + 1 < path->length; i++) {
        if (certs_x509(path->at[i]) == certificate && certs_x509(path->at[i + 1]) != issuer)
            return 0;
    }
    return verifying->ossl->X509_check_issued(issuer, certificate) == X509_V_OK;
}

static bool verify(const struct tls *tls, const struct path *path, const char **problem)
{
    const struct ossl *ossl = certs_library(tls);
    const size_t length = path->length;
    void *between = ossl->OPENSSL_sk_new_null();
    X509_STORE *store = ossl->X509_STORE_new();
    X509_STORE_CTX *ctx = ossl->X509_STORE_CTX_new();
    bool verified = between != NULL && store != NULL && ctx != NULL
        && ossl->X509_STORE_add_cert(store, certs_x509(path->at[length - 1])) == 1;

    for (size_t i = 1; verified && i + 1 < length; i++)
        verified = ossl->OPENSSL_sk_push(between, path->at[i]) > 0;
    if (verified) {
        ossl->X509_STORE_set_check_issued(store, take_next);
        verified = ossl->X509_STORE_CTX_init(ctx, store, certs_x509(path->at[0]), between) == 1;
    }
    if (verified) {
        X509_VERIFY_PARAM *param = ossl->X509_STORE_CTX_get0_param(ctx);
        const struct verifying this = {path, ossl};
        const struct verifying *outer = verifying;

        verifying = &this;
        /* libssl's default: no SHA-1, no RSA below 1024 bits. */
        ossl->X509_VERIFY_PARAM_set_auth_level(param, 1);
        verified = ossl->X509_VERIFY_PARAM_set_flags(param, path->root ? 0 : X509_V_FLAG_PARTIAL_CHAIN) == 1
            && ossl->X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 && ossl->X509_verify_cert(ctx) == 1;
        if (!verified)
            *problem = ossl->X509_verify_cert_error_string(ossl->X509_STORE_CTX_get_error(ctx));
        verifying = outer;
    }
    if (ctx != NULL)
        ossl->X509_STORE_CTX_free(ctx);
    if (store != NULL)
        ossl->X509_STORE_free(store);
    if (between != NULL)
        ossl->OPENSSL_sk_free(between);
    return verified;
}

static bool is_for(const struct tls *tls, const struct certificate *certificate, const struct host *host, const char **problem)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const struct ossl *ossl = certs_library(tls);
    X509 *leaf = certs_x509(certificate);
    bool v4 = memcmp(host->address, mapped, sizeof(mapped)) == 0;
    bool valid = false;

    if (host->kind == HOST_ADDRESS)
        valid = ossl->X509_check_ip(leaf, v4 ? host->address + 12 : host->address, v4 ? 4 : 16, 0) == 1;
    else if (host->kind == HOST_NAME && host->name[0] != '\0')
        valid = ossl->X509_check_host(leaf, host->name, strlen(host->name), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
    if (!valid)
        *problem = ossl->X509_verify_cert_error_string(host->kind == HOST_ADDRESS ? X509_V_ERR_IP_ADDRESS_MISMATCH : X509_V_ERR_HOSTNAME_MISMATCH);
    return valid;
}

static void describe_name(const struct ossl *ossl, const X509_NAME *name, char *out, size_t size)
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

static void describe(const struct tls *tls, const struct certificate *certificate, struct certificate_text *out)
{
    const struct ossl *ossl = certs_library(tls);
    const X509 *leaf = certs_x509(certificate);
    struct text text;
    struct tm utc;

    describe_name(ossl, ossl->X509_get_subject_name(leaf), out->subject, sizeof(out->subject));
    describe_name(ossl, ossl->X509_get_issuer_name(leaf), out->issuer, sizeof(out->issuer));
    text = text_over(out->not_after, sizeof(out->not_after));
    if (ossl->ASN1_TIME_to_tm(ossl->X509_get0_notAfter(leaf), &utc) == 1)
        text_add(&text, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
            utc.tm_sec);
}

/* The same as X509_STORE_set_default_paths. */
static void trust_store(const struct tls *tls, const char **file, const char **directories)
{
    const struct ossl *ossl = certs_library(tls);

    *file = secure_getenv(ossl->X509_get_default_cert_file_env());
    *directories = secure_getenv(ossl->X509_get_default_cert_dir_env());
    if (*file == NULL)
        *file = ossl->X509_get_default_cert_file();
    if (*directories == NULL)
        *directories = ossl->X509_get_default_cert_dir();
}

/* By assignments: a table of functions would be relocated at the start of each process. */
void certs_bind(struct ossl *ossl)
{
    ossl->tls = (struct tls) {
        .print_name = print_name,
        .encode = encode,
        .encode_key = encode_key,
        .count = count,
        .at = at,
        .parse = parse,
        .parse_root = parse_root,
        .hold = hold,
        .release = release,
        .may_issue = may_issue,
        .has_signed = has_signed,
        .verify = verify,
        .is_for = is_for,
        .describe = describe,
        .trust_store = trust_store,
        .read_client = client_decode,
    };
}
