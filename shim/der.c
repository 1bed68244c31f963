#include "der.h"

enum {
    INTEGER = 0x02,
    BIT_STRING = 0x03,
    OBJECT_IDENTIFIER = 0x06,
    SEQUENCE = 0x30,
    CONTEXT_0 = 0xa0, /* constructed, as all of that class here */
};

static const struct bytes none = {NULL, 0};

/* Split what `from` begins with. Return the length of tag and length, 0 where they are none that der_take takes; `content` becomes the content's
 * length. */
static size_t read_head(struct bytes from, size_t *content)
{
    size_t count;

    if (from.at == NULL || from.length < 2 || (from.at[0] & 0x1f) == 0x1f)
        return 0;
    *content = from.at[1];
    if (*content < 0x80)
        return from.length - 2 >= *content ? 2 : 0;
    count = *content & 0x7f;
    if (count == 0 || count > sizeof(*content) || from.length - 2 < count)
        return 0;
    *content = 0;
    for (size_t i = 0; i < count; i++)
        *content = *content << 8 | from.at[2 + i];
    return from.length - 2 - count >= *content ? 2 + count : 0;
}

/* Return true if what `from` begins with has its length in as few bytes as can be, as DER wants it. */
static bool is_der(struct bytes from)
{
    size_t content;
    size_t head = read_head(from, &content);

    return head == 2 ? from.at[1] < 0x80 : head > 2 && from.at[2] != 0 && content >= 0x80;
}

struct bytes der_take(struct bytes *from, uint8_t tag)
{
    size_t content;
    size_t head = read_head(*from, &content);
    struct bytes taken = {from->at, head + content};

    if (head == 0 || from->at[0] != tag)
        return none;
    from->at += taken.length;
    from->length -= taken.length;
    return taken;
}

/* The same, but what is in it. */
static struct bytes take_content(struct bytes *from, uint8_t tag)
{
    struct bytes taken = der_take(from, tag);
    size_t content = 0;
    size_t head = read_head(taken, &content);

    return head != 0 ? (struct bytes) {taken.at + head, content} : none;
}

bool der_is_spki(struct bytes bytes)
{
    bool strict = is_der(bytes);
    struct bytes content = take_content(&bytes, SEQUENCE);
    struct bytes algorithm;

    strict = strict && is_der(content);
    algorithm = take_content(&content, SEQUENCE);
    return strict && bytes.length == 0 && der_take(&algorithm, OBJECT_IDENTIFIER).at != NULL && is_der(content)
        && der_take(&content, BIT_STRING).at != NULL && content.length == 0;
}

static struct bytes take_spki(struct bytes *from)
{
    struct bytes spki = der_take(from, SEQUENCE);

    return der_is_spki(spki) ? spki : none;
}

/* Return true if an algorithm and a signature follow, and nothing else. */
static bool is_signed(struct bytes rest)
{
    return der_take(&rest, SEQUENCE).at != NULL && der_take(&rest, BIT_STRING).at != NULL && rest.length == 0;
}

struct bytes der_spki_of_certificate(struct bytes certificate)
{
    struct bytes whole = take_content(&certificate, SEQUENCE);
    struct bytes content = take_content(&whole, SEQUENCE);

    if (!is_signed(whole))
        return none;
    (void)!der_take(&content, CONTEXT_0).at; /* the version; absent in version 1 */
    if (der_take(&content, INTEGER).at == NULL /* the serial number */
        || der_take(&content, SEQUENCE).at == NULL /* the signature's algorithm */
        || der_take(&content, SEQUENCE).at == NULL /* the issuer */
        || der_take(&content, SEQUENCE).at == NULL /* the validity */
        || der_take(&content, SEQUENCE).at == NULL) /* the subject */
        return none;
    return take_spki(&content);
}

struct bytes der_spki_of_request(struct bytes request)
{
    struct bytes whole = take_content(&request, SEQUENCE);
    struct bytes content = take_content(&whole, SEQUENCE);

    if (request.length != 0 || !is_signed(whole) || der_take(&content, INTEGER).at == NULL /* the version */
        || der_take(&content, SEQUENCE).at == NULL) /* the subject */
        return none;
    return take_spki(&content);
}
