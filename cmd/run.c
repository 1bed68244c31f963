/* pinshim run: starts a program with the shim preloaded, or does not start it at all. */

#include "client_file.h"
#include "command.h"
#include "config.h"
#include "launch.h"
#include "log.h"
#include "output.h"
#include "pinfile.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim run [OPTION...] [--] CMD [ARGUMENT...]\n"
    "\n"
    "Starts CMD with libpinshim.so (the shim) preloaded. First it examines CMD as\n"
    "\"pinshim doctor\" does, tests that CMD's loader (ld.so) loads the shim, and\n"
    "checks the pins file. If any of these fails, CMD is not started. If CMD is only\n"
    "guarded (its connections to pinned targets are refused), or judged under a\n"
    "condition, that is printed on standard error. Then this process becomes CMD:\n"
    "process ID, signals, terminal and exit status are CMD's.\n"
    "\n"
    "  -q          do not print these conditions, as for cron jobs: standard error is\n"
    "              empty unless something is wrong\n"
    "  --pins F    the pins file (default: $PINSHIM_PINS, else /etc/pinshim/pins)\n"
    "  --report    only log what would be refused (PINSHIM_MODE=report)\n"
    "  --log X     log to stderr, syslog, none, or a file (PINSHIM_LOG; here the path\n"
    "              may be relative)\n"
    "  --log-level LEVEL\n"
    "              what is logged: refused, all or debug (PINSHIM_LOG_LEVEL)\n"
    "  --json      log one JSON object per line (PINSHIM_LOG_FORMAT=json); the\n"
    "              conditions are then notices of this log\n"
    "  --force     start CMD even if it is neither judged nor guarded; a faulty pins\n"
    "              file still prevents the start\n"
    "  --help      print this\n"
    "\n"
    "Settings without an option are taken from the environment (PINSHIM_MODE,\n"
    "PINSHIM_LOG, PINSHIM_LOG_FORMAT, PINSHIM_LOG_LEVEL). Other libraries stay in\n"
    "LD_PRELOAD, after the shim. Programs that CMD starts inherit all this, even if\n"
    "CMD removes it from their environment, unless PINSHIM_INHERIT is keep.\n"
    "To see that the pins hold for CMD: pinshim prove --pins F -- CMD\n"
    "\n"
    "Exit status: CMD's; 125 if pinshim did not start CMD; 126 if CMD cannot be\n"
    "executed, 127 if it is not found.\n";

struct run {
    const char *pins;
    const char *log;
    const char *level; /* NULL: as the environment has it */
    bool report;
    bool json;
    bool force;
    bool quiet;
};

static void print_fault(void *arg, uint32_t line, uint32_t column, const char *message)
{
    if (line == 0)
        output_error("%s: %s", (const char *)arg, message);
    else
        output_error("%s:%u:%u: %s", (const char *)arg, (unsigned)line, (unsigned)column, message);
}

/* Read the pins as the shim will. */
static bool pins_are_good(char *path, bool *tls_required)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .tls = linked_tls(), .beside = path};
    char message[300];
    struct text problem = text_over(message, sizeof(message));
    struct pins *pins;
    bool good;

    if (file_is_fleeting(path, "the pins file", &problem)) {
        output_error("%s: %s", path, message);
        output_error("not started; next: put the pins into a file, and give it with --pins");
        return false;
    }
    pins = pins_load(path, &reader, NULL, print_fault, path);
    good = pins != NULL;
    *tls_required = good && pins_require_tls(pins);
    pins_free(pins);
    if (!good)
        launch_advise_pins(path);
    return good;
}

static void set_environment(const struct run *run, const char *pins)
{
    launch_set("PINSHIM_PINS", pins);
    if (run->report || getenv("PINSHIM_MODE") == NULL)
        launch_set("PINSHIM_MODE", run->report ? "report" : "enforce");
    if (run->level != NULL)
        launch_set("PINSHIM_LOG_LEVEL", run->level);
    if (run->json || getenv("PINSHIM_LOG_FORMAT") == NULL)
        launch_set("PINSHIM_LOG_FORMAT", run->json ? "json" : "text");
    launch_inherit();
    if (run->log != NULL && strcmp(run->log, "stderr") != 0 && strcmp(run->log, "syslog") != 0 && strcmp(run->log, "none") != 0) {
        char *file = launch_absolute(run->log);

        launch_set("PINSHIM_LOG", file);
        free(file);
    } else if (run->log != NULL || getenv("PINSHIM_LOG") == NULL) {
        launch_set("PINSHIM_LOG", run->log != NULL ? run->log : "stderr");
    }
}

/* Read the environment as the shim will, and see whether the log can be written. */
static bool environment_is_good(void)
{
    const struct config *config = config_get();
    int fd;

    if (config->unknown[0] != '\0')
        output_error("pinshim has no variable of this name, and it has no effect: %s", config->unknown);
    if (config->fault[0] != '\0') {
        output_error("%s", config->fault);
        output_error("not started; next: correct or unset that variable");
        return false;
    }
    if (config->log != LOG_TO_FILE)
        return true;
    if (log_is_pins()) {
        output_error("the log %s is the pins file", config->log_file);
        output_error("not started; next: give another file with --log");
        return false;
    }
    fd = open(config->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        output_error("the log %s cannot be written: %s", config->log_file, strerror(errno));
        output_error("not started; next: give another file with --log, or create its directory");
        return false;
    }
    (void)close(fd);
    return true;
}

/* Read the options. Return 0 with `*first` on the command, -1 after the help, or the status to exit with. */
static int read_options(int argc, char **argv, struct run *run, int *first)
{
    enum { PINS = 256, REPORT, LOG, LEVEL, JSON, FORCE, HELP };
    static const struct option options[] = {{"pins", required_argument, NULL, PINS}, {"report", no_argument, NULL, REPORT},
        {"log", required_argument, NULL, LOG}, {"log-level", required_argument, NULL, LEVEL}, {"json", no_argument, NULL, JSON},
        {"force", no_argument, NULL, FORCE}, {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "+:q", options, NULL)) != -1) {
        switch (option) {
        case PINS:
            run->pins = optarg;
            break;
        case REPORT:
            run->report = true;
            break;
        case LOG:
            run->log = optarg;
            break;
        case LEVEL:
            run->level = optarg;
            break;
        case JSON:
            run->json = true;
            break;
        case FORCE:
            run->force = true;
            break;
        case 'q':
            run->quiet = true;
            break;
        case HELP:
            (void)fputs(help, stdout);
            return -1;
        default:
            (void)output_bad_option("run", option, argv);
            return LAUNCH_FAILED;
        }
    }
    if (optind == argc) {
        (void)output_bad_usage("run", "run needs a command to start");
        return LAUNCH_FAILED;
    }
    *first = optind;
    return 0;
}

int run_main(int argc, char **argv)
{
    struct run run = {.pins = getenv("PINSHIM_PINS")};
    struct examination examination;
    int first = 0;
    int status = read_options(argc, argv, &run, &first);
    char *pins;

    if (status != 0)
        return status < 0 ? 0 : status;
    pins = launch_absolute(run.pins != NULL ? run.pins : "/etc/pinshim/pins");
    set_environment(&run, pins);
    status = launch_examine(argv + first, run.force, &examination);
    if (status == 0) {
        bool tls_required = false;

        status = LAUNCH_FAILED;
        if (environment_is_good() && pins_are_good(pins, &tls_required)) {
            if (!run.quiet) {
                launch_print_conditions(&examination, tls_required);
                launch_print_steps(&examination, argv + first, tls_required);
            }
            status = launch_exec(&examination, argv + first);
        }
        examination_free(&examination);
    }
    free(pins);
    return status;
}
