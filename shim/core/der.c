#include "der.h"

static const struct bytes none = {NULL, 0};

/* Split the element that `from` begins with. Return the length of its tag and length, or 0 if der_take does not take them; `content` becomes the
 * content's length. */
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

/* Return true if the element that `from` begins with has its length in as few bytes as possible, as DER requires. */
static bool is_der(struct bytes from)
{
    size_t content = 0;
    size_t head = read_head(from, &content);

    if (from.at == NULL)
        return false;
    return head == 2 ? from.at[1] < 0x80 : head > 2 && from.at[2] != 0 && content >= 0x80;
}

struct bytes der_take(struct bytes *from, uint8_t tag)
{
    size_t content = 0;
    size_t head = read_head(*from, &content);
    struct bytes taken = {from->at, head + content};

    if (head == 0 || from->at == NULL || from->at[0] != tag)
        return none;
    from->at += taken.length;
    from->length -= taken.length;
    return taken;
}

struct bytes der_take_content(struct bytes *from, uint8_t tag)
{
    struct bytes taken = der_take(from, tag);
    size_t content = 0;
    size_t head = read_head(taken, &content);

    return taken.at != NULL && head != 0 ? (struct bytes) {taken.at + head, content} : none;
}

bool der_is_spki(struct bytes bytes)
{
    bool strict = is_der(bytes);
    struct bytes content = der_take_content(&bytes, DER_SEQUENCE);
    struct bytes algorithm;

    strict = strict && is_der(content);
    algorithm = der_take_content(&content, DER_SEQUENCE);
    return strict && bytes.length == 0 && der_take(&algorithm, DER_OBJECT_IDENTIFIER).at != NULL && is_der(content)
        && der_take(&content, DER_BIT_STRING).at != NULL && content.length == 0;
}

static struct bytes take_spki(struct bytes *from)
{
    struct bytes spki = der_take(from, DER_SEQUENCE);

    return der_is_spki(spki) ? spki : none;
}

/* Return true if an algorithm and a signature follow, and nothing else. */
static bool is_signed(struct bytes rest)
{
    return der_take(&rest, DER_SEQUENCE).at != NULL && der_take(&rest, DER_BIT_STRING).at != NULL && rest.length == 0;
}

/* A Name. OpenSSL takes it, as what is a sequence of others, also without the bit that says so. */
static struct bytes take_name(struct bytes *from)
{
    struct bytes name = der_take(from, DER_SEQUENCE);

    return name.at != NULL ? name : der_take(from, DER_SEQUENCE & 0x1f);
}

struct bytes der_spki_of_certificate(struct bytes certificate)
{
    struct bytes whole = der_take_content(&certificate, DER_SEQUENCE);
    struct bytes content = der_take_content(&whole, DER_SEQUENCE);

    if (!is_signed(whole))
        return none;
    (void)!der_take(&content, DER_CONTEXT_0).at; /* the version; absent in version 1 */
    if (der_take(&content, DER_INTEGER).at == NULL /* the serial number */
        || der_take(&content, DER_SEQUENCE).at == NULL /* the signature's algorithm */
        || take_name(&content).at == NULL /* the issuer */
        || der_take(&content, DER_SEQUENCE).at == NULL /* the validity */
        || take_name(&content).at == NULL) /* the subject */
        return none;
    return take_spki(&content);
}

struct bytes der_spki_of_request(struct bytes request)
{
    struct bytes whole = der_take_content(&request, DER_SEQUENCE);
    struct bytes content = der_take_content(&whole, DER_SEQUENCE);

    if (request.length != 0 || !is_signed(whole) || der_take(&content, DER_INTEGER).at == NULL /* the version */
        || der_take(&content, DER_SEQUENCE).at == NULL) /* the subject */
        return none;
    return take_spki(&content);
}

static uint64_t mix(uint64_t number, uint8_t byte)
{
    return (number ^ byte) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* OpenSSL ignores case, blanks and the type of string when it compares: only ASCII letters and digits count. */
static uint64_t mix_string(uint64_t number, uint8_t tag, struct bytes string)
{
    size_t unit = tag == DER_UNIVERSAL_STRING ? 4 : tag == DER_BMP_STRING ? 2 : 1;

    for (size_t i = 0; string.at != NULL && i + unit <= string.length; i += unit) {
        uint32_t character = 0;

        for (size_t k = 0; k < unit; k++)
            character = character << 8 | string.at[i + k];
        if (character >= 'A' && character <= 'Z')
            character += 'a' - 'A';
        if ((character >= 'a' && character <= 'z') || (character >= '0' && character <= '9'))
            number = mix(number, (uint8_t)character);
    }
    return number;
}

/* A Name (RFC 5280, section 4.1.2.4): sets of pairs of a type and a value, in whichever order within a set. */
static uint64_t number_of(struct bytes name)
{
    uint64_t sum = 0;
    struct bytes set;
    struct bytes pair;

    while ((set = der_take_content(&name, DER_SET)).at != NULL) {
        while ((pair = der_take_content(&set, DER_SEQUENCE)).at != NULL) {
            struct bytes type = der_take_content(&pair, DER_OBJECT_IDENTIFIER);
            uint8_t tag = type.at != NULL && pair.length > 0 ? pair.at[0] : 0;
            uint64_t number = UINT64_C(0xcbf29ce484222325);

            for (size_t i = 0; type.at != NULL && i < type.length; i++)
                number = mix(number, type.at[i]);
            sum += mix_string(number, tag, der_take_content(&pair, tag));
        }
    }
    return sum;
}

bool der_read_names(struct bytes certificate, struct der_names *out)
{
    struct bytes whole = der_take_content(&certificate, DER_SEQUENCE);
    struct bytes content = der_take_content(&whole, DER_SEQUENCE);
    struct bytes name;

    (void)!der_take(&content, DER_CONTEXT_0).at; /* the version; absent in version 1 */
    if (der_take(&content, DER_INTEGER).at == NULL || der_take(&content, DER_SEQUENCE).at == NULL
        || (name = der_take_content(&content, DER_SEQUENCE)).at == NULL)
        return false;
    out->issuer = number_of(name);
    if (der_take(&content, DER_SEQUENCE).at == NULL || (name = der_take_content(&content, DER_SEQUENCE)).at == NULL)
        return false;
    out->subject = number_of(name);
    return true;
}
