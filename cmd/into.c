#include "into.h"

#include "client_file.h"
#include "command.h"
#include "memory.h"
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

/* Return the rule for the target; NULL: there is none. */
static const struct rule *rule_for(const struct pins *pins, const char *target)
{
    if (pins == NULL || strcmp(target, "@revoked") == 0)
        return pins != NULL ? pins_revoked(pins) : NULL;
    for (const struct rule *rule = targets_next(pins, NULL); rule != NULL; rule = targets_next(pins, rule)) {
        char buffer[HOST_NAME_MAX_LENGTH + 32];
        struct text text = text_over(buffer, sizeof(buffer));

        targets_print(pins, rule, &text);
        if (strcasecmp(buffer, target) == 0)
            return rule;
    }
    return NULL;
}

static bool has_expired(const struct pin *pin)
{
    return pin->expires != 0 && pin->expires <= text_today();
}

/* Return the rule's pin that is the same, preferably one that has not expired; NULL: there is none. */
static const struct pin *find_pin(const struct pins *pins, const struct rule *rule, const struct one_pin *sought)
{
    const struct pin *found = NULL;

    for (const struct pin *pin = rule != NULL ? pins_next_pin(pins, rule, NULL) : NULL; pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind == sought->kind && pin->digest == sought->digest
            && memcmp(pins_digest(pins, pin), sought->bytes, digest_size(sought->digest)) == 0 && (found == NULL || has_expired(found)))
            found = pin;
    }
    return found;
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

/* Return true if the rule has every pin of the other one. */
static bool has_all_of(const struct pins *pins, const struct rule *rule, const struct rule *other)
{
    for (const struct pin *pin = pins_next_pin(pins, other, NULL); pin != NULL; pin = pins_next_pin(pins, other, pin)) {
        struct one_pin same = {.known = true, .kind = (enum pin_kind)pin->kind, .digest = (enum digest)pin->digest};

        memcpy(same.bytes, pins_digest(pins, pin), digest_size(same.digest));
        if (find_pin(pins, rule, &same) == NULL)
            return false;
    }
    return true;
}

/* Of the line that the file has already. Return false if it accepts no server any more. */
static bool note_present(const struct pin *pin, const char *path, const char *line)
{
    char day[16];
    struct text text = text_over(day, sizeof(day));

    printf("%s has this already: %.*s\n", path, (int)strcspn(line, "\n"), line);
    if (!has_expired(pin))
        return true;
    text_add_date(&text, pin->expires);
    output_error("%s:%u: that pin expired on %s; next: set a later day there, if the server's owner confirms that it is still valid", path, (unsigned)pin->line, day);
    return false;
}

/* Append the lines that are new, each with the comments before it. Return how many there are. `*good`: none of those that are there has expired. */
static unsigned add_lines(struct whole *whole, const struct pins *before, const char *path, const char *printed, bool *good)
{
    const char *comments = printed;
    unsigned count = 0;

    for (const char *line = printed; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char target[1100];
        const char *pin;
        size_t length;
        struct one_pin read;
        const struct pin *present;

        /* A rule that is commented out ends what was said before it. */
        if (line[0] == '#' && line[1] != ' ')
            comments = line + strcspn(line, "\n") + 1;
        if (!read_line(line, target, sizeof(target), &pin, &length))
            continue;
        read = read_pin(pin, length);
        present = find_pin(before, rule_for(before, target), &read);
        if (present != NULL) {
            *good &= note_present(present, path, line);
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

/* A rule with a port takes precedence over one for every port: say where what was added does not count for that reason, or hides what counted before. */
static void warn_of_ports(const struct pins *before, const struct pins *after, const char *path, const char *printed)
{
    char last[1100] = "";

    for (const char *line = printed; *line != '\0'; line += strcspn(line, "\n") + 1) {
        char target[1100];
        char buffer[HOST_NAME_MAX_LENGTH + 32];
        const char *field;
        size_t length;
        const struct rule *rule = read_line(line, target, sizeof(target), &field, &length) ? rule_for(after, target) : NULL;
        struct one_pin read = {.known = false};

        if (rule == NULL || strcmp(target, "@revoked") == 0)
            continue;
        read = read_pin(field, length);
        for (const struct rule *other = targets_next(after, NULL); other != NULL; other = targets_next(after, other)) {
            struct text text = text_over(buffer, sizeof(buffer));

            if (!targets_differ_in_port(rule, other))
                continue;
            targets_print(after, other, &text);
            if (rule->port == 0 && find_pin(after, other, &read) == NULL)
                output_error("%s:%u: on port %u the rule for %s takes precedence, and %.*s, for %s, does not count there; next: add that with --for %s, too", path,
                    (unsigned)other->line, other->port, buffer, (int)length, field, target, buffer);
            else if (other->port == 0 && strcmp(target, last) != 0 && rule_for(before, target) == NULL && !has_all_of(after, rule, other))
                output_error("%s:%u: on port %u the rule for %s takes precedence now, and pins for %s alone do not count there any more; next: add them with --for %s, too",
                    path, (unsigned)other->line, rule->port, target, buffer, target);
        }
        memcpy(last, target, strlen(target) + 1);
    }
}

/* Return true if the comment is one that pin or learn have written about the pin below it. */
static bool is_about_pin(const char *line, size_t length)
{
    static const char *const beginnings[] = {"# Key of ", "# Another key of ", "# Certificate: subject ", "# The server requests a client certificate", "#   subject  ",
        "#   issuer   ", "#   expires  "};
    static const char *const ends[] = {": a certificate", ": a key. Usable as a backup pin", ": a certificate request. Usable as a backup pin"};

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (line[0] == '#' && length > strlen(ends[i]) && strncmp(line + length - strlen(ends[i]), ends[i], strlen(ends[i])) == 0)
            return true;
    }
    return false;
}

/* Return true if the line has this pin, and no other. */
static bool is_only_pin(const char *line, size_t end, const struct one_pin *old)
{
    unsigned pins = 0;
    bool found = false;

    for (const char *at = line; at < line + end;) {
        size_t blanks = strspn(at, BLANKS "\r");
        size_t field = strcspn(at + blanks, BLANKS "#\r\n");
        struct one_pin read = {.known = false};

        if (field == 0)
            break;
        if (at > line)
            read = read_pin(at + blanks, field);
        pins += read.known;
        found |= same(&read, old);
        at += blanks + field;
    }
    return found && pins == 1;
}

/* What was printed about the new pin. */
static void put_comments(struct whole *whole, const char *printed)
{
    for (const char *line = printed; line[0] == '#' && line[1] == ' '; line += strcspn(line, "\n") + 1)
        put_line(whole, line, strcspn(line, "\n"));
}

/* Copy the file, with the new pin in the place of the old one, and with what was printed about it in the place of what was written about that. Return how
 * often the old one stood there. */
static unsigned replace(struct whole *whole, const char *path, const char *content, const struct one_pin *old, const char *printed, const char *pin, size_t length)
{
    unsigned count = 0;
    const char *held = NULL; /* comments about the next pin, which are not copied yet */

    for (const char *line = content; *line != '\0' || held != NULL;) {
        size_t end = strcspn(line, "\n");
        const char *at = line;
        bool changed = false;

        if (*line != '\0' && is_about_pin(line, end)) {
            held = held != NULL ? held : line;
            line += end + (line[end] == '\n');
            continue;
        }
        if (held != NULL && is_only_pin(line, end, old))
            put_comments(whole, printed);
        else
            for (; held != NULL && held < line; held += strcspn(held, "\n") + (held[strcspn(held, "\n")] == '\n'))
                put_line(whole, held, strcspn(held, "\n"));
        held = NULL;
        if (*line == '\0')
            break;
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
    bool good = true;
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
        changes = replace(&whole, path, content, &gone, printed, pin, length);
        if (changes == 0)
            output_error("%s does not have the pin that is to be replaced; nothing is written", path);
    } else {
        for (const char *line = content; *line != '\0'; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
            put_line(&whole, line, strcspn(line, "\n"));
        changes = add_lines(&whole, before, path, printed, &good);
        status = changes == 0 && good ? 0 : 1; /* there is nothing to add */
    }
    if (fclose(whole.out) == 0 && changes > 0) {
        after = pins_parse(whole.at, whole.length, reader, print_fault, (void *)(uintptr_t)path);
        if (after == NULL)
            output_error("%s would be faulty and is not changed; the lines above are those of the new file", path);
        else if (put_in_place(path, &whole))
            status = 0;
        if (status == 0 && old == NULL)
            warn_of_ports(before, after, path, printed);
        if (status == 0)
            printf("next: pinshim lint %s, and pinshim check %s\n", path, path);
        if (!good)
            status = 1;
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
    char *content;
    char *whole = NULL;
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
            memory_let_go(content);
            return 1;
        }
        whole = output_allocate(NULL, length + 1);
        memcpy(whole, content, length);
        whole[length] = '\0';
        memory_let_go(content);
    }
    status = write_new(path, whole != NULL ? whole : "", before, printed, old, &reader);
    pins_free(before);
    free(whole);
    return status;
}
