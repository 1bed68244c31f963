#include "pins_text.h"

/* The spellings of a pin. An alias accepts base64 only, as the tools that use it do. */
static const struct spelling spellings[] = {
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

const struct spelling *find_spelling(struct field field)
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

/* What parts the pins of a list in one field. */
static const char *find_separator(struct field field)
{
    for (size_t i = 0; i < field.length; i++) {
        if (field.at[i] == ';' || field.at[i] == ',')
            return field.at + i;
    }
    return NULL;
}

/* The field with blanks instead, and with its quotes as they are. */
static const char *separated(struct parser *parser, struct field field)
{
    char *out = quote(parser, field);
    char *to = out;

    for (const char *at = out; *at != '\0'; at++) {
        if (*at != '\\' || at[1] != '"')
            *to++ = *at == ';' || *at == ',' ? ' ' : *at;
    }
    *to = '\0';
    return out;
}

const struct spelling *read_pin(struct parser *parser, struct field field, const struct spelling *spelling, uint8_t *out)
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
    /* Lists as curl and HTTP headers have them, and as programs write them. */
    if (find_separator(value) != NULL) {
        complain(parser, find_separator(value), "a \"%c\" after a pin; expected a blank instead: %s", *find_separator(value), separated(parser, field));
        return NULL;
    }
    complain(parser, value.at, "\"%s\" is not a digest of %zu bytes; expected %zu characters of base64%s%s%s", quote(parser, value), size,
        (size + 2) / 3 * 4, spelling->base64_only ? "" : ", or hex with or without colons",
        spelling->suffix[0] != '\0' ? " and a closing quote" : "", guess_digest(bare, size));
    return NULL;
}

static const char *const weak[] = {"spki-sha1:", "cert-sha1:", "ca-sha1:", "sha1/", "pin-sha1=", "sha1:", "spki-md5:", "cert-md5:",
    "ca-md5:", "md5/", "pin-md5=", "md5:"};

bool reject(struct parser *parser, struct field field)
{
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
        if (starts(field, weak[i])) {
            complain(parser, field.at, "\"%s\" uses a broken digest, %s; expected sha256, sha384 or sha512", quote(parser, field),
                memmem(weak[i], strlen(weak[i]), "md5", 3) != NULL ? "MD5" : "SHA-1");
            return true;
        }
    }
    return false;
}

const char *const pin_files[PIN_KINDS] = {"spki-file:", "cert-file:", "ca-file:"};

int find_file(struct field field)
{
    int kind = 0;

    while (kind < PIN_KINDS && !starts(field, pin_files[kind]))
        kind++;
    return kind;
}

static bool contains(struct field field, const char *string)
{
    return memmem(field.at, field.length, string, strlen(string)) != NULL;
}

/* Return the algorithm of a digest without a word before it; NULL: it is none. */
static const char *bare_digest(struct field field)
{
    static const char *const names[DIGESTS] = {"sha256", "sha384", "sha512"};
    uint8_t bytes[DIGEST_MAX];

    for (int digest = 0; digest < DIGESTS; digest++) {
        size_t size = digest_size((enum digest)digest);

        if (text_hex(field.at, field.length, false, bytes, size) || text_hex(field.at, field.length, true, bytes, size)
            || text_base64(field.at, field.length, bytes, size))
            return names[digest];
    }
    return NULL;
}

/* A field of which a few characters are wrong: its word ends with the first ":", "=" or "/". */
static const char *near_word(struct field field, size_t *length)
{
    static const char *const words[] = {"spki-sha256:", "spki-sha384:", "spki-sha512:", "cert-sha256:", "cert-sha384:", "cert-sha512:", "ca-sha256:", "ca-sha384:",
        "ca-sha512:", "spki-file:", "cert-file:", "ca-file:", "expires=", "report-until=", "mode=report", "tls=required", "client-cert=", "client-key=",
        "client-key-pass-file=", "pkix", "allow", "deny"};

    for (*length = 0; *length < field.length && field.at[*length] != ':' && field.at[*length] != '=' && field.at[*length] != '/';)
        ++*length;
    *length += *length < field.length;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        /* "mode=" and "tls=" have one value, which is compared as well. */
        size_t compared = strcmp(words[i], "mode=report") == 0 || strcmp(words[i], "tls=required") == 0 ? field.length : *length;

        if (text_is_near(field.at, compared, words[i])) {
            *length = compared;
            return words[i];
        }
    }
    return NULL;
}

bool suggest(struct parser *parser, struct field field)
{
    char first = field.length > 0 ? field.at[0] : '\0';
    char last = field.length > 0 ? field.at[field.length - 1] : '\0';
    struct field inner = {field.at + 1, field.length - 1};
    const char *word;
    size_t length;

    if (first == '"' || first == '\'') {
        if (inner.length > 0 && last == first)
            inner.length--;
        complain(parser, field.at, "\"%s\" is in quotes; expected it without: %s", quote(parser, field), quote(parser, inner));
    } else if (starts(field, "sha256:") || starts(field, "sha384:") || starts(field, "sha512:")) {
        complain(parser, field.at, "\"%s\" does not say of what it is the digest; expected spki-%.6s: (the public key), or cert-%.6s: (the certificate, as \"openssl x509"
            " -fingerprint\" prints it)", quote(parser, field), field.at, field.at);
    } else if ((word = bare_digest(field)) != NULL) {
        complain(parser, field.at, "\"%s\" is a digest alone; expected %s-%s: before it%s", quote(parser, field), contains(field, ":") ? "cert" : "spki", word,
            contains(field, ":") ? " (this looks like a certificate's fingerprint)" : ", or cert- if it is of the certificate");
    } else if (starts(field, "max-age=") || starts(field, "includesubdomains") || starts(field, "report-uri=")) {
        complain(parser, field.at, "\"%s\" is of an HTTP header (RFC 7469); expected pins alone (**.HOST is for the names below HOST)", quote(parser, field));
    } else if ((word = near_word(field, &length)) != NULL) {
        complain(parser, field.at, "\"%s\" is not known; expected perhaps %s%s", quote(parser, field), word,
            quote(parser, (struct field) {field.at + length, field.length - length}));
    } else {
        return false;
    }
    return true;
}
