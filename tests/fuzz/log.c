/* The log's lines, from whatever a peer sends: printable ASCII in one line, within the buffer; as JSON, an object that is whole and
 * whose strings say what was put in. The first two bytes are the room and the limit that the escaper gets. */

/* For its formats, which nothing else sees. */
#include "../../shim/core/log.c" // NOLINT(bugprone-suspicious-include)

#include "fuzz.h"

/* Read a JSON string (RFC 8259, section 7) and write its characters, all below 256, to `out`. Return what follows it, or NULL. */
static const char *read_string(const char *at, char *out)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; out++) {
        unsigned code = 0;

        if (*at < 0x20 || *at > 0x7e)
            return NULL;
        if (*at != '\\') {
            *out = *at++;
        } else if (at[1] == '"' || at[1] == '\\') {
            *out = at[1];
            at += 2;
        } else if (at[1] == 'u' && strspn(at + 2, "0123456789abcdef") >= 4 && sscanf(at + 2, "%4x", &code) == 1 && code < 256) {
            *out = (char)code;
            at += 6;
        } else {
            return NULL;
        }
    }
    *out = '\0';
    return at + 1;
}

/* The text is one flat JSON object. The string under the key `wanted`, where it has one, is written to `value`. */
static bool is_object(const char *at, const char *wanted, char *value)
{
    char key[LINE_SIZE];
    char ignored[LINE_SIZE];

    if (*at++ != '{')
        return false;
    for (;; at++) {
        if ((at = read_string(at, key)) == NULL || *at++ != ':')
            return false;
        if (*at == '"')
            at = read_string(at, strcmp(key, wanted) == 0 ? value : ignored);
        else
            at += strncmp(at, "true", 4) == 0 || strncmp(at, "null", 4) == 0 ? 4
                : strncmp(at, "false", 5) == 0 ? 5
                : strspn(at, "0123456789");
        if (at == NULL || (*at != ',' && *at != '}'))
            return false;
        if (*at == '}')
            return at[1] == '\0';
    }
}

/* The event's strings come from the escaper, each cut to the length that it has in a real event at most. */
static void write_event(const char *bytes, size_t length)
{
    char target[300];
    char reason[1024];
    char subject[300];
    char line[LINE_SIZE];
    char value[LINE_SIZE] = "";
    struct text text = text_over(target, sizeof(target));
    struct event event = {.verdict = EVENT_REFUSED, .target = target, .port = 443, .rule = target, .reason = reason,
        .subject = subject, .issuer = subject, .spki_sha256 = target, .cert_sha256 = target,
        .wanted = reason, .matched = target, .tls = "TLSv1.3"};

    text_add_escaped(&text, bytes, length, 255);
    fuzz_require_plain(&text);
    text = text_over(reason, sizeof(reason));
    text_add_escaped(&text, bytes, length, 1000);
    text = text_over(subject, sizeof(subject));
    text_add_escaped(&text, bytes, length, 256);
    text = text_over(line, sizeof(line));
    put_text(&event, &text);
    fuzz_require_plain(&text);
    require(!text.cut);
    text = text_over(line, sizeof(line));
    put_json(&event, &text);
    fuzz_require_plain(&text);
    require(!text.cut && is_object(line, "subject", value) && strcmp(value, subject) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char ends[16384];
    char value[4100] = "";
    char *buffer;
    char *string;
    struct text text;

    if (size < 2 || size > 2048)
        return 0;
    buffer = malloc((size_t)data[0] + 1);
    text = text_over(buffer, (size_t)data[0] + 1);
    text_add_escaped(&text, (const char *)data + 2, size - 2, data[1]);
    fuzz_require_plain(&text);
    require(text.length <= (size_t)data[1] + 3);
    text = text_over(buffer, (size_t)data[0] + 1);
    string = strndup((const char *)data + 2, size - 2);
    text_add_json(&text, string);
    fuzz_require_plain(&text);
    text = text_over(ends, sizeof(ends));
    text_add_json(&text, string);
    fuzz_require_plain(&text);
    require(!text.cut && read_string(ends, value) == ends + text.length && strcmp(value, string) == 0);
    free(string);
    free(buffer);
    write_event((const char *)data + 2, size - 2);
    return 0;
}
