#include "launch.h"

#include "log.h"
#include "output.h"
#include "preload.h"
#include "steps.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One condition, in the log's form where that is JSON. */
static void say(const char *format, ...) PRINTF_LIKE(1, 2);

static void say(const char *format, ...)
{
    char buffer[4096];
    char escaped[sizeof(buffer)];
    struct text reason = text_over(buffer, sizeof(buffer));
    struct text text = text_over(escaped, sizeof(escaped));
    const struct event event = {.verdict = EVENT_NOTICE, .reason = escaped};
    va_list args;

    va_start(args, format);
    text_add_va(&reason, format, args);
    va_end(args);
    if (config_get()->format != FORMAT_JSON) {
        output_error("%s", buffer);
        return;
    }
    text_add_escaped(&text, buffer, reason.length, sizeof(escaped) - 1);
    log_start();
    log_event(&event);
}

void launch_print_conditions(const struct examination *examination, bool tls_required)
{
    const char *condition = examination->condition;
    const char *named = examination->program.named;

    if (examination->hold == HOLD_GUARDED)
        say("%s is guarded%s%s: %s; next: %s", named, condition != NULL ? " if " : "", condition != NULL ? condition : "", examination->reason,
            examination->next);
    else if (examination->hold == HOLD_JUDGED && condition != NULL)
        say("%s is judged if %s: %s", named, condition, examination->reason);
    if (examination->plaintext != NULL && !tls_required)
        say("%s: %s", named, examination->plaintext);
}

void launch_print_steps(const struct examination *examination, char *const *argv, bool tls_required)
{
    struct step *steps = steps_find(examination, argv, ASK_NONE);
    const struct step *plain = NULL;
    char unheld[1000];
    char command[1000];
    struct text names = text_over(unheld, sizeof(unheld));
    struct text text = text_over(command, sizeof(command));

    for (const struct step *step = steps; step != NULL; step = step->next) {
        if (steps_unheld(step))
            text_add(&names, "%s%s (line %u)", names.length > 0 ? ", " : "", step->name, step->line);
        if (plain == NULL && !step->unknown && step->examination.plaintext != NULL && !tls_required)
            plain = step;
    }
    if (names.length > 0) {
        program_print(argv, &text);
        say("%s starts what is neither judged nor guarded, and goes on without protection: %s; next: see \"pinshim doctor %s\"", examination->program.named, unheld,
            command);
    }
    if (plain != NULL)
        say("%s (line %u of %s): %s", plain->name, plain->line, examination->program.named, plain->examination.plaintext);
    steps_free(steps);
}

int launch_examine(char *const *argv, bool force, struct examination *out)
{
    char buffer[4096];
    struct text command = text_over(buffer, sizeof(buffer));
    int status;

    examine(argv, ASK_ANY, out);
    status = examination_status(out);
    if (status == 0)
        return 0;
    /* There is no program to run, or no shim to preload. */
    if (out->error != 0 || out->object == NULL) {
        output_error("%s", out->reason);
        output_error("next: %s", out->next);
        status = out->error != 0 ? status : (int)LAUNCH_FAILED;
        examination_free(out);
        return status;
    }
    output_error("%s is neither judged nor guarded: %s", out->program.named, out->reason);
    if (force) {
        output_error("started anyway: connections that do not go through the shim are not checked");
        return 0;
    }
    output_error("not started; next: %s", out->next);
    program_print(argv, &command);
    output_error("\"pinshim doctor %s\" shows the details; --force starts it anyway, without protection", buffer);
    examination_free(out);
    return LAUNCH_FAILED;
}

void launch_advise_pins(const char *path)
{
    struct stat status;

    if (access(path, R_OK) != 0 && errno == EACCES)
        output_error("not started; next: let this user read it: chmod a+r %s (and chmod a+x for its directories)", path);
    else if (stat(path, &status) != 0)
        output_error("not started; next: give a pins file with --pins, or write a first one: \"pinshim pin --into FILE HOST\", or \"pinshim learn -o FILE -- CMD\"");
    else if ((status.st_mode & S_IWOTH) != 0)
        output_error("not started; next: let nobody else write it: chmod o-w %s", path);
    else
        output_error("not started; next: fix the pins file until \"pinshim lint %s\" finds no error", path);
}

void launch_set(const char *name, const char *value)
{
    if (setenv(name, value, 1) == 0)
        return;
    output_error("%s cannot be set: %s", name, strerror(errno));
    exit(LAUNCH_FAILED);
}

void launch_inherit(void)
{
    if (getenv("PINSHIM_INHERIT") == NULL)
        launch_set("PINSHIM_INHERIT", "force");
}

char *launch_absolute(const char *path)
{
    char directory[PATH_MAX];
    char *absolute;
    struct text text;
    size_t size;

    if (path[0] == '/' || getcwd(directory, sizeof(directory)) == NULL)
        return output_copy(path);
    size = strlen(directory) + strlen(path) + 2;
    absolute = output_allocate(NULL, size);
    text = text_over(absolute, size);
    text_add(&text, "%s/%s", directory[1] != '\0' ? directory : "", path);
    return absolute;
}

int launch_exec(const struct examination *examination, char *const *argv)
{
    char *preload = preload_value(examination->object);
    int error;

    if (examination->first != NULL) {
        size_t size = strlen(examination->first) + strlen(preload) + 2;
        char *longer = output_allocate(NULL, size);

        (void)snprintf(longer, size, "%s:%s", examination->first, preload);
        free(preload);
        preload = longer;
    }
    launch_set("LD_PRELOAD", preload);
    free(preload);
    /* It has a slash, so PATH is not searched; a file that is not ELF and has no #! goes to /bin/sh. */
    (void)execvp(examination->program.first, argv);
    error = errno;
    output_error("\"%s\" cannot be run: %s", argv[0], strerror(error));
    return error == ENOENT ? LAUNCH_NOT_FOUND : LAUNCH_CANNOT_RUN;
}
