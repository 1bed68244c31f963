#include "pins_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_TRIES 5 /* of a file that is being rewritten */

struct field {
    const char *at;
    size_t length;
};

struct parser {
    struct pins *pins;
    pins_report *report;
    void *arg;
    const char *line_start;
    uint32_t line;
    bool faulty;
    bool out_of_memory;
};

static void complain(struct parser *parser, const char *at, const char *format, ...) PRINTF_LIKE(3, 4);

static void complain(struct parser *parser, const char *at, const char *format, ...)
{
    char buffer[512];
    struct text message = text_over(buffer, sizeof(buffer));
    va_list args;

    va_start(args, format);
    text_add_va(&message, format, args);
    va_end(args);
    parser->faulty = true;
    parser->report(parser->arg, parser->line, (uint32_t)(at - parser->line_start) + 1, buffer);
}

/* The offending input, for a message. */
struct quoted {
    char text[100];
};

static struct quoted quote(struct field field)
{
    struct quoted quoted = {{0}};
    struct text text = text_over(quoted.text, sizeof(quoted.text));

    text_add_escaped(&text, field.at, field.length, sizeof(quoted.text) - 4);
    return quoted;
}

static bool starts(struct field field, const char *prefix)
{
    size_t length = strlen(prefix);

    for (size_t i = 0; i < length; i++) {
        if (i == field.length || text_lower(field.at[i]) != prefix[i])
            return false;
    }
    return true;
}

static bool is(struct field field, const char *word)
{
    return field.length == strlen(word) && memcmp(field.at, word, field.length) == 0;
}

/* One label of a host name (RFC 1123, section 2.1), with the underscore that service names have. */
static bool is_label(const char *at, size_t length)
{
    if (length == 0 || length > 63 || at[0] == '-' || at[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text_lower(at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static bool all_digits(const char *at, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
    }
    return length > 0;
}

/* Check the name and copy it in the form that host_parse gives. Complain and return false where it is none. */
static bool read_name(struct parser *parser, struct field field, struct host *host)
{
    size_t length = field.length;
    size_t start = 0;
    size_t last = 0;

    if (length > 0 && field.at[length - 1] == '.')
        length--;
    if (length == 0 || length > 253) {
        complain(parser, field.at, "\"%s\" is %s; expected a host name of 1 to 253 characters", quote(field).text,
            length == 0 ? "empty" : "too long");
        return false;
    }
    for (size_t i = 0; i <= length; i++) {
        if (i < length && field.at[i] != '.')
            continue;
        if (!is_label(field.at + start, i - start)) {
            struct field label = {field.at + start, i - start};

            complain(parser, label.at, "\"%s\" in \"%s\" is not a label of a host name; expected 1 to 63 letters, digits, "
                "hyphens or underscores, with no hyphen at either end", quote(label).text, quote(field).text);
            return false;
        }
        last = start;
        start = i + 1;
    }
    if (all_digits(field.at + last, length - last) || (length - last > 1 && field.at[last] == '0' && text_lower(field.at[last + 1]) == 'x')) {
        complain(parser, field.at, "\"%s\" is neither a host name nor an IPv4 address; expected four numbers of 0 to 255 "
            "without leading zeros, or a name whose last label is not a number", quote(field).text);
        return false;
    }
    for (size_t i = 0; i < length; i++)
        host->name[i] = text_lower(field.at[i]);
    host->kind = HOST_NAME;
    return true;
}

/* Take the :port off the end of `field`, if there is one. */
static bool read_port(struct parser *parser, struct field *field, const char *colon, uint16_t *port)
{
    struct field digits = {colon + 1, field->length - (size_t)(colon - field->at) - 1};

    *port = text_port(digits.at, digits.length);
    if (*port == 0) {
        complain(parser, digits.at, "\"%s\" is not a port; expected a number from 1 to 65535", quote(digits).text);
        return false;
    }
    field->length = (size_t)(colon - field->at);
    return true;
}

static bool read_ipv6_target(struct parser *parser, struct field field, struct host *host)
{
    const char *close = memchr(field.at, ']', field.length);
    struct field address;

    if (close == NULL) {
        complain(parser, field.at, "\"%s\" has no closing bracket; expected [ADDRESS] or [ADDRESS]:PORT", quote(field).text);
        return false;
    }
    address = (struct field) {field.at + 1, (size_t)(close - field.at) - 1};
    if (memchr(address.at, ':', address.length) == NULL || !host_parse_address(address.at, address.length, host->address)) {
        complain(parser, address.at, "\"%s\" is not an IPv6 address; expected one like 2001:db8::1", quote(address).text);
        return false;
    }
    host->kind = HOST_ADDRESS;
    if ((size_t)(close - field.at) + 1 == field.length)
        return true;
    if (close[1] != ':') {
        complain(parser, close + 1, "text after \"]\"; expected :PORT or the end of the target");
        return false;
    }
    return read_port(parser, &field, close + 1, &host->port);
}

static bool read_target(struct parser *parser, struct field field, struct target_pattern *target)
{
    const char *colon;
    const char *scheme;
    uint8_t address[16];

    memset(target, 0, sizeof(*target));
    for (size_t i = 0; i < field.length; i++) {
        if ((unsigned char)field.at[i] >= 0x80) {
            complain(parser, field.at + i, "a host name with characters beyond ASCII; expected its xn-- form (IDNA), as \"idn2\" "
                "prints it");
            return false;
        }
    }
    scheme = memmem(field.at, field.length, "://", 3);
    if (scheme != NULL || memchr(field.at, '/', field.length) != NULL) {
        complain(parser, field.at, "\"%s\" is %s; expected only the host, as in example.com or example.com:443",
            quote(field).text, scheme != NULL ? "a URL" : "a host with a path, or a range of addresses");
        return false;
    }
    if (field.at[0] == '@') {
        complain(parser, field.at, "\"%s\" is not supported by this version; expected a target", quote(field).text);
        return false;
    }
    if (field.at[0] == '[') {
        target->form = FORM_ADDRESS;
        return read_ipv6_target(parser, field, &target->host);
    }
    if (host_parse_address(field.at, field.length, address) && memchr(field.at, ':', field.length) != NULL) {
        complain(parser, field.at, "an IPv6 address without brackets; expected [%s]", quote(field).text);
        return false;
    }
    colon = memchr(field.at, ':', field.length);
    if (colon != NULL && !read_port(parser, &field, colon, &target->host.port))
        return false;
    if (is(field, "*")) {
        target->form = FORM_ANY;
        return true;
    }
    if (starts(field, "**.") || starts(field, "*.")) {
        size_t stars = field.at[1] == '*' ? 3 : 2;

        target->form = stars == 3 ? FORM_LABELS : FORM_ONE_LABEL;
        field = (struct field) {field.at + stars, field.length - stars};
    } else if (host_parse_address(field.at, field.length, target->host.address)) {
        target->form = FORM_ADDRESS;
        target->host.kind = HOST_ADDRESS;
        return true;
    }
    if (memchr(field.at, '*', field.length) != NULL) {
        complain(parser, field.at, "\"%s\" has a \"*\" inside; expected it only as *.SUFFIX, **.SUFFIX or * alone",
            quote(field).text);
        return false;
    }
    return read_name(parser, field, &target->host);
}

/* The spellings of a pin. An alias takes base64 alone, as the tools that it comes from do. */
static const struct spelling {
    const char *prefix;
    const char *suffix;
    uint8_t kind;
    uint8_t digest;
    bool base64_only;
} spellings[] = {
    {"spki-sha256:", "", PIN_SPKI, DIGEST_SHA256, false},
    {"spki-sha384:", "", PIN_SPKI, DIGEST_SHA384, false},
    {"spki-sha512:", "", PIN_SPKI, DIGEST_SHA512, false},
    {"cert-sha256:", "", PIN_CERT, DIGEST_SHA256, false},
    {"cert-sha384:", "", PIN_CERT, DIGEST_SHA384, false},
    {"cert-sha512:", "", PIN_CERT, DIGEST_SHA512, false},
    {"sha256//", "", PIN_SPKI, DIGEST_SHA256, true}, /* curl: before the next, which it starts with */
    {"sha256/", "", PIN_SPKI, DIGEST_SHA256, true}, /* OkHttp */
    {"pin-sha256=\"", "\"", PIN_SPKI, DIGEST_SHA256, true}, /* RFC 7469, section 2.1 */
};

static const char *const weak[] = {"spki-sha1:", "cert-sha1:", "ca-sha1:", "sha1/", "pin-sha1=", "sha1:", "spki-md5:", "cert-md5:",
    "ca-md5:", "md5/", "pin-md5=", "md5:"};

static const char *const not_supported[] = {"ca-sha256:", "ca-sha384:", "ca-sha512:", "spki-file:", "cert-file:", "ca-file:", "pkix",
    "expires=", "mode=", "client-cert=", "client-key=", "client-key-pass-file="};

/* Read the digest after the prefix into `out`. Return false where it is not of its form. */
static bool read_digest(struct field value, const struct spelling *spelling, uint8_t *out)
{
    size_t suffix = strlen(spelling->suffix);
    size_t size = digest_size((enum digest)spelling->digest);
    uint8_t other[DIGEST_MAX];

    value = (struct field) {value.at + strlen(spelling->prefix), value.length - strlen(spelling->prefix)};
    if (suffix != 0) {
        if (value.length < suffix || memcmp(value.at + value.length - suffix, spelling->suffix, suffix) != 0)
            return false;
        value.length -= suffix;
    }
    if (spelling->base64_only)
        return text_base64(value.at, value.length, out, size);
    /* 64 hex digits are a SHA-256, although they would pass for the base64 of a SHA-384. */
    if (spelling->digest == DIGEST_SHA384 && text_hex(value.at, value.length, false, other, digest_size(DIGEST_SHA256)))
        return false;
    return text_base64(value.at, value.length, out, size) || text_hex(value.at, value.length, false, out, size)
        || text_hex(value.at, value.length, true, out, size);
}

/* Find the spelling of a pin and read its digest. Complain and return NULL where there is none. */
static const struct spelling *read_pin(struct parser *parser, struct field field, uint8_t *out)
{
    const struct spelling *spelling = NULL;
    size_t prefix;
    size_t size;

    /* A digest in OkHttp's spelling may begin with a slash, and so look like curl's: the one that fits is meant. */
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        if (!starts(field, spellings[i].prefix))
            continue;
        if (read_digest(field, &spellings[i], out))
            return &spellings[i];
        if (spelling == NULL)
            spelling = &spellings[i];
    }
    if (spelling == NULL) {
        complain(parser, field.at, "\"%s\" is not known; expected spki-sha256:DIGEST, cert-sha256:DIGEST, allow or deny",
            quote(field).text);
        return NULL;
    }
    prefix = strlen(spelling->prefix);
    size = digest_size((enum digest)spelling->digest);
    complain(parser, field.at + prefix, "\"%s\" is not a digest of %zu bytes; expected %zu characters of base64%s%s",
        quote((struct field) {field.at + prefix, field.length - prefix}).text, size, (size + 2) / 3 * 4,
        spelling->base64_only ? "" : ", or hex with or without colons", spelling->suffix[0] != '\0' ? " and a closing quote" : "");
    return NULL;
}

static void read_what(struct parser *parser, struct field field, struct rule *rule, bool alone)
{
    enum rule_action action = RULE_PINS;
    const struct spelling *spelling = NULL;
    uint8_t digest[DIGEST_MAX];

    if (is(field, "allow") || is(field, "deny")) {
        action = field.at[0] == 'a' ? RULE_ALLOW : RULE_DENY;
        if (!alone) {
            complain(parser, field.at, "\"%s\" beside other fields; expected it alone on its line", quote(field).text);
            return;
        }
    } else {
        for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
            if (starts(field, weak[i])) {
                complain(parser, field.at, "\"%s\" uses a broken digest, %s; expected sha256, sha384 or sha512", quote(field).text,
                    memmem(weak[i], strlen(weak[i]), "md5", 3) != NULL ? "MD5" : "SHA-1");
                return;
            }
        }
        for (size_t i = 0; i < sizeof(not_supported) / sizeof(not_supported[0]); i++) {
            if (starts(field, not_supported[i])) {
                complain(parser, field.at, "\"%s\" is not supported by this version; expected spki-sha256:DIGEST or "
                    "cert-sha256:DIGEST", quote(field).text);
                return;
            }
        }
        spelling = read_pin(parser, field, digest);
        if (spelling == NULL)
            return;
    }
    if (rule == NULL)
        return;
    if (rule->action == RULE_UNSET) {
        rule->action = (uint8_t)action;
    } else if (rule->action != action) {
        static const char *const names[] = {"", "deny", "allow", "a pin"};

        complain(parser, field.at, "\"%s\" contradicts line %u, which says %s for the same target; expected lines for one target "
            "to agree", quote(field).text, (unsigned)rule->line, names[rule->action]);
        return;
    }
    if (action != RULE_ALLOW)
        parser->pins->demand = true;
    if (action == RULE_PINS
        && !pins_add_pin(parser->pins, rule, parser->line, (enum pin_kind)spelling->kind, (enum digest)spelling->digest, digest))
        parser->out_of_memory = true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool next_field(const char **at, const char *end, struct field *field)
{
    while (*at < end && is_blank(**at))
        (*at)++;
    field->at = *at;
    while (*at < end && !is_blank(**at))
        (*at)++;
    field->length = (size_t)(*at - field->at);
    return field->length > 0;
}

static void parse_line(struct parser *parser, const char *at, size_t length)
{
    const char *end;
    const char *comment;
    size_t bad;
    struct field field;
    struct field next;
    struct target_pattern target;
    struct rule *rule = NULL;
    bool more;

    if (length > 0 && at[length - 1] == '\r')
        length--;
    if (!text_utf8(at, length, &bad)) {
        complain(parser, at + bad, "a byte that is not UTF-8; expected UTF-8 text");
        return;
    }
    comment = memchr(at, '#', length);
    end = comment != NULL ? comment : at + length;
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f) {
            complain(parser, at + i, "a control character (0x%02x); expected text", (unsigned)at[i]);
            return;
        }
    }
    if (!next_field(&at, end, &field))
        return;
    if (read_target(parser, field, &target)) {
        rule = pins_rule(parser->pins, &target, parser->line);
        parser->out_of_memory |= rule == NULL;
    }
    if (!next_field(&at, end, &next)) {
        complain(parser, field.at + field.length, "nothing after the target; expected a pin, allow or deny");
        return;
    }
    for (bool first = true;; first = false) {
        field = next;
        more = next_field(&at, end, &next);
        read_what(parser, field, rule, first && !more);
        if (!more)
            break;
    }
}

struct pins *pins_parse(const char *buffer, size_t length, pins_report *report, void *arg)
{
    struct parser parser = {.pins = calloc(1, sizeof(struct pins)), .report = report, .arg = arg, .line = 1};
    const char *at = buffer;
    const char *end = buffer + length;

    if (parser.pins == NULL) {
        report(arg, 0, 0, "out of memory");
        return NULL;
    }
    if (length >= 3 && memcmp(buffer, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    for (; at < end && !parser.out_of_memory; parser.line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        parser.line_start = at;
        parse_line(&parser, at, (size_t)(stop - at));
        at = newline != NULL ? newline + 1 : end;
    }
    if (parser.out_of_memory) {
        report(arg, 0, 0, "out of memory");
        parser.faulty = true;
    } else if (parser.pins->rule_count == 0 && !parser.faulty) {
        /* A file that was truncated must not switch every pin off. */
        report(arg, 0, 0, "no rule in the file; expected at least one, or \"* allow\" where nothing is to be pinned");
        parser.faulty = true;
    }
    if (parser.faulty) {
        pins_free(parser.pins);
        return NULL;
    }
    return parser.pins;
}

static void report_errno(pins_report *report, void *arg, const char *what)
{
    char buffer[160];
    struct text message = text_over(buffer, sizeof(buffer));

    text_add(&message, "%s: %m", what);
    report(arg, 0, 0, buffer);
}

/* Not fstat() and stat(): their symbols are newer than the oldest glibc that the object serves. */
static bool examine(int fd, struct stat *status)
{
    return syscall(SYS_fstat, fd, status) == 0;
}

static struct pins_identity identity_of(const struct stat *status)
{
    return (struct pins_identity) {status->st_dev, status->st_ino, status->st_size, status->st_mtim, status->st_ctim};
}

void pins_identify(const char *path, struct pins_identity *out)
{
    struct stat status;

    memset(out, 0, sizeof(*out));
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0)
        *out = identity_of(&status);
}

bool pins_same_identity(const struct pins_identity *a, const struct pins_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified.tv_sec == b->modified.tv_sec
        && a->modified.tv_nsec == b->modified.tv_nsec && a->changed.tv_sec == b->changed.tv_sec
        && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Read the whole file into a new buffer. Return it, or NULL after the fault was reported. */
static char *read_file(int fd, size_t expected, size_t *length, pins_report *report, void *arg)
{
    size_t room = expected + 1;
    char *buffer = malloc(room);

    *length = 0;
    for (;;) {
        ssize_t got;

        if (buffer != NULL && *length == room) {
            char *bigger = realloc(buffer, room * 2);

            if (bigger == NULL)
                free(buffer);
            buffer = bigger;
            room *= 2;
        }
        if (buffer == NULL) {
            report(arg, 0, 0, "out of memory");
            return NULL;
        }
        got = pread(fd, buffer + *length, room - *length, (off_t)*length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            report_errno(report, arg, "cannot read the pins file");
            free(buffer);
            return NULL;
        }
        if (got == 0)
            return buffer;
        *length += (size_t)got;
    }
}

/* Read the file as it is between two looks at it that agree: another program may be rewriting it. */
static char *read_steady(int fd, struct pins_identity *identity, size_t *length, pins_report *report, void *arg)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct stat status;
        struct pins_identity before;
        char *buffer;

        if (!examine(fd, &status)) {
            report_errno(report, arg, "cannot examine the pins file");
            return NULL;
        }
        before = identity_of(&status);
        *identity = before;
        if (!S_ISREG(status.st_mode)) {
            report(arg, 0, 0, "the pins file is not a regular file");
            return NULL;
        }
        if ((status.st_mode & S_IWOTH) != 0) {
            report(arg, 0, 0, "the pins file may be written by everybody; expected a mode such as 0644");
            return NULL;
        }
        buffer = read_file(fd, (size_t)status.st_size, length, report, arg);
        if (buffer == NULL)
            return NULL;
        if (examine(fd, &status)) {
            *identity = identity_of(&status);
            if (pins_same_identity(&before, identity))
                return buffer;
        }
        free(buffer);
    }
    report(arg, 0, 0, "the pins file changes while it is read");
    return NULL;
}

struct pins *pins_load(const char *path, struct pins_identity *identity, pins_report *report, void *arg)
{
    struct pins_identity unwanted;
    struct pins *pins = NULL;
    char *buffer;
    size_t length;
    /* O_NONBLOCK: a FIFO in the file's place must not stop the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (identity == NULL)
        identity = &unwanted;
    memset(identity, 0, sizeof(*identity));
    if (fd < 0) {
        report_errno(report, arg, "cannot open the pins file");
        return NULL;
    }
    buffer = read_steady(fd, identity, &length, report, arg);
    if (buffer != NULL)
        pins = pins_parse(buffer, length, report, arg);
    free(buffer);
    (void)close(fd);
    return pins;
}
