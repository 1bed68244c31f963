/* The environment, read once and never changed afterwards. */
#ifndef PINSHIM_CONFIG_H
#define PINSHIM_CONFIG_H

#include "text.h"

#include <limits.h>

enum config_mode { MODE_ENFORCE = 0, MODE_REPORT };
enum config_unjudged { UNJUDGED_REFUSE = 0, UNJUDGED_REPORT, UNJUDGED_ALLOW };
enum config_log { LOG_TO_STDERR = 0, LOG_TO_SYSLOG, LOG_TO_NONE, LOG_TO_FILE };
enum config_format { FORMAT_TEXT = 0, FORMAT_JSON };
enum config_level { LEVEL_REFUSED = 0, LEVEL_ALL, LEVEL_DEBUG };

struct config {
    enum config_mode mode;
    enum config_unjudged unjudged; /* what the guard does (libc/guard.h) */
    enum config_log log;
    enum config_format format;
    enum config_level level;
    bool inherits; /* PINSHIM_INHERIT=force */
    char fault[256]; /* what is wrong with the environment; empty: nothing */
    char unknown[256]; /* what else the environment has of PINSHIM_*, printable: names, separated by commas */
    const char *pins; /* as the user named it, for messages: the last part of pins_file */
    char pins_file[PATH_MAX]; /* absolute, for opening */
    char directory[PATH_MAX]; /* in which the program was started, with a slash, where a relative path is meant to be in it; empty: not known */
    char log_file[PATH_MAX]; /* LOG_TO_FILE */
};

/* The names of the variables, then NULL. */
extern const char *const config_variables[];

/* Return the configuration, read from PINSHIM_* at the first call, because programs clear their environment later. */
const struct config *config_get(void);

#endif
