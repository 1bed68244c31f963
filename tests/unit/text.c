/* Bounded lines, escaping, JSON, base64, hex, ports and UTF-8. */
#include "text.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define BYTES(literal) (literal), sizeof(literal) - 1

/* A copy without a byte to spare, so that a sanitizer sees a read beyond it. */
static char *exact(const char *bytes, size_t length)
{
    char *copy = malloc(length != 0 ? length : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, length);
    return copy;
}

static void test_lines(void)
{
    char buffer[8];
    char one[1];
    struct text text = text_over(buffer, sizeof(buffer));

    check(text.length == 0 && !text.cut && buffer[0] == '\0', "a new text is empty and terminated");
    text_add(&text, "%s-%d", "ab", 7);
    check(strcmp(buffer, "ab-7") == 0 && text.length == 4 && !text.cut, "formatted text is appended");
    text_add_string(&text, "x%");
    text_add_string(&text, "z");
    check(strcmp(buffer, "ab-7x%z") == 0 && text.length == 7 && !text.cut, "what fits to the last byte is not cut");
    text_add(&text, "%s", "");
    check(!text.cut, "nothing fits into a full text");
    text_add(&text, "!");
    text_add_string(&text, "!");
    check(strcmp(buffer, "ab-7x%z") == 0 && text.length == 7 && text.cut, "a full text takes nothing more and says so");
    text_add_base64(&text, (const uint8_t *)"a", 1);
    text_add_json(&text, "a\n");
    text_add_escaped(&text, BYTES("a\n"), 100);
    check(strcmp(buffer, "ab-7x%z") == 0 && text.length == 7, "a full text stays as it is, whatever is appended");

    text = text_over(buffer, sizeof(buffer));
    text_add(&text, "0123456789");
    check(strcmp(buffer, "0123456") == 0 && text.length == 7 && text.cut, "formatted text is cut at the end of the buffer");
    text = text_over(buffer, sizeof(buffer));
    text_add_string(&text, "0123456789");
    check(strcmp(buffer, "0123456") == 0 && text.length == 7 && text.cut, "a string is cut at the end of the buffer");
    text = text_over(buffer, sizeof(buffer));
    text_add_base64(&text, (const uint8_t *)"foobar", 6);
    check(strcmp(buffer, "Zm9vYmF") == 0 && text.cut, "base64 is cut at the end of the buffer");
    text = text_over(buffer, sizeof(buffer));
    text_add_json(&text, "abcdefghij");
    check(strcmp(buffer, "\"abcdef") == 0 && text.cut, "JSON is cut at the end of the buffer");

    text = text_over(one, sizeof(one));
    text_add(&text, "x");
    text_add_escaped(&text, BYTES("x"), 10);
    check(one[0] == '\0' && text.length == 0 && text.cut, "a buffer of one byte holds the terminator alone");
}

static void test_escaped(void)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t length;
        size_t limit;
        const char *expected;
    } table[] = {
        {"nothing", BYTES(""), 100, ""},
        {"printable ASCII stays", BYTES("api.example.com:443 ~!"), 100, "api.example.com:443 ~!"},
        {"the first and the last printable character", BYTES(" ~"), 100, " ~"},
        {"a newline cannot start a second log line", BYTES("a\nb"), 100, "a\\x0ab"},
        {"carriage return, tab and NUL", BYTES("\r\t\0"), 100, "\\x0d\\x09\\x00"},
        {"an escape sequence does not reach the terminal", BYTES("\033[2J"), 100, "\\x1b[2J"},
        {"DEL", BYTES("\x7f"), 100, "\\x7f"},
        {"C1 control bytes", BYTES("\x9b\x31m"), 100, "\\x9b1m"},
        {"UTF-8 is bytes", BYTES("\xc3\xa9"), 100, "\\xc3\\xa9"},
        {"the highest byte", BYTES("\xff"), 100, "\\xff"},
        {"a double quote", BYTES("say \"hi\""), 100, "say \\\"hi\\\""},
        {"a backslash cannot fake an escape", BYTES("\\x0a"), 100, "\\\\x0a"},
        {"exactly the limit", BYTES("abcd"), 4, "abcd"},
        {"one more than the limit", BYTES("abcde"), 4, "abcd..."},
        {"an escape that fits exactly", BYTES("ab\n"), 6, "ab\\x0a"},
        {"an escape is not cut in two", BYTES("abc\n"), 6, "abc..."},
        {"an escaped quote is not cut in two", BYTES("abc\""), 4, "abc..."},
        {"limit of nothing", BYTES("a"), 0, "..."},
        {"nothing within a limit of nothing", BYTES(""), 0, ""},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        char *bytes = exact(table[i].bytes, table[i].length);
        char buffer[200];
        struct text text = text_over(buffer, sizeof(buffer));

        text_add_escaped(&text, bytes, table[i].length, table[i].limit);
        check(strcmp(buffer, table[i].expected) == 0, "escaped: %s: [%s]", table[i].why, buffer);
        free(bytes);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        char buffer[8];
        struct text text = text_over(buffer, sizeof(buffer));
        bool clean = true;

        text_add_escaped(&text, &c, 1, 4);
        for (size_t i = 0; i < text.length; i++)
            clean = clean && buffer[i] >= 0x20 && buffer[i] <= 0x7e;
        check(clean && text.length > 0, "escaped: byte 0x%02x comes out printable", byte);
    }
}

static void test_json(void)
{
    static const struct {
        const char *why;
        const char *string;
        const char *expected;
    } table[] = {
        {"nothing", "", "\"\""},
        {"printable ASCII", "api.example.com", "\"api.example.com\""},
        {"a double quote", "a\"b", "\"a\\\"b\""},
        {"a backslash", "a\\b", "\"a\\\\b\""},
        {"a newline", "a\nb", "\"a\\u000ab\""},
        {"a control byte", "\x01\x1f", "\"\\u0001\\u001f\""},
        {"DEL", "\x7f", "\"\\u007f\""},
        {"bytes beyond ASCII", "\xc3\xa9\xff", "\"\\u00c3\\u00a9\\u00ff\""},
        {"a slash needs no escape", "/", "\"/\""},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        char buffer[100];
        struct text text = text_over(buffer, sizeof(buffer));

        text_add_json(&text, table[i].string);
        check(strcmp(buffer, table[i].expected) == 0 && !text.cut, "JSON: %s: [%s]", table[i].why, buffer);
    }
}

static void test_base64(void)
{
    /* RFC 4648, section 10. */
    static const struct {
        const char *bytes;
        const char *padded;
        const char *unpadded;
    } vectors[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbe", "+/++", "+/++"},
        {"\xff\xff\xff", "////", "////"},
    };
    static const struct {
        const char *why;
        const char *string;
        size_t want;
    } refused[] = {
        {"stray bits in the last character, two bytes too few", "Zh==", 1},
        {"the same without padding", "Zh", 1},
        {"every stray bit set", "Z/==", 1},
        {"stray bits, one byte too few", "Zm9=", 2},
        {"the same without padding", "Zm9", 2},
        {"half of the padding", "Zg=", 1},
        {"too much padding", "Zg===", 1},
        {"padding where none is due", "Zm9v=", 3},
        {"padding alone", "====", 1},
        {"padding within", "Z=g=", 1},
        {"text after the padding", "Zg=A", 1},
        {"a byte too short", "Zm9v", 4},
        {"a byte too long", "Zm9vYg==", 3},
        {"nothing", "", 1},
        {"the URL alphabet: -", "-/++", 3},
        {"the URL alphabet: _", "+_++", 3},
        {"a blank", "Zm 9", 3},
        {"a newline at the end", "Zm9v\n", 3},
        {"a newline in a digit's place", "Zm9\n", 3},
        {"a byte beyond ASCII", "Zm9\xc3", 3},
        {"the characters beside the alphabet", "@[`{", 3},
    };
    uint8_t out[64];

    for (size_t i = 0; i < ROWS(vectors); i++) {
        size_t want = strlen(vectors[i].bytes);
        char *padded = exact(vectors[i].padded, strlen(vectors[i].padded));
        char *unpadded = exact(vectors[i].unpadded, strlen(vectors[i].unpadded));
        char buffer[20];
        struct text text = text_over(buffer, sizeof(buffer));

        memset(out, 0xaa, sizeof(out));
        check(text_base64(padded, strlen(vectors[i].padded), out, want) && memcmp(out, vectors[i].bytes, want) == 0,
            "base64 with padding: %s", vectors[i].padded);
        check(out[want] == 0xaa, "base64 with padding: nothing is written beyond: %s", vectors[i].padded);
        memset(out, 0xaa, sizeof(out));
        check(text_base64(unpadded, strlen(vectors[i].unpadded), out, want) && memcmp(out, vectors[i].bytes, want) == 0,
            "base64 without padding: %s", vectors[i].unpadded);
        text_add_base64(&text, (const uint8_t *)vectors[i].bytes, want);
        check(strcmp(buffer, vectors[i].padded) == 0, "base64 written: %s: [%s]", vectors[i].padded, buffer);
        free(padded);
        free(unpadded);
    }
    for (size_t i = 0; i < ROWS(refused); i++) {
        size_t length = strlen(refused[i].string);
        char *string = exact(refused[i].string, length);
        uint8_t *small = malloc(refused[i].want);

        check(small != NULL && !text_base64(string, length, small, refused[i].want), "base64 refused: %s", refused[i].why);
        free(string);
        free(small);
    }
    check(!text_base64("Zm9v\0mFy", 8, out, 6), "base64 refused: a NUL within");

    /* Each length of digest, there and back. */
    for (size_t want = 32; want <= 64; want += 16) {
        uint8_t bytes[64];
        char buffer[100];
        struct text text = text_over(buffer, sizeof(buffer));
        size_t digits = (want * 8 + 5) / 6;

        for (size_t i = 0; i < want; i++)
            bytes[i] = (uint8_t)(i * 37 + want);
        text_add_base64(&text, bytes, want);
        check(text_base64(buffer, text.length, out, want) && memcmp(out, bytes, want) == 0, "base64 of %zu bytes, padded", want);
        check(text_base64(buffer, digits, out, want) && memcmp(out, bytes, want) == 0, "base64 of %zu bytes, not padded", want);
        check(!text_base64(buffer, digits - 1, out, want), "base64 of %zu bytes, one character short", want);
        check(!text_base64(buffer, text.length, out, want + 1), "base64 of %zu bytes is not one more", want);
        check(!text_base64(buffer, text.length, out, want - 1), "base64 of %zu bytes is not one fewer", want);
    }
    /* Of the 64 last characters of a 32-byte digest, only the 16 without stray bits are canonical. */
    for (unsigned accepted = 0, i = 0; i < 64; i++) {
        char string[45] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?=";

        string[42] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i];
        accepted += text_base64(string, 44, out, 32);
        if (i == 63)
            check(accepted == 16, "16 of 64 last characters are canonical: %u", accepted);
    }
}

static void test_hex(void)
{
    static const struct {
        const char *why;
        const char *string;
        bool colons;
        size_t want;
        const char *expected; /* NULL: refused */
    } table[] = {
        {"lower case", "00ff7f", false, 3, "\x00\xff\x7f"},
        {"upper case", "ABCDEF", false, 3, "\xab\xcd\xef"},
        {"both cases", "aBcDeF", false, 3, "\xab\xcd\xef"},
        {"one byte", "7e", false, 1, "\x7e"},
        {"colons, as openssl x509 -fingerprint prints", "AB:CD:EF", true, 3, "\xab\xcd\xef"},
        {"one byte has no colon", "7e", true, 1, "\x7e"},
        {"a digit short", "00ff7", false, 3, NULL},
        {"a digit long", "00ff7f0", false, 3, NULL},
        {"a byte short", "00ff", false, 3, NULL},
        {"a byte long", "00ff7f00", false, 3, NULL},
        {"nothing", "", false, 1, NULL},
        {"no bytes wanted", "", false, 0, NULL},
        {"no bytes wanted, with colons", "", true, 0, NULL},
        {"not a digit: g", "0g", false, 1, NULL},
        {"not a digit: the characters beside", "/:", false, 1, NULL},
        {"not a digit: the characters beside the letters", "@`", false, 1, NULL},
        {"a prefix", "0x7e", false, 2, NULL},
        {"a sign", "+1", false, 1, NULL},
        {"a blank", " 1", false, 1, NULL},
        {"a byte beyond ASCII", "\xc3\xa9", false, 1, NULL},
        {"colons where none are expected", "AB:CD", false, 2, NULL},
        {"no colons where they are expected", "ABCD", true, 2, NULL},
        {"no colons, of the right length", "ABCDE", true, 2, NULL},
        {"another separator", "AB-CD", true, 2, NULL},
        {"a trailing colon", "AB:CD:", true, 2, NULL},
        {"a leading colon", ":AB:CD", true, 2, NULL},
        {"colons at uneven places", "A:BCD", true, 2, NULL},
        {"a missing colon among others", "AB:CD0EF", true, 3, NULL},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        size_t length = strlen(table[i].string);
        char *string = exact(table[i].string, length);
        uint8_t out[8] = {0};
        bool read = text_hex(string, length, table[i].colons, out, table[i].want);

        check(read == (table[i].expected != NULL), "hex: %s", table[i].why);
        check(!read || memcmp(out, table[i].expected, table[i].want) == 0, "hex: the bytes: %s", table[i].why);
        free(string);
    }
}

static void test_port(void)
{
    static const struct {
        const char *why;
        const char *string;
        size_t length;
        uint16_t expected;
    } table[] = {
        {"the lowest", BYTES("1"), 1},
        {"https", BYTES("443"), 443},
        {"the highest", BYTES("65535"), 65535},
        {"zero", BYTES("0"), 0},
        {"one too many", BYTES("65536"), 0},
        {"far too many", BYTES("99999"), 0},
        {"six digits", BYTES("100000"), 0},
        {"2^32 + 443", BYTES("4294967739"), 0},
        {"2^64 + 443", BYTES("18446744073709552059"), 0},
        {"nothing", BYTES(""), 0},
        {"a leading zero", BYTES("0443"), 0},
        {"zeros", BYTES("00"), 0},
        {"a plus sign", BYTES("+443"), 0},
        {"a minus sign", BYTES("-443"), 0},
        {"a blank before", BYTES(" 443"), 0},
        {"a blank after", BYTES("443 "), 0},
        {"a letter", BYTES("44e"), 0},
        {"hex", BYTES("0x1bb"), 0},
        {"a service's name", BYTES("https"), 0},
        {"a NUL", BYTES("443\0"), 0},
        {"the characters beside the digits", BYTES("4/"), 0},
        {"the characters beside the digits", BYTES("4:"), 0},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        char *string = exact(table[i].string, table[i].length);
        uint16_t port = text_port(string, table[i].length);

        check(port == table[i].expected, "port: %s: %s: %u", table[i].why, table[i].string, (unsigned)port);
        free(string);
    }
}

static void test_lower(void)
{
    for (int c = 0; c < 256; c++) {
        char expected = c >= 'A' && c <= 'Z' ? (char)(c + 32) : (char)c;

        check(text_lower((char)c) == expected, "lower: byte 0x%02x", (unsigned)c);
    }
}

static void test_utf8(void)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t length;
        int bad; /* -1: well-formed */
    } table[] = {
        {"nothing", BYTES(""), -1},
        {"ASCII", BYTES("abc"), -1},
        {"NUL and DEL are characters", BYTES("\0\x7f"), -1},
        {"the first of two bytes, U+0080", BYTES("\xc2\x80"), -1},
        {"the last of two bytes, U+07FF", BYTES("\xdf\xbf"), -1},
        {"the first of three bytes, U+0800", BYTES("\xe0\xa0\x80"), -1},
        {"before the surrogates, U+D7FF", BYTES("\xed\x9f\xbf"), -1},
        {"after the surrogates, U+E000", BYTES("\xee\x80\x80"), -1},
        {"the last of three bytes, U+FFFF", BYTES("\xef\xbf\xbf"), -1},
        {"the first of four bytes, U+10000", BYTES("\xf0\x90\x80\x80"), -1},
        {"U+40000", BYTES("\xf1\x80\x80\x80"), -1},
        {"the last, U+10FFFF", BYTES("\xf4\x8f\xbf\xbf"), -1},
        {"each length in turn", BYTES("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92z"), -1},
        {"a continuation byte alone", BYTES("ab\x80"), 2},
        {"the last continuation byte alone", BYTES("\xbf"), 0},
        {"overlong, of two bytes: 0xc0", BYTES("\xc0\xaf"), 0},
        {"overlong, of two bytes: 0xc1", BYTES("\xc1\xbf"), 0},
        {"overlong, of three bytes", BYTES("a\xe0\x9f\xbf"), 1},
        {"overlong, of four bytes", BYTES("a\xf0\x8f\xbf\xbf"), 1},
        {"the first surrogate", BYTES("\xed\xa0\x80"), 0},
        {"the last surrogate", BYTES("\xed\xbf\xbf"), 0},
        {"above U+10FFFF", BYTES("\xf4\x90\x80\x80"), 0},
        {"0xf5", BYTES("\xf5\x80\x80\x80"), 0},
        {"0xfe", BYTES("\xfe"), 0},
        {"0xff", BYTES("ab\xff"), 2},
        {"two bytes, cut", BYTES("a\xc3"), 1},
        {"three bytes, cut after one", BYTES("a\xe2"), 1},
        {"three bytes, cut after two", BYTES("a\xe2\x82"), 1},
        {"four bytes, cut after three", BYTES("ab\xf0\x9f\x94"), 2},
        {"two bytes, the second ASCII", BYTES("\xc3" "a"), 0},
        {"three bytes, the third ASCII", BYTES("\xe2\x82z"), 0},
        {"three bytes, the third a lead", BYTES("\xe2\x82\xc3"), 0},
        {"four bytes, the fourth ASCII", BYTES("\xf0\x9f\x94z"), 0},
        {"the second character's bounds are its own", BYTES("\xe0\xa0\x80\xe1\x80\x80"), -1},
        {"bad after good", BYTES("\xc3\xa9\xc3\xa9\xa9"), 4},
        {"Latin-1", BYTES("caf\xe9 au lait"), 3},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        char *bytes = exact(table[i].bytes, table[i].length);
        size_t bad = 999;
        bool good = text_utf8(bytes, table[i].length, &bad);

        check(good == (table[i].bad < 0), "UTF-8: %s", table[i].why);
        check(good || bad == (size_t)table[i].bad, "UTF-8: where: %s: %zu", table[i].why, bad);
        free(bytes);
    }
}

static void test_times(void)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00"}, {482196050, "1985-04-12T23:20:50"}, {951782400, "2000-02-29T00:00:00"}, {4107542399, "2100-02-28T23:59:59"},
        {253402300799, "9999-12-31T23:59:59"}, {UINT64_MAX, "9999-12-31T23:59:59"}};

    for (size_t i = 0; i < ROWS(rows); i++) {
        char buffer[40];
        struct text text = text_over(buffer, sizeof(buffer));

        text_add_time(&text, rows[i].seconds);
        check(strcmp(buffer, rows[i].text) == 0, "%s, not %s", rows[i].text, buffer);
    }
}

static void test_near(void)
{
    static const struct {
        const char *string;
        const char *word;
        bool near;
    } table[] = {
        {"spki-sha256:", "spki-sha256:", true}, {"spki-sha265:", "spki-sha256:", true}, {"SPKI-sha256", "spki-sha256:", true}, {"spki-sha2256:", "spki-sha256:", true},
        {"spkl-sha256:", "spki-sha256:", true}, {"spki-sha224:", "spki-sha256:", false}, {"spki:", "spki-sha256:", false}, {"alow", "allow", true}, {"alolw", "allow", true},
        {"al", "allow", false}, {"", "a", true}, {"", "ab", false}, {"ba", "ab", true}, {"ca", "abc", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "allow", false},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        check(text_is_near(table[i].string, strlen(table[i].string), table[i].word) == table[i].near, "%s is%s near %s", table[i].string, table[i].near ? "" : " not",
            table[i].word);
}

int main(void)
{
    test_near();
    test_times();
    test_lines();
    test_escaped();
    test_json();
    test_base64();
    test_hex();
    test_port();
    test_lower();
    test_utf8();
    return unit_end("text");
}
