/* pinshim doctor: reports whether a program would be judged or guarded, why, and what to do. */

#include "command.h"
#include "examine.h"
#include "output.h"
#include "steps.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim doctor [--json] [--] CMD [ARGUMENT...]\n"
    "       pinshim doctor [--json] --pid PID\n"
    "\n"
    "Reports whether libpinshim.so (the shim) would check the TLS connections of CMD\n"
    "(a path, or a name in PATH). For a script, its interpreter is examined, and of a\n"
    "shell script the commands are listed, each with its verdict; for env, nice, sudo,\n"
    "chroot and other wrappers, the program that they start. CMD is not run; its loader is run with --list, to see\n"
    "whether it loads the shim, but only if root owns the loader. Three verdicts:\n"
    "\n"
    "  judged      its TLS goes through an OpenSSL that the shim interposes\n"
    "  guarded     its TLS is another library's, which cannot be judged: connections\n"
    "              to targets that the rules pin or deny are refused\n"
    "  neither     the shim is not loaded into it, or does not see what it sends;\n"
    "              \"pinshim run\" starts it only with --force\n"
    "\n"
    "\"judged if ...\" holds under the condition that follows: which libraries a\n"
    "program loads later, and which programs it starts, is not known.\n"
    "\n"
    "  --pid PID   examine this process, by what is loaded into it now\n"
    "  --json      print one JSON object\n"
    "  --help      print this\n"
    "\n"
    "Exit status: 0 judged or guarded; 1 neither; 2 usage error; 126 CMD cannot be\n"
    "executed, or PID not examined; 127 not found.\n";

static const struct {
    const char *word;
    enum tone tone;
} verdicts[] = {
    [HOLD_NEITHER] = {"neither", TONE_BAD},
    [HOLD_GUARDED] = {"guarded", TONE_DOUBT},
    [HOLD_JUDGED] = {"judged", TONE_GOOD},
};

/* Return -1 if it is none. */
static pid_t read_pid(const char *word)
{
    return word[0] != '\0' && strlen(word) < 10 && word[strspn(word, "0123456789")] == '\0' ? (pid_t)strtol(word, NULL, 10) : -1;
}

static void print_text(const struct examination *examination)
{
    static const char *const headings[] = {"WHAT", "SEEN"};
    struct output_table *table = output_table_new(2, headings, 2);
    char *shown = output_printable(examination->program.named);
    char *condition = examination->condition != NULL ? output_printable(examination->condition) : NULL;
    char *reason = output_printable(examination->reason);
    char *next = examination->next != NULL ? output_printable(examination->next) : NULL;

    for (const struct seen *seen = examination->seen; seen != NULL; seen = seen->next) {
        char *text = output_printable(seen->text);
        const char *cells[] = {seen->what, text};

        output_table_add(table, TONE_PLAIN, cells);
        free(text);
    }
    printf("%s: %s%s%s%s%s: %s\n", shown, output_tone(stdout, condition != NULL ? TONE_DOUBT : verdicts[examination->hold].tone),
        verdicts[examination->hold].word, output_tone(stdout, TONE_PLAIN), condition != NULL ? " if " : "", condition != NULL ? condition : "",
        reason);
    if (next != NULL)
        printf("next: %s\n", next);
    if (examination->plaintext != NULL)
        printf("plaintext: %s\n", examination->plaintext);
    if (examination->seen != NULL) {
        printf("\n");
        output_table_print(table, stdout);
    }
    output_table_free(table);
    free(shown);
    free(condition);
    free(reason);
    free(next);
}

static const char *word_of(const struct step *step)
{
    return step->unknown || step->missing ? "unknown" : verdicts[step->examination.hold].word;
}

/* Say as much of it as the line of a table holds. */
static void print_why(const struct step *step, struct text *out)
{
    if (step->unknown)
        text_add(out, "its name is known only when the script runs");
    else if (step->examination.condition != NULL)
        text_add(out, "if %s", step->examination.condition);
    else
        text_add(out, "%s", step->examination.reason);
    if (!step->unknown && step->examination.plaintext != NULL)
        text_add(out, "; %s", step->examination.plaintext);
}

static void print_steps(const struct step *steps)
{
    static const char *const headings[] = {"LINE", "COMMAND", "VERDICT", "WHY"};
    struct output_table *table = output_table_new(4, headings, 2);
    char quiet[2000] = "";
    char absent[2000] = "";
    struct text others = text_over(quiet, sizeof(quiet));
    struct text missing = text_over(absent, sizeof(absent));

    for (const struct step *step = steps; step != NULL; step = step->next) {
        char line[16];
        char name[48];
        char why[4096];
        struct text text = text_over(why, sizeof(why));

        if (steps_quiet(step) || step->missing) {
            struct text *list = step->missing ? &missing : &others;

            text_add(list, "%s%s", list->length > 0 ? ", " : "", step->name);
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s", step->name);
        if (strlen(step->name) >= sizeof(name))
            (void)snprintf(name + sizeof(name) - 4, 4, "...");
        (void)snprintf(line, sizeof(line), "%u", step->line);
        print_why(step, &text);
        output_table_add(table, step->unknown ? TONE_DOUBT : verdicts[step->examination.hold].tone,
            (const char *const[]) {line, name, word_of(step), why});
    }
    printf("\n");
    output_table_print(table, stdout);
    if (quiet[0] != '\0') {
        char *shown = output_printable(quiet);

        printf("\nWithout TLS of their own: %s\n", shown);
        free(shown);
    }
    if (absent[0] != '\0') {
        char *shown = output_printable(absent);

        printf("\nNot found here: %s\n", shown);
        free(shown);
    }
    output_table_free(table);
}

static void print_json_steps(struct output_json *json, const struct step *steps)
{
    output_json_open(json, "commands", '[');
    for (const struct step *step = steps; step != NULL; step = step->next) {
        output_json_open(json, NULL, '{');
        output_json_number(json, "line", step->line);
        output_json_string(json, "command", step->name);
        output_json_string(json, "program", step->examination.program.path);
        output_json_string(json, "verdict", word_of(step));
        output_json_string(json, "condition", step->examination.condition);
        output_json_string(json, "reason", step->examination.reason);
        output_json_string(json, "plaintext", step->examination.plaintext);
        output_json_close(json, '}');
    }
    output_json_close(json, ']');
}

static void print_json(const char *command, const char *process, const struct examination *examination, const struct step *steps)
{
    struct output_json json = {.out = stdout};

    output_json_open(&json, NULL, '{');
    output_json_string(&json, "command", command);
    if (process != NULL)
        output_json_number(&json, "pid", read_pid(process));
    output_json_string(&json, "program", examination->program.path);
    output_json_string(&json, "verdict", verdicts[examination->hold].word);
    output_json_string(&json, "condition", examination->condition);
    output_json_string(&json, "code", examination->code);
    output_json_string(&json, "reason", examination->reason);
    output_json_string(&json, "next", examination->next);
    output_json_string(&json, "plaintext", examination->plaintext);
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
    if (steps != NULL)
        print_json_steps(&json, steps);
    output_json_close(&json, '}');
    output_json_end(&json);
}

int doctor_main(int argc, char **argv)
{
    enum { JSON = 256, PID, HELP };
    static const struct option options[] = {
        {"json", no_argument, NULL, JSON}, {"pid", required_argument, NULL, PID}, {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
    struct examination examination;
    bool json = false;
    const char *process = NULL;
    struct step *steps;
    pid_t pid = 0;
    int status;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        switch (option) {
        case JSON:
            json = true;
            break;
        case PID:
            process = optarg;
            pid = read_pid(process);
            if (pid <= 0)
                return output_bad_usage("doctor", "\"%s\" is not a process ID; expected a decimal number", process);
            break;
        case HELP:
            (void)fputs(help, stdout);
            return 0;
        default:
            return output_bad_option("doctor", option, argv);
        }
    }
    if ((process == NULL) == (optind == argc))
        return output_bad_usage("doctor", process == NULL ? "doctor needs a command to examine" : "doctor takes --pid or a command, not both");
    if (process != NULL)
        examine_process(pid, &examination);
    else
        examine(argv + optind, ASK_ROOTS, &examination);
    steps = process == NULL ? steps_find(&examination, argv + optind, ASK_ROOTS) : NULL;
    /* They follow. */
    if (steps != NULL && strcmp(examination.code, "starts-others") == 0) {
        free(examination.next);
        examination.next = NULL;
    }
    if (json) {
        print_json(process != NULL ? NULL : argv[optind], process, &examination, steps);
    } else {
        print_text(&examination);
        if (steps != NULL)
            print_steps(steps);
    }
    steps_free(steps);
    /* Once is enough on a terminal. */
    if (examination.error != 0 && (json || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO)))
        output_error("%s", examination.reason);
    status = examination_status(&examination);
    examination_free(&examination);
    return status;
}
