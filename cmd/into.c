#include "into.h"

#include "client_file.h"
#include "command.h"
#include "objects.h"
#include "output.h"
#include "pinfile.h"
#include "targets.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t"

/* The new file, as it grows. */
struct whole {
    char *at;
    size_t length;
    FILE *out;
    unsigned line; /* the number of the next */
};

static void put_line(struct whole *whole, const char *at, size_t length)
{
    (void)fprintf(whole->out, "%.*s\n", (int)length, at);
    whole->line++;
}

static void ignore(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    (void)line;
    (void)column;
    (void)message;
}

/* Read one pin as a pins file spells it. */
struct one_pin {
    bool known;
    enum pin_kind kind;
    enum digest digest;
    uint8_t bytes[DIGEST_MAX];
};

static struct one_pin read_pin(const char *field, size_t length)
{
    struct one_pin out = {.known = false};
    char *rule = output_allocate(NULL, length + 4);
    const struct rule *first;
    const struct pin *pin;
    struct pins *pins;

    (void)snprintf(rule, length + 4, "x %.*s", (int)length, field);
    pins = strcspn(rule + 2, BLANKS "#\n") == length ? pins_parse(rule, strlen(rule), NULL, ignore, NULL) : NULL;
    free(rule);
    first = pins != NULL ? targets_next(pins, NULL) : NULL;
    pin = first != NULL ? pins_next_pin(pins, first, NULL) : NULL;
    if (pin != NULL) {
        out = (struct one_pin) {.known = true, .kind = (enum pin_kind)pin->kind, .digest = (enum digest)pin->digest};
        memcpy(out.bytes, pins_digest(pins, pin), digest_size(out.digest));
    }
    pins_free(pins);
    return out;
}

static bool same(const struct one_pin *a, const struct one_pin *b)
{
    return a->known && b->known && a->kind == b->kind && a->digest == b->digest && memcmp(a->bytes, b->bytes, digest_size(a->digest)) == 0;
}

/* The pin that is to go: as it is written, or the SPKI pin of a file. */
static struct one_pin find_old(const char *old)
{
    struct one_pin pin = read_pin(old, strlen(old));
    struct objects objects = {NULL, 0};
    char message[400];
    struct text problem = text_over(message, sizeof(message));

    if (pin.known)
        return pin;
    if (access(old, F_OK) != 0) {
        output_error("\"%s\" is neither a pin, as in spki-sha256:DIGEST, nor a file", old);
        return pin;
    }
    pin = (struct one_pin) {.kind = PIN_SPKI, .digest = DIGEST_SHA256};
    if (!objects_read(old, &objects, &problem))
        output_error("%s: %s", old, message);
    else
        pin.known = objects_spki(&objects.at[0], pin.bytes);
    objects_free(&objects);
    return pin;
}

/* Return true if the file has a rule for that target with that pin. */
static bool has_pin(const struct pins *pins, const char *target, const struct one_pin *sought)
{
    const struct rule *rule = NULL;
    bool revoked = strcmp(target, "@revoked") == 0;

    while (pins != NULL && (rule = revoked ? (rule == NULL ? pins_revoked(pins) : NULL) : targets_next(pins, rule)) != NULL) {
        char buffer[HOST_NAME_MAX_LENGTH + 32];
        struct text text = text_over(buffer, sizeof(buffer));

        if (!revoked)
            targets_print(pins, rule, &text);
        if (!revoked && strcasecmp(buffer, target) != 0)
            continue;
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (pin->kind == sought->kind && pin->digest == sought->digest
                && memcmp(pins_digest(pins, pin), sought->bytes, digest_size(sought->digest)) == 0)
                return true;
        }
    }
    return false;
}

/* Split a printed line into target and pin. Return false if it is a comment. */
static bool read_line(const char *line, char *target, size_t size, const char **pin, size_t *length)
{
    size_t first = strcspn(line, BLANKS "\n");

    if (line[0] == '#' || first == 0 || first >= size)
        return false;
    memcpy(target, line, first);
    target[first] = '\0';
    *pin = line + first + strspn(line + first, BLANKS);
    *length = strcspn(*pin, BLANKS "\n");
    return *length > 0;
}

/* Append the lines that are new, each with the comments before it. Return how many there are. */
static unsigned add_lines(struct whole *whole, const struct pins *before, const char *path, const char *printed)
{
    const char *comments = printed;
    unsigned count = 0;

    for (const char *line = printed; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char target[1100];
        const char *pin;
        size_t length;
        struct one_pin read;

        /* A rule that is commented out ends what was said before it. */
        if (line[0] == '#' && line[1] != ' ')
            comments = line + strcspn(line, "\n") + 1;
        if (!read_line(line, target, sizeof(target), &pin, &length))
            continue;
        read = read_pin(pin, length);
        if (has_pin(before, target, &read)) {
            printf("%s has this already: %.*s\n", path, (int)strcspn(line, "\n"), line);
        } else {
            for (; comments < line; comments += strcspn(comments, "\n") + 1)
                put_line(whole, comments, strcspn(comments, "\n"));
            printf("%s:%u: added %.*s\n", path, whole->line, (int)strcspn(line, "\n"), line);
            put_line(whole, line, strcspn(line, "\n"));
            count++;
        }
        comments = line + strcspn(line, "\n") + 1;
    }
    return count;
}

/* Copy the file, with the new pin in the place of the old one. Return how often that stood there. */
static unsigned replace(struct whole *whole, const char *path, const char *content, const struct one_pin *old, const char *pin, size_t length)
{
    unsigned count = 0;

    for (const char *line = content; *line != '\0';) {
        size_t end = strcspn(line, "\n");
        const char *at = line;
        bool changed = false;

        while (at < line + end) {
            size_t blanks = strspn(at, BLANKS "\r");
            size_t field = strcspn(at + blanks, BLANKS "#\r\n");
            struct one_pin read = {.known = false};

            /* The first field is the target. */
            if (field > 0 && at > line)
                read = read_pin(at + blanks, field);
            if (field == 0)
                field = (size_t)(line + end - at) - blanks; /* a comment */
            if (same(&read, old)) {
                (void)fprintf(whole->out, "%.*s%.*s", (int)blanks, at, (int)length, pin);
                changed = true;
            } else {
                (void)fprintf(whole->out, "%.*s", (int)(blanks + field), at);
            }
            at += blanks + field;
        }
        (void)fputc('\n', whole->out);
        if (changed) {
            printf("%s:%u: replaced with %.*s\n", path, whole->line, (int)length, pin);
            count++;
        }
        whole->line++;
        line += end + (line[end] == '\n');
    }
    return count;
}

/* Find the one pin of the lines. */
static const char *only_pin(const char *printed, size_t *length)
{
    const char *only = NULL;

    for (const char *line = printed; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char target[1100];
        const char *pin;
        size_t size;

        if (!read_line(line, target, sizeof(target), &pin, &size))
            continue;
        if (only != NULL && (size != *length || memcmp(pin, only, size) != 0))
            return NULL;
        only = pin;
        *length = size;
    }
    return only;
}

static void print_fault(void *arg, uint32_t line, uint32_t column, const char *message)
{
    if (line == 0)
        output_error("%s: %s", (const char *)arg, message);
    else
        output_error("%s:%u:%u: %s", (const char *)arg, (unsigned)line, (unsigned)column, message);
}

/* Write it beside the file, and then in its place, through symbolic links, with its owner and mode. */
static bool put_in_place(const char *path, const struct whole *whole)
{
    struct stat status;
    char *real = realpath(path, NULL);
    bool exists = real != NULL && stat(real, &status) == 0;
    mode_t mask = umask(0);
    bool good;

    (void)umask(mask);
    good = output_file(exists ? real : path, whole->at, whole->length, exists ? status.st_mode & 0777 : 0644 & ~mask, true);
    if (good && exists && (status.st_uid != geteuid() || status.st_gid != getegid()) && chown(real, status.st_uid, status.st_gid) != 0)
        output_error("%s does not belong to its owner any more: %s", path, strerror(errno));
    if (!good)
        output_error("%s cannot be written: %s", path, strerror(errno));
    free(real);
    return good;
}

/* Return the exit status, after the old file was read. */
static int write_new(const char *path, const char *content, struct pins *before, const char *printed, const char *old, const struct pins_reader *reader)
{
    struct whole whole = {.line = 1};
    struct one_pin gone = {.known = false};
    const char *pin = NULL;
    size_t length = 0;
    unsigned changes = 0;
    struct pins *after;
    int status = 1;

    if (old != NULL) {
        gone = find_old(old);
        pin = only_pin(printed, &length);
        if (!gone.known)
            return 1;
        if (pin == NULL) {
            output_error("--replace puts one pin in the place of another; expected a server, certificate, request or key that gives one, and no more");
            return 1;
        }
    }
    whole.out = open_memstream(&whole.at, &whole.length);
    if (whole.out == NULL)
        return 1;
    if (old != NULL) {
        changes = replace(&whole, path, content, &gone, pin, length);
        if (changes == 0)
            output_error("%s does not have the pin that is to be replaced; nothing is written", path);
    } else {
        for (const char *line = content; *line != '\0'; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
            put_line(&whole, line, strcspn(line, "\n"));
        changes = add_lines(&whole, before, path, printed);
        status = changes == 0 ? 0 : 1; /* there is nothing to add */
    }
    if (fclose(whole.out) == 0 && changes > 0) {
        after = pins_parse(whole.at, whole.length, reader, print_fault, (void *)(uintptr_t)path);
        if (after == NULL)
            output_error("%s would be faulty and is not changed; the lines above are those of the new file", path);
        else if (put_in_place(path, &whole))
            status = 0;
        if (status == 0)
            printf("next: pinshim lint %s, and pinshim check %s\n", path, path);
        pins_free(after);
    }
    free(whole.at);
    return status;
}

int into_write(const char *path, const char *printed, const char *old)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .tls = linked_tls(), .beside = path};
    struct file_identity identity;
    char message[300];
    struct text problem = text_over(message, sizeof(message));
    char *content = NULL;
    struct pins *before = NULL;
    size_t length = 0;
    int status;

    if (access(path, F_OK) == 0 || old != NULL) {
        content = file_read(path, "the pins file", (size_t)256 << 20, &identity, &length, &problem);
        if (content == NULL) {
            output_error("%s: %s", path, message);
            return 1;
        }
        /* A file that has no rule yet is none that is in use. */
        before = pins_parse(content, length, &reader, length > 0 ? print_fault : ignore, (void *)(uintptr_t)path);
        if (before == NULL && length > 0) {
            output_error("%s is faulty and is not changed; fix it first, see \"pinshim lint %s\"", path, path);
            free(content);
            return 1;
        }
        content = output_allocate(content, length + 1);
        content[length] = '\0';
    }
    status = write_new(path, content != NULL ? content : "", before, printed, old, &reader);
    pins_free(before);
    free(content);
    return status;
}
