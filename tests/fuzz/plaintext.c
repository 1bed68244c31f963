/* What may be sent in the clear before TLS: the same in one piece and in many, and never a line or an element that is not in the list. */
#include "fuzz.h"
#include "plaintext.h"

#include <ctype.h>

/* A second opinion, on whole lines alone: is it one of those that clients may send? */
static bool is_listed(const char *line, size_t size)
{
    static const char *const words[] = {"STARTTLS", "STLS", "AUTH TLS", "AUTH SSL", "AUTH TLS-C", "AUTH TLS-P", "CAPABILITY", "CAPABILITIES", "CAPA", "FEAT", "MODE READER",
        "NOOP", "RSET", "QUIT", "LOGOUT", "EHLO", "HELO", "LHLO"};
    const char *space = memchr(line, ' ', size);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i]);

        if (size == length && strncasecmp(line, words[i], length) == 0)
            return true;
        if (length == 4 && words[i][3] == 'O' && size > length && strncasecmp(line, words[i], length) == 0 && line[length] == ' ') {
            for (length++; length < size && (isalnum((unsigned char)line[length]) || strchr(".:-_[]", line[length]) != NULL);)
                length++;
            return length == size;
        }
    }
    return space != NULL && space != line && (line[0] == '.' || isalnum((unsigned char)line[0])) && (size_t)(space - line) <= 16 && is_listed(space + 1, size - (size_t)(space + 1 - line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plaintext whole = {0};
    struct plaintext pieces = {0};
    uint8_t *copy = malloc(size != 0 ? size : 1);
    bool text = size > 0 && data[size - 1] == '\n';
    bool allowed, each = true;

    memcpy(copy, data, size);
    allowed = plaintext_allows(&whole, copy, size);
    for (size_t i = 0; i < size && each; i += 1 + i % 3)
        each = plaintext_allows(&pieces, copy + i, size - i < 1 + i % 3 ? size - i : 1 + i % 3);
    require(each == allowed);
    if (allowed)
        require(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    /* A 0 and a control byte begin a message of LDAP. */
    for (size_t i = 0; i < size; i++)
        text &= isprint(copy[i]) || ((copy[i] == '\r' || copy[i] == '\n') && (i == 0 || copy[i - 1] != '0'));
    if (allowed && text && memchr(copy, '<', size) == NULL) {
        for (size_t at = 0; at < size;) {
            size_t end = at + (size_t)((uint8_t *)memchr(copy + at, '\n', size - at) - (copy + at));
            size_t length = end - at;

            for (; length > 0 && copy[at + length - 1] == '\r'; length--) {}
            for (; length > 0 && copy[at] == '\r'; length--, at++) {}
            require(length == 0 || is_listed((const char *)copy + at, length));
            at = end + 1;
        }
    }
    free(copy);
    return 0;
}
