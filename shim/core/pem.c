#include "pem.h"

#include "memory.h"

#include <string.h>

#define BEGIN "-----BEGIN "
#define END "-----END "
#define TAIL "-----"
#define LABEL_LIMIT 100

static size_t count_of(struct bytes bytes, const char *what)
{
    const uint8_t *at = bytes.at;
    size_t count = 0;

    while (bytes.length > 0 && (at = memmem(at, bytes.length - (size_t)(at - bytes.at), what, strlen(what))) != NULL) {
        at += strlen(what);
        count++;
    }
    return count;
}

bool pem_is(struct bytes bytes)
{
    return count_of(bytes, BEGIN) > 0;
}

/* A line, without its end and the blanks before that. */
struct line {
    const char *at;
    size_t length;
};

static bool next_line(struct bytes *rest, struct line *out)
{
    const uint8_t *end = rest->length > 0 ? memchr(rest->at, '\n', rest->length) : NULL;
    size_t length = end != NULL ? (size_t)(end - rest->at) : rest->length;

    if (rest->length == 0)
        return false;
    *out = (struct line) {(const char *)rest->at, length};
    while (out->length > 0 && (unsigned char)out->at[out->length - 1] <= ' ')
        out->length--;
    length += end != NULL;
    rest->at += length;
    rest->length -= length;
    return true;
}

/* Return true if the line is `before`, a label and the tail. */
static bool is_mark(struct line line, const char *before, struct line *label)
{
    size_t around = strlen(before) + strlen(TAIL);

    if (line.length < around || memcmp(line.at, before, strlen(before)) != 0
        || memcmp(line.at + line.length - strlen(TAIL), TAIL, strlen(TAIL)) != 0)
        return false;
    *label = (struct line) {line.at + strlen(before), line.length - around};
    return true;
}

/* An object while its lines are read. */
struct object {
    struct line label;
    char *base64; /* its characters in a row */
    size_t length;
    size_t room;
    bool encrypted;
};

/* Read the lines up to the one that ends the object. A header has colons and ends with an empty line. */
static bool read_lines(struct bytes *rest, struct object *out)
{
    enum { UNKNOWN = 0, HEADER, DATA } part = UNKNOWN;
    struct line line;
    struct line label;

    while (next_line(rest, &line)) {
        if (line.length >= strlen(END) && memcmp(line.at, END, strlen(END)) == 0)
            return is_mark(line, END, &label) && label.length == out->label.length && memcmp(label.at, out->label.at, label.length) == 0;
        if (part == UNKNOWN && memchr(line.at, ':', line.length) != NULL)
            part = HEADER;
        if (line.length == 0) {
            if (part == DATA)
                return false;
            part = DATA;
        } else if (part == HEADER) {
            out->encrypted |= memmem(line.at, line.length, "ENCRYPTED", strlen("ENCRYPTED")) != NULL;
        } else {
            part = DATA;
            if (line.length > out->room - out->length)
                return false;
            memcpy(out->base64 + out->length, line.at, line.length);
            out->length += line.length;
        }
    }
    return false;
}

static bool decode(const struct object *object, uint8_t *out, size_t *length)
{
    size_t digits = object->length;

    while (digits > 0 && object->length - digits < 2 && object->base64[digits - 1] == '=')
        digits--;
    *length = digits / 4 * 3 + (digits % 4 > 0 ? digits % 4 - 1 : 0);
    return *length > 0 && text_base64(object->base64, object->length, out, *length);
}

/* Read the object whose first line has that label, and give it to `take`. */
static bool read_object(struct bytes *rest, struct line label, pem_take *take, void *to)
{
    const uint8_t *end = rest->length > 0 ? memmem(rest->at, rest->length, END, strlen(END)) : NULL;
    size_t room = end != NULL ? (size_t)(end - rest->at) : 0;
    struct object object = {.label = label, .base64 = room > 0 ? memory_get(room * 2) : NULL, .room = room};
    uint8_t *der = object.base64 != NULL ? (uint8_t *)object.base64 + room : NULL;
    char name[LABEL_LIMIT + 1];
    size_t length = 0;
    bool read = object.base64 != NULL && label.length <= LABEL_LIMIT && read_lines(rest, &object) && decode(&object, der, &length);

    if (read) {
        memcpy(name, label.at, label.length);
        name[label.length] = '\0';
        read = take(to, name, object.encrypted, (struct bytes) {der, length});
    }
    /* It may be a key. */
    if (object.base64 != NULL)
        explicit_bzero(object.base64, room * 2);
    memory_let_go(object.base64);
    return read;
}

bool pem_read(struct bytes bytes, pem_take *take, void *to)
{
    size_t expected = count_of(bytes, BEGIN);
    struct line line;
    struct line label;

    while (next_line(&bytes, &line)) {
        if (!is_mark(line, BEGIN, &label))
            continue;
        if (!read_object(&bytes, label, take, to))
            return false;
        expected--;
    }
    return expected == 0;
}
