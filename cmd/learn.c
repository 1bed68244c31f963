/* pinshim learn: runs a program with the shim preloaded, refuses nothing, and writes a pins file for the hosts that it connected to. */

#include "command.h"
#include "event.h"
#include "launch.h"
#include "observed.h"
#include "output.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim learn [-o FILE] [-f] [--force] [--] CMD [ARGUMENT...]\n"
    "\n"
    "Runs CMD with libpinshim.so preloaded, refuses nothing, and writes a pins file\n"
    "for the hosts that CMD and its child processes connected to over TLS. First it\n"
    "examines CMD as \"pinshim doctor\" does. Targets have a port where it is known. A\n"
    "pin that would have refused one of these connections is written as a comment:\n"
    "for example one for an address that also serves a host with another key.\n"
    "\n"
    "The servers are not verified: run this on a network that you trust, and compare\n"
    "the pins with those that the servers' owners give you.\n"
    "\n"
    "  -o FILE     write to FILE, when CMD has ended (default: standard output)\n"
    "  -f          replace FILE; without this, an existing FILE is an error, and CMD\n"
    "              is not started\n"
    "  --force     run CMD even if it is neither judged nor guarded\n"
    "  --help      print this\n"
    "\n"
    "Connections are missed that processes make after CMD has ended, or after they\n"
    "have changed their user or root directory: only the user who runs learn can\n"
    "write to its log.\n"
    "\n"
    "Exit status: CMD's, or 128 + N if signal N ended it; 125 if CMD was not started,\n"
    "or if it exited with 0 but nothing was learnt or written; 126 if CMD cannot be\n"
    "executed, 127 if it is not found.\n";

struct learn {
    const char *file; /* NULL: standard output */
    bool replace;
    bool force;
    char directory[PATH_MAX]; /* a private one, for the two files below */
    char *pins;
    char *log;
};

/* A host that the program connected to, with one of the keys that it presented. */
struct learnt {
    struct host host;
    char target[600]; /* as the log has it */
    bool unknown; /* nothing identified it */
    char spki[64];
    char subject[400];
    char issuer[400];
    char issuer_spki[64];
    char not_after[40];
    char tls[40];
    bool several; /* other connections to the host used other ports */
    bool left_out; /* written as a comment: its pin would have refused a connection */
    struct learnt *next;
};

/* A host that was reached by TLS that cannot be judged. */
struct unjudged {
    char target[600];
    char exe[300];
    struct unjudged *next;
};

static volatile sig_atomic_t child;

/* Signals from a terminal go to the program as well; those sent to this process alone are passed on. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if (info->si_code <= 0 && child > 0)
        (void)kill(child, signal);
    errno = saved;
}

static void pass_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction before;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        /* A signal that is ignored here (nohup) stays ignored, as it is in the program. */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
}

static char *beside(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = output_allocate(NULL, size);
    struct text text = text_over(path, size);

    text_add(&text, "%s/%s", directory, name);
    return path;
}

/* With a rule that allows everything, no connection is changed, and each is logged with its key. */
static bool prepare(struct learn *learn)
{
    const char *parent = getenv("TMPDIR");
    struct text text = text_over(learn->directory, sizeof(learn->directory));
    FILE *file;
    bool good;

    text_add(&text, "%s/pinshim-learn-XXXXXX", parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (text.cut || mkdtemp(learn->directory) == NULL) {
        output_error("cannot create a private directory in %s: %s; next: set TMPDIR to a directory that you may write to",
            parent != NULL && parent[0] == '/' ? parent : "/tmp", strerror(errno));
        return false;
    }
    learn->pins = beside(learn->directory, "pins");
    learn->log = beside(learn->directory, "log");
    file = fopen(learn->pins, "we");
    good = file != NULL && fputs("* allow\n", file) >= 0;
    if (file != NULL)
        good = fclose(file) == 0 && good;
    if (good && chmod(learn->pins, 0600) == 0)
        return true;
    output_error("%s cannot be written: %s; next: free some space there, or set TMPDIR to another directory", learn->pins, strerror(errno));
    return false;
}

static void clean_up(struct learn *learn)
{
    if (learn->log != NULL) {
        (void)unlink(learn->log);
        (void)unlink(learn->pins);
        (void)rmdir(learn->directory);
    }
    free(learn->log);
    free(learn->pins);
    learn->log = learn->pins = NULL;
}

static void set_environment(const struct learn *learn)
{
    launch_set("PINSHIM_PINS", learn->pins);
    launch_set("PINSHIM_MODE", "report");
    launch_set("PINSHIM_LOG", learn->log);
    launch_set("PINSHIM_LOG_FORMAT", "json");
    launch_set("PINSHIM_LOG_LEVEL", "debug");
    launch_inherit(); /* what run holds is learnt */
}

/* Run the program to its end. Return its exit status as a shell has it, or one of enum launch_status. */
static int run_program(const struct learn *learn, const struct examination *examination, char *const *argv)
{
    int status = 0;
    sigset_t all;
    sigset_t before;
    pid_t pid;

    /* No signal may come between the fork and the child's number. */
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid = fork();
    if (pid == 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        set_environment(learn);
        _exit(launch_exec(examination, argv));
    }
    child = (sig_atomic_t)pid;
    pass_signals();
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        output_error("\"%s\" cannot be started: %s", argv[0], strerror(errno));
        return LAUNCH_FAILED;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool member(const char *line, const char *name, char *out, size_t size)
{
    struct text text = text_over(out, size);

    return event_member(line, name, &text);
}

static bool same_host(const struct host *a, const struct host *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0
        && (a->kind != HOST_ADDRESS || memcmp(a->address, b->address, sizeof(a->address)) == 0);
}

/* Handle a line about TLS that cannot be judged: there is no key. Return false if it is about other TLS. */
static bool note_unjudged(const char *line, struct unjudged **list)
{
    struct unjudged *unjudged;
    char library[32];

    if (!member(line, "library", library, sizeof(library)) || strcmp(library, "unjudged") != 0)
        return false;
    unjudged = output_allocate(NULL, sizeof(*unjudged));
    memset(unjudged, 0, sizeof(*unjudged));
    (void)member(line, "target", unjudged->target, sizeof(unjudged->target));
    (void)member(line, "exe", unjudged->exe, sizeof(unjudged->exe));
    for (; *list != NULL; list = &(*list)->next) {
        if (strcmp((*list)->target, unjudged->target) == 0 && strcmp((*list)->exe, unjudged->exe) == 0) {
            free(unjudged);
            return true;
        }
    }
    *list = unjudged;
    return true;
}

/* Handle one line of the log. */
static void learn_line(const char *line, struct learnt **list, struct observed **seen, struct unjudged **unjudged)
{
    struct learnt *learnt = output_allocate(NULL, sizeof(*learnt));
    const struct observed *observed;
    static char last_fault[1024]; /* many processes may report one */
    char verdict[16];

    memset(learnt, 0, sizeof(*learnt));
    if (!member(line, "verdict", verdict, sizeof(verdict)))
        goto skip;
    if (strcmp(verdict, "fault") == 0 || strcmp(verdict, "notice") == 0) {
        char reason[1024];

        if (member(line, "reason", reason, sizeof(reason)) && strcmp(reason, last_fault) != 0) {
            output_error("the shim reported: %s", reason);
            strcpy(last_fault, reason); /* fits: of one size */
        }
        goto skip;
    }
    if (!member(line, "target", learnt->target, sizeof(learnt->target)) || note_unjudged(line, unjudged))
        goto skip;
    observed = observed_add(seen, line, learnt->target);
    learnt->host = observed->host;
    learnt->unknown = !observed->unreadable && strcmp(learnt->target, "unknown target") == 0;
    /* An address is compared as such, whatever its spelling. */
    if (learnt->host.kind == HOST_ADDRESS)
        learnt->host.name[0] = '\0';
    (void)member(line, "spki_sha256", learnt->spki, sizeof(learnt->spki));
    (void)member(line, "subject", learnt->subject, sizeof(learnt->subject));
    (void)member(line, "issuer", learnt->issuer, sizeof(learnt->issuer));
    (void)member(line, "issuer_spki_sha256", learnt->issuer_spki, sizeof(learnt->issuer_spki));
    (void)member(line, "not_after", learnt->not_after, sizeof(learnt->not_after));
    (void)member(line, "tls", learnt->tls, sizeof(learnt->tls));
    for (; *list != NULL; list = &(*list)->next) {
        if (!same_host(&(*list)->host, &learnt->host) || (*list)->host.port != learnt->host.port
            || strcmp((*list)->spki, learnt->spki) != 0)
            continue;
        /* A resumed session does not have its issuer. */
        if ((*list)->issuer_spki[0] == '\0')
            memcpy((*list)->issuer_spki, learnt->issuer_spki, sizeof(learnt->issuer_spki));
        goto skip;
    }
    *list = learnt;
    return;
skip:
    free(learnt);
}

/* Where several ports of a host showed one key, others may be used the next time (FTP's data connections): its rules are for every port, and so are those
 * for other keys at these ports. */
static void join_ports(struct learnt *list)
{
    for (struct learnt *one = list; one != NULL; one = one->next) {
        for (struct learnt *other = list; other != NULL; other = other->next) {
            if (same_host(&one->host, &other->host) && one->host.port != 0 && other->host.port != 0 && one->host.port != other->host.port
                && strcmp(one->spki, other->spki) == 0)
                one->several = true;
        }
    }
    for (struct learnt *one = list; one != NULL; one = one->next) {
        for (struct learnt *other = list; one->several && other != NULL; other = other->next)
            other->several |= same_host(&one->host, &other->host) && one->host.port == other->host.port;
    }
    for (struct learnt *one = list; one != NULL; one = one->next)
        one->host.port = one->several ? 0 : one->host.port;
    for (struct learnt *one = list; one != NULL; one = one->next) {
        for (struct learnt **at = &one->next; *at != NULL;) {
            struct learnt *other = *at;

            if (!one->several || !same_host(&one->host, &other->host) || other->host.port != 0 || strcmp(one->spki, other->spki) != 0) {
                at = &other->next;
                continue;
            }
            if (one->issuer_spki[0] == '\0')
                memcpy(one->issuer_spki, other->issuer_spki, sizeof(one->issuer_spki));
            *at = other->next;
            free(other);
        }
    }
}

static struct learnt *read_log(const struct learn *learn, struct observed **seen, struct unjudged **unjudged)
{
    FILE *file = fopen(learn->log, "re");
    struct learnt *list = NULL;
    char *line = NULL;
    size_t size = 0;

    if (file == NULL)
        return NULL;
    while (getline(&line, &size, file) > 0)
        learn_line(line, &list, seen, unjudged);
    free(line);
    (void)fclose(file);
    join_ports(list);
    return list;
}

static void free_learnt(struct learnt *list)
{
    while (list != NULL) {
        struct learnt *next = list->next;

        free(list);
        list = next;
    }
}

static void ignore(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    (void)line;
    (void)column;
    (void)message;
}

static bool is_accepted(const char *rules)
{
    struct pins *pins = pins_parse(rules, strlen(rules), NULL, ignore, NULL);
    bool good = pins != NULL;

    pins_free(pins);
    return good;
}

/* The target of a rule for it: @unknown if nothing identified it. */
static void put_target(const struct learnt *learnt, struct text *out)
{
    if (learnt->unknown)
        text_add(out, "@unknown");
    else
        host_print(&learnt->host, out);
}

/* Return true if the target and the key make a rule, and write it to `line`. What the program gave as a name and is none makes none, whatever a pins file
 * would read it as. */
static bool make_rule(const struct learnt *learnt, const char *target, char *line, size_t size)
{
    struct text text = text_over(line, size);

    text_add(&text, "%-30s spki-sha256:%s", target, learnt->spki);
    return learnt->spki[0] != '\0' && (learnt->unknown || learnt->host.kind != HOST_UNREADABLE) && is_accepted(line);
}

/* Print the line for one host and key. Return true if it was a rule. */
static bool print_learnt(const struct learnt *learnt, FILE *out)
{
    char target[400];
    char line[600];
    struct text text = text_over(target, sizeof(target));
    bool rule;

    put_target(learnt, &text);
    rule = make_rule(learnt, target, line, sizeof(line));
    (void)fprintf(out, "\n# %s%s%s\n", learnt->target, learnt->tls[0] != '\0' ? ", " : "", learnt->tls);
    if (learnt->spki[0] == '\0') {
        (void)fprintf(out, "#   presented neither a certificate nor a key: there is nothing to pin\n");
        return false;
    }
    if (learnt->subject[0] != '\0')
        (void)fprintf(out, "#   subject  %s\n", learnt->subject);
    if (learnt->issuer[0] != '\0')
        (void)fprintf(out, "#   issuer   %s\n", learnt->issuer);
    if (learnt->not_after[0] != '\0')
        (void)fprintf(out, "#   expires  %s\n", learnt->not_after);
    if (!rule) {
        (void)fprintf(out, "#   cannot be the target of a rule; its pin is spki-sha256:%s\n", learnt->spki);
        return false;
    }
    if (learnt->unknown)
        (void)fprintf(out, "#   The program gave its TLS library neither a name nor an address: the rule applies to every such connection.\n");
    else if (learnt->host.kind == HOST_ADDRESS)
        (void)fprintf(out, "#   The program gave its TLS library no name. A rule for a name that it resolves to this address applies as well.\n");
    if (learnt->several)
        (void)fprintf(out, "#   Several ports of this host were used: the rule applies to every port.\n");
    else if (learnt->host.port == 0 && learnt->host.kind != HOST_UNREADABLE)
        (void)fprintf(out, "#   The port is not known, or was a proxy's: the rule applies to every port.\n");
    if (learnt->left_out) {
        (void)fprintf(out, "#   A comment, because it would have refused a connection that was seen:\n#%s\n", line);
        return false;
    }
    (void)fprintf(out, "%s\n", line);
    if (learnt->issuer_spki[0] != '\0')
        (void)fprintf(out, "#%-29s ca-sha256:%s   # possible backup: accepts any certificate of this issuer for the name\n", target,
            learnt->issuer_spki);
    return true;
}

/* The rules without comments: line N is that of the Nth on the list. NULL: there is none. */
static struct pins *pins_of(const struct learnt *list)
{
    char *rules = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&rules, &length);
    struct pins *pins = NULL;

    if (out == NULL)
        return NULL;
    for (const struct learnt *learnt = list; learnt != NULL; learnt = learnt->next) {
        char target[400];
        char line[600];
        struct text text = text_over(target, sizeof(target));

        put_target(learnt, &text);
        (void)fprintf(out, "%s\n", !learnt->left_out && make_rule(learnt, target, line, sizeof(line)) ? line : "#");
    }
    if (fclose(out) == 0)
        pins = pins_parse(rules, length, NULL, ignore, NULL);
    free(rules);
    return pins;
}

static void leave_out_line(struct learnt *list, uint32_t line, const struct observed *refused)
{
    char target[400];
    char other[400];
    struct text text = text_over(target, sizeof(target));

    while (list != NULL && --line > 0)
        list = list->next;
    if (list == NULL || list->left_out)
        return;
    list->left_out = true;
    put_target(list, &text);
    text = text_over(other, sizeof(other));
    host_print(&refused->host, &text);
    output_error("%s is written as a comment: its pin would have refused a connection to %s", target, other);
}

/* Turn the lines that decided into comments. */
static void leave_out(struct learnt *list, const struct pins *pins, const struct judgement *judgement, const struct observed *refused)
{
    for (const struct rule *rule = judgement->rules.first; rule != NULL; rule = pins_next_rule(pins, judgement->rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin))
            leave_out_line(list, pin->line, refused);
    }
}

/* Judge the connections by the pins that were learnt from them, those with a name first: a rule for an address may refuse one. Return true
 * if a line was left out: then they must be judged again. */
static bool judge_observed(const struct observed *observed, struct learnt *list, bool tell)
{
    struct pins *pins = pins_of(list);
    bool again = false;

    for (int named = 1; pins != NULL && named >= 0 && !again; named--) {
        for (const struct observed *one = observed; one != NULL && !again; one = one->next) {
            struct judgement judgement;
            char buffer[1024];
            struct text reason = text_over(buffer, sizeof(buffer));

            if (observed_is_named(one) != (named == 1))
                continue;
            observed_judge(one, pins, &judgement);
            if (judgement.verdict == VERDICT_ACCEPT)
                continue;
            again = judgement.rules.first != NULL;
            if (again) {
                leave_out(list, pins, &judgement, one);
            } else if (tell) {
                policy_print_reason(pins, "the file", &judgement, &reason);
                output_error("these pins refuse a connection that was seen: %s", buffer);
            }
        }
    }
    pins_free(pins);
    return again;
}

/* Put the pins file together, for the caller to free. Return the number of its rules. */
static size_t compose(const struct learnt *list, const struct unjudged *unjudged, const char *command, char **whole)
{
    size_t length = 0;
    size_t rules = 0;
    FILE *out = open_memstream(whole, &length);
    time_t now = time(NULL);
    struct tm utc;
    char when[40] = "";
    char shown[1300];
    struct text text = text_over(shown, sizeof(shown));

    if (out == NULL)
        return 0;
    if (gmtime_r(&now, &utc) != NULL)
        (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &utc);
    (void)fprintf(out, "# Written by pinshim learn, %s.\n", when);
    text_add_escaped(&text, program_base(command), strlen(program_base(command)), 300);
    (void)fprintf(out, "# Learnt from: %s\n", shown); /* Its arguments may be passwords. */
    (void)fprintf(out, "#\n"
                       "# The servers were not verified: compare each pin with the one that the server's owner gives you.\n"
                       "# Then add a backup pin for each host: one more line with the pin of a key that is kept offline (\"pinshim pin\n"
                       "# --into FILE --for TARGET KEY\" adds it; TARGET as it stands here, with the port). A server that is not yours: its issuer's pin, which follows as a comment where it is known, accepts its next key as well;\n"
                       "# or add expires=YYYY-MM-DD, and fetch the next pin, from two networks, before that day.\n"
                       "# To refuse all other hosts, add the line:  * deny\n");
    for (const struct learnt *learnt = list; learnt != NULL; learnt = learnt->next)
        rules += print_learnt(learnt, out) ? 1 : 0;
    for (; unjudged != NULL; unjudged = unjudged->next)
        (void)fprintf(out, "\n# %s\n#   was reached by TLS that cannot be judged, of %s: there is no pin. With a rule for it, that program is refused.\n",
            unjudged->target, program_base(unjudged->exe));
    if (fclose(out) != 0)
        return 0;
    return rules;
}

/* Write FILE completely or not at all. */
static bool write_file(const struct learn *learn, const char *whole)
{
    mode_t mask = umask(0);
    bool placed;

    (void)umask(mask);
    placed = output_file(learn->file, whole, strlen(whole), 0644 & ~mask, learn->replace);
    if (!placed)
        output_error("%s cannot be written: %s; next: give another file with -o; the pins follow on standard output", learn->file,
            strerror(errno));
    return placed;
}

/* Return true if FILE can be written later, as far as can be determined now. */
static bool try_file(const struct learn *learn)
{
    size_t size = strlen(learn->file) + 8;
    char *temporary = output_allocate(NULL, size);
    struct text text = text_over(temporary, size);
    int fd;

    text_add(&text, "%s.XXXXXX", learn->file);
    fd = mkstemp(temporary);
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(temporary);
    } else {
        output_error("%s cannot be written: %s; next: give another file with -o, or create its directory", learn->file, strerror(errno));
    }
    free(temporary);
    return fd >= 0;
}

/* Write what was learnt. Return true if there was anything. */
static bool report(const struct learn *learn, char *const *argv)
{
    struct observed *seen = NULL;
    struct unjudged *unjudged = NULL;
    struct learnt *list = read_log(learn, &seen, &unjudged);
    char *whole = NULL;
    char shown[4096];
    struct text command = text_over(shown, sizeof(shown));
    size_t rules;
    bool good;

    program_print(argv, &command);
    while (judge_observed(seen, list, false))
        ;
    (void)judge_observed(seen, list, true);
    rules = compose(list, unjudged, argv[0], &whole);
    for (const struct unjudged *one = unjudged; one != NULL; one = one->next)
        output_error("%s was reached by TLS that cannot be judged, of %s: there is no pin for it", one->target, program_base(one->exe));
    good = rules > 0 && whole != NULL && is_accepted(whole);
    if (!good) {
        output_error("%s; nothing is written", list == NULL && unjudged != NULL ? "no TLS that can be judged was seen" : list == NULL ? "no TLS connection was seen"
                                                            : "no server presented a key or certificate to pin");
        output_error("next: make the command connect; \"pinshim doctor %s\" reports whether it is judged", shown);
    } else if (learn->file == NULL || !write_file(learn, whole)) {
        good = learn->file == NULL;
        (void)fputs(whole, stdout);
        good = fflush(stdout) == 0 && good; /* main() prints a message */
    } else {
        output_error("%zu pin%s written to %s; next: compare them, add backup pins (pinshim pin --into %s --for TARGET KEY), then \"pinshim run --pins %s -- %s\"", rules,
            rules == 1 ? "" : "s", learn->file, learn->file, learn->file, shown);
    }
    free(whole);
    free_learnt(list);
    observed_free(seen);
    while (unjudged != NULL) {
        struct unjudged *next = unjudged->next;

        free(unjudged);
        unjudged = next;
    }
    return good;
}

/* Read the options. Return 0 with `*first` on the command, -1 after the help, or the status to exit with. */
static int read_options(int argc, char **argv, struct learn *learn, int *first)
{
    enum { FORCE = 256, HELP };
    static const struct option options[] = {
        {"force", no_argument, NULL, FORCE}, {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "+:o:f", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            learn->file = strcmp(optarg, "-") == 0 ? NULL : optarg;
            break;
        case 'f':
            learn->replace = true;
            break;
        case FORCE:
            learn->force = true;
            break;
        case HELP:
            (void)fputs(help, stdout);
            return -1;
        default:
            (void)output_bad_option("learn", option, argv);
            return LAUNCH_FAILED;
        }
    }
    if (optind == argc) {
        (void)output_bad_usage("learn", "learn needs a command to run");
        return LAUNCH_FAILED;
    }
    *first = optind;
    return 0;
}

int learn_main(int argc, char **argv)
{
    struct learn learn = {.file = NULL};
    struct examination examination;
    struct stat there;
    int first = 0;
    int status = read_options(argc, argv, &learn, &first);

    if (status != 0)
        return status < 0 ? 0 : status;
    if (learn.file != NULL && !learn.replace && lstat(learn.file, &there) == 0) {
        output_error("%s exists and is not replaced; next: give another file, or add -f", learn.file);
        return LAUNCH_FAILED;
    }
    if (learn.file != NULL && !try_file(&learn))
        return LAUNCH_FAILED;
    status = launch_examine(argv + first, learn.force, &examination);
    if (status != 0)
        return status;
    launch_print_conditions(&examination, true);
    if (prepare(&learn)) {
        status = run_program(&learn, &examination, argv + first);
        if (status != 0)
            output_error("%s ended with %d: the pins may be incomplete", argv[first], status);
        if (!report(&learn, argv + first) && status == 0)
            status = LAUNCH_FAILED;
    } else {
        status = LAUNCH_FAILED;
    }
    clean_up(&learn);
    examination_free(&examination);
    return status;
}
