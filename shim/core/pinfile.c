#include "pinfile.h"

#include "config.h"
#include "digest.h"
#include "kernel.h"
#include "memory.h"
#include "pem.h"
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
    const struct tls *tls;
    enum pin_kind kind;
    pins_found *found;
    void *to;
    size_t count;
};

/* An issuer that the library cannot read would be in no path. */
static bool is_usable(const struct finding *finding, struct bytes der)
{
    struct certificate *certificate;

    if (finding->kind != PIN_CA || finding->tls == NULL)
        return true;
    certificate = finding->tls->parse(finding->tls, der);
    if (certificate != NULL)
        finding->tls->release(finding->tls, certificate);
    return certificate != NULL;
}

static bool take_certificate(struct finding *finding, struct bytes bytes)
{
    /* "TRUSTED CERTIFICATE" has more after the certificate. */
    struct bytes certificate = der_take(&bytes, DER_SEQUENCE);
    struct der_names unwanted;
    uint8_t digest[32];

    if (certificate.at == NULL || !der_read_names(certificate, &unwanted) || der_spki_of_certificate(certificate).at == NULL
        || !is_usable(finding, certificate) || !digest_bytes(certificate, finding->kind, DIGEST_SHA256, digest))
        return false;
    finding->found(finding->to, digest, certificate.at, certificate.length);
    finding->count++;
    return true;
}

static bool take_key(struct finding *finding, struct bytes spki)
{
    uint8_t digest[32];

    if (finding->kind != PIN_SPKI || !der_is_spki(spki))
        return false;
    sha2(DIGEST_SHA256, spki.at, spki.length, digest);
    finding->found(finding->to, digest, NULL, 0);
    finding->count++;
    return true;
}

/* Return false if it is an object that matters and it cannot be read. */
static bool take_object(void *to, const char *label, bool encrypted, struct bytes der)
{
    struct finding *finding = to;

    (void)encrypted;
    if (strstr(label, "CERTIFICATE REQUEST") != NULL)
        return finding->kind != PIN_SPKI || take_key(finding, der_spki_of_request(der));
    if (strstr(label, "CERTIFICATE") != NULL)
        return take_certificate(finding, der);
    return strcmp(label, "PUBLIC KEY") != 0 || finding->kind != PIN_SPKI || take_key(finding, der);
}

bool pinfile_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem)
{
    struct finding finding = {reader->tls, kind, found, to, 0};
    struct file_identity unwanted;
    struct bytes bytes;
    char *content;
    char *whole = file_beside(path, reader->beside);
    bool fine;

    if (whole == NULL) {
        text_add(problem, "out of memory");
        return false;
    }
    content = file_is_fleeting(whole, "it", problem) ? NULL : file_read(whole, "it", LIMIT, &unwanted, &bytes.length, problem);
    memory_let_go(whole);
    if (content == NULL)
        return false;
    bytes.at = (const uint8_t *)content;
    if (pem_is(bytes))
        fine = pem_read(bytes, take_object, &finding);
    else
        fine = take_certificate(&finding, bytes) || take_key(&finding, bytes) || take_key(&finding, der_spki_of_request(bytes));
    memory_let_go(content);
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

static bool store_object(void *to, const char *label, bool encrypted, struct bytes der)
{
    const struct storing *storing = to;

    (void)encrypted;
    return strstr(label, "CERTIFICATE") == NULL || strstr(label, "REQUEST") != NULL
        || roots_add(storing->roots, der.at, der.length, storing->hashed ? &storing->hash : NULL);
}

/* Return false if a later attempt may succeed: no memory, no free descriptor. */
static bool is_final(int error)
{
    return error != EMFILE && error != ENFILE && error != ENOMEM;
}

/* Add the certificates of one file: all or none, as libcrypto does. Return false if it exists and could not be read, but a later attempt
 * may succeed. */
static bool store_file(struct storing *storing, const char *path, struct file_identity *identity)
{
    char message[300];
    struct text unwanted = text_over(message, sizeof(message));
    size_t before = roots_count(storing->roots);
    size_t length;
    char *bytes;

    errno = 0;
    bytes = file_read(path, "it", LIMIT, identity, &length, &unwanted);
    if (bytes == NULL)
        return is_final(errno);
    if (!pem_read((struct bytes) {(const uint8_t *)bytes, length}, store_object, storing))
        roots_cut(storing->roots, before);
    memory_let_go(bytes);
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
static bool store_directory(struct storing *storing, const char *path)
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
            complete &= store_file(storing, file, &identity);
            free(file);
        }
    }
    (void)kernel_call(SYS_close, fd);
    storing->hashed = false;
    return complete && got == 0;
}

/* A place that was not read completely counts as changed at the next check. */
static bool store_place(struct storing *storing, const char *path, bool directory)
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
        complete = store_directory(storing, path);
    else
        complete = store_file(storing, path, &identity);
    return roots_note_place(storing->roots, path, complete ? &before : &incomplete);
}

/* The same for a path of the environment, which is meant in the directory in which the program was started. */
static bool store_named(struct storing *storing, const char *name, size_t length, bool directory)
{
    char *path = strndup(name, length);
    char *whole = path != NULL ? file_beside(path, config_get()->directory) : NULL;
    bool fine = whole != NULL && store_place(storing, whole, directory);

    memory_let_go(whole);
    free(path);
    return fine;
}

struct roots *pinfile_read_roots(const struct pins_reader *reader)
{
    struct storing storing = {NULL, false, 0};
    const char *file;
    const char *directories;
    bool fine;

    if (reader->tls == NULL || (storing.roots = roots_new()) == NULL)
        return NULL;
    reader->tls->trust_store(reader->tls, &file, &directories);
    fine = store_named(&storing, file, strlen(file), false);
    while (fine && *directories != '\0') {
        size_t length = strcspn(directories, ":");

        fine = length == 0 || store_named(&storing, directories, length, true);
        directories += length;
        directories += *directories == ':';
    }
    if (fine)
        return storing.roots;
    roots_free(storing.roots);
    return NULL;
}
