/* pinshim doctor: reports whether a program would be covered, why, and what to do. */

#include "command.h"
#include "examine.h"
#include "output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim doctor [--json] [--] CMD [ARGUMENT...]\n"
    "\n"
    "Reports whether libpinshim.so (the shim) would check the TLS connections of CMD\n"
    "(a path, or a name in PATH). For a script, its interpreter is examined; for env,\n"
    "nice, nohup, timeout, setsid, stdbuf, ionice, chrt, time, taskset and xargs, the\n"
    "program that they start. CMD is not run; its loader is run with --list, to see\n"
    "whether it loads the shim, but only if root owns the loader. Three verdicts:\n"
    "\n"
    "  covered          its TLS goes through an OpenSSL that the shim interposes\n"
    "  covered if ...   covered under the condition that follows; which libraries a\n"
    "                   program loads or which programs it starts later is not known\n"
    "  not covered      \"pinshim run\" starts it only with --force\n"
    "\n"
    "  --json      print one JSON object\n"
    "  --help      print this\n"
    "\n"
    "Exit status: 0 covered, or covered if; 1 not covered; 2 usage error; 126 CMD\n"
    "cannot be executed; 127 CMD is not found.\n";

static const struct {
    const char *word;
    const char *sentence;
    enum tone tone;
} verdicts[] = {
    [COVER_NOT] = {"not-covered", "not covered:", TONE_BAD},
    [COVER_IF] = {"covered-if", "covered if", TONE_DOUBT},
    [COVER_FULL] = {"covered", "covered:", TONE_GOOD},
};

static void print_text(const struct examination *examination)
{
    static const char *const headings[] = {"WHAT", "SEEN"};
    struct output_table *table = output_table_new(2, headings, 2);
    char *shown = output_printable(examination->program.named);
    char *reason = output_printable(examination->reason);
    char *next = examination->next != NULL ? output_printable(examination->next) : NULL;

    for (const struct seen *seen = examination->seen; seen != NULL; seen = seen->next) {
        char *text = output_printable(seen->text);
        const char *cells[] = {seen->what, text};

        output_table_add(table, TONE_PLAIN, cells);
        free(text);
    }
    printf("%s: %s%s%s %s\n", shown, output_tone(stdout, verdicts[examination->cover].tone), verdicts[examination->cover].sentence,
        output_tone(stdout, TONE_PLAIN), reason);
    if (next != NULL)
        printf("next: %s\n", next);
    if (examination->seen != NULL) {
        printf("\n");
        output_table_print(table, stdout);
    }
    output_table_free(table);
    free(shown);
    free(reason);
    free(next);
}

static void print_json(const char *command, const struct examination *examination)
{
    struct output_json json = {.out = stdout};

    output_json_open(&json, NULL, '{');
    output_json_string(&json, "command", command);
    output_json_string(&json, "program", examination->program.path);
    output_json_string(&json, "verdict", verdicts[examination->cover].word);
    output_json_string(&json, "code", examination->code);
    output_json_string(&json, "reason", examination->reason);
    output_json_string(&json, "next", examination->next);
    output_json_string(&json, "shim", examination->object);
    output_json_bool(&json, "mapped", examination->mapped);
    output_json_open(&json, "tls", '[');
    for (const struct found *found = examination->found; found != NULL; found = found->next) {
        output_json_open(&json, NULL, '{');
        output_json_string(&json, "name", found->name);
        output_json_string(&json, "version", found->version);
        output_json_string(&json, "path", found->path);
        output_json_string(&json, "through", found->through);
        output_json_string(&json, "crypto", found->crypto);
        output_json_string(&json, "how", found->how);
        output_json_close(&json, '}');
    }
    output_json_close(&json, ']');
    output_json_open(&json, "seen", '[');
    for (const struct seen *seen = examination->seen; seen != NULL; seen = seen->next) {
        output_json_open(&json, NULL, '{');
        output_json_string(&json, "what", seen->what);
        output_json_string(&json, "text", seen->text);
        output_json_close(&json, '}');
    }
    output_json_close(&json, ']');
    output_json_close(&json, '}');
    output_json_end(&json);
}

int doctor_main(int argc, char **argv)
{
    enum { JSON = 256, HELP };
    static const struct option options[] = {
        {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
    struct examination examination;
    bool json = false;
    int status;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        switch (option) {
        case JSON:
            json = true;
            break;
        case HELP:
            (void)fputs(help, stdout);
            return 0;
        default:
            return output_bad_option("doctor", option, argv);
        }
    }
    if (optind == argc)
        return output_bad_usage("doctor", "doctor needs a command to examine");
    examine(argv + optind, false, &examination);
    if (json)
        print_json(argv[optind], &examination);
    else
        print_text(&examination);
    /* Once is enough on a terminal. */
    if (examination.error != 0 && (json || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO)))
        output_error("%s", examination.reason);
    status = examination_status(&examination);
    examination_free(&examination);
    return status;
}
