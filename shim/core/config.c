#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { UNREAD = 0, READING, READY };

const char *const config_variables[] = {"PINSHIM_PINS", "PINSHIM_MODE", "PINSHIM_LOG", "PINSHIM_LOG_FORMAT", "PINSHIM_LOG_LEVEL", "PINSHIM_UNJUDGED", "PINSHIM_INHERIT", NULL};

/* What the environment has at the start, of these and of OpenSSL's, in this order. */
enum { PINS = 0, MODE, LOG, LOG_FORMAT, LOG_LEVEL, UNJUDGED, INHERIT, CERT_FILE, CERT_DIR, VARIABLES };
static USED_AT_START const char *values[VARIABLES];

static struct config config;
static USED_AT_START _Atomic int state;

static const struct choice {
    const char *name;
    int value;
} modes[] = {{"enforce", MODE_ENFORCE}, {"report", MODE_REPORT}, {NULL, 0}},
  guards[] = {{"refuse", UNJUDGED_REFUSE}, {"report", UNJUDGED_REPORT}, {"allow", UNJUDGED_ALLOW}, {NULL, 0}},
  logs[] = {{"stderr", LOG_TO_STDERR}, {"syslog", LOG_TO_SYSLOG}, {"none", LOG_TO_NONE}, {NULL, 0}},
  formats[] = {{"text", FORMAT_TEXT}, {"json", FORMAT_JSON}, {NULL, 0}},
  inheritance[] = {{"keep", false}, {"force", true}, {NULL, 0}},
  levels[] = {{"refused", LEVEL_REFUSED}, {"all", LEVEL_ALL}, {"debug", LEVEL_DEBUG}, {NULL, 0}};

/* Report only the first fault: one is enough to refuse, and the next one shows once this one is fixed. */
static void fault(const char *name, const char *value, const char *expected)
{
    struct text text = text_over(config.fault, sizeof(config.fault));

    text_add(&text, "%s is \"", name);
    text_add_escaped(&text, value, strlen(value), 80);
    text_add(&text, "\"; expected %s", expected);
}

static int choose(int variable, const struct choice *choices, const char *expected)
{
    const char *value = values[variable];

    if (value == NULL)
        return 0;
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, value) == 0)
            return choices->value;
    }
    if (config.fault[0] == '\0')
        fault(config_variables[variable], value, expected);
    return 0;
}

static void read_log(void)
{
    const char *value = values[LOG];

    /* A socket cannot be opened by this name, and a file that later gets descriptor 2 could be opened instead. */
    if (value != NULL && strcmp(value, "/dev/stderr") == 0) {
        config.log = LOG_TO_STDERR;
    } else if (value == NULL || value[0] != '/') {
        config.log = (enum config_log)choose(LOG, logs, "stderr, syslog, none or an absolute path");
    } else if (strlen(value) >= sizeof(config.log_file)) {
        fault("PINSHIM_LOG", value, "a shorter path");
    } else {
        config.log = LOG_TO_FILE;
        strcpy(config.log_file, value); /* fits: checked above */
    }
}

static bool is_relative(const char *path)
{
    return path != NULL && path[0] != '\0' && path[0] != '/';
}

/* The same for any of a list. */
static bool has_relative(const char *paths)
{
    bool relative = is_relative(paths);

    for (const char *at = paths; !relative && at != NULL && (at = strchr(at, ':')) != NULL; at++)
        relative = is_relative(at + 1);
    return relative;
}

/* The program may change its directory before a file is read. */
static void read_directory(void)
{
    size_t length;

    if (!is_relative(values[PINS]) && !is_relative(values[CERT_FILE]) && !has_relative(values[CERT_DIR]))
        return;
    if (getcwd(config.directory, sizeof(config.directory) - 1) == NULL)
        config.directory[0] = '\0';
    length = strlen(config.directory);
    if (length > 0)
        memcpy(config.directory + length, "/", 2);
}

static void read_pins(void)
{
    const char *value = values[PINS];
    struct text file = text_over(config.pins_file, sizeof(config.pins_file));

    if (value == NULL)
        value = "/etc/pinshim/pins";
    config.pins = config.pins_file;
    if (value[0] == '\0') {
        fault("PINSHIM_PINS", value, "the path of a pins file");
        return;
    }
    if (is_relative(value))
        text_add_string(&file, config.directory);
    config.pins = config.pins_file + file.length;
    /* Not vsnprintf(): it alone takes four pages of libc, which every program would have to map at its start. */
    text_add_string(&file, value);
    if (file.cut)
        fault("PINSHIM_PINS", value, "a shorter path");
}

/* Return true if the variable at `at`, whose name has this length, is the one with this number; its first value counts. */
static bool take(const char *at, size_t length, int variable, const char *name)
{
    if (strncmp(name, at, length) != 0 || name[length] != '\0')
        return false;
    if (at[length] == '=' && values[variable] == NULL)
        values[variable] = at + length + 1;
    return true;
}

static void note_unknown(const char *at, size_t length, struct text *out)
{
    if (out->length > 0)
        text_add_string(out, ", ");
    text_add_escaped(out, at, length, 80);
    for (int i = 0; config_variables[i] != NULL; i++) {
        if (text_is_near(at, length, config_variables[i])) {
            text_add_string(out, " (did you mean ");
            text_add_string(out, config_variables[i]);
            text_add_string(out, "?)");
            break;
        }
    }
}

/* In a process with more rights than its user (AT_SECURE), the environment is not trusted: the defaults hold. It is read once: each getenv() reads all of
 * it. */
static void read_environment(void)
{
    struct text unknown = text_over(config.unknown, sizeof(config.unknown));

    for (char **at = getauxval(AT_SECURE) != 0 ? NULL : environ; at != NULL && *at != NULL; at++) {
        const char *entry = *at;
        bool own = entry[0] == 'P' && strncmp(entry, "PINSHIM_", 8) == 0;
        size_t length = 0;
        int i = 0;

        if (own || (entry[0] == 'S' && strncmp(entry, "SSL_CERT_", 9) == 0)) {
            /* Not strcspn(): it takes two pages of libc. */
            while (entry[length] != '\0' && entry[length] != '=')
                length++;
        }

        while (own && config_variables[i] != NULL && !take(entry, length, i, config_variables[i]))
            i++;
        if (own && config_variables[i] == NULL)
            note_unknown(entry, length, &unknown);
        else if (!own && length > 0 && !take(entry, length, CERT_FILE, "SSL_CERT_FILE"))
            (void)take(entry, length, CERT_DIR, "SSL_CERT_DIR");
    }
}

/* A function of the program's .preinit_array runs before libc knows the environment. */
static __attribute__((cold)) const struct config *too_early(void)
{
    static struct config early;

    strcpy(early.fault, "the environment is not known yet");
    early.pins = early.pins_file;
    return &early;
}

const struct config *config_get(void)
{
    int seen = atomic_load_explicit(&state, memory_order_acquire);
    int saved = errno;

    if (seen == READY)
        return &config;
    if (seen == UNREAD && environ == NULL)
        return too_early();
    if (seen == UNREAD && atomic_compare_exchange_strong(&state, &seen, READING)) {
        read_environment();
        read_directory();
        read_pins();
        read_log();
        config.mode = (enum config_mode)choose(MODE, modes, "enforce or report");
        config.unjudged = (enum config_unjudged)choose(UNJUDGED, guards, "refuse, report or allow");
        config.format = (enum config_format)choose(LOG_FORMAT, formats, "text or json");
        config.level = (enum config_level)choose(LOG_LEVEL, levels, "refused, all or debug");
        config.inherits = choose(INHERIT, inheritance, "keep or force") != 0;
        atomic_store_explicit(&state, READY, memory_order_release);
    } else {
        while (atomic_load_explicit(&state, memory_order_acquire) != READY)
            sched_yield();
    }
    errno = saved;
    return &config;
}
