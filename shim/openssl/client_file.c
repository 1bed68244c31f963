#include "client_file.h"

#include "pinfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIMIT (1 << 20) /* bytes */
#define PASSPHRASE_LIMIT 1024 /* the most that OpenSSL reads (PEM_BUFSIZE) */
#define REASON_MAC 113 /* PKCS12_R_MAC_VERIFY_FAILURE */

/* The content of one of the files. */
struct content {
    unsigned char *bytes;
    size_t length;
};

/* The client certificate while it is read. */
struct gathering {
    const struct ossl *ossl;
    struct client_cert *out;
    struct content files[CLIENT_FILES];
    char *passphrase; /* NULL: none was given */
    X509 *leaf;
    EVP_PKEY *key;
    bool asked; /* OpenSSL has asked for the passphrase */
    bool shut; /* the program may not open one of the files */
    struct text *problem;
};

/* Append one certificate of the chain. */
static bool add_certificate(struct gathering *gathering, X509 *certificate)
{
    const struct ossl *ossl = gathering->ossl;
    struct client_cert *out = gathering->out;
    int length = ossl->i2d_X509(certificate, NULL);
    uint8_t *bigger = length > 0 ? realloc(out->chain, out->chain_length + (size_t)length) : NULL;
    unsigned char *at;

    if (bigger == NULL)
        return false;
    out->chain = bigger;
    at = bigger + out->chain_length;
    length = ossl->i2d_X509(certificate, &at);
    if (length <= 0)
        return false;
    out->chain_length += (size_t)length;
    if (gathering->leaf == NULL && ossl->X509_up_ref(certificate) == 1)
        gathering->leaf = certificate;
    return gathering->leaf != NULL;
}

static bool take_der(struct gathering *gathering, const unsigned char *der, size_t length)
{
    X509 *certificate = gathering->ossl->d2i_X509(NULL, &der, (long)length);
    bool taken = certificate != NULL && add_certificate(gathering, certificate);

    if (certificate != NULL)
        gathering->ossl->X509_free(certificate);
    return taken;
}

static bool take_object(void *to, const char *name, const unsigned char *der, size_t length)
{
    return strstr(name, "CERTIFICATE") == NULL || strstr(name, "REQUEST") != NULL || take_der(to, der, length);
}

/* Give OpenSSL the passphrase (pem_password_cb). Without this callback it would ask on the terminal. */
static int give_passphrase(char *buffer, int size, int writing, void *arg)
{
    struct gathering *gathering = arg;
    size_t length = gathering->passphrase != NULL ? strlen(gathering->passphrase) : 0;

    (void)writing;
    gathering->asked = true;
    if (gathering->passphrase == NULL || length > (size_t)size)
        return -1;
    memcpy(buffer, gathering->passphrase, length);
    return (int)length;
}

/* Say why a key could not be read. */
static void explain_key(struct gathering *gathering)
{
    if (!gathering->asked)
        text_add(gathering->problem, "it has no private key that can be read");
    else if (gathering->passphrase == NULL)
        text_add(gathering->problem, "its key is encrypted, and no client-key-pass-file= gives the passphrase");
    else
        text_add(gathering->problem, "the passphrase does not decrypt it");
}

static PKCS12 *as_pkcs12(const struct ossl *ossl, const struct content *file)
{
    const unsigned char *at = file->bytes;

    return pinfile_is_pem(file->bytes, file->length) ? NULL : ossl->d2i_PKCS12(NULL, &at, (long)file->length);
}

/* Append each issuer after the certificate that it has issued, as RFC 5246, section 7.4.2, requires; 1.1.1 gives them in reverse order. Certificates
 * outside the chain are not sent. */
static bool add_chain(struct gathering *gathering, X509 *leaf, const void *others)
{
    const struct ossl *ossl = gathering->ossl;
    int count = ossl->OPENSSL_sk_num(others);
    X509 *last = leaf;
    int added = 0;

    for (int i = 0; i < count && added < count; i++) {
        X509 *issuer = ossl->OPENSSL_sk_value(others, i);

        if (issuer == last || ossl->X509_check_issued(issuer, last) != X509_V_OK)
            continue;
        if (!add_certificate(gathering, issuer))
            return false;
        last = issuer;
        added++;
        i = -1;
    }
    return true;
}

/* Take the key from PKCS #12, and with `certificates` the certificates as well. */
static bool take_pkcs12(struct gathering *gathering, PKCS12 *bag, bool certificates)
{
    const struct ossl *ossl = gathering->ossl;
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    void *others = NULL;
    bool taken = ossl->PKCS12_parse(bag, gathering->passphrase, &key, &leaf, &others) == 1;

    if (!taken) {
        gathering->asked = (ossl->ERR_peek_last_error() & 0xfff) == REASON_MAC;
        if (gathering->asked)
            explain_key(gathering);
        else
            text_add(gathering->problem, "this OpenSSL cannot read it: it may be encrypted with an old cipher (RC2); encrypt it with AES");
        return false;
    }
    if (certificates)
        taken = leaf != NULL && add_certificate(gathering, leaf) && (others == NULL || add_chain(gathering, leaf, others));
    for (int i = 0; others != NULL && i < ossl->OPENSSL_sk_num(others); i++)
        ossl->X509_free(ossl->OPENSSL_sk_value(others, i));
    if (others != NULL)
        ossl->OPENSSL_sk_free(others);
    if (leaf != NULL)
        ossl->X509_free(leaf);
    if (gathering->key == NULL)
        gathering->key = key;
    else if (key != NULL)
        ossl->EVP_PKEY_free(key);
    if (!taken)
        text_add(gathering->problem, "it has no certificate with a key");
    return taken;
}

static bool take_certificates(struct gathering *gathering)
{
    const struct content *file = &gathering->files[CLIENT_CERT];
    PKCS12 *bag = as_pkcs12(gathering->ossl, file);
    bool taken;

    if (bag != NULL) {
        taken = take_pkcs12(gathering, bag, true);
        gathering->ossl->PKCS12_free(bag);
        return taken;
    }
    if (pinfile_is_pem(file->bytes, file->length))
        taken = pinfile_read_pem(gathering->ossl, file->bytes, file->length, take_object, gathering);
    else
        taken = take_der(gathering, file->bytes, file->length);
    if (!taken)
        text_add(gathering->problem, "it has an object that cannot be read");
    else if (gathering->leaf == NULL)
        text_add(gathering->problem, "it has no certificate");
    return taken && gathering->leaf != NULL;
}

static bool take_key(struct gathering *gathering)
{
    const struct ossl *ossl = gathering->ossl;
    const struct content *file = &gathering->files[gathering->files[CLIENT_KEY].bytes != NULL ? CLIENT_KEY : CLIENT_CERT];
    const unsigned char *at = file->bytes;
    PKCS12 *bag = as_pkcs12(ossl, file);
    BIO *bio;
    bool taken;

    if (gathering->key != NULL)
        ossl->EVP_PKEY_free(gathering->key);
    gathering->key = NULL;
    if (bag != NULL) {
        taken = take_pkcs12(gathering, bag, false);
        ossl->PKCS12_free(bag);
        if (taken && gathering->key == NULL)
            explain_key(gathering);
        return gathering->key != NULL;
    }
    bio = ossl->BIO_new_mem_buf(file->bytes, (int)file->length);
    if (bio != NULL && pinfile_is_pem(file->bytes, file->length)) {
        gathering->key = ossl->PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, gathering);
    } else if (bio != NULL) {
        gathering->key = ossl->d2i_AutoPrivateKey(NULL, &at, (long)file->length);
        if (gathering->key == NULL)
            gathering->key = ossl->d2i_PKCS8PrivateKey_bio(bio, NULL, give_passphrase, gathering);
    }
    if (bio != NULL)
        (void)ossl->BIO_free(bio);
    if (gathering->key == NULL)
        explain_key(gathering);
    return gathering->key != NULL;
}

/* Keep the key as DER. */
static bool keep_key(struct gathering *gathering)
{
    const struct ossl *ossl = gathering->ossl;
    unsigned char *der = NULL;
    int length;

    if (ossl->X509_check_private_key(gathering->leaf, gathering->key) != 1) {
        text_add(gathering->problem, "the key does not match the certificate");
        return false;
    }
    length = ossl->i2d_PrivateKey(gathering->key, &der);
    gathering->out->key = length > 0 ? malloc((size_t)length) : NULL;
    if (gathering->out->key != NULL) {
        memcpy(gathering->out->key, der, (size_t)length);
        gathering->out->key_length = (size_t)length;
    } else {
        text_add(gathering->problem, "the key cannot be encoded");
    }
    if (length > 0) {
        explicit_bzero(der, (size_t)length);
        ossl->CRYPTO_free(der, "", 0);
    }
    return gathering->out->key != NULL;
}

/* Read one of the files. */
static bool read_whole(struct gathering *gathering, enum client_file which, const char *path, const char *beside)
{
    struct client_cert *out = gathering->out;
    struct content *file = &gathering->files[which];

    out->paths[which] = file_beside(path, beside);
    if (out->paths[which] == NULL) {
        text_add(gathering->problem, "out of memory");
        return false;
    }
    if (file_is_fleeting(out->paths[which], "it", gathering->problem)) {
        gathering->shut = errno == EACCES;
        return false;
    }
    errno = 0;
    file->bytes = (unsigned char *)file_read(out->paths[which], "it", which == CLIENT_PASS ? PASSPHRASE_LIMIT : LIMIT, &out->files[which],
        &file->length, gathering->problem);
    gathering->shut = file->bytes == NULL && errno == EACCES;
    return file->bytes != NULL;
}

/* Return true if only owner and group may read the file. */
static bool is_private(struct gathering *gathering, enum client_file which)
{
    if ((gathering->out->files[which].mode & S_IROTH) == 0)
        return true;
    text_add(gathering->problem, "it is world-readable and holds a %s; expected a mode such as 0600",
        which == CLIENT_PASS ? "passphrase" : "private key");
    return false;
}

static bool take_passphrase(struct gathering *gathering)
{
    const struct content *file = &gathering->files[CLIENT_PASS];
    const unsigned char *end = memchr(file->bytes, '\n', file->length);
    size_t length = end != NULL ? (size_t)(end - file->bytes) : file->length;

    if (length > 0 && file->bytes[length - 1] == '\r')
        length--;
    gathering->passphrase = strndup((const char *)file->bytes, length);
    if (gathering->passphrase == NULL)
        text_add(gathering->problem, "out of memory");
    return gathering->passphrase != NULL;
}

/* The order matters: the first problem reported should be the one that a person would look for first. */
static bool gather(struct gathering *gathering, const char *const paths[static CLIENT_FILES], const char *beside, enum client_file *faulty)
{
    enum client_file keeper = paths[CLIENT_KEY] != NULL ? CLIENT_KEY : CLIENT_CERT;

    for (int which = 0; which < CLIENT_FILES; which++) {
        *faulty = (enum client_file)which;
        if (paths[which] != NULL && !read_whole(gathering, *faulty, paths[which], beside))
            return false;
    }
    *faulty = CLIENT_PASS;
    if (paths[CLIENT_PASS] != NULL && (!is_private(gathering, CLIENT_PASS) || !take_passphrase(gathering)))
        return false;
    *faulty = CLIENT_CERT;
    if (!take_certificates(gathering))
        return false;
    *faulty = keeper;
    return ((gathering->key != NULL && keeper == CLIENT_CERT) || take_key(gathering)) && is_private(gathering, keeper);
}

/* Find the client certificate that was read from the same files, if they have not changed. */
static const struct client_cert *find_known(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES])
{
    const struct client_cert *client;

    for (uint32_t number = 1; reader->before != NULL && (client = pins_client(reader->before, number)) != NULL; number++) {
        bool same = true;

        for (int which = 0; same && which < CLIENT_FILES; which++) {
            char *whole = paths[which] != NULL ? file_beside(paths[which], reader->beside) : NULL;

            same = whole == NULL || client->paths[which] == NULL ? paths[which] == NULL && client->paths[which] == NULL
                : strcmp(whole, client->paths[which]) == 0 && file_stays(whole, &client->files[which]);
            free(whole);
        }
        if (same)
            return client;
    }
    return NULL;
}

bool client_file_read(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem)
{
    struct gathering gathering = {.ossl = reader->library, .out = out, .problem = problem};
    const struct ossl *ossl = gathering.ossl;
    const struct client_cert *known = find_known(reader, paths);
    struct timespec now = {0, 0};
    bool fine;

    *faulty = CLIENT_CERT;
    if (known != NULL && known->settled && pins_copy_client(known, out))
        return true;
    if (ossl == NULL || ossl->kind != OSSL_USABLE) {
        text_add(problem, "no OpenSSL is available to read it");
        return false;
    }
    (void)ossl->ERR_set_mark();
    fine = gather(&gathering, paths, reader->beside, faulty) && keep_key(&gathering);
    (void)ossl->ERR_pop_to_mark();
    if (gathering.leaf != NULL)
        ossl->X509_free(gathering.leaf);
    if (gathering.key != NULL)
        ossl->EVP_PKEY_free(gathering.key);
    if (gathering.passphrase != NULL)
        explicit_bzero(gathering.passphrase, strlen(gathering.passphrase));
    free(gathering.passphrase);
    for (int which = 0; which < CLIENT_FILES; which++) {
        if (gathering.files[which].bytes != NULL)
            explicit_bzero(gathering.files[which].bytes, gathering.files[which].length);
        free(gathering.files[which].bytes);
    }
    if (fine) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        out->settled = true;
        for (int which = 0; which < CLIENT_FILES; which++)
            out->settled &= file_is_settled(&out->files[which], now.tv_sec);
        return true;
    }
    pins_clear_client(out);
    /* It was read while the program still had the right to. */
    return gathering.shut && known != NULL && pins_copy_client(known, out);
}
