#include "wrapper.h"

#include "basename.h"

#include <stdbool.h>
#include <string.h>

/* The options of GNU coreutils, findutils and time, and util-linux. None reads an option after its first operand. */
static const struct wrapper {
    const char *name;
    const char *valued; /* the letters that take a value, in the same word or the next */
    const char *attached; /* those whose value, if any, is in the same word */
    const char *nothing; /* those with which no command is started */
    const char *long_valued; /* long options that take a value; a blank after each */
    const char *long_nothing;
    unsigned operands; /* before the command */
} wrappers[] = {
    {"nice", "n", "", "", "adjustment ", "", 0},
    {"nohup", "", "", "", "", "", 0},
    {"timeout", "ks", "", "", "kill-after signal ", "", 1},
    {"setsid", "", "", "", "", "", 0},
    {"stdbuf", "ioe", "", "", "input output error ", "", 0},
    {"ionice", "cn", "", "pPu", "class classdata ", "pid pgid uid ", 0},
    {"chrt", "TPD", "", "pm", "sched-runtime sched-period sched-deadline ", "pid max ", 1},
    {"time", "fo", "", "", "format output ", "", 0},
    {"taskset", "", "", "p", "", "pid ", 1},
    {"xargs", "aEILnPsd", "eil", "", "arg-file delimiter max-args max-chars max-procs process-slot-var ", "", 0},
};

/* Return true if `word` is, or begins as, one of the names. */
static bool is_among(const char *word, size_t length, const char *names)
{
    for (const char *at = names; *at != '\0'; at += strcspn(at, " ") + 1) {
        if (length > 0 && length <= strcspn(at, " ") && strncmp(at, word, length) == 0)
            return true;
    }
    return false;
}

/* Read an option. Return how many words it takes, 0 where no command is started with it. */
static size_t read_option(const struct wrapper *wrapper, const char *word)
{
    size_t length = strcspn(word + 2, "=");

    if (strncmp(word, "--", 2) == 0) {
        if (is_among(word + 2, length, wrapper->long_nothing) || is_among(word + 2, length, "help version "))
            return 0;
        return word[2 + length] == '\0' && is_among(word + 2, length, wrapper->long_valued) ? 2 : 1;
    }
    for (word++; *word != '\0'; word++) {
        if (strchr(wrapper->nothing, *word) != NULL)
            return 0;
        if (strchr(wrapper->attached, *word) != NULL)
            return 1;
        if (strchr(wrapper->valued, *word) != NULL)
            return word[1] != '\0' ? 1 : 2;
    }
    return 1;
}

const char *wrapper_read(const char *path, char *const *argv, size_t count, size_t *command)
{
    const struct wrapper *wrapper = wrappers;
    const struct wrapper *end = wrappers + sizeof(wrappers) / sizeof(wrappers[0]);
    size_t i = 1;

    while (wrapper < end && strcmp(program_base(path), wrapper->name) != 0)
        wrapper++;
    if (wrapper == end)
        return NULL;
    while (i < count && argv[i][0] == '-' && argv[i][1] != '\0' && strcmp(argv[i], "--") != 0) {
        size_t words = read_option(wrapper, argv[i]);

        if (words == 0)
            return NULL;
        i += words;
    }
    if (i < count && strcmp(argv[i], "--") == 0)
        i++;
    /* Some policies of chrt can do without a priority. */
    if (wrapper->operands > 0 && i < count && (strcmp(wrapper->name, "chrt") != 0 || strspn(argv[i], "0123456789") == strlen(argv[i])))
        i += wrapper->operands;
    *command = i;
    return i < count ? wrapper->name : NULL;
}
