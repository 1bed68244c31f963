#include "command.h"

#include "clientfile.h"
#include "pinfile.h"

#include <stdio.h>
#include <string.h>

static void print_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    if (line == 0)
        printf("%s: %s\n", (const char *)arg, message);
    else
        printf("%s:%u:%u: %s\n", (const char *)arg, (unsigned)line, (unsigned)column, message);
}

int lint_main(int argc, char **argv)
{
    struct pins_reader reader = {pinfile_read, clientfile_read, linked_ossl(), argv[argc - 1]};
    struct pins *pins;

    if (argc != 2 || argv[1][0] == '-') {
        int asked = argc == 2 && strcmp(argv[1], "--help") == 0;

        fprintf(asked ? stdout : stderr, "usage: pinshim lint FILE\n");
        return asked ? 0 : 2;
    }
    pins = pins_load(argv[1], &reader, NULL, print_error, argv[1]);
    if (pins == NULL)
        return 1;
    pins_free(pins);
    return 0;
}
