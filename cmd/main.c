/* pinshim: the command-line tool. */

#include "command.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} commands[] = {
    {"run", run_main, "run [--pins F] CMD...  run a program with pinning"},
    {"doctor", doctor_main, "doctor CMD             report whether a program is judged or guarded"},
    {"prove", prove_main, "prove [--pins F] CMD   show that an impostor gets nothing from it"},
    {"learn", learn_main, "learn [-o F] CMD...    run a program and write pins for its servers"},
    {"pin", pin_main, "pin HOST|FILE...       print pins of servers, certificates and keys"},
    {"lint", lint_main, "lint [FILE]            report errors and risks in a pins file"},
    {"check", check_main, "check [FILE [HOST...]] report whether servers would be accepted now"},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: pinshim COMMAND [ARGUMENT...]\n\nTLS certificate pinning for unmodified programs.\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  pinshim %s\n", commands[i].usage);
    fprintf(out, "  pinshim --help | --version\n\nFor details: \"pinshim help COMMAND\", or the manual page pinshim(1).\n");
}

/* Run the command; argv[0] is its name. Return the exit status. */
static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            int status = commands[i].run(argc, argv);

            return output_flush() || status != 0 ? status : 1;
        }
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (text_is_near(argv[0], strlen(argv[0]), commands[i].name)) {
            output_error("\"%s\" is not a command; did you mean \"pinshim %s\"?", argv[0], commands[i].name);
            return 2;
        }
    }
    output_error("\"%s\" is not a command; \"pinshim --help\" lists them", argv[0]);
    return 2;
}

static int print_help_of(char *name)
{
    char option[] = "--help";

    return run_command(2, (char *[]) {name, option, NULL});
}

static bool asks_for_help(const char *argument)
{
    return strcmp(argument, "help") == 0 || strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (asks_for_help(argv[1])) {
        if (argc > 2 && !asks_for_help(argv[2]))
            return print_help_of(argv[2]);
        print_usage(stdout);
        return output_flush() ? 0 : 1;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pinshim %s\n", PINSHIM_VERSION);
        return output_flush() ? 0 : 1;
    }
    if (argc > 2 && strcmp(argv[2], "-h") == 0)
        return print_help_of(argv[1]);
    return run_command(argc - 1, argv + 1);
}
