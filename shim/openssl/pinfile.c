#include "pinfile.h"

#include "config.h"
#include "kernel.h"
#include "peer.h"
#include "sha2.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define LIMIT (4 << 20) /* bytes; the bundle of all public CAs has about 250,000 */

/* What the objects found are passed to. */
struct finding {
    const struct ossl *ossl;
    enum pin_kind kind;
    pins_found *found;
    void *to;
    size_t count;
};

static bool take_certificate(struct finding *finding, const unsigned char *der, size_t length)
{
    const unsigned char *at = der;
    X509 *certificate = finding->ossl->d2i_X509(NULL, &at, (long)length);
    uint8_t digest[32];
    bool taken;

    if (certificate == NULL)
        return false;
    /* "TRUSTED CERTIFICATE" has more after the certificate. */
    taken = digest_certificate(finding->ossl, certificate, finding->kind, DIGEST_SHA256, digest);
    if (taken)
        finding->found(finding->to, digest, der, (size_t)(at - der));
    finding->count += taken;
    finding->ossl->X509_free(certificate);
    return taken;
}

static bool take_key(struct finding *finding, const unsigned char *der, size_t length)
{
    const unsigned char *at = der;
    EVP_PKEY *key = finding->kind == PIN_SPKI ? finding->ossl->d2i_PUBKEY(NULL, &at, (long)length) : NULL;
    bool taken = key != NULL && at == der + length;
    uint8_t digest[32];

    if (key != NULL)
        finding->ossl->EVP_PKEY_free(key);
    if (taken) {
        sha2(DIGEST_SHA256, der, length, digest);
        finding->found(finding->to, digest, NULL, 0);
    }
    finding->count += taken;
    return taken;
}

static bool take_request(struct finding *finding, const unsigned char *der, size_t length)
{
    const struct ossl *ossl = finding->ossl;
    const unsigned char *at = der;
    X509_REQ *request = finding->kind == PIN_SPKI ? ossl->d2i_X509_REQ(NULL, &at, (long)length) : NULL;
    unsigned char *spki = NULL;
    int spki_length = request != NULL ? ossl->i2d_X509_PUBKEY(ossl->X509_REQ_get_X509_PUBKEY(request), &spki) : 0;
    bool taken = spki_length > 0 && take_key(finding, spki, (size_t)spki_length);

    if (spki != NULL)
        ossl->CRYPTO_free(spki, "", 0);
    if (request != NULL)
        ossl->X509_REQ_free(request);
    return taken;
}

/* Return false if it is an object that matters and it cannot be read. */
static bool take_object(void *to, const char *name, const unsigned char *der, size_t length)
{
    struct finding *finding = to;

    if (strstr(name, "CERTIFICATE REQUEST") != NULL)
        return finding->kind != PIN_SPKI || take_request(finding, der, length);
    if (strstr(name, "CERTIFICATE") != NULL)
        return take_certificate(finding, der, length);
    return strcmp(name, "PUBLIC KEY") != 0 || finding->kind != PIN_SPKI || take_key(finding, der, length);
}

/* Count the beginnings of objects: one that is cut off or garbled must not go unnoticed. */
static size_t count_of(const unsigned char *bytes, size_t length, const char *what)
{
    const unsigned char *at = bytes;
    size_t count = 0;

    while ((at = memmem(at, length - (size_t)(at - bytes), what, strlen(what))) != NULL) {
        at += strlen(what);
        count++;
    }
    return count;
}

bool pinfile_is_pem(const unsigned char *bytes, size_t length)
{
    return count_of(bytes, length, "-----BEGIN ") > 0;
}

bool pinfile_read_pem(const struct ossl *ossl, const unsigned char *bytes, size_t length,
    bool (*take)(void *to, const char *name, const unsigned char *der, size_t length), void *to)
{
    BIO *bio = ossl->BIO_new_mem_buf(bytes, (int)length);
    size_t expected = count_of(bytes, length, "-----BEGIN ");
    unsigned char *der = NULL;
    char *header = NULL;
    char *name = NULL;
    long der_length;
    bool fine = bio != NULL;

    while (fine && ossl->PEM_read_bio(bio, &name, &header, &der, &der_length) == 1) {
        expected--;
        fine = take(to, name, der, (size_t)der_length);
        /* It may be a key. */
        explicit_bzero(der, (size_t)der_length);
        ossl->CRYPTO_free(name, "", 0);
        ossl->CRYPTO_free(header, "", 0);
        ossl->CRYPTO_free(der, "", 0);
    }
    if (bio != NULL)
        (void)ossl->BIO_free(bio);
    return fine && expected == 0;
}

bool pinfile_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem)
{
    const struct ossl *ossl = reader->library;
    struct finding finding = {ossl, kind, found, to, 0};
    struct file_identity unwanted;
    unsigned char *bytes;
    char *whole;
    size_t length;
    bool fine;

    if (ossl == NULL || ossl->kind != OSSL_USABLE) {
        text_add(problem, "no OpenSSL is available to read it");
        return false;
    }
    whole = file_beside(path, reader->beside);
    if (whole == NULL) {
        text_add(problem, "out of memory");
        return false;
    }
    bytes = file_is_fleeting(whole, "it", problem) ? NULL : (unsigned char *)file_read(whole, "it", LIMIT, &unwanted, &length, problem);
    free(whole);
    if (bytes == NULL)
        return false;
    (void)ossl->ERR_set_mark();
    if (pinfile_is_pem(bytes, length))
        fine = pinfile_read_pem(ossl, bytes, length, take_object, &finding);
    else
        fine = take_certificate(&finding, bytes, length) || take_key(&finding, bytes, length) || take_request(&finding, bytes, length);
    (void)ossl->ERR_pop_to_mark();
    free(bytes);
    if (!fine)
        text_add(problem, "it has an object that cannot be read");
    else if (finding.count == 0)
        text_add(problem, "it has nothing that can be pinned");
    return fine && finding.count > 0;
}

/* The trust store while it is read. */
struct storing {
    struct roots *roots;
    bool hashed; /* the file's name is a hash */
    uint32_t hash;
};

static bool store_object(void *to, const char *name, const unsigned char *der, size_t length)
{
    const struct storing *storing = to;

    return strstr(name, "CERTIFICATE") == NULL || strstr(name, "REQUEST") != NULL || roots_add(storing->roots, der, length, storing->hashed ? &storing->hash : NULL);
}

/* Return false if a later attempt may succeed: no memory, no free descriptor. */
static bool is_final(int error)
{
    return error != EMFILE && error != ENFILE && error != ENOMEM;
}

/* Add the certificates of one file: all or none, as libcrypto does. Return false if it exists and could not be read, but a later attempt
 * may succeed. */
static bool store_file(const struct ossl *ossl, struct storing *storing, const char *path, struct file_identity *identity)
{
    char message[300];
    struct text unwanted = text_over(message, sizeof(message));
    size_t before = roots_count(storing->roots);
    size_t length;
    unsigned char *bytes;

    errno = 0;
    bytes = (unsigned char *)file_read(path, "it", LIMIT, identity, &length, &unwanted);
    if (bytes == NULL)
        return is_final(errno);
    if (!pinfile_read_pem(ossl, bytes, length, store_object, storing))
        roots_cut(storing->roots, before);
    free(bytes);
    return true;
}

/* Read the hash from the name of a file in a directory, as c_rehash(1) writes it: 8 hex digits, a dot, a number. */
static bool read_hash(const char *name, uint32_t *hash)
{
    *hash = 0;
    for (int i = 0; i < 8; i++, name++) {
        if ((*name < '0' || *name > '9') && (*name < 'a' || *name > 'f'))
            return false;
        *hash = *hash << 4 | (uint32_t)(*name <= '9' ? *name - '0' : *name - 'a' + 10);
    }
    return name[0] == '.' && name[1] != '\0' && name[1 + strspn(name + 1, "0123456789")] == '\0';
}

/* Read the whole directory at once: libcrypto would open its files when it needs an issuer, perhaps after a chroot. */
static bool store_directory(const struct ossl *ossl, struct storing *storing, const char *path)
{
    union {
        struct dirent64 first; /* getdents64(2) writes them in this form */
        char bytes[4096];
    } entries;
    int fd = (int)kernel_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct file_identity identity;
    bool complete = true;
    long got;

    if (fd < 0)
        return is_final(errno);
    storing->hashed = true;
    while ((got = kernel_call(SYS_getdents64, fd, &entries, sizeof(entries))) > 0) {
        const struct dirent64 *entry;

        for (long at = 0; at < got; at += entry->d_reclen) {
            char *file;

            entry = (const struct dirent64 *)(const void *)(entries.bytes + at);
            file = read_hash(entry->d_name, &storing->hash) ? malloc(strlen(path) + strlen(entry->d_name) + 2) : NULL;
            if (file == NULL)
                continue;
            (void)stpcpy(stpcpy(stpcpy(file, path), "/"), entry->d_name);
            complete &= store_file(ossl, storing, file, &identity);
            free(file);
        }
    }
    (void)kernel_call(SYS_close, fd);
    storing->hashed = false;
    return complete && got == 0;
}

/* A place that was not read completely counts as changed at the next check. */
static bool store_place(const struct ossl *ossl, struct storing *storing, const char *path, bool directory)
{
    static const struct file_identity incomplete = {.inode = (ino_t)-1};
    struct file_identity before;
    struct file_identity identity;
    char message[300];
    struct text unwanted = text_over(message, sizeof(message));
    bool complete;

    file_identify(path, &before);
    identity = before;
    errno = 0;
    if (path[0] != '/')
        complete = false; /* in a directory that is not known */
    else if (file_is_fleeting(path, "it", &unwanted))
        complete = is_final(errno);
    else if (directory)
        complete = store_directory(ossl, storing, path);
    else
        complete = store_file(ossl, storing, path, &identity);
    return roots_note_place(storing->roots, path, complete ? &before : &incomplete);
}

/* The same for a path of the environment, which is meant in the directory in which the program was started. */
static bool store_named(const struct ossl *ossl, struct storing *storing, const char *name, size_t length, bool directory)
{
    char *path = strndup(name, length);
    char *whole = path != NULL ? file_beside(path, config_get()->directory) : NULL;
    bool fine = whole != NULL && store_place(ossl, storing, whole, directory);

    free(whole);
    free(path);
    return fine;
}

struct roots *pinfile_read_roots(const struct pins_reader *reader)
{
    const struct ossl *ossl = reader->library;
    struct storing storing = {NULL, false, 0};
    const char *file;
    const char *directories;
    bool fine;

    if (ossl == NULL || ossl->kind != OSSL_USABLE || (storing.roots = roots_new()) == NULL)
        return NULL;
    /* The same as X509_STORE_set_default_paths. */
    file = secure_getenv(ossl->X509_get_default_cert_file_env());
    directories = secure_getenv(ossl->X509_get_default_cert_dir_env());
    if (file == NULL)
        file = ossl->X509_get_default_cert_file();
    if (directories == NULL)
        directories = ossl->X509_get_default_cert_dir();
    (void)ossl->ERR_set_mark();
    fine = store_named(ossl, &storing, file, strlen(file), false);
    while (fine && *directories != '\0') {
        size_t length = strcspn(directories, ":");

        fine = length == 0 || store_named(ossl, &storing, directories, length, true);
        directories += length;
        directories += *directories == ':';
    }
    (void)ossl->ERR_pop_to_mark();
    if (fine)
        return storing.roots;
    roots_free(storing.roots);
    return NULL;
}
