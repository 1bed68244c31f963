#include "event.h"

#include <string.h>

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* Read a string with its quotes (RFC 8259, section 7). Return what follows it, NULL where it is malformed. The log writes no character beyond
 * U+00FF; those are bytes that were not ASCII. */
static const char *read_string(const char *at, struct text *out)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";

    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        const char *escape;
        uint8_t code[2];

        if (*at == '\0')
            return NULL;
        if (*at != '\\') {
            text_add(out, "%c", *at);
            continue;
        }
        at++;
        if (*at == 'u') {
            if (strnlen(at, 5) < 5 || !text_hex(at + 1, 4, false, code, sizeof(code)) || code[0] != 0 || code[1] == 0)
                return NULL;
            text_add(out, "%c", code[1]);
            at += 4;
            continue;
        }
        escape = *at != '\0' ? strchr(escapes, *at) : NULL;
        if (escape == NULL)
            return NULL;
        text_add(out, "%c", meant[escape - escapes]);
    }
    return at + 1;
}

static const char *read_value(const char *at, struct text *out)
{
    size_t length = strcspn(at, ",}] \t\r\n");

    if (*at == '"')
        return read_string(at, out);
    if (length == 0 || *at == '{' || *at == '[')
        return NULL;
    text_add(out, "%.*s", (int)length, at);
    return at + length;
}

bool event_member(const char *line, const char *name, struct text *out)
{
    char found[64];
    char scratch[4096];

    line = skip_blanks(line);
    if (*line != '{')
        return false;
    do {
        struct text key = text_over(found, sizeof(found));
        struct text value = text_over(scratch, sizeof(scratch));
        bool wanted;

        line = read_string(skip_blanks(line + 1), &key);
        if (line == NULL || *(line = skip_blanks(line)) != ':')
            return false;
        wanted = strcmp(found, name) == 0;
        if (wanted && strncmp(skip_blanks(line + 1), "null", 4) == 0)
            return false;
        line = read_value(skip_blanks(line + 1), wanted ? out : &value);
        if (line == NULL || wanted)
            return line != NULL;
        line = skip_blanks(line);
    } while (*line == ',');
    return false;
}
