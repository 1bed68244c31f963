/* pem.c beside OpenSSL: what it reads, and what both refuse. */

#include "pem.h"
#include "unit.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define LINE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"
#define OBJECT(label, lines) "-----BEGIN " label "-----\n" lines "-----END " label "-----\n"

/* What was read, in a row: "LABEL:bytes in hex;", with a "!" for an encrypted one. */
struct reading {
    char text[2000];
    struct text out;
    int limit; /* how many are taken; -1: all */
};

static void note(struct text *out, const char *label, bool encrypted, const uint8_t *at, size_t length)
{
    text_add(out, "%s%s:", label, encrypted ? "!" : "");
    for (size_t i = 0; i < length; i++)
        text_add(out, "%02x", at[i]);
    text_add(out, ";");
}

static bool take(void *to, const char *label, bool encrypted, struct bytes der)
{
    struct reading *reading = to;

    note(&reading->out, label, encrypted, der.at, der.length);
    return reading->limit < 0 || --reading->limit >= 0;
}

/* The same by OpenSSL. It stops at the first object that it cannot read. */
static void read_openssl(const char *pem, struct text *out)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    unsigned char *der;
    char *header;
    char *name;
    long length;

    while (PEM_read_bio(bio, &name, &header, &der, &length) == 1) {
        note(out, name, strstr(header, "ENCRYPTED") != NULL, der, (size_t)length);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error();
    BIO_free(bio);
}

static void test_forms(void)
{
    static const struct {
        const char *what;
        const char *pem;
        bool fine;
        bool alone; /* OpenSSL need not read the same */
    } rows[] = {
        {"an object", OBJECT("CERTIFICATE", "MAA=\n"), true, false},
        {"two, with text around them", "Some text:\n\n" OBJECT("CERTIFICATE", "MAA=\n") "more\n" OBJECT("PUBLIC KEY", "MAECAw==\n") "end", true, false},
        {"several lines", OBJECT("X", LINE64 "\n" LINE64 "\n" "MAA=\n"), true, false},
        {"a long line", OBJECT("X", LINE64 LINE64 "MAA=\n"), true, false},
        {"short lines", OBJECT("X", "AAEC\nAwQF\n"), true, false},
        {"CRLF", "-----BEGIN X-----\r\nMAA=\r\n-----END X-----\r\n", true, false},
        {"blanks behind", "-----BEGIN X----- \nMAA= \t\n-----END X-----  \n", true, false},
        {"no newline at the end", "-----BEGIN X-----\nMAA=\n-----END X-----", true, false},
        {"an empty line before the data", OBJECT("X", "\nMAA=\n"), true, false},
        {"a header", OBJECT("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAA=\n"), true, false},
        {"a header that says nothing", OBJECT("X", "Comment: none\n\nMAA=\n"), true, false},
        {"an empty label", OBJECT("", "MAA=\n"), true, false},
        {"nothing", "", true, false},
        {"text alone", "MAA=\n", true, false},
        {"an empty line within", OBJECT("X", "AAEC\n\nAwQF\n"), false, true},
        {"no end", "-----BEGIN X-----\nMAA=\n", false, false},
        {"no end at all", "-----BEGIN X-----", false, false},
        {"another label at the end", "-----BEGIN X-----\nMAA=\n-----END Y-----\n", false, false},
        {"an end that is cut off", "-----BEGIN X-----\nMAA=\n-----END X", false, false},
        {"the second one is cut off", OBJECT("X", "MAA=\n") "-----BEGIN X-----\nMAA", false, false},
        {"a beginning within a line", "text " OBJECT("X", "MAA=\n"), false, false},
        {"a beginning that is cut off", "-----BEGIN X\nMAA=\n-----END X-----\n", false, false},
        {"a beginning in another object", "-----BEGIN X-----\nMAA=\n" OBJECT("X", "MAA=\n"), false, true},
        {"no data", OBJECT("X", ""), false, false},
        {"a digit too few", OBJECT("X", "MAA\n"), true, true},
        {"padding alone", OBJECT("X", "====\n"), false, false},
        {"padding in the middle", OBJECT("X", "MA==\nMAA=\n"), false, true},
        {"what is no digit", OBJECT("X", "MA!=\n"), false, false},
        {"bits that belong to no byte", OBJECT("X", "MAB=\n"), false, true},
        {"bytes beyond ASCII", OBJECT("X", "M\xc3\xa4=\n"), false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t length = strlen(rows[i].pem);
        char *copy = malloc(length + 1); /* of that size, for the address sanitizer */
        struct reading ours = {.limit = -1};
        struct reading theirs = {.limit = -1};

        ours.out = text_over(ours.text, sizeof(ours.text));
        theirs.out = text_over(theirs.text, sizeof(theirs.text));
        memcpy(copy, rows[i].pem, length);
        check(pem_read((struct bytes) {(const uint8_t *)copy, length}, take, &ours) == rows[i].fine, "%s", rows[i].what);
        free(copy);
        read_openssl(rows[i].pem, &theirs.out);
        check(rows[i].alone || strcmp(ours.text, theirs.text) == 0, "%s: %s, not %s", rows[i].what, ours.text, theirs.text);
    }
}

/* Each cut of two objects is refused, unless it is one of them or none. */
static void test_cut(void)
{
    static const char pem[] = OBJECT("CERTIFICATE", LINE64 "\nMAA=\n") OBJECT("PUBLIC KEY", "MAECAw==\n");
    const size_t first = (size_t)(strstr(pem + 1, "-----BEGIN") - pem);

    for (size_t length = 0; length < sizeof(pem); length++) {
        char *copy = malloc(length + 1);
        struct reading reading = {.limit = -1};
        bool fine = length < strlen("-----BEGIN ") || (length >= first - 1 && length < first + strlen("-----BEGIN ")) || length >= sizeof(pem) - 2;

        reading.out = text_over(reading.text, sizeof(reading.text));
        memcpy(copy, pem, length);
        check(pem_read((struct bytes) {(const uint8_t *)copy, length}, take, &reading) == fine, "cut off after %zu", length);
        free(copy);
    }
}

static void test_stop(void)
{
    static const char pem[] = OBJECT("X", "MAA=\n") OBJECT("Y", "MAA=\n");
    struct reading reading = {.limit = 0};

    reading.out = text_over(reading.text, sizeof(reading.text));
    check(!pem_read((struct bytes) {(const uint8_t *)pem, sizeof(pem) - 1}, take, &reading), "what does not want the first");
    check(strcmp(reading.text, "X:3000;") == 0, "gets no second: %s", reading.text);
    check(pem_is((struct bytes) {(const uint8_t *)pem, sizeof(pem) - 1}), "it looks like PEM");
    check(!pem_is((struct bytes) {(const uint8_t *)"\x30\x00", 2}) && !pem_is((struct bytes) {NULL, 0}), "these do not");
}

int main(void)
{
    test_forms();
    test_cut();
    test_stop();
    return unit_end("pem");
}
