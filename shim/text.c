#include "text.h"

#include <stdio.h>
#include <string.h>

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

/* One more than what a character stands for; 0: nothing. */
static const uint8_t base64_values[256] = {
#define TEN(first, value) \
    [first] = value, [first + 1] = value + 1, [first + 2] = value + 2, [first + 3] = value + 3, [first + 4] = value + 4, \
    [first + 5] = value + 5, [first + 6] = value + 6, [first + 7] = value + 7, [first + 8] = value + 8, [first + 9] = value + 9
    TEN('A', 1), TEN('K', 11), ['U'] = 21, 22, 23, 24, 25, 26,
    TEN('a', 27), TEN('k', 37), ['u'] = 47, 48, 49, 50, 51, 52,
    TEN('0', 53), ['+'] = 63, ['/'] = 64,
#undef TEN
};

/* Return the value of a digit; above 63 where it is none. */
static uint32_t base64_value(char c)
{
    return base64_values[(uint8_t)c] - 1U;
}

bool text_base64(const char *string, size_t length, uint8_t *out, size_t want)
{
    size_t digits = (want * 8 + 5) / 6;
    size_t padded = (want + 2) / 3 * 4;
    size_t made = 0;
    size_t i = 0;
    uint32_t bits;
    unsigned held = 0;

    if (length != digits && length != padded)
        return false;
    for (size_t k = digits; k < length; k++) {
        if (string[k] != '=')
            return false;
    }
    /* Four at a time; what is no digit shows in the upper bits. */
    for (; i + 4 <= digits; i += 4, made += 3) {
        uint32_t a = base64_value(string[i]);
        uint32_t b = base64_value(string[i + 1]);
        uint32_t c = base64_value(string[i + 2]);
        uint32_t d = base64_value(string[i + 3]);

        if ((a | b | c | d) > 63)
            return false;
        bits = a << 18 | b << 12 | c << 6 | d;
        out[made] = (uint8_t)(bits >> 16);
        out[made + 1] = (uint8_t)(bits >> 8);
        out[made + 2] = (uint8_t)bits;
    }
    for (bits = 0; i < digits; i++) {
        uint32_t value = base64_value(string[i]);

        if (value > 63)
            return false;
        bits = bits << 6 | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[made++] = (uint8_t)(bits >> held);
        }
    }
    return made == want && (bits & ((1U << held) - 1)) == 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = text_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_hex(const char *string, size_t length, bool colons, uint8_t *out, size_t want)
{
    size_t step = colons ? 3 : 2;

    if (want == 0 || length != want * step - (colons ? 1 : 0))
        return false;
    for (size_t i = 0; i < want; i++) {
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

void text_add_date(struct text *text, uint16_t day)
{
    int year = 1970;
    int month = 1;
    int left = day;

    for (; left >= 365 + is_leap(year); year++)
        left -= 365 + is_leap(year);
    for (; left >= days_of(year, month); month++)
        left -= days_of(year, month);
    text_add(text, "%04d-%02d-%02d", year, month, left + 1);
}

/* Eight bytes at a time: a byte below 0x20 borrows into its upper bit, one above 0x7e carries into it. */
bool text_is_plain(const char *bytes, size_t length)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t odd = 0;
    uint64_t word;
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        memcpy(&word, bytes + i, 8);
        odd |= ((word - ones * 0x20) & ~word) | (word + ones) | word;
    }
    for (; i < length; i++)
        odd |= bytes[i] < 0x20 || bytes[i] > 0x7e ? 0x80 : 0;
    return (odd & ones * 0x80) == 0;
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
