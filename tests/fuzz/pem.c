/* PEM: what is found in any bytes is no longer than they are; and the bytes themselves, written as PEM, are read as they were. */

#include "fuzz.h"
#include "pem.h"

#define WIDTH 48 /* bytes in a line */

static bool take(void *to, const char *label, bool encrypted, struct bytes der)
{
    const struct bytes *whole = to;

    (void)encrypted;
    require(der.at != NULL && der.length > 0 && der.length < whole->length && strlen(label) < whole->length);
    return true;
}

static bool is_same(void *to, const char *label, bool encrypted, struct bytes der)
{
    const struct bytes *whole = to;

    require(strcmp(label, "X") == 0 && !encrypted && der.length == whole->length && memcmp(der.at, whole->at, der.length) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes whole = {data, size};
    char *pem = malloc(size * 2 + 100);
    struct text text = text_over(pem, size * 2 + 100);
    bool read = pem_read(whole, take, &whole);

    require(!read || pem_is(whole) || memmem(data, size, "-----BEGIN ", 11) == NULL);
    text_add(&text, "-----BEGIN X-----\n");
    for (size_t i = 0; i < size; i += WIDTH) {
        text_add_base64(&text, data + i, size - i < WIDTH ? size - i : WIDTH);
        text_add(&text, "\n");
    }
    text_add(&text, "-----END X-----\n");
    require(!text.cut);
    require(size == 0 || pem_read((struct bytes) {(const uint8_t *)pem, text.length}, is_same, &whole));
    free(pem);
    return 0;
}
