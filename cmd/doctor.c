/* pinshim doctor: reports whether a program would be judged or guarded, why, and what to do. */

#include "command.h"
#include "examine.h"
#include "output.h"
#include "script.h"

#include <errno.h>
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

/* A command of a shell script. */
struct step {
    unsigned line;
    char *name;
    struct examination examination;
    bool unknown; /* only when the script runs */
    struct step *next;
};

static void add_step(void *to, unsigned line, char *const *argv)
{
    struct step **list = to;
    char buffer[200];
    struct text text = text_over(buffer, sizeof(buffer));
    struct step *step;

    /* What a wrapper starts is known by all of its words. */
    program_print(argv, &text);
    for (; *list != NULL; list = &(*list)->next) {
        if (strcmp((*list)->name, buffer) == 0 || (!(*list)->unknown && (*list)->examination.program.path != NULL && strcmp((*list)->name, argv[0]) == 0))
            return;
    }
    step = output_allocate(NULL, sizeof(*step));
    memset(step, 0, sizeof(*step));
    step->line = line;
    step->unknown = strchr(argv[0], '$') != NULL;
    if (!step->unknown)
        examine(argv, false, &step->examination);
    step->unknown |= step->examination.program.called != NULL && strchr(step->examination.program.called, '$') != NULL;
    step->name = output_copy(step->unknown || (step->examination.program.called != NULL && !step->examination.program.script
        && strcmp(step->examination.program.called, argv[0]) != 0) ? buffer : argv[0]);
    /* Functions of the script, and words of the shell that are not known here. */
    if (step->examination.error == ENOENT && strchr(argv[0], '/') == NULL && !step->unknown) {
        examination_free(&step->examination);
        free(step->name);
        free(step);
        return;
    }
    *list = step;
}

static bool is_quiet(const struct step *step)
{
    return !step->unknown && step->examination.code != NULL && strcmp(step->examination.code, "no-tls") == 0;
}

/* Read the script's text, or what a shell gets with -c. NULL: it is no shell's. */
static char *read_script(const struct examination *examination, char *const *argv)
{
    static const char *const shells[] = {"sh", "dash", "bash", "zsh", "ksh", "mksh"};
    const char *path = examination->program.path;
    bool shell = false;
    char *text = NULL;
    size_t length = 0;
    FILE *file;

    for (size_t i = 0; path != NULL && i < sizeof(shells) / sizeof(shells[0]); i++)
        shell |= strcmp(program_base(path), shells[i]) == 0;
    if (!shell)
        return NULL;
    for (size_t i = 1; !examination->program.script && argv != NULL && argv[i] != NULL; i++) {
        if (strcmp(argv[i], "-c") == 0 && argv[i + 1] != NULL)
            return output_copy(argv[i + 1]);
    }
    file = examination->program.script ? fopen(examination->program.subject, "re") : NULL;
    if (file == NULL)
        return NULL;
    text = output_allocate(NULL, (size_t)1 << 20);
    length = fread(text, 1, ((size_t)1 << 20) - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    return text;
}

static struct step *find_steps(const struct examination *examination, char *const *argv)
{
    char *text = read_script(examination, argv);
    struct step *steps = NULL;

    if (text != NULL)
        script_commands(text, add_step, &steps);
    free(text);
    return steps;
}

static void free_steps(struct step *steps)
{
    while (steps != NULL) {
        struct step *next = steps->next;

        examination_free(&steps->examination);
        free(steps->name);
        free(steps);
        steps = next;
    }
}

static const char *word_of(const struct step *step)
{
    return step->unknown ? "unknown" : verdicts[step->examination.hold].word;
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
}

static void print_steps(const struct step *steps)
{
    static const char *const headings[] = {"LINE", "COMMAND", "VERDICT", "WHY"};
    struct output_table *table = output_table_new(4, headings, 2);
    char quiet[2000] = "";
    struct text others = text_over(quiet, sizeof(quiet));

    for (const struct step *step = steps; step != NULL; step = step->next) {
        char line[16];
        char why[4096];
        struct text text = text_over(why, sizeof(why));

        if (is_quiet(step)) {
            text_add(&others, "%s%s", others.length > 0 ? ", " : "", step->name);
            continue;
        }
        (void)snprintf(line, sizeof(line), "%u", step->line);
        print_why(step, &text);
        output_table_add(table, step->unknown ? TONE_DOUBT : verdicts[step->examination.hold].tone,
            (const char *const[]) {line, step->name, word_of(step), why});
    }
    printf("\n");
    output_table_print(table, stdout);
    if (quiet[0] != '\0') {
        char *shown = output_printable(quiet);

        printf("\nWithout TLS of their own: %s\n", shown);
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
        examine(argv + optind, false, &examination);
    steps = process == NULL ? find_steps(&examination, argv + optind) : NULL;
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
    free_steps(steps);
    /* Once is enough on a terminal. */
    if (examination.error != 0 && (json || !isatty(STDOUT_FILENO) || !isatty(STDERR_FILENO)))
        output_error("%s", examination.reason);
    status = examination_status(&examination);
    examination_free(&examination);
    return status;
}
