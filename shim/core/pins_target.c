#include "pins_text.h"

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
        "hyphens or underscores, with no hyphen at either end", quote(parser, label), quote(parser, name));
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
        complain(parser, field.at, "\"%s\" is %s; expected a host name of 1 to 253 characters", quote(parser, field),
            name.length == 0 ? "empty" : "too long");
    else if (!copy_labels(name, host->name, &last))
        complain_of_label(parser, name);
    else
        complain(parser, field.at, "\"%s\" is neither a host name nor an IPv4 address; expected four numbers of 0 to 255 "
            "without leading zeros, or a name whose last label is not a number", quote(parser, field));
    return false;
}

/* Take the :port off the end of `field`, if there is one. */
static bool read_port(struct parser *parser, struct field *field, const char *colon, uint16_t *port)
{
    struct field digits = {colon + 1, field->length - (size_t)(colon - field->at) - 1};

    *port = text_port(digits.at, digits.length);
    if (*port == 0) {
        complain(parser, digits.at, "\"%s\" is not a port; expected a number from 1 to 65535", quote(parser, digits));
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
        complain(parser, field.at, "\"%s\" has no closing bracket; expected [ADDRESS] or [ADDRESS]:PORT", quote(parser, field));
        return false;
    }
    address = (struct field) {field.at + 1, (size_t)(close - field.at) - 1};
    if (memchr(address.at, ':', address.length) == NULL || !host_parse_address(address.at, address.length, host->address)) {
        complain(parser, address.at, "\"%s\" is not an IPv6 address; expected one like 2001:db8::1", quote(parser, address));
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

/* What other products, and other files, have in this place. Return false if it is none of that. */
static bool explain_target(struct parser *parser, struct field field)
{
    struct field rest = {field.at + 1, field.length - 1};

    if (starts(field, "public-key-pins")) {
        complain(parser, field.at, "this is an HTTP header (RFC 7469); expected the host, and then the pins alone: HOST pin-sha256=\"...\" pin-sha256=\"...\"");
    } else if (starts(field, ".add(") || starts(field, "add(")) {
        complain(parser, field.at, "this is a program's (OkHttp); expected host and pins alone: HOST sha256/... (OkHttp's **. includes the name itself, which"
            " needs a line of its own here)");
    } else if (starts(field, "-----begin")) {
        complain(parser, field.at, "this is PEM, not a pins file; expected rules. \"pinshim pin FILE\" prints the pin of a certificate or key");
    } else if (field.at[0] == '"' || field.at[0] == '\'') {
        if (rest.length > 0 && rest.at[rest.length - 1] == field.at[0])
            rest.length--;
        complain(parser, field.at, "\"%s\" is in quotes; expected it without: %s", quote(parser, field), quote(parser, rest));
    } else if (field.at[0] == '.' && rest.length > 0 && rest.at[0] != '.') {
        complain(parser, field.at, "\"%s\" begins with a dot; expected *%s (names with one more label), **%s (one or more), or %s (the name itself)",
            quote(parser, field), quote(parser, field), quote(parser, field), quote(parser, rest));
    } else {
        return false;
    }
    return true;
}

/* The last group of an address may be meant as a port. */
static void complain_of_brackets(struct parser *parser, struct field field)
{
    const char *last = memrchr(field.at, ':', field.length);
    struct field host = {field.at, (size_t)(last - field.at)};
    uint16_t port = text_port(last + 1, field.length - host.length - 1);
    uint8_t address[16];

    if (port != 0 && host_parse_address(host.at, host.length, address))
        complain(parser, field.at, "an IPv6 address without brackets; expected [%s]:%u, if that is its port, or [%s]", quote(parser, host), (unsigned)port,
            quote(parser, field));
    else
        complain(parser, field.at, "an IPv6 address without brackets; expected [%s]", quote(parser, field));
}

bool read_target(struct parser *parser, struct field field, struct target_pattern *target)
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
    if (explain_target(parser, field))
        return false;
    colon = memchr(field.at, ':', field.length);
    if ((find_spelling(field) != NULL || find_file(field) != PIN_KINDS)
        && (colon == NULL || text_port(colon + 1, field.length - (size_t)(colon + 1 - field.at)) == 0)) {
        complain(parser, field.at, "\"%s\" in the target's place; expected the host before it, as in example.com", quote(parser, field));
        return false;
    }
    if (memchr(field.at, '/', field.length) != NULL) {
        scheme = memmem(field.at, field.length, "://", 3);
        complain(parser, field.at, "\"%s\" is %s; expected only the host, as in example.com or example.com:443",
            quote(parser, field), scheme != NULL ? "a URL" : "a host with a path, or a range of addresses");
        return false;
    }
    colon = memchr(field.at, ':', field.length);
    if (field.at[0] == '@' && !is((struct field) {field.at, colon != NULL ? (size_t)(colon - field.at) : field.length}, "@unknown")) {
        complain(parser, field.at, "\"%s\" is not known; expected a target, @unknown or @revoked", quote(parser, field));
        return false;
    }
    if (field.at[0] == '[') {
        target->form = FORM_ADDRESS;
        return read_ipv6_target(parser, field, &target->host);
    }
    if (colon != NULL && host_parse_address(field.at, field.length, address)) {
        complain_of_brackets(parser, field);
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
            quote(parser, field));
        return false;
    }
    return read_name(parser, field, &target->host);
}
