/* pinshim: the command beside the preloaded object. */

#include "command.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} commands[] = {
    {"run", run_main, "run [--pins F] CMD...  start a program under the shim"},
    {"doctor", doctor_main, "doctor CMD             say whether a program would be covered"},
    {"learn", learn_main, "learn [-o F] CMD...    write a pins file for what a program speaks to"},
    {"pin", pin_main, "pin HOST|FILE...       print pins of servers, certificates, requests and keys"},
    {"lint", lint_main, "lint FILE              name every error of a pins file, and what may hurt"},
    {"check", check_main, "check FILE [HOST...]   say which pin matches each server, and its renewal"},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: pinshim COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  pinshim %s\n", commands[i].usage);
    fprintf(out, "  pinshim --help | --version\n\n\"pinshim COMMAND --help\" says more of each.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pinshim %s\n", PINSHIM_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            int status = commands[i].run(argc - 1, argv + 1);

            return output_flush() || status != 0 ? status : 1;
        }
    }
    output_error("\"%s\" is not a command; \"pinshim --help\" lists them", argv[1]);
    return 2;
}
