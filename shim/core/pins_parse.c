#include "pins_internal.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST (256 << 20) /* bytes; a million rules have a third of that */

struct field {
    const char *at;
    size_t length;
};

/* A client certificate that was read, and its files' names as written in the lines. */
struct named_client {
    struct field files[CLIENT_FILES];
    uint32_t number; /* see pins_client; 0: it was faulty */
};

struct parser {
    struct pins *pins;
    struct named_client *clients;
    size_t client_count;
    const struct pins_reader *reader;
    pins_report *report;
    void *arg;
    const char *line_start;
    uint32_t line;
    uint32_t complaints;
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
    parser->complaints++;
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
    for (size_t i = 0; prefix[i] != '\0'; i++) {
        if (i == field.length || text_lower(field.at[i]) != prefix[i])
            return false;
    }
    return true;
}

static bool is(struct field field, const char *word)
{
    return field.length == strlen(word) && memcmp(field.at, word, field.length) == 0;
}

/* One label of a host name (RFC 1123, section 2.1), or with underscores, which service names have. */
static bool is_label(const char *at, size_t length)
{
    static const bool letters[256] = {['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['_'] = true};

    if (length == 0 || length > 63 || at[0] == '-' || at[length - 1] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!letters[(uint8_t)at[i]])
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

/* Copy the labels of a host name in lower case. Return false if one is not a label (is_label). `last` becomes the place of the last
 * label. `out` has room for 253 characters in blocks of sixteen. */
static bool copy_labels(struct field field, char *out, size_t *last)
{
    uint64_t after_dot = 1; /* the lowest bit stands for the character before the block */
    uint64_t after_hyphen = 0;
    size_t label = 0;

    if (field.length == 0 || field.length > 253)
        return false;
    for (size_t i = 0; i < field.length; i += 16) {
        size_t left = field.length - i < 16 ? field.length - i : 16;
        uint64_t live = (UINT64_C(1) << left) - 1;
        char rest[16] = {0};
        text_block block;
        text_block upper;
        text_block letters;
        uint64_t hyphens;
        uint64_t dots;

        if (left < 16)
            memcpy(rest, field.at + i, left);
        block = text_block_at(left < 16 ? rest : field.at + i);
        upper = text_block_within(block, 'A', 'Z');
        block |= upper & ('a' - 'A');
        memcpy(out + i, &block, sizeof(block));
        letters = text_block_within(block, 'a', 'z') | text_block_within(block, '0', '9') | (block == '_');
        hyphens = text_block_bits(block == '-');
        dots = text_block_bits(block == '.');
        if (((text_block_bits(letters) | hyphens | dots) & live) != live || ((dots << 1 | after_dot) & (hyphens | dots) & live) != 0
            || (dots & (hyphens << 1 | after_hyphen)) != 0)
            return false;
        after_dot = dots >> 15;
        after_hyphen = hyphens >> 15;
        for (; dots != 0; dots &= dots - 1) {
            size_t dot = i + (size_t)__builtin_ctzll(dots);

            if (dot - label > 63)
                return false;
            label = dot + 1;
        }
    }
    *last = label;
    return field.length - label <= 63 && field.at[field.length - 1] != '-' && field.at[field.length - 1] != '.';
}

/* Report the first label that copy_labels has refused. */
static void complain_of_label(struct parser *parser, struct field name)
{
    struct field label = name;
    size_t start = 0;

    for (size_t i = 0; i <= name.length; i++) {
        if (i < name.length && name.at[i] != '.')
            continue;
        label = (struct field) {name.at + start, i - start};
        if (!is_label(label.at, label.length))
            break;
        start = i + 1;
    }
    complain(parser, label.at, "\"%s\" in \"%s\" is not a label of a host name; expected 1 to 63 letters, digits, "
        "hyphens or underscores, with no hyphen at either end", quote(label).text, quote(name).text);
}

/* Copy a name in the form that host_parse gives. Return false if it is not a name, or if its last label makes it a number. */
static bool copy_name(struct field name, struct host *host)
{
    size_t last;

    if (!copy_labels(name, host->name, &last) || all_digits(name.at + last, name.length - last)
        || (name.length - last > 1 && host->name[last] == '0' && host->name[last + 1] == 'x'))
        return false;
    host->name[name.length] = '\0';
    host->kind = HOST_NAME;
    return true;
}

/* The same, with or without a trailing dot. Report and return false if it is not a name. */
static bool read_name(struct parser *parser, struct field field, struct host *host)
{
    struct field name = field;
    size_t last;

    if (name.length > 0 && name.at[name.length - 1] == '.')
        name.length--;
    if (copy_name(name, host))
        return true;
    if (name.length == 0 || name.length > 253)
        complain(parser, field.at, "\"%s\" is %s; expected a host name of 1 to 253 characters", quote(field).text,
            name.length == 0 ? "empty" : "too long");
    else if (!copy_labels(name, host->name, &last))
        complain_of_label(parser, name);
    else
        complain(parser, field.at, "\"%s\" is neither a host name nor an IPv4 address; expected four numbers of 0 to 255 "
            "without leading zeros, or a name whose last label is not a number", quote(field).text);
    return false;
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

/* The spellings of a pin. An alias accepts base64 only, as the tools that use it do. */
static const struct spelling {
    const char *prefix;
    size_t length; /* the prefix's */
    const char *suffix;
    uint8_t kind;
    uint8_t digest;
    bool base64_only;
} spellings[] = {
#define PREFIX(string) string, sizeof(string) - 1
    {PREFIX("spki-sha256:"), "", PIN_SPKI, DIGEST_SHA256, false},
    {PREFIX("spki-sha384:"), "", PIN_SPKI, DIGEST_SHA384, false},
    {PREFIX("spki-sha512:"), "", PIN_SPKI, DIGEST_SHA512, false},
    {PREFIX("cert-sha256:"), "", PIN_CERT, DIGEST_SHA256, false},
    {PREFIX("cert-sha384:"), "", PIN_CERT, DIGEST_SHA384, false},
    {PREFIX("cert-sha512:"), "", PIN_CERT, DIGEST_SHA512, false},
    {PREFIX("ca-sha256:"), "", PIN_CA, DIGEST_SHA256, false},
    {PREFIX("ca-sha384:"), "", PIN_CA, DIGEST_SHA384, false},
    {PREFIX("ca-sha512:"), "", PIN_CA, DIGEST_SHA512, false},
    {PREFIX("sha256//"), "", PIN_SPKI, DIGEST_SHA256, true}, /* curl: before the next, which it starts with */
    {PREFIX("sha256/"), "", PIN_SPKI, DIGEST_SHA256, true}, /* OkHttp */
    {PREFIX("pin-sha256=\""), "\"", PIN_SPKI, DIGEST_SHA256, true}, /* RFC 7469, section 2.1 */
#undef PREFIX
};

static const char *const files[PIN_KINDS] = {"spki-file:", "cert-file:", "ca-file:"};

/* Return the first spelling with whose prefix the field begins; NULL: none. */
static const struct spelling *find_spelling(struct field field)
{
    char first = field.length > 0 ? text_lower(field.at[0]) : '\0';

    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        const struct spelling *spelling = &spellings[i];

        if (spelling->prefix[0] == first && field.length >= spelling->length
            && (memcmp(field.at, spelling->prefix, spelling->length) == 0 || starts(field, spelling->prefix)))
            return spelling;
    }
    return NULL;
}

/* Return the kind of pin that the field reads from a file; PIN_KINDS: the field is something else. */
static int find_file(struct field field)
{
    int kind = 0;

    while (kind < PIN_KINDS && !starts(field, files[kind]))
        kind++;
    return kind;
}

static bool read_target(struct parser *parser, struct field field, struct target_pattern *target)
{
    const char *colon;
    const char *scheme;
    uint8_t address[16];

    memset(target, 0, offsetof(struct target_pattern, host.name));
    /* Most are names. */
    if (copy_name(field, &target->host))
        return true;
    target->host.name[0] = '\0';
    for (size_t i = 0; !text_is_plain(field.at, field.length) && i < field.length; i++) {
        if ((unsigned char)field.at[i] >= 0x80) {
            complain(parser, field.at + i, "a host name with characters beyond ASCII; expected its xn-- form (IDNA), as \"idn2\" "
                "prints it");
            return false;
        }
    }
    colon = memchr(field.at, ':', field.length);
    if ((find_spelling(field) != NULL || find_file(field) != PIN_KINDS)
        && (colon == NULL || text_port(colon + 1, field.length - (size_t)(colon + 1 - field.at)) == 0)) {
        complain(parser, field.at, "\"%s\" in the target's place; expected the host before it, as in example.com", quote(field).text);
        return false;
    }
    if (memchr(field.at, '/', field.length) != NULL) {
        scheme = memmem(field.at, field.length, "://", 3);
        complain(parser, field.at, "\"%s\" is %s; expected only the host, as in example.com or example.com:443",
            quote(field).text, scheme != NULL ? "a URL" : "a host with a path, or a range of addresses");
        return false;
    }
    colon = memchr(field.at, ':', field.length);
    if (field.at[0] == '@' && !is((struct field) {field.at, colon != NULL ? (size_t)(colon - field.at) : field.length}, "@unknown")) {
        complain(parser, field.at, "\"%s\" is not known; expected a target, @unknown or @revoked", quote(field).text);
        return false;
    }
    if (field.at[0] == '[') {
        target->form = FORM_ADDRESS;
        return read_ipv6_target(parser, field, &target->host);
    }
    if (colon != NULL && host_parse_address(field.at, field.length, address)) {
        complain(parser, field.at, "an IPv6 address without brackets; expected [%s]", quote(field).text);
        return false;
    }
    if (colon != NULL && !read_port(parser, &field, colon, &target->host.port))
        return false;
    if (is(field, "*") || field.at[0] == '@') {
        target->form = field.at[0] == '@' ? FORM_UNKNOWN : FORM_ANY;
        return true;
    }
    if (starts(field, "**.") || starts(field, "*.")) {
        size_t stars = field.at[1] == '*' ? 3 : 2;

        target->form = stars == 3 ? FORM_LABELS : FORM_ONE_LABEL;
        field = (struct field) {field.at + stars, field.length - stars};
    } else if (all_digits(field.at, 1) && host_parse_address(field.at, field.length, target->host.address)) {
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

static const char *const weak[] = {"spki-sha1:", "cert-sha1:", "ca-sha1:", "sha1/", "pin-sha1=", "sha1:", "spki-md5:", "cert-md5:",
    "ca-md5:", "md5/", "pin-md5=", "md5:"};

static const char *const client_files[CLIENT_FILES] = {"client-cert=", "client-key=", "client-key-pass-file="};

/* Read the digest after the prefix into `out`. Return false if it does not have the right form. */
static bool read_digest(struct field value, const struct spelling *spelling, uint8_t *out)
{
    size_t suffix = strlen(spelling->suffix);
    size_t size = digest_size((enum digest)spelling->digest);
    uint8_t other[DIGEST_MAX];

    value = (struct field) {value.at + spelling->length, value.length - spelling->length};
    if (suffix != 0) {
        if (value.length < suffix || memcmp(value.at + value.length - suffix, spelling->suffix, suffix) != 0)
            return false;
        value.length -= suffix;
    }
    if (spelling->base64_only)
        return text_base64(value.at, value.length, out, size);
    /* 64 hex digits are a SHA-256, even if they could be the base64 of a SHA-384. */
    if (spelling->digest == DIGEST_SHA384 && text_hex(value.at, value.length, false, other, digest_size(DIGEST_SHA256)))
        return false;
    return text_base64(value.at, value.length, out, size) || text_hex(value.at, value.length, false, out, size)
        || text_hex(value.at, value.length, true, out, size);
}

/* Return what an invalid digest was probably meant to be. */
static const char *guess_digest(struct field value, size_t size)
{
    uint8_t bytes[4 * DIGEST_MAX];
    uint8_t digest[DIGEST_MAX];
    size_t coded = (size + 2) / 3 * 4;

    if (text_hex(value.at, value.length, false, bytes, 20) || text_hex(value.at, value.length, true, bytes, 20)
        || text_base64(value.at, value.length, bytes, 20))
        return "; this is a SHA-1 fingerprint";
    if (coded <= sizeof(bytes) && text_hex(value.at, value.length, false, bytes, coded) && text_base64((const char *)bytes, coded, digest, size))
        return "; this is the hex of base64: decode it first";
    /* For a SHA-256 it is as long as a SHA-512. */
    if (size * 2 <= sizeof(bytes) && text_base64(value.at, value.length, bytes, size * 2)
        && text_hex((const char *)bytes, size * 2, false, digest, size))
        return "; this is the base64 of hex: decode it first";
    for (int other = 0; other < DIGESTS; other++) {
        size_t length = digest_size((enum digest)other);

        if (length != size && (text_hex(value.at, value.length, false, bytes, length) || text_hex(value.at, value.length, true, bytes, length)
            || text_base64(value.at, value.length, bytes, length)))
            return other == DIGEST_SHA256 ? "; this has the length of a SHA-256" : other == DIGEST_SHA384 ? "; this has the length of a SHA-384"
                : "; this has the length of a SHA-512";
    }
    return "";
}

/* Read the digest of a field that begins with the prefix of `spelling`. Report and return NULL if it is not a digest. */
static const struct spelling *read_pin(struct parser *parser, struct field field, const struct spelling *spelling, uint8_t *out)
{
    struct field value;
    struct field bare;
    size_t size;

    /* A digest in OkHttp's spelling may begin with a slash, and so look like curl's: the one that fits is meant. */
    for (const struct spelling *other = spelling; other < spellings + sizeof(spellings) / sizeof(spellings[0]); other++) {
        if ((other == spelling || starts(field, other->prefix)) && read_digest(field, other, out))
            return other;
    }
    size = digest_size((enum digest)spelling->digest);
    value = (struct field) {field.at + spelling->length, field.length - spelling->length};
    bare = value;
    if (spelling->suffix[0] != '\0' && bare.length > 0 && bare.at[bare.length - 1] == spelling->suffix[0])
        bare.length--;
    complain(parser, value.at, "\"%s\" is not a digest of %zu bytes; expected %zu characters of base64%s%s%s", quote(value).text, size,
        (size + 2) / 3 * 4, spelling->base64_only ? "" : ", or hex with or without colons",
        spelling->suffix[0] != '\0' ? " and a closing quote" : "", guess_digest(bare, size));
    return NULL;
}

/* What was read of one line so far. */
struct line {
    struct rule *rule; /* NULL: the target is faulty, and the rest is only checked */
    bool revoked;
    bool alone; /* one field follows the target */
    uint32_t complaints; /* the parser's count at the start of the line */
    size_t pins; /* that the line added, starting at first_pin */
    size_t first_pin;
    bool pkix;
    struct field mode; /* at NULL: not given */
    struct field tls;
    struct field expires;
    uint16_t day;
    struct field client[CLIENT_FILES];
};

static bool set_action(struct parser *parser, struct field field, struct rule *rule, enum rule_action action)
{
    static const char *const names[] = {"", "deny", "allow", "a pin"};

    if (rule->action == RULE_UNSET) {
        rule->action = (uint8_t)action;
    } else if (rule->action != action) {
        complain(parser, field.at, "\"%s\" contradicts line %u, which says %s for the same target; expected lines for one target "
            "to agree", quote(field).text, (unsigned)rule->line, names[rule->action]);
        return false;
    }
    if (action != RULE_ALLOW)
        parser->pins->demand = true;
    if (action != RULE_ALLOW && (rule->form == FORM_NAME || rule->form == FORM_ONE_LABEL || rule->form == FORM_LABELS))
        parser->pins->named = true;
    return true;
}

static void add_pin(struct parser *parser, struct line *line, enum pin_kind kind, enum digest digest, const uint8_t *bytes)
{
    /* A revoked key is revoked in the leaf and in every issuer. */
    if (line->revoked && kind == PIN_CA)
        kind = PIN_SPKI;
    if (line->pins++ == 0)
        line->first_pin = parser->pins->pin_count;
    if (line->rule != NULL && !pins_add_pin(parser->pins, line->rule, parser->line, kind, digest, bytes))
        parser->out_of_memory = true;
}

/* What a reader's findings are added to. */
struct filling {
    struct parser *parser;
    struct line *line;
    enum pin_kind kind;
};

static void fill(void *to, const uint8_t digest[static 32], const void *der, size_t length)
{
    struct filling *filling = to;

    add_pin(filling->parser, filling->line, filling->kind, DIGEST_SHA256, digest);
    /* Revoked ones too: a peer need not send them. */
    if (filling->kind == PIN_CA && !pins_add_issuer(filling->parser->pins, der, length))
        filling->parser->out_of_memory = true;
}

static void read_file(struct parser *parser, struct field field, struct line *line, enum pin_kind kind)
{
    size_t prefix = strlen(files[kind]);
    struct filling filling = {parser, line, kind};
    char buffer[300];
    struct text problem = text_over(buffer, sizeof(buffer));
    char path[4096];

    if (field.length == prefix || field.length - prefix >= sizeof(path)) {
        complain(parser, field.at + prefix, "%s; expected a file's path", field.length == prefix ? "no path" : "a path that is too long");
        return;
    }
    memcpy(path, field.at + prefix, field.length - prefix);
    path[field.length - prefix] = '\0';
    if (parser->reader == NULL)
        text_add(&problem, "files are not read here");
    if (parser->reader == NULL || !parser->reader->read(parser->reader, kind, path, fill, &filling, &problem))
        complain(parser, field.at + prefix, "\"%s\" cannot be used: %s; expected certificates%s in PEM or DER",
            quote((struct field) {field.at + prefix, field.length - prefix}).text, buffer, kind == PIN_SPKI ? ", requests or public keys" : "");
}

static void read_expires(struct parser *parser, struct field field, struct line *line)
{
    size_t prefix = strlen("expires=");

    line->expires = field;
    if (!text_date(field.at + prefix, field.length - prefix, &line->day))
        complain(parser, field.at + prefix, "\"%s\" is not a day; expected YYYY-MM-DD, from 1970-01-02 to 2149-06-06",
            quote((struct field) {field.at + prefix, field.length - prefix}).text);
}

/* Note a file that the line names for a client certificate. Return false if the field is something else. */
static bool read_client_file(struct parser *parser, struct field field, struct line *line)
{
    for (size_t i = 0; i < CLIENT_FILES; i++) {
        size_t prefix = strlen(client_files[i]);

        if (!starts(field, client_files[i]))
            continue;
        if (line->revoked)
            complain(parser, field.at, "\"%s\" after @revoked; expected pins alone", quote(field).text);
        else if (line->client[i].at != NULL)
            complain(parser, field.at, "\"%s\" is the second of its kind on the line; expected one", quote(field).text);
        else if (field.length == prefix)
            complain(parser, field.at + prefix, "no path; expected a file's path");
        else
            line->client[i] = (struct field) {field.at + prefix, field.length - prefix};
        return true;
    }
    return false;
}

/* Read these files. Return the client certificate's number; 0 after reporting an error. */
static uint32_t load_client(struct parser *parser, const struct line *line)
{
    char *paths[CLIENT_FILES] = {NULL, NULL, NULL};
    struct client_cert client = {.line = 0};
    enum client_file faulty = CLIENT_CERT;
    char buffer[300];
    struct text problem = text_over(buffer, sizeof(buffer));
    uint32_t number = 0;
    bool read = parser->reader != NULL;

    for (size_t i = 0; i < CLIENT_FILES; i++) {
        if (line->client[i].at != NULL && (paths[i] = strndup(line->client[i].at, line->client[i].length)) == NULL)
            parser->out_of_memory = true;
    }
    if (!read)
        text_add(&problem, "files are not read here");
    else if (!parser->out_of_memory)
        read = parser->reader->read_client(parser->reader, (const char *const *)paths, &client, &faulty, &problem);
    if (read && !parser->out_of_memory) {
        client.line = parser->line;
        number = pins_add_client(parser->pins, &client);
        parser->out_of_memory |= number == 0;
        if (number == 0)
            pins_clear_client(&client);
    } else if (!parser->out_of_memory) {
        struct field field = line->client[faulty].at != NULL ? line->client[faulty] : line->client[CLIENT_CERT];

        complain(parser, field.at, "\"%s\" cannot be used: %s%s", quote(field).text, buffer,
            strstr(buffer, "; expected ") != NULL ? "" : "; expected a client certificate with its key, in PEM or PKCS #12");
    }
    for (size_t i = 0; i < CLIENT_FILES; i++)
        free(paths[i]);
    return number;
}

static bool same_field(struct field a, struct field b)
{
    return (a.at == NULL) == (b.at == NULL) && a.length == b.length && (a.at == NULL || memcmp(a.at, b.at, a.length) == 0);
}

/* Lines that name the same files share one client certificate. Return its number; 0 after reporting an error. */
static uint32_t client_of(struct parser *parser, const struct line *line)
{
    struct named_client *bigger;
    uint32_t number;

    for (size_t i = 0; i < parser->client_count; i++) {
        const struct named_client *named = &parser->clients[i];

        if (same_field(named->files[CLIENT_CERT], line->client[CLIENT_CERT]) && same_field(named->files[CLIENT_KEY], line->client[CLIENT_KEY])
            && same_field(named->files[CLIENT_PASS], line->client[CLIENT_PASS]))
            return named->number;
    }
    number = load_client(parser, line);
    bigger = realloc(parser->clients, (parser->client_count + 1) * sizeof(*bigger));
    if (bigger == NULL) {
        parser->out_of_memory = true;
        return 0;
    }
    parser->clients = bigger;
    memcpy(bigger[parser->client_count].files, line->client, sizeof(line->client));
    bigger[parser->client_count++].number = number;
    return number;
}

/* Handle the client certificate of a line, once the whole line is known. */
static void finish_client(struct parser *parser, const struct line *line)
{
    uint32_t before = line->rule != NULL ? line->rule->client : 0;
    uint32_t number;

    for (size_t i = 0; line->client[CLIENT_CERT].at == NULL && i < CLIENT_FILES; i++) {
        if (line->client[i].at == NULL)
            continue;
        complain(parser, line->client[i].at, "\"%s%s\" without client-cert=PATH on its line; expected the certificate as well", client_files[i],
            quote(line->client[i]).text);
        return;
    }
    if (line->client[CLIENT_CERT].at == NULL || line->rule == NULL || line->revoked
        || !set_action(parser, line->client[CLIENT_CERT], line->rule, RULE_PINS))
        return;
    number = client_of(parser, line);
    line->rule->client = number;
    if (before != 0 && number != 0 && before != number)
        complain(parser, line->client[CLIENT_CERT].at, "\"%s\" is a second client certificate for the same target, after line %u; expected one",
            quote(line->client[CLIENT_CERT]).text, (unsigned)pins_client(parser->pins, before)->line);
}

/* A client certificate is only for servers that a pin or pkix identifies. */
static void check_clients(struct parser *parser)
{
    for (size_t i = 0; parser->client_count > 0 && i < parser->pins->rule_count; i++) {
        const struct rule *rule = &parser->pins->rules[i];

        if (rule->client == 0 || rule->first_pin != NOTHING || rule->pkix)
            continue;
        parser->line = rule->line;
        complain(parser, parser->line_start, "a client certificate for a target without a pin or pkix; expected one that identifies the server");
    }
}

/* What must be TLS is also pinned, or said not to be. */
static void check_required(struct parser *parser)
{
    for (size_t i = 0; parser->pins->tls_required && parser->complaints == 0 && i < parser->pins->rule_count; i++) {
        const struct rule *rule = &parser->pins->rules[i];

        if (!rule->tls_required || rule->action != RULE_UNSET)
            continue;
        parser->line = rule->line;
        complain(parser, parser->line_start, "tls=required for a target without a pin, pkix or allow; expected one of them, here or on another line");
    }
}

/* Read an option beside a pin. Return false if the field is something else. */
static bool read_option(struct parser *parser, struct field field, struct line *line)
{
    bool pkix = is(field, "pkix");

    if (!pkix && !starts(field, "expires=") && !starts(field, "mode=") && !starts(field, "tls="))
        return false;
    if (line->revoked) {
        complain(parser, field.at, "\"%s\" after @revoked; expected pins alone", quote(field).text);
    } else if ((starts(field, "expires=") && line->expires.at != NULL) || (starts(field, "mode=") && line->mode.at != NULL)
        || (starts(field, "tls=") && line->tls.at != NULL)) {
        complain(parser, field.at, "\"%s\" is the second of its kind on the line; expected one", quote(field).text);
    } else if (pkix) {
        line->pkix = true;
        if (line->rule != NULL && set_action(parser, field, line->rule, RULE_PINS))
            line->rule->pkix = parser->pins->pkix = true;
    } else if (starts(field, "expires=")) {
        read_expires(parser, field, line);
    } else if (starts(field, "tls=")) {
        line->tls = field;
        if (!is(field, "tls=required"))
            complain(parser, field.at + strlen("tls="), "\"%s\" is not known; expected tls=required", quote(field).text);
        else if (line->rule != NULL)
            line->rule->tls_required = parser->pins->tls_required = true;
    } else {
        line->mode = field;
        if (!is(field, "mode=report"))
            complain(parser, field.at + strlen("mode="), "\"%s\" is not known; expected mode=report", quote(field).text);
        else if (line->rule != NULL)
            line->rule->report = true;
    }
    return true;
}

/* Report spellings that other products use and this one does not accept. Return false if the field is none of them. */
static bool reject(struct parser *parser, struct field field)
{
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        if (starts(field, weak[i])) {
            complain(parser, field.at, "\"%s\" uses a broken digest, %s; expected sha256, sha384 or sha512", quote(field).text,
                memmem(weak[i], strlen(weak[i]), "md5", 3) != NULL ? "MD5" : "SHA-1");
            return true;
        }
    }
    return false;
}

static void read_what(struct parser *parser, struct field field, struct line *line)
{
    const struct spelling *spelling = find_spelling(field);
    uint8_t digest[DIGEST_MAX];
    int kind;

    if (spelling != NULL) {
        spelling = read_pin(parser, field, spelling, digest);
        if (spelling != NULL && (line->rule == NULL || line->revoked || set_action(parser, field, line->rule, RULE_PINS)))
            add_pin(parser, line, (enum pin_kind)spelling->kind, (enum digest)spelling->digest, digest);
        return;
    }
    if (is(field, "allow") || is(field, "deny")) {
        if (!line->alone)
            complain(parser, field.at, "\"%s\" beside other fields; expected it alone on its line", quote(field).text);
        else if (line->revoked)
            complain(parser, field.at, "\"%s\" after @revoked; expected pins", quote(field).text);
        else if (line->rule != NULL)
            (void)set_action(parser, field, line->rule, field.at[0] == 'a' ? RULE_ALLOW : RULE_DENY);
        return;
    }
    if (read_option(parser, field, line) || read_client_file(parser, field, line) || reject(parser, field))
        return;
    kind = find_file(field);
    if (kind != PIN_KINDS) {
        if (line->rule == NULL || line->revoked || set_action(parser, field, line->rule, RULE_PINS))
            read_file(parser, field, line, (enum pin_kind)kind);
        return;
    }
    complain(parser, field.at, "\"%s\" is not known; expected spki-sha256:DIGEST, cert-sha256:DIGEST, ca-sha256:DIGEST, spki-file:PATH, "
        "cert-file:PATH, ca-file:PATH, pkix, allow, deny, expires=YYYY-MM-DD, tls=required, mode=report or client-cert=PATH", quote(field).text);
}

/* Check the line as a whole. */
static void finish_line(struct parser *parser, const struct line *line)
{
    bool sound = parser->complaints == line->complaints;

    if (line->pins == 0 && line->expires.at != NULL && sound)
        complain(parser, line->expires.at, "\"%s\" without a pin on its line; expected one that expires", quote(line->expires).text);
    if (line->pins == 0 && line->mode.at != NULL && !line->pkix && line->tls.at == NULL && sound)
        complain(parser, line->mode.at, "\"%s\" without a pin or pkix on its line; expected one to report on", quote(line->mode).text);
    for (size_t i = line->first_pin; line->day != 0 && i < parser->pins->pin_count; i++)
        parser->pins->pins[i].expires = line->day;
    finish_client(parser, line);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Return the first blank, or `end`. */
static const char *find_blank(const char *at, const char *end)
{
    if (end - at < 16) {
        while (at < end && !is_blank(*at))
            at++;
        return at;
    }
    for (;;) {
        text_block block = text_block_at(at);
        uint64_t blanks = text_block_bits((block == ' ') | (block == '\t'));

        if (blanks != 0)
            return at + __builtin_ctzll(blanks);
        if (end - at <= 16)
            return end;
        at = end - at < 32 ? end - 16 : at + 16;
    }
}

static bool next_field(const char **at, const char *end, struct field *field)
{
    const char *start = *at;

    while (start < end && is_blank(*start))
        start++;
    *at = find_blank(start, end);
    *field = (struct field) {start, (size_t)(*at - start)};
    return *at > start;
}

/* Report and return false unless the line is text. */
static bool check_text(struct parser *parser, const char *at, size_t length)
{
    size_t bad;

    if (!text_utf8(at, length, &bad)) {
        complain(parser, at + bad, "a byte that is not UTF-8; expected UTF-8 text");
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (((unsigned char)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f) {
            complain(parser, at + i, "a control character (0x%02x); expected text", (unsigned)at[i]);
            return false;
        }
    }
    return true;
}

static void parse_line(struct parser *parser, const char *at, size_t length)
{
    const char *end;
    const char *comment;
    struct field field;
    struct field next;
    struct target_pattern target;
    struct line line = {.complaints = parser->complaints};
    bool more;

    if (length > 0 && at[length - 1] == '\r')
        length--;
    if (!text_is_plain(at, length) && !check_text(parser, at, length))
        return;
    comment = memchr(at, '#', length);
    end = comment != NULL ? comment : at + length;
    if (!next_field(&at, end, &field))
        return;
    line.revoked = is(field, "@revoked");
    if (line.revoked) {
        line.rule = &parser->pins->revoked;
    } else if (read_target(parser, field, &target)) {
        line.rule = pins_rule(parser->pins, &target, parser->line);
        parser->out_of_memory |= line.rule == NULL;
    }
    if (!next_field(&at, end, &next)) {
        complain(parser, field.at + field.length, "nothing after %s; expected a pin%s", line.revoked ? "@revoked" : "the target",
            line.revoked ? "" : ", pkix, allow or deny");
        return;
    }
    for (bool first = true;; first = false) {
        field = next;
        more = next_field(&at, end, &next);
        line.alone = first && !more;
        read_what(parser, field, &line);
        if (!more)
            break;
    }
    finish_line(parser, &line);
}

static size_t count_lines(const char *buffer, size_t length)
{
    size_t count = 1;
    size_t i = 0;

    for (; length - i >= 16; i += 16) {
        for (uint64_t bits = text_block_bits(text_block_at(buffer + i) == '\n'); bits != 0; bits &= bits - 1)
            count++;
    }
    for (; i < length; i++)
        count += buffer[i] == '\n';
    return count;
}

#define AHEAD 8 /* lines */

/* Return the line after the one at `at`, and prefetch the rule of a target that comes soon. */
static const char *look_ahead(const struct pins *pins, const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *stop = newline != NULL ? newline : end;

    pins_expect(pins, at, (size_t)(find_blank(at, stop) - at));
    return newline != NULL ? newline + 1 : end;
}

struct pins *pins_parse(const char *buffer, size_t length, const struct pins_reader *reader, pins_report *report, void *arg)
{
    struct parser parser = {.pins = pins_make(count_lines(buffer, length), length), .reader = reader, .report = report, .arg = arg, .line = 1};
    const char *at = buffer;
    const char *end = buffer + length;
    const char *ahead;

    if (parser.pins == NULL) {
        report(arg, 0, 0, "out of memory");
        return NULL;
    }
    if (length >= 3 && memcmp(buffer, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    ahead = at;
    for (int i = 0; i < AHEAD; i++)
        ahead = look_ahead(parser.pins, ahead, end);
    while (at < end && !parser.out_of_memory) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        ahead = look_ahead(parser.pins, ahead, end);
        parser.line_start = at;
        parse_line(&parser, at, (size_t)(stop - at));
        parser.line++;
        at = newline != NULL ? newline + 1 : end;
    }
    if (parser.complaints == 0 && !parser.out_of_memory)
        check_clients(&parser);
    check_required(&parser);
    free(parser.clients);
    if (parser.out_of_memory) {
        report(arg, 0, 0, "out of memory");
        parser.complaints++;
    } else if (parser.pins->rule_count == 0 && pins_revoked(parser.pins) == NULL && parser.complaints == 0) {
        /* A file that was truncated must not switch every pin off. */
        report(arg, 0, 0, "no rule in the file; expected at least one, or \"* allow\" where nothing is to be pinned");
        parser.complaints++;
    }
    if (parser.complaints > 0) {
        pins_free(parser.pins);
        return NULL;
    }
    pins_fit(parser.pins);
    return parser.pins;
}

struct pins *pins_load(const char *path, const struct pins_reader *reader, struct file_identity *identity, pins_report *report, void *arg)
{
    struct file_identity unwanted;
    struct pins *pins = NULL;
    char message[300];
    struct text problem = text_over(message, sizeof(message));
    size_t length;
    char *buffer = file_read(path, "the pins file", LARGEST, identity != NULL ? identity : &unwanted, &length, &problem);

    if (buffer != NULL)
        pins = pins_parse(buffer, length, reader, report, arg);
    else
        report(arg, 0, 0, message);
    free(buffer);
    return pins;
}
