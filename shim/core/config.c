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

static struct config config;
static _Atomic int state;

static const struct choice {
    const char *name;
    int value;
} modes[] = {{"enforce", MODE_ENFORCE}, {"report", MODE_REPORT}, {NULL, 0}},
  guards[] = {{"refuse", UNJUDGED_REFUSE}, {"report", UNJUDGED_REPORT}, {"allow", UNJUDGED_ALLOW}, {NULL, 0}},
  logs[] = {{"stderr", LOG_TO_STDERR}, {"syslog", LOG_TO_SYSLOG}, {"none", LOG_TO_NONE}, {NULL, 0}},
  formats[] = {{"text", FORMAT_TEXT}, {"json", FORMAT_JSON}, {NULL, 0}},
  inheritance[] = {{"keep", false}, {"force", true}, {NULL, 0}},
  levels[] = {{"refused", LEVEL_REFUSED}, {"all", LEVEL_ALL}, {"debug", LEVEL_DEBUG}, {NULL, 0}};

/* In a process with more rights than its user (AT_SECURE), the environment is not trusted: the defaults hold. */
static const char *variable(const char *name)
{
    return getauxval(AT_SECURE) != 0 ? NULL : getenv(name);
}

/* Report only the first fault: one is enough to refuse, and the next one shows once this one is fixed. */
static void fault(const char *name, const char *value, const char *expected)
{
    struct text text = text_over(config.fault, sizeof(config.fault));

    text_add(&text, "%s is \"", name);
    text_add_escaped(&text, value, strlen(value), 80);
    text_add(&text, "\"; expected %s", expected);
}

static int choose(const char *name, const struct choice *choices, const char *expected)
{
    const char *value = variable(name);

    if (value == NULL)
        return 0;
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, value) == 0)
            return choices->value;
    }
    if (config.fault[0] == '\0')
        fault(name, value, expected);
    return 0;
}

static void read_log(void)
{
    const char *value = variable("PINSHIM_LOG");

    /* A socket cannot be opened by this name, and a file that later gets descriptor 2 could be opened instead. */
    if (value != NULL && strcmp(value, "/dev/stderr") == 0) {
        config.log = LOG_TO_STDERR;
    } else if (value == NULL || value[0] != '/') {
        config.log = (enum config_log)choose("PINSHIM_LOG", logs, "stderr, syslog, none or an absolute path");
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

    if (!is_relative(variable("PINSHIM_PINS")) && !is_relative(secure_getenv("SSL_CERT_FILE")) && !has_relative(secure_getenv("SSL_CERT_DIR")))
        return;
    if (getcwd(config.directory, sizeof(config.directory) - 1) == NULL)
        config.directory[0] = '\0';
    length = strlen(config.directory);
    if (length > 0)
        memcpy(config.directory + length, "/", 2);
}

static void read_pins(void)
{
    const char *value = variable("PINSHIM_PINS");
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

static bool is_known(const char *name, size_t length)
{
    for (int i = 0; config_variables[i] != NULL; i++) {
        if (strncmp(config_variables[i], name, length) == 0 && config_variables[i][length] == '\0')
            return true;
    }
    return false;
}

static void read_unknown(void)
{
    struct text text = text_over(config.unknown, sizeof(config.unknown));

    for (char **at = getauxval(AT_SECURE) != 0 ? NULL : environ; at != NULL && *at != NULL; at++) {
        size_t length = strncmp(*at, "PINSHIM_", 8) == 0 ? strcspn(*at, "=") : 0;

        if (length == 0 || is_known(*at, length))
            continue;
        if (text.length > 0)
            text_add_string(&text, ", ");
        text_add_escaped(&text, *at, length, 80);
        for (int i = 0; config_variables[i] != NULL; i++) {
            if (text_is_near(*at, length, config_variables[i])) {
                text_add_string(&text, " (did you mean ");
                text_add_string(&text, config_variables[i]);
                text_add_string(&text, "?)");
                break;
            }
        }
    }
}

const struct config *config_get(void)
{
    int seen = atomic_load_explicit(&state, memory_order_acquire);
    int saved = errno;

    if (seen == READY)
        return &config;
    if (seen == UNREAD && atomic_compare_exchange_strong(&state, &seen, READING)) {
        read_directory();
        read_pins();
        read_log();
        read_unknown();
        config.mode = (enum config_mode)choose("PINSHIM_MODE", modes, "enforce or report");
        config.unjudged = (enum config_unjudged)choose("PINSHIM_UNJUDGED", guards, "refuse, report or allow");
        config.format = (enum config_format)choose("PINSHIM_LOG_FORMAT", formats, "text or json");
        config.level = (enum config_level)choose("PINSHIM_LOG_LEVEL", levels, "refused, all or debug");
        config.inherits = choose("PINSHIM_INHERIT", inheritance, "keep or force") != 0;
        atomic_store_explicit(&state, READY, memory_order_release);
    } else {
        while (atomic_load_explicit(&state, memory_order_acquire) != READY)
            sched_yield();
    }
    errno = saved;
    return &config;
}
