/* Shell scripts as `pinshim doctor` reads them: whatever the text, reading it ends, and each command has words and a line of the script. */

#include "../../cmd/examine/script.c"
#include "../../cmd/output.c"
#include "fuzz.h"

struct seen {
    unsigned lines;
    size_t words;
};

static void take(void *to, unsigned line, char *const *argv)
{
    struct seen *seen = to;
    size_t count = 0;

    require(line >= 1 && line <= seen->lines);
    require(argv[0] != NULL && argv[0][0] != '\0');
    for (; argv[count] != NULL; count++)
        seen->words += strlen(argv[count]) + 1;
    require(count <= MOST_WORDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct seen seen = {1, 0};

    if (size != 0)
        memcpy(text, data, size);
    text[size] = '\0';
    for (const char *at = text; *at != '\0'; at++)
        seen.lines += *at == '\n';
    script_commands(text, take, &seen);
    require(seen.words <= 2 * size + 2);
    free(text);
    return 0;
}
