/* pinshim prove: runs a program while its connections to pinned targets are led to an impostor, and shows what that got. */

#include "client_file.h"
#include "command.h"
#include "event.h"
#include "impostor.h"
#include "launch.h"
#include "output.h"
#include "pinfile.h"
#include "plaintext.h"
#include "preload.h"
#include "targets.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim prove [OPTION...] [--] CMD [ARGUMENT...]\n"
    "\n"
    "Shows that the pins hold for this very program: runs CMD with the shim, while its\n"
    "TCP connections to pinned targets lead to an impostor on loopback. The impostor\n"
    "has a certificate for the target's name, but another key, and counts the bytes\n"
    "that it gets. CMD does what it always does: it may change files, and its\n"
    "connections to targets without pins are real. What CMD prints on standard output\n"
    "goes to standard error. The table has a line for each target and program:\n"
    "\n"
    "  REFUSED   in the handshake (the shim judged the impostor), before TLS (the guard\n"
    "            did not let the ClientHello out), in plaintext (tls=required did not\n"
    "            let that out), or NO\n"
    "  BYTES     that the impostor got: application data, also in plaintext\n"
    "\n"
    "If a protocol begins in plaintext (STARTTLS), the real server is asked to start\n"
    "TLS; nothing else is passed on to it.\n"
    "\n"
    "  --pins F           the pins file (default: $PINSHIM_PINS, else\n"
    "                     /etc/pinshim/pins)\n"
    "  --ca FILE          the impostor's CA: a certificate that CMD trusts and its\n"
    "                     private key, in PEM. Otherwise it is a throw-away CA, which\n"
    "                     SSL_CERT_FILE, CURL_CA_BUNDLE and the like have CMD trust\n"
    "                     (not if a rule has pkix without a pin)\n"
    "  --timeout SECONDS  end CMD after this time; 60 by default\n"
    "  --json             print one JSON object\n"
    "\n"
    "Not led to the impostor: UDP (QUIC, DTLS), connections without libc (static\n"
    "programs), and programs that CMD starts with a cleared environment.\n"
    "\n"
    "Exit status: 0 every target that CMD connected to refused the impostor, which got\n"
    "nothing; 1 the impostor got something, or a handshake was completed; 2 usage\n"
    "error; 3 nothing was proven: CMD connected to no pinned target, or for one of\n"
    "them the pins were not put to the test; 125 CMD was not started; 126 CMD\n"
    "cannot be executed, 127 it is not found.\n";

#define REDIRECTION "libpinshim-prove.so"

/* Variables that name a file with the CAs that programs trust, instead of their default, or (the last) besides it. */
static const char *const trust[] = {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"};
#define TRUSTS (sizeof(trust) / sizeof(trust[0]))

struct prove {
    const char *pins_path; /* absolute */
    const char *ca; /* NULL: not given */
    unsigned seconds;
    bool json;
    bool unheld; /* CMD is neither judged nor guarded */
    char directory[PATH_MAX];
    char *log;
    char *redirection; /* the object */
    char *bundles[TRUSTS]; /* the impostor's CA, and those that are trusted anyway, by variable; NULL: CMD is not to trust it */
    struct impostor impostor;
};

enum outcome {
    OUTCOME_REFUSED = 0, /* by the shim, in the handshake */
    OUTCOME_GUARDED, /* by the guard */
    OUTCOME_PLAINTEXT, /* for want of TLS */
    OUTCOME_ITSELF, /* by the program: its own verification, or it went away */
    OUTCOME_NO_TLS,
    OUTCOME_LEAKED,
};

static const struct {
    const char *name;
    const char *word; /* in JSON */
    enum tone tone;
} outcomes[] = {
    [OUTCOME_REFUSED] = {"in the handshake", "handshake", TONE_GOOD},
    [OUTCOME_GUARDED] = {"before TLS", "before-tls", TONE_GOOD},
    [OUTCOME_PLAINTEXT] = {"in plaintext", "plaintext", TONE_GOOD},
    [OUTCOME_ITSELF] = {"not by the shim", "not-by-the-shim", TONE_DOUBT},
    [OUTCOME_NO_TLS] = {"never reached TLS", "no-tls", TONE_DOUBT},
    [OUTCOME_LEAKED] = {"NO", "no", TONE_BAD},
};

/* A target that a program connected to. */
struct row {
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    char exe[256];
    char library[64];
    char why[1700];
    enum outcome outcome;
    unsigned times;
    uint64_t bytes;
    struct row *next;
};

/* A line of the shim's log. */
struct said {
    char verdict[16];
    char target[HOST_NAME_MAX_LENGTH * 4 + 16];
    char exe[256];
    char library[64];
    char reason[1600];
    char spki[64];
    char address[64];
    char port[8];
    char pid[16];
    bool used;
    struct said *next;
};

static void member(const char *line, const char *name, char *out, size_t size)
{
    struct text text = text_over(out, size);

    if (!event_member(line, name, &text))
        out[0] = '\0';
}

static struct said *read_log(const struct prove *prove)
{
    FILE *file = fopen(prove->log, "re");
    struct said *list = NULL;
    struct said **end = &list;
    char *line = NULL;
    size_t size = 0;

    while (file != NULL && getline(&line, &size, file) > 0) {
        struct said *said = output_allocate(NULL, sizeof(*said));

        memset(said, 0, sizeof(*said));
        member(line, "verdict", said->verdict, sizeof(said->verdict));
        member(line, "target", said->target, sizeof(said->target));
        member(line, "exe", said->exe, sizeof(said->exe));
        member(line, "library", said->library, sizeof(said->library));
        member(line, "reason", said->reason, sizeof(said->reason));
        member(line, "spki_sha256", said->spki, sizeof(said->spki));
        member(line, "address", said->address, sizeof(said->address));
        member(line, "port", said->port, sizeof(said->port));
        member(line, "pid", said->pid, sizeof(said->pid));
        *end = said;
        end = &said->next;
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return list;
}

static bool is_refusal(const struct said *said)
{
    return strcmp(said->verdict, "refused") == 0;
}

/* Return true if the line is about this connection: the same process and target, or the address that it connected to. */
static bool is_about(const struct said *said, const struct met *met)
{
    char address[64];
    char with_port[80];
    struct text text = text_over(address, sizeof(address));

    host_print_bare(&met->address, &text);
    text = text_over(with_port, sizeof(with_port));
    host_print(&met->address, &text);
    return (pid_t)strtol(said->pid, NULL, 10) == met->pid
        && (strcmp(said->target, met->target) == 0 || strcmp(said->target, with_port) == 0
            || (strcmp(said->address, address) == 0 && text_port(said->port, strlen(said->port)) == met->address.port));
}

/* Return the row of that target and program; there is one from then on. */
static struct row *row_of(struct row **list, const char *target, const char *exe)
{
    struct row *row;

    for (; *list != NULL; list = &(*list)->next) {
        if (strcmp((*list)->target, target) == 0 && strcmp((*list)->exe, exe) == 0)
            return *list;
    }
    row = output_allocate(NULL, sizeof(*row));
    memset(row, 0, sizeof(*row));
    (void)snprintf(row->target, sizeof(row->target), "%s", target);
    (void)snprintf(row->exe, sizeof(row->exe), "%s", exe);
    return *list = row;
}

/* Take over what happened once; the worst counts. */
static void add(struct row *row, enum outcome outcome, const char *library, const char *why)
{
    if (row->times++ == 0 || outcome > row->outcome) {
        row->outcome = outcome;
        (void)snprintf(row->why, sizeof(row->why), "%s", why);
    }
    if (library[0] != '\0')
        (void)snprintf(row->library, sizeof(row->library), "%s", library);
}

/* Take over a refusal of the shim. Plaintext is no library's. */
static void add_refusal(struct row *row, const struct said *refusal)
{
    bool unjudged = strcmp(refusal->library, "unjudged") == 0;
    bool plaintext = unjudged && strstr(refusal->reason, PLAINTEXT_IS_REFUSED) != NULL;

    add(row, plaintext ? OUTCOME_PLAINTEXT : unjudged ? OUTCOME_GUARDED : OUTCOME_REFUSED, plaintext ? "" : refusal->library, refusal->reason);
}

/* What became of one connection, by the impostor and the shim's log. */
static void judge(const struct prove *prove, const struct met *met, struct said *log, struct row **rows)
{
    struct row *row = row_of(rows, met->target, met->exe);
    struct said *refusal = NULL;
    const struct said *other = NULL;
    uint64_t bytes = met->bytes + met->plain;
    char why[1700];
    struct text text = text_over(why, sizeof(why));

    for (struct said *said = log; said != NULL && refusal == NULL; said = said->next) {
        if (!is_about(said, met))
            continue;
        if (!is_refusal(said))
            other = said;
        else if (!said->used && (said->spki[0] == '\0' || impostor_is(&prove->impostor, said->spki)))
            refusal = said;
    }
    if (refusal != NULL)
        refusal->used = true;
    row->bytes += bytes;
    if (bytes > 0 || met->client_cert || (met->stage == STAGE_DONE && refusal == NULL)) {
        text_add(&text, "%s%s%s", met->plain > 0 ? "sent in plaintext" : bytes > 0 ? "sent to the impostor" : "the handshake was completed",
            met->client_cert ? "; sent a client certificate" : "",
            refusal != NULL ? ", although the shim said: "
                : other == NULL ? "; the shim said nothing of it"
                : strcmp(other->verdict, "reported") == 0 ? "; the shim only logs refusals for this target (mode=report, report-until=): "
                                                          : "; the shim said: ");
        text_add(&text, "%s", refusal != NULL ? refusal->reason : other != NULL ? other->reason : "");
        add(row, OUTCOME_LEAKED, refusal != NULL ? refusal->library : other != NULL ? other->library : "", why);
        return;
    }
    if (refusal != NULL) {
        add_refusal(row, refusal);
        return;
    }
    if (met->stage == STAGE_NO_TLS) {
        add(row, OUTCOME_NO_TLS, "", "no TLS was started, so that the pins were not asked; does the program need another option for TLS?");
        return;
    }
    text_add(&text, "the program ended the handshake itself (%s), before the pins were asked%s", met->said,
        prove->ca == NULL ? "; run it without its own list of CAs (as curl's --cacert), or give the impostor a CA that it trusts (--ca)" : "");
    add(row, OUTCOME_ITSELF, "", why);
}

/* What the guard refused before anything came to the impostor, which did not know for whom that was. */
static void add_unmet(struct said *log, struct row **rows)
{
    for (struct said *said = log; said != NULL; said = said->next) {
        if (!is_refusal(said) || said->used)
            continue;
        struct row *row = row_of(rows, said->target, said->exe);

        if (row->times == 0 || row->outcome == OUTCOME_NO_TLS) {
            row->times = 0;
            add_refusal(row, said);
        }
    }
}

static void print_table(const struct row *rows)
{
    static const char *const headings[] = {"TARGET", "PROGRAM", "LIBRARY", "REFUSED", "BYTES", "WHY"};
    struct output_table *table = output_table_new(6, headings, 3);

    for (const struct row *row = rows; row != NULL; row = row->next) {
        char bytes[24];
        char why[sizeof(row->why)];

        /* What the guard advises besides is in the log. */
        (void)snprintf(why, sizeof(why), "%.*s", (int)(row->outcome == OUTCOME_GUARDED ? strcspn(row->why, ";") : strlen(row->why)), row->why);
        (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)row->bytes);
        output_table_add(table, outcomes[row->outcome].tone,
            (const char *const[]) {row->target, program_base(row->exe), row->library, outcomes[row->outcome].name, bytes, why});
    }
    output_table_print(table, stdout);
    output_table_free(table);
}

static void print_json(const struct prove *prove, const struct row *rows, int status)
{
    struct output_json json = {stdout, false};

    output_json_open(&json, NULL, '{');
    output_json_string(&json, "file", prove->pins_path);
    output_json_bool(&json, "proven", status == 0);
    output_json_open(&json, "targets", '[');
    for (const struct row *row = rows; row != NULL; row = row->next) {
        output_json_open(&json, NULL, '{');
        output_json_string(&json, "target", row->target);
        output_json_string(&json, "exe", row->exe);
        if (row->library[0] != '\0')
            output_json_string(&json, "library", row->library);
        else
            output_json_null(&json, "library");
        output_json_string(&json, "refused", outcomes[row->outcome].word);
        output_json_number(&json, "bytes", (long long)row->bytes);
        output_json_number(&json, "connections", row->times);
        output_json_string(&json, "reason", row->why);
        output_json_close(&json, '}');
    }
    output_json_close(&json, ']');
    output_json_close(&json, '}');
    output_json_end(&json);
}

/* Print what was found, and what to do. Return the exit status. */
static int report(const struct prove *prove)
{
    struct said *log = read_log(prove);
    struct row *rows = NULL;
    size_t counts[OUTCOME_LEAKED + 1] = {0};
    size_t all = 0;
    int status;

    for (uint32_t i = 0; i < impostor_count(&prove->impostor); i++) {
        if (prove->impostor.met[i].pinned)
            judge(prove, &prove->impostor.met[i], log, &rows);
    }
    add_unmet(log, &rows);
    for (const struct row *row = rows; row != NULL; row = row->next) {
        counts[row->outcome]++;
        all++;
    }
    status = counts[OUTCOME_LEAKED] > 0 ? 1 : all == 0 || counts[OUTCOME_ITSELF] + counts[OUTCOME_NO_TLS] > 0 ? 3 : 0;
    if (prove->json)
        print_json(prove, rows, status);
    else if (rows != NULL)
        print_table(rows);
    (void)fflush(stdout);
    if (all == 0)
        output_error("nothing was proven: it connected to no target that %s pins%s", prove->pins_path,
            prove->unheld ? ", as far as could be seen; next: see \"pinshim doctor CMD\"" : "; next: see to which it connects, with \"pinshim learn -- CMD\"");
    else if (status == 1)
        output_error("the pins do NOT hold: the impostor got something from %zu of %zu; see WHY, and \"pinshim doctor\" on the program",
            counts[OUTCOME_LEAKED], all);
    else if (status == 3)
        output_error("not proven for %zu of %zu: the pins were not put to the test there; see WHY", counts[OUTCOME_ITSELF] + counts[OUTCOME_NO_TLS], all);
    else
        output_error("proven: the impostor was refused for %zu of %zu pinned targets, and got nothing", all, all);
    while (rows != NULL) {
        struct row *next = rows->next;

        free(rows);
        rows = next;
    }
    while (log != NULL) {
        struct said *next = log->next;

        free(log);
        log = next;
    }
    return status;
}

static void print_fault(void *arg, uint32_t line, uint32_t column, const char *message)
{
    if (line == 0)
        output_error("%s: %s", (const char *)arg, message);
    else
        output_error("%s:%u:%u: %s", (const char *)arg, (unsigned)line, (unsigned)column, message);
}

static struct pins *read_pins(char *path)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .tls = linked_tls(), .beside = path};
    struct pins *pins = pins_load(path, &reader, NULL, print_fault, path);

    if (pins == NULL)
        launch_advise_pins(path);
    return pins;
}

static char *beside(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = output_allocate(NULL, size);

    (void)snprintf(path, size, "%s/%s", directory, name);
    return path;
}

static bool make_directory(struct prove *prove)
{
    const char *parent = getenv("TMPDIR");
    struct text text = text_over(prove->directory, sizeof(prove->directory));

    text_add(&text, "%s/pinshim-prove-XXXXXX", parent != NULL && parent[0] == '/' ? parent : "/tmp");
    if (text.cut || mkdtemp(prove->directory) == NULL) {
        output_error("cannot create a private directory: %s; next: set TMPDIR to a directory that you may write to", strerror(errno));
        return false;
    }
    prove->log = beside(prove->directory, "log");
    /* Other users' programs read the bundle. */
    return chmod(prove->directory, 0711) == 0;
}

/* It is beside the shim. */
static bool find_redirection(struct prove *prove, const char *object)
{
    size_t base = (size_t)(program_base(object) - object);
    size_t size = base + sizeof(REDIRECTION);

    prove->redirection = output_allocate(NULL, size);
    (void)snprintf(prove->redirection, size, "%.*s" REDIRECTION, (int)base, object);
    if (access(prove->redirection, R_OK) == 0)
        return true;
    output_error("%s cannot be read: %s; next: install it with \"make install\"", prove->redirection, strerror(errno));
    return false;
}

static bool append_file(FILE *out, const char *path)
{
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    char buffer[65536];
    size_t got;
    bool any = false;

    while (file != NULL && (got = fread(buffer, 1, sizeof(buffer), file)) > 0)
        any |= fwrite(buffer, 1, got, out) == got;
    if (file != NULL)
        (void)fclose(file);
    return any;
}

/* Return true if some rule has pkix and no pin: it is satisfied by whatever CMD trusts. */
static bool trust_decides(const struct pins *pins)
{
    for (const struct rule *rule = targets_next(pins, NULL); rule != NULL; rule = targets_next(pins, rule)) {
        if (rule->pkix && pins_next_pin(pins, rule, NULL) == NULL)
            return true;
    }
    return false;
}

/* What verifies certificates would refuse the impostor before the pins are asked. So CMD is to trust its CA as well, as far as the environment can say that,
 * for this one run; the CA's key is in this process alone. */
static bool write_bundle(struct prove *prove, size_t index)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    char name[16];
    FILE *file;
    bool good;

    (void)snprintf(name, sizeof(name), "ca-%zu.pem", index);
    prove->bundles[index] = beside(prove->directory, name);
    file = fopen(prove->bundles[index], "we");
    if (file == NULL)
        return false;
    good = append_file(file, getenv(trust[index])) || index + 1 == TRUSTS || append_file(file, X509_get_default_cert_file());
    for (size_t i = 0; !good && i < sizeof(places) / sizeof(places[0]); i++)
        good = append_file(file, places[i]);
    good = PEM_write_X509(file, prove->impostor.ca) == 1;
    return fclose(file) == 0 && good && chmod(prove->bundles[index], 0644) == 0;
}

static bool write_bundles(struct prove *prove)
{
    bool good = true;

    for (size_t i = 0; good && i < TRUSTS; i++)
        good = write_bundle(prove, i);
    return good;
}

static void set_environment(const struct prove *prove)
{
    const char *before = getenv("LD_PRELOAD");
    size_t size = strlen(prove->redirection) + (before != NULL ? strlen(before) : 0) + 2;
    char *preload = output_allocate(NULL, size);
    char port[64];

    (void)snprintf(preload, size, "%s%s%s", prove->redirection, before != NULL ? ":" : "", before != NULL ? before : "");
    launch_set("LD_PRELOAD", preload); /* launch_exec puts the shim before it */
    free(preload);
    (void)snprintf(port, sizeof(port), "%u:%s", (unsigned)prove->impostor.port, prove->impostor.word);
    launch_set("LIBPINSHIM_PROVE", port);
    launch_set("PINSHIM_PINS", prove->pins_path);
    launch_set("PINSHIM_MODE", "enforce");
    launch_set("PINSHIM_LOG", prove->log);
    launch_set("PINSHIM_LOG_FORMAT", "json");
    launch_set("PINSHIM_LOG_LEVEL", "all");
    launch_set("PINSHIM_INHERIT", "force");
    for (size_t i = 0; i < TRUSTS && prove->bundles[i] != NULL; i++)
        launch_set(trust[i], prove->bundles[i]);
}

static volatile sig_atomic_t child;
static volatile sig_atomic_t timed_out;

/* First politely, then not. */
static void on_alarm(int signal)
{
    static volatile sig_atomic_t before;

    timed_out |= signal == SIGALRM && before == 0;
    if (child > 0)
        (void)kill(child, before++ == 0 ? SIGTERM : SIGKILL);
    (void)alarm(3);
}

/* Return CMD's wait status; -1: it was not started. */
static int run_program(const struct prove *prove, const struct examination *examination, char *const *argv)
{
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    int status = 0;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        set_environment(prove);
        _exit(launch_exec(examination, argv));
    }
    if (pid < 0) {
        output_error("\"%s\" cannot be started: %s", argv[0], strerror(errno));
        return -1;
    }
    child = (sig_atomic_t)pid;
    /* A terminal's reaches CMD by itself. */
    (void)signal(SIGINT, SIG_IGN);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)alarm(prove->seconds);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)alarm(0);
    child = 0;
    return status;
}

static int prove_it(struct prove *prove, struct pins *pins, char *const *argv)
{
    struct examination examination;
    char message[400];
    struct text problem = text_over(message, sizeof(message));
    int status = launch_examine(argv, true, &examination);
    int ended;

    if (status != 0)
        return status;
    status = LAUNCH_FAILED;
    prove->impostor.pins = pins;
    prove->unheld = examination_status(&examination) != 0;
    if (!find_redirection(prove, examination.object) || !make_directory(prove))
        goto done;
    if ((prove->ca != NULL && !impostor_read_ca(prove->ca, &prove->impostor, &problem)) || !impostor_start(&prove->impostor, &problem)) {
        output_error("%s%s%s", prove->ca != NULL ? prove->ca : "", prove->ca != NULL ? ": " : "", message);
        goto done;
    }
    if (prove->ca == NULL && !trust_decides(pins) && !write_bundles(prove)) {
        output_error("the impostor's CA cannot be written to %s: %s", prove->directory, strerror(errno));
        goto done;
    }
    ended = run_program(prove, &examination, argv);
    impostor_stop(&prove->impostor);
    if (ended != -1) {
        if (timed_out)
            output_error("%s was ended after %u seconds (--timeout)", argv[0], prove->seconds);
        else if (WIFSIGNALED(ended))
            output_error("%s was ended by signal %d", argv[0], WTERMSIG(ended));
        else if (WEXITSTATUS(ended) == LAUNCH_CANNOT_RUN || WEXITSTATUS(ended) == LAUNCH_NOT_FOUND)
            output_error("%s exited with %d: could it be run?", argv[0], WEXITSTATUS(ended));
        status = report(prove);
    }
done:
    if (prove->log != NULL) {
        for (size_t i = 0; i < TRUSTS && prove->bundles[i] != NULL; i++)
            (void)unlink(prove->bundles[i]);
        (void)unlink(prove->log);
        (void)rmdir(prove->directory);
    }
    for (size_t i = 0; i < TRUSTS; i++)
        free(prove->bundles[i]);
    free(prove->log);
    free(prove->redirection);
    examination_free(&examination);
    return status;
}

int prove_main(int argc, char **argv)
{
    enum { PINS = 256, CA, TIMEOUT, JSON, HELP };
    static const struct option options[] = {{"pins", required_argument, NULL, PINS}, {"ca", required_argument, NULL, CA},
        {"timeout", required_argument, NULL, TIMEOUT}, {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};
    struct prove prove = {.seconds = 60};
    const char *path = targets_default_file();
    struct pins *pins;
    char *absolute;
    int status;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        switch (option) {
        case PINS:
            path = optarg;
            break;
        case CA:
            prove.ca = optarg;
            break;
        case TIMEOUT:
            prove.seconds = text_port(optarg, strlen(optarg));
            break;
        case JSON:
            prove.json = true;
            break;
        case HELP:
            (void)fputs(help, stdout);
            return 0;
        default:
            return output_bad_option("prove", option, argv);
        }
    }
    if (prove.seconds == 0)
        return output_bad_usage("prove", "--timeout expects a number of seconds from 1 to 65535");
    if (optind == argc)
        return output_bad_usage("prove", "prove needs a command to run");
    prove.pins_path = absolute = launch_absolute(path);
    pins = read_pins(absolute);
    status = pins != NULL ? prove_it(&prove, pins, argv + optind) : (int)LAUNCH_FAILED;
    pins_free(pins);
    free(absolute);
    return status;
}
