/* Text helpers: bounded lines, escaping, base64 and hex. No I/O, no allocation, nothing of TLS. */
#ifndef PINSHIM_TEXT_H
#define PINSHIM_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of a variable that each process uses at its start: it is in the page of .data, which is written then anyway, and not in another one. */
#define USED_AT_START __attribute__((section(".data")))

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))

/* A line that is being built in a caller's buffer. It is always terminated; what does not fit is left out, and `cut` is set. */
struct text {
    char *at;
    size_t size;
    size_t length;
    bool cut;
};

/* Return an empty text over the `size` bytes at `buffer`; `size` is at least 1. */
struct text text_over(char *buffer, size_t size);

/* Append a string as it is. */
void text_add_string(struct text *text, const char *string);

/* Append formatted text. */
void text_add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_va(struct text *text, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* Append `length` bytes of untrusted text so that only printable ASCII comes out: every other byte becomes \xNN, a
 * backslash \\ and a double quote \". At most `limit` characters are written; "..." follows where there was more. */
void text_add_escaped(struct text *text, const char *bytes, size_t length, size_t limit);

/* Append `string` as a JSON string with its quotes (RFC 8259, section 7). Bytes that are not ASCII become \u00NN. */
void text_add_json(struct text *text, const char *string);

/* Append `length` bytes in base64 with padding (RFC 4648, section 4). */
void text_add_base64(struct text *text, const uint8_t *bytes, size_t length);

/* Decode exactly `want` bytes from the `length` characters at `string`. Return true if and only if the text is that many
 * bytes, whole and canonical: base64 with its padding or with none, no stray bits in its last character. */
MUST_CHECK bool text_base64(const char *string, size_t length, uint8_t *out, size_t want);

/* The same for hex, of either case; with `colons`, a colon must stand between each two digits. */
MUST_CHECK bool text_hex(const char *string, size_t length, bool colons, uint8_t *out, size_t want);

/* Read a decimal number from 1 to 65535 without sign or leading zero. Return 0 for anything else. */
MUST_CHECK uint16_t text_port(const char *string, size_t length);

/* Read a day, YYYY-MM-DD of the Gregorian calendar (RFC 3339, full-date), as the number of days since 1970-01-01. Return false if it
 * is not one, or is not within 1 to 65535. */
MUST_CHECK bool text_date(const char *string, size_t length, uint16_t *day);

/* Return true if the string is probably a mistaken `word`: without regard to case, one character more, fewer or other, or two transposed. */
MUST_CHECK bool text_is_near(const char *string, size_t length, const char *word);

/* Return the present day, UTC; UINT16_MAX without a clock: then everything that ends on a day has ended. */
uint16_t text_today(void);

/* Append such a day. */
void text_add_date(struct text *text, unsigned day);

/* Append a time in seconds since 1970, UTC, as in 1985-04-12T23:20:50 (RFC 3339, but for the zone). Not by gmtime(), which first reads the time zone's
 * file, under a lock. */
void text_add_time(struct text *text, uint64_t seconds);

/* Make one ASCII letter lower case, whatever the locale. */
static inline char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Sixteen bytes at a time. A comparison gives -1 where it holds, 0 elsewhere; bytes above 0x7f are negative. */
typedef int8_t text_block __attribute__((vector_size(16)));

static inline text_block text_block_at(const char *at)
{
    text_block block;

    memcpy(&block, at, sizeof(block));
    return block;
}

/* Compare each byte with a range of ASCII: with the range moved to the upper end of the type, one comparison is enough. */
static inline text_block text_block_within(text_block block, char first, char last)
{
    typedef uint8_t octets __attribute__((vector_size(16)));

    return (text_block)((octets)block + (uint8_t)(127 - last)) > (int8_t)(126 - last + first);
}

/* Return a bit for each byte of a comparison's result, the lowest for the first. */
static inline uint64_t text_block_bits(text_block holds)
{
#ifdef __SSE2__
    typedef char bytes __attribute__((vector_size(16)));

    return (uint64_t)(uint16_t)__builtin_ia32_pmovmskb128((bytes)holds);
#else
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    static const uint64_t gather = UINT64_C(0x0102040810204080); /* moves the lowest bit of byte i to bit 56 + i */
    uint64_t words[2];

    memcpy(words, &holds, sizeof(words));
    return (words[0] & ones) * gather >> 56 | (words[1] & ones) * gather >> 56 << 8;
#endif
}

/* Return true if and only if each of the `length` bytes is printable ASCII. */
MUST_CHECK bool text_is_plain(const char *bytes, size_t length);

/* Return true if and only if the `length` bytes at `bytes` are well-formed UTF-8 (RFC 3629); else `*bad` is the offset of the
 * first byte that is not. */
MUST_CHECK bool text_utf8(const char *bytes, size_t length, size_t *bad);

#endif
