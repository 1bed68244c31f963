/* The parser: a file is accepted without a report or refused with one, every report names a place in the file, whatever is
 * accepted can be looked up, judged and printed, and a comment behind each line changes nothing. */

#include "fuzz.h"

struct file {
    const char *bytes;
    size_t length;
    size_t reports;
    uint64_t said; /* a hash of them */
};

/* Return where line `wanted` starts, counted from 1, and its length without the newline; NULL where the file has no such line. */
static const char *line_of(const struct file *file, uint32_t wanted, size_t *length)
{
    size_t at = file->length >= 3 && memcmp(file->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    for (uint32_t line = 1; at < file->length; line++) {
        const char *newline = memchr(file->bytes + at, '\n', file->length - at);
        size_t stop = newline != NULL ? (size_t)(newline - file->bytes) : file->length;

        *length = stop - at;
        if (line == wanted)
            return file->bytes + at;
        at = stop + 1;
    }
    return NULL;
}

static void on_report(void *arg, uint32_t line, uint32_t column, const char *message)
{
    struct file *file = arg;
    struct text text = {(char *)(uintptr_t)message, strlen(message) + 1, strlen(message), false};
    size_t length = 0;

    file->reports++;
    file->said = (file->said ^ line ^ (uint64_t)column << 32) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < text.length; i++)
        file->said = (file->said ^ (uint8_t)message[i]) * UINT64_C(0x100000001b3);
    fuzz_require_plain(&text);
    require(text.length > 0);
    if (line == 0)
        require(column == 0);
    else /* just behind the line's end, where something is missing */
        require(line_of(file, line, &length) != NULL && column >= 1 && column <= length + 1);
}

/* A peer that shows what the pin wants is accepted by its rule, and the pin as it is printed is read as the same pin. */
static void honour(const struct pins *pins, const struct host *host, const struct pin *pin)
{
    struct peer peer = {.has = {true, true}};
    struct file again = {NULL, 0, 0, 0};
    char line[300];
    struct text text = text_over(line, sizeof(line));
    struct pins *reread;

    peer.known[pin->kind][pin->digest] = true;
    memcpy(peer.digests[pin->kind][pin->digest], pins_digest(pins, pin), digest_size((enum digest)pin->digest));
    require(fuzz_judge_host(pins, host, &peer).reason == REASON_MATCH);
    text_add(&text, "* ");
    pins_print_pin(pins, pin, &text);
    fuzz_require_plain(&text);
    again.bytes = line;
    again.length = text.length;
    reread = fuzz_parse(line, text.length, on_report, &again);
    require(reread != NULL && reread->pin_count == 1);
    require(memcmp(pins_digest(reread, &reread->pins[0]), pins_digest(pins, pin), digest_size((enum digest)pin->digest)) == 0);
    pins_free(reread);
}

/* Look up what the line is for, as a program would name it: a rule is found. */
static void visit(const struct pins *pins, const char *line, size_t length)
{
    static const struct peer nobody;
    struct rules rules;
    struct host host;
    char name[300] = "";
    size_t blank = 0;
    size_t end;

    while (blank < length && (line[blank] == ' ' || line[blank] == '\t'))
        blank++;
    for (end = blank; end < length && memchr(" \t\r#", line[end], 4) == NULL; end++)
        continue;
    if (end == blank || line[blank] == '@')
        return;
    require(end - blank < sizeof(name) - 2);
    memcpy(name, line + blank, end - blank);
    if (strncmp(name, "**.", 3) == 0)
        memmove(name, name + 1, strlen(name));
    if (name[0] == '*')
        name[0] = 'x'; /* "*" alone becomes a name that only it may hold */
    require(host_parse(name, strlen(name), &host) != HOST_UNREADABLE);
    rules = pins_lookup(pins, &host);
    if (rules.first == NULL && line[blank] == '*')
        rules = pins_lookup_any(pins, &host);
    require(rules.first != NULL);
    (void)fuzz_judge_host(pins, &host, &nobody);
    for (const struct pin *pin = pins_next_pin(pins, rules.first, NULL); pin != NULL; pin = pins_next_pin(pins, rules.first, pin))
        if (pin->kind <= PIN_CERT && rules.first->action == RULE_PINS)
            honour(pins, &host, pin);
}

/* What a pin alone does not satisfy. */
static bool is_plain(const struct file *file)
{
    static const char *const words[] = {"@", "pkix", "expires", "mode="};
    bool plain = true;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        plain &= memmem(file->bytes, file->length, words[i], strlen(words[i])) == NULL;
    return plain;
}

/* Parse the file with a comment behind each line: it says the same. */
static void parse_with_comments(const struct file *file, const struct pins *pins)
{
    char *copy = malloc(4 * file->length + 3);
    struct file longer = {copy, 0, 0, 0};
    struct pins *again;

    for (size_t i = 0; i <= file->length; i++) {
        const char *at = file->bytes + i;
        bool end = i == file->length || *at == '\n';

        if (end ? i == 0 || at[-1] != '\r' : *at == '\r' && (i + 1 == file->length || at[1] == '\n')) {
            memcpy(copy + longer.length, " #\t", 3);
            longer.length += 3;
        }
        if (i < file->length)
            copy[longer.length++] = *at;
    }
    again = fuzz_parse(copy, longer.length, on_report, &longer);
    require((again != NULL) == (pins != NULL) && longer.reports == file->reports && longer.said == file->said);
    if (again != NULL) {
        require(again->rule_count == pins->rule_count && again->pin_count == pins->pin_count && again->byte_count == pins->byte_count);
        for (size_t i = 0; i < pins->rule_count; i++) { /* but for the padding */
            require(memcmp(&again->rules[i], &pins->rules[i], offsetof(struct rule, action) + 1) == 0);
            require(again->rules[i].pkix == pins->rules[i].pkix && again->rules[i].tls_required == pins->rules[i].tls_required);
        }
        require(memcmp(again->pins, pins->pins, pins->pin_count * sizeof(*pins->pins)) == 0);
        require(memcmp(again->bytes, pins->bytes, pins->byte_count) == 0);
        require(again->demand == pins->demand && again->located == pins->located);
        require(memcmp(again->used, pins->used, sizeof(pins->used)) == 0);
    }
    pins_free(again);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct file file = {(const char *)data, size, 0, 0};
    struct pins *pins = fuzz_parse(data, size, on_report, &file);
    const char *line;
    size_t length;

    require((pins != NULL) == (file.reports == 0));
    parse_with_comments(&file, pins);
    for (uint32_t i = 1; pins != NULL && is_plain(&file) && (line = line_of(&file, i, &length)) != NULL; i++)
        visit(pins, line, length);
    pins_free(pins);
    return 0;
}
