#include "text.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct text text_over(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct text) {buffer, size, 0, false};
}

static void add_bytes(struct text *text, const char *bytes, size_t length)
{
    size_t room = text->size - text->length - 1;

    if (length > room) {
        length = room;
        text->cut = true;
    }
    memcpy(text->at + text->length, bytes, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_add_string(struct text *text, const char *string)
{
    add_bytes(text, string, strlen(string));
}

void text_add_va(struct text *text, const char *format, va_list args)
{
    size_t room = text->size - text->length;
    int wanted = vsnprintf(text->at + text->length, room, format, args);

    if (wanted < 0) {
        text->at[text->length] = '\0';
        text->cut = true;
    } else if ((size_t)wanted >= room) {
        text->length = text->size - 1;
        text->cut = true;
    } else {
        text->length += (size_t)wanted;
    }
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_add_va(text, format, args);
    va_end(args);
}

void text_add_escaped(struct text *text, const char *bytes, size_t length, size_t limit)
{
    static const char digits[] = "0123456789abcdef";
    size_t written = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        char out[4] = {(char)c, 0, 0, 0};
        size_t n = 1;

        if (c == '\\' || c == '"') {
            out[0] = '\\';
            out[1] = (char)c;
            n = 2;
        } else if (c < 0x20 || c > 0x7e) {
            out[0] = '\\';
            out[1] = 'x';
            out[2] = digits[c >> 4];
            out[3] = digits[c & 15];
            n = 4;
        }
        if (written + n > limit) {
            add_bytes(text, "...", 3);
            return;
        }
        add_bytes(text, out, n);
        written += n;
    }
}

void text_add_json(struct text *text, const char *string)
{
    add_bytes(text, "\"", 1);
    for (; *string != '\0'; string++) {
        unsigned char c = (unsigned char)*string;

        if (c == '"' || c == '\\')
            text_add(text, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            text_add(text, "\\u%04x", (unsigned)c);
        else
            add_bytes(text, string, 1);
    }
    add_bytes(text, "\"", 1);
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_add_base64(struct text *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 3) {
        size_t n = length - i < 3 ? length - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16;
        char out[4];

        if (n > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (n > 2)
            group |= bytes[i + 2];
        out[0] = base64_alphabet[group >> 18];
        out[1] = base64_alphabet[(group >> 12) & 63];
        out[2] = n > 1 ? base64_alphabet[(group >> 6) & 63] : '=';
        out[3] = n > 2 ? base64_alphabet[group & 63] : '=';
        add_bytes(text, out, 4);
    }
}

/* Return the values of sixteen digits; `odd` marks those that are not digits. */
static inline text_block base64_values(text_block digits, text_block *odd)
{
    text_block upper = text_block_within(digits, 'A', 'Z');
    text_block lower = text_block_within(digits, 'a', 'z');
    text_block number = text_block_within(digits, '0', '9');
    text_block plus = digits == '+';
    text_block slash = digits == '/';

    *odd |= ~(upper | lower | number | plus | slash);
    return digits + ((upper & -'A') | (lower & (26 - 'a')) | (number & (52 - '0')) | (plus & (62 - '+')) | (slash & (63 - '/')));
}

/* Pack sixteen values of six bits: neighbours (the first is the lower half of a word) are joined to 12 bits, then to 24 and to 48. */
static inline void base64_pack(text_block values, uint8_t out[static 12])
{
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef uint32_t fours __attribute__((vector_size(16)));
    pairs twelve = ((pairs)values & 0x3f) << 6 | (pairs)values >> 8;
    fours twenty_four = ((fours)twelve & 0xfff) << 12 | (fours)twelve >> 16;
    uint64_t words[2];

    memcpy(words, &twenty_four, sizeof(words));
    for (size_t i = 0; i < 2; i++) {
        uint64_t word = htobe64(words[i] << 40 | words[i] >> 32 << 16);

        memcpy(out + i * 6, &word, 6);
    }
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "base64_pack takes the bytes of a word in that order");

__attribute__((always_inline)) static inline bool decode_base64(const char *string, size_t length, uint8_t *out, size_t want)
{
    size_t digits = (want * 8 + 5) / 6;
    size_t padded = (want + 2) / 3 * 4;
    size_t made = 0;
    size_t i = 0;
    text_block odd = {0};
    char rest[16];
    uint8_t last[12];
    uint8_t stray = 0;

    if (length != digits && length != padded)
        return false;
    for (size_t k = digits; k < length; k++) {
        if (string[k] != '=')
            return false;
    }
    for (; i + 16 <= digits; i += 16, made += 12)
        base64_pack(base64_values(text_block_at(string + i), &odd), out + made);
    if (i == digits)
        return text_block_bits(odd) == 0;
    memset(rest, 'A', sizeof(rest)); /* no bit set */
    memcpy(rest, string + i, digits - i);
    base64_pack(base64_values(text_block_at(rest), &odd), last);
    for (size_t k = want - made; k < sizeof(last); k++)
        stray |= last[k];
    if (text_block_bits(odd) != 0 || stray != 0)
        return false;
    memcpy(out + made, last, want - made);
    return true;
}

/* Lengths that the compiler knows make the commonest cases fast. */
bool text_base64(const char *string, size_t length, uint8_t *out, size_t want)
{
    return want == 32 ? decode_base64(string, length, out, 32) : decode_base64(string, length, out, want);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = text_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Read sixteen digits. */
static inline bool hex_block(const char *digits, uint8_t out[static 8])
{
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef uint8_t octets __attribute__((vector_size(8)));
    text_block block = text_block_at(digits);
    text_block number = text_block_within(block, '0', '9');
    text_block upper = text_block_within(block, 'A', 'F');
    text_block lower = text_block_within(block, 'a', 'f');
    pairs values = (pairs)(block + ((number & -'0') | (upper & (10 - 'A')) | (lower & (10 - 'a'))));
    octets bytes = __builtin_convertvector((values & 0xf) << 4 | values >> 8, octets);

    memcpy(out, &bytes, sizeof(bytes));
    return text_block_bits(number | upper | lower) == 0xffff;
}

bool text_hex(const char *string, size_t length, bool colons, uint8_t *out, size_t want)
{
    size_t step = colons ? 3 : 2;
    size_t i = 0;

    if (want == 0 || length != want * step - (colons ? 1 : 0))
        return false;
    for (; !colons && i + 8 <= want; i += 8) {
        if (!hex_block(string + i * 2, out + i))
            return false;
    }
    for (; i < want; i++) {
        int high = hex_value(string[i * step]);
        int low = hex_value(string[i * step + 1]);

        if (high < 0 || low < 0 || (colons && i + 1 < want && string[i * step + 2] != ':'))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

uint16_t text_port(const char *string, size_t length)
{
    uint32_t value = 0;

    if (length == 0 || length > 5 || string[0] == '0')
        return 0;
    for (size_t i = 0; i < length; i++) {
        if (string[i] < '0' || string[i] > '9')
            return 0;
        value = value * 10 + (uint32_t)(string[i] - '0');
    }
    return value > 65535 ? 0 : (uint16_t)value;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

bool text_date(const char *string, size_t length, uint16_t *day)
{
    int parts[3] = {0, 0, 0};
    int part = 0;
    uint32_t days = 0;

    if (length != 10)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (i == 4 || i == 7) {
            part++;
            if (string[i] != '-')
                return false;
        } else if (string[i] < '0' || string[i] > '9') {
            return false;
        } else {
            parts[part] = parts[part] * 10 + (string[i] - '0');
        }
    }
    if (parts[0] < 1970 || parts[0] > 2149 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > days_of(parts[0], parts[1]))
        return false;
    for (int year = 1970; year < parts[0]; year++)
        days += 365 + is_leap(year);
    for (int month = 1; month < parts[1]; month++)
        days += (uint32_t)days_of(parts[0], month);
    days += (uint32_t)parts[2] - 1;
    *day = (uint16_t)days;
    return days >= 1 && days <= UINT16_MAX;
}

#define LONGEST_WORD 40

bool text_is_near(const char *string, size_t length, const char *word)
{
    uint8_t rows[3][LONGEST_WORD + 1];
    size_t size = strlen(word);

    if (length > LONGEST_WORD || size > LONGEST_WORD || length + 1 < size || size + 1 < length)
        return false;
    for (size_t k = 0; k <= size; k++)
        rows[0][k] = (uint8_t)k;
    for (size_t i = 1; i <= length; i++) {
        uint8_t *row = rows[i % 3];
        const uint8_t *above = rows[(i + 2) % 3];

        row[0] = (uint8_t)i;
        for (size_t k = 1; k <= size; k++) {
            bool same = text_lower(string[i - 1]) == text_lower(word[k - 1]);
            uint8_t best = (uint8_t)(above[k - 1] + !same);

            best = above[k] + 1 < best ? (uint8_t)(above[k] + 1) : best;
            best = row[k - 1] + 1 < best ? (uint8_t)(row[k - 1] + 1) : best;
            if (i > 1 && k > 1 && text_lower(string[i - 1]) == text_lower(word[k - 2]) && text_lower(string[i - 2]) == text_lower(word[k - 1])
                && rows[(i + 1) % 3][k - 2] + 1 < best)
                best = (uint8_t)(rows[(i + 1) % 3][k - 2] + 1);
            row[k] = best;
        }
    }
    return rows[length % 3][size] <= 1;
}

uint16_t text_today(void)
{
    struct timespec now;

    return clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec >= 0 && now.tv_sec / 86400 < UINT16_MAX ? (uint16_t)(now.tv_sec / 86400)
                                                                                                         : UINT16_MAX;
}

void text_add_date(struct text *text, unsigned day)
{
    int year = 1970;
    int month = 1;
    int left = (int)day;

    for (; left >= 365 + is_leap(year); year++)
        left -= 365 + is_leap(year);
    for (; left >= days_of(year, month); month++)
        left -= days_of(year, month);
    text_add(text, "%04d-%02d-%02d", year, month, left + 1);
}

void text_add_time(struct text *text, uint64_t seconds)
{
    static const uint64_t last = 253402300799; /* of the year 9999 */
    unsigned second = (unsigned)((seconds < last ? seconds : last) % 86400);

    text_add_date(text, (unsigned)((seconds < last ? seconds : last) / 86400));
    text_add(text, "T%02u:%02u:%02u", second / 3600, second / 60 % 60, second % 60);
}

bool text_is_plain(const char *bytes, size_t length)
{
    text_block plain = text_block_within((text_block) {0}, 0, 0);

    for (size_t i = 0; i + 16 <= length; i += 16)
        plain &= text_block_within(text_block_at(bytes + i), ' ', '~');
    if (length >= 16)
        return text_block_bits(plain & text_block_within(text_block_at(bytes + length - 16), ' ', '~')) == 0xffff;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~')
            return false;
    }
    return true;
}

bool text_utf8(const char *bytes, size_t length, size_t *bad)
{
    const uint8_t *at = (const uint8_t *)bytes;
    size_t i = 0;

    while (i < length) {
        size_t more = at[i] < 0x80 ? 0 : at[i] >= 0xc2 && at[i] <= 0xdf ? 1 : (at[i] & 0xf0) == 0xe0 ? 2 : 3;
        uint8_t low = 0x80;
        uint8_t high = 0xbf;

        *bad = i;
        if (at[i] >= 0x80 && (at[i] < 0xc2 || at[i] > 0xf4))
            return false;
        /* RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
        if (at[i] == 0xe0)
            low = 0xa0;
        else if (at[i] == 0xed)
            high = 0x9f;
        else if (at[i] == 0xf0)
            low = 0x90;
        else if (at[i] == 0xf4)
            high = 0x8f;
        if (more > length - i - 1)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if (at[i + k] < low || at[i + k] > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
        i += more + 1;
    }
    return true;
}
