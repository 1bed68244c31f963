#include "steps.h"

#include "output.h"
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is known while they are found. */
struct finding {
    struct step *steps;
    const char *text; /* the script's */
    enum ask ask;
    char *const *arguments; /* what "$@" stands for; NULL: not known */
};

/* Return true if the script has a function of that name. */
static bool is_function(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        const char *after = at + length + strspn(at + length, " \t");

        if ((at == text || strchr(" \t\n;{(", at[-1]) != NULL)
            && (strncmp(after, "()", 2) == 0 || (at - text >= 9 && strncmp(at - 9, "function ", 9) == 0)))
            return true;
    }
    return false;
}

/* Put the arguments in the place of "$@". Return the words, whose array is to be freed; NULL: there is none. */
static char **with_arguments(char *const *argv, char *const *arguments)
{
    size_t words = 0;
    size_t given = 0;
    size_t count = 0;
    bool any = false;
    char **all;

    for (; argv[words] != NULL; words++)
        any |= strcmp(argv[words], "$@") == 0;
    while (arguments != NULL && arguments[given] != NULL)
        given++;
    if (!any || given == 0)
        return NULL;
    all = output_allocate(NULL, (words * given + 1) * sizeof(*all));
    for (size_t i = 0; i < words; i++) {
        if (strcmp(argv[i], "$@") != 0) {
            all[count++] = argv[i];
            continue;
        }
        memcpy(all + count, arguments, given * sizeof(*all));
        count += given;
    }
    all[count] = NULL;
    return all;
}

static void free_step(struct step *step)
{
    examination_free(&step->examination);
    free(step->name);
    free(step);
}

static void add_words(struct finding *finding, unsigned line, char *const *argv)
{
    struct step **list = &finding->steps;
    char buffer[200];
    struct text text = text_over(buffer, sizeof(buffer));
    struct step *step;

    /* What a wrapper starts is known by all of its words. */
    program_print(argv, &text);
    for (; *list != NULL; list = &(*list)->next) {
        if (strcmp((*list)->name, buffer) == 0
            || (!(*list)->unknown && ((*list)->missing || (*list)->examination.program.path != NULL) && strcmp((*list)->name, argv[0]) == 0))
            return;
    }
    step = output_allocate(NULL, sizeof(*step));
    memset(step, 0, sizeof(*step));
    step->line = line;
    step->unknown = strchr(argv[0], '$') != NULL;
    if (!step->unknown)
        examine(argv, finding->ask, &step->examination);
    if (step->examination.plaintext != NULL && examine_demands_tls(finding->text)) {
        free(step->examination.plaintext);
        step->examination.plaintext = NULL;
    }
    step->unknown |= step->examination.program.called != NULL && strchr(step->examination.program.called, '$') != NULL;
    step->name = output_copy(step->unknown || (step->examination.program.called != NULL && !step->examination.program.script
        && strcmp(step->examination.program.called, argv[0]) != 0) ? buffer : argv[0]);
    step->missing = step->examination.error == ENOENT && strchr(argv[0], '/') == NULL && !step->unknown;
    if (step->missing && is_function(finding->text, argv[0]))
        free_step(step);
    else
        *list = step;
}

static void add_step(void *to, unsigned line, char *const *argv)
{
    struct finding *finding = to;
    char **all = with_arguments(argv, finding->arguments);

    add_words(finding, line, all != NULL ? all : argv);
    free(all);
}

/* Read the script's text, or what a shell gets with -c, and find what follows it among the words. NULL: it is no shell's. */
static char *read_script(const struct examination *examination, char *const *argv, char *const **arguments)
{
    static const char *const shells[] = {"sh", "dash", "bash", "zsh", "ksh", "mksh"};
    const char *path = examination->program.path;
    const char *subject = examination->program.script ? examination->program.subject : NULL;
    bool shell = false;
    char *text = NULL;
    size_t length = 0;
    FILE *file;

    *arguments = NULL;
    for (size_t i = 0; path != NULL && i < sizeof(shells) / sizeof(shells[0]); i++)
        shell |= strcmp(program_base(path), shells[i]) == 0;
    if (!shell)
        return NULL;
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (subject != NULL && strcmp(program_base(argv[i]), program_base(subject)) == 0) {
            *arguments = argv + i + 1;
            break;
        }
        if (subject == NULL && i > 0 && strcmp(argv[i], "-c") == 0 && argv[i + 1] != NULL) {
            *arguments = argv[i + 2] != NULL ? argv + i + 3 : NULL; /* the first is its name */
            return output_copy(argv[i + 1]);
        }
    }
    file = subject != NULL ? fopen(subject, "re") : NULL;
    if (file == NULL)
        return NULL;
    text = output_allocate(NULL, (size_t)1 << 20);
    length = fread(text, 1, ((size_t)1 << 20) - 1, file);
    text[length] = '\0';
    (void)fclose(file);
    return text;
}

struct step *steps_find(const struct examination *examination, char *const *argv, enum ask ask)
{
    struct finding finding = {.steps = NULL, .ask = ask};
    char *text = read_script(examination, argv, &finding.arguments);

    /* A function has arguments of its own, and a script can change those that it was given. */
    if (text != NULL && (strstr(text, "()") != NULL || strstr(text, "function ") != NULL || strstr(text, "shift") != NULL || strstr(text, "set -- ") != NULL))
        finding.arguments = NULL;
    finding.text = text;
    if (text != NULL)
        script_commands(text, add_step, &finding);
    free(text);
    return finding.steps;
}

bool steps_quiet(const struct step *step)
{
    return !step->unknown && !step->missing && step->examination.code != NULL && strcmp(step->examination.code, "no-tls") == 0;
}

bool steps_unheld(const struct step *step)
{
    return !step->unknown && step->examination.error == 0 && step->examination.hold == HOLD_NEITHER;
}

void steps_free(struct step *steps)
{
    while (steps != NULL) {
        struct step *next = steps->next;

        free_step(steps);
        steps = next;
    }
}
