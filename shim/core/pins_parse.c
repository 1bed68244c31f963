#include "pins_text.h"

#include "memory.h"

#include <limits.h>
#include <string.h>

#define LARGEST (256 << 20) /* bytes; a million rules have a third of that */

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
    size_t prefix = strlen(pin_files[kind]);
    struct filling filling = {parser, line, kind};
    char buffer[300];
    struct text problem = text_over(buffer, sizeof(buffer));
    char *path;

    if (field.length == prefix || field.length - prefix >= PATH_MAX) {
        complain(parser, field.at + prefix, "%s; expected a file's path", field.length == prefix ? "no path" : "a path that is too long");
        return;
    }
    path = memory_copy(field.at + prefix, field.length - prefix);
    if (path == NULL) {
        parser->out_of_memory = true;
        return;
    }
    if (parser->reader == NULL)
        text_add(&problem, "files are not read here");
    if (parser->reader == NULL || !parser->reader->read(parser->reader, kind, path, fill, &filling, &problem))
        complain(parser, field.at + prefix, "\"%s\" cannot be used: %s; expected certificates%s in PEM or DER",
            quote(parser, (struct field) {field.at + prefix, field.length - prefix}), buffer, kind == PIN_SPKI ? ", requests or public keys" : "");
    memory_let_go(path);
}

/* Read the day after the prefix. Report and return false if it is none. */
static bool read_day(struct parser *parser, struct field field, const char *prefix, uint16_t *day)
{
    struct field value = {field.at + strlen(prefix), field.length - strlen(prefix)};

    if (text_date(value.at, value.length, day))
        return true;
    complain(parser, value.at, "\"%s\" is not a day; expected YYYY-MM-DD, from 1970-01-02 to 2149-06-06", quote(parser, value));
    return false;
}

static void read_expires(struct parser *parser, struct field field, struct line *line)
{
    line->expires = field;
    (void)read_day(parser, field, "expires=", &line->day);
}

/* Read mode=report or report-until=. It is for all lines of the target, so these must agree. */
static void read_mode(struct parser *parser, struct field field, struct line *line)
{
    bool always = starts(field, "mode=");
    uint16_t until = REPORT_ALWAYS;

    line->mode = field;
    if (always && !is(field, "mode=report")) {
        complain(parser, field.at + strlen("mode="), "\"%s\" is not known; expected mode=report", quote(parser, field));
        return;
    }
    if (!always && !read_day(parser, field, "report-until=", &until))
        return;
    if (!always && until == REPORT_ALWAYS) {
        complain(parser, field.at + strlen("report-until="), "this is not a day before 2149-06-06; expected one");
        return;
    }
    if (line->rule == NULL)
        return;
    if (line->rule->report_until != 0 && line->rule->report_until != until) {
        complain(parser, field.at, "\"%s\", but another line of the target has another end; expected the same on both, or only one of them",
            quote(parser, field));
        return;
    }
    line->rule->report_until = until;
    parser->pins->days |= !always;
}

/* What must be TLS is also pinned, or said not to be. */
static void check_required(struct parser *parser)
{
    for (size_t i = 0; parser->pins->tls_required && parser->complaints == 0 && i < parser->pins->rule_count; i++) {
        const struct rule *rule = &parser->pins->rules[i];

        if (!rule->tls_required || (rule->action != RULE_UNSET && rule->form != FORM_UNKNOWN))
            continue;
        parser->line = rule->line;
        if (rule->form == FORM_UNKNOWN) {
            complain(parser, parser->line_start, "tls=required for @unknown; expected it for a host, an address or \"*\": before TLS only these are known");
            continue;
        }
        complain(parser, parser->line_start, "tls=required for a target without a pin, pkix or allow; expected a pin or pkix, here or on another line, or allow alone on another");
    }
}

static bool is_mode(struct field field)
{
    return starts(field, "mode=") || starts(field, "report-until=");
}

/* Read an option beside a pin. Return false if the field is something else. */
static bool read_option(struct parser *parser, struct field field, struct line *line)
{
    bool pkix = is(field, "pkix");

    if (!pkix && !starts(field, "expires=") && !is_mode(field) && !starts(field, "tls="))
        return false;
    if (line->revoked) {
        complain(parser, field.at, "\"%s\" after @revoked; expected pins alone", quote(parser, field));
    } else if ((starts(field, "expires=") && line->expires.at != NULL) || (is_mode(field) && line->mode.at != NULL)
        || (starts(field, "tls=") && line->tls.at != NULL)) {
        complain(parser, field.at, "\"%s\" is the second of its kind on the line; expected one", quote(parser, field));
    } else if (pkix) {
        line->pkix = true;
        if (line->rule != NULL && set_action(parser, field, line->rule, RULE_PINS))
            line->rule->pkix = parser->pins->pkix = true;
    } else if (starts(field, "expires=")) {
        read_expires(parser, field, line);
    } else if (starts(field, "tls=")) {
        line->tls = field;
        if (!is(field, "tls=required"))
            complain(parser, field.at + strlen("tls="), "\"%s\" is not known; expected tls=required", quote(parser, field));
        else if (line->rule != NULL)
            line->rule->tls_required = parser->pins->tls_required = true;
    } else {
        read_mode(parser, field, line);
    }
    return true;
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
            complain(parser, field.at, "\"%s\" beside other fields; expected it alone on its line", quote(parser, field));
        else if (line->revoked)
            complain(parser, field.at, "\"%s\" after @revoked; expected pins", quote(parser, field));
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
    if (suggest(parser, field))
        return;
    complain(parser, field.at, "\"%s\" is not known; expected spki-sha256:DIGEST, cert-sha256:DIGEST, ca-sha256:DIGEST, spki-file:PATH, "
        "cert-file:PATH, ca-file:PATH, pkix, allow, deny, expires=YYYY-MM-DD, tls=required, mode=report, report-until=YYYY-MM-DD or client-cert=PATH", quote(parser, field));
}

/* Check the line as a whole. */
static void finish_line(struct parser *parser, const struct line *line)
{
    bool sound = parser->complaints == line->complaints;

    if (line->pins == 0 && line->expires.at != NULL && sound)
        complain(parser, line->expires.at, "\"%s\" without a pin on its line; expected one that expires", quote(parser, line->expires));
    if (line->pins == 0 && line->mode.at != NULL && !line->pkix && line->tls.at == NULL && sound)
        complain(parser, line->mode.at, "\"%s\" without a pin or pkix on its line; expected one to report on", quote(parser, line->mode));
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
        parser->pins->open = line.rule != NULL ? (uint32_t)(line.rule - parser->pins->rules) + 1 : 0;
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

/* Parse all lines, and check them together. */
static void parse_all(struct parser *parser, const char *at, const char *end)
{
    const char *ahead = at;

    for (int i = 0; i < AHEAD; i++)
        ahead = look_ahead(parser->pins, ahead, end);
    while (at < end && !parser->out_of_memory) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        ahead = look_ahead(parser->pins, ahead, end);
        parser->line_start = at;
        parser->pins->open = 0;
        parse_line(parser, at, (size_t)(stop - at));
        if (newline != NULL)
            parser->pins->open = 0;
        parser->line++;
        at = newline != NULL ? newline + 1 : end;
    }
    if (parser->complaints == 0 && !parser->out_of_memory)
        check_clients(parser);
    check_required(parser);
}

struct pins *pins_parse(const char *buffer, size_t length, const struct pins_reader *reader, pins_report *report, void *arg)
{
    struct parser *parser = memory_get(sizeof(*parser));
    struct pins *pins = parser != NULL ? pins_make(count_lines(buffer, length), length) : NULL;

    if (pins == NULL) {
        report(arg, 0, 0, "out of memory");
        memory_let_go(parser);
        return NULL;
    }
    *parser = (struct parser) {.pins = pins, .reader = reader, .report = report, .arg = arg, .line = 1};
    parse_all(parser, buffer + (length >= 3 && memcmp(buffer, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), buffer + length);
    if (parser->out_of_memory) {
        report(arg, 0, 0, "out of memory");
        parser->complaints++;
    } else if (pins->rule_count == 0 && pins_revoked(pins) == NULL && parser->complaints == 0) {
        /* A file that was truncated must not switch every pin off. */
        report(arg, 0, 0, "no rule in the file; expected at least one, or \"* allow\" where nothing is to be pinned");
        parser->complaints++;
    }
    if (parser->complaints > 0) {
        pins_free(pins);
        pins = NULL;
    } else {
        pins_fit(pins);
    }
    memory_let_go(parser->clients);
    memory_let_go(parser);
    return pins;
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
    if (pins != NULL)
        pins_set_today(pins, text_today());
    memory_let_go(buffer);
    return pins;
}
