#include "client_file.h"

#include "memory.h"
#include "tls.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIMIT (1 << 20) /* bytes */
#define PASSPHRASE_LIMIT 1024 /* the most that OpenSSL reads (PEM_BUFSIZE) */

/* The client certificate while it is read. */
struct gathering {
    const struct tls *tls;
    struct client_cert *out;
    struct bytes files[CLIENT_FILES]; /* to be freed */
    char *passphrase; /* NULL: none was given */
    bool shut; /* the program may not open one of the files */
    struct text *problem;
};

/* Read one of the files. */
static bool read_whole(struct gathering *gathering, enum client_file which, const char *path, const char *beside)
{
    struct client_cert *out = gathering->out;
    struct bytes *file = &gathering->files[which];

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
    file->at = (const uint8_t *)file_read(out->paths[which], "it", which == CLIENT_PASS ? PASSPHRASE_LIMIT : LIMIT, &out->files[which],
        &file->length, gathering->problem);
    gathering->shut = file->at == NULL && errno == EACCES;
    return file->at != NULL;
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
    const struct bytes file = gathering->files[CLIENT_PASS];
    const uint8_t *end = memchr(file.at, '\n', file.length);
    size_t length = end != NULL ? (size_t)(end - file.at) : file.length;

    if (length > 0 && file.at[length - 1] == '\r')
        length--;
    gathering->passphrase = memory_copy((const char *)file.at, length);
    if (gathering->passphrase == NULL)
        text_add(gathering->problem, "out of memory");
    return gathering->passphrase != NULL;
}

/* The order matters: the first problem reported should be the one that a person would look for first. */
static bool gather(struct gathering *gathering, const char *const paths[static CLIENT_FILES], const char *beside, enum client_file *faulty)
{
    struct client_source source;

    for (int which = 0; which < CLIENT_FILES; which++) {
        *faulty = (enum client_file)which;
        if (paths[which] != NULL && !read_whole(gathering, *faulty, paths[which], beside))
            return false;
    }
    *faulty = CLIENT_PASS;
    if (paths[CLIENT_PASS] != NULL && (!is_private(gathering, CLIENT_PASS) || !take_passphrase(gathering)))
        return false;
    source = (struct client_source) {gathering->files[CLIENT_CERT], gathering->files[CLIENT_KEY], gathering->passphrase};
    if (!gathering->tls->read_client(gathering->tls, &source, gathering->out, faulty, gathering->problem))
        return false;
    *faulty = paths[CLIENT_KEY] != NULL ? CLIENT_KEY : CLIENT_CERT;
    return is_private(gathering, *faulty);
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
            memory_let_go(whole);
        }
        if (same)
            return client;
    }
    return NULL;
}

static void erase(struct gathering *gathering)
{
    if (gathering->passphrase != NULL)
        explicit_bzero(gathering->passphrase, strlen(gathering->passphrase));
    memory_let_go(gathering->passphrase);
    for (int which = 0; which < CLIENT_FILES; which++) {
        void *bytes = (void *)(uintptr_t)gathering->files[which].at;

        if (bytes != NULL)
            explicit_bzero(bytes, gathering->files[which].length);
        memory_let_go(bytes);
    }
}

bool client_file_read(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem)
{
    struct gathering gathering = {.tls = reader->tls, .out = out, .problem = problem};
    const struct client_cert *known = find_known(reader, paths);
    const struct timespec now = file_clock();
    bool fine;

    *faulty = CLIENT_CERT;
    if (known != NULL && known->age == FILE_SETTLED && pins_copy_client(known, out))
        return true;
    /* Nobody will present it. */
    if (gathering.tls == NULL) {
        *out = (struct client_cert) {.line = out->line, .age = FILE_SETTLED};
        return true;
    }
    fine = gather(&gathering, paths, reader->beside, faulty);
    erase(&gathering);
    if (fine) {
        out->age = FILE_SETTLED;
        for (int which = 0; which < CLIENT_FILES; which++)
            out->age = file_younger(out->age, file_age(&out->files[which], &now));
        return true;
    }
    pins_clear_client(out);
    /* It was read while the program still had the right to. */
    if (!gathering.shut || known == NULL || !pins_copy_client(known, out))
        return false;
    out->age = FILE_YOUNG;
    return true;
}
