#include "command.h"

#include "certs.h"
#include "client_file.h"
#include "dial.h"
#include "objects.h"
#include "output.h"
#include "peer.h"
#include "pinfile.h"
#include "report.h"
#include "targets.h"
#include "workers.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PARALLEL 32
#define DEFAULT_PORT 443

static const char help[] =
    "usage: pinshim check [OPTION...] [FILE [HOST[:PORT]...]]\n"
    "\n"
    "Connects to each name and address that has a rule in the pins file FILE, or to\n"
    "the HOSTs, at all addresses and for both kinds of keys (RSA, EC), and reports\n"
    "whether the shim (libpinshim.so) would accept the server, and which pin matches.\n"
    "The default port is 443. Targets with a * are checked only for the HOSTs given.\n"
    "The default FILE is $PINSHIM_PINS, else /etc/pinshim/pins.\n"
    "\n"
    "  --next FILE           also report whether a server with this certificate (and\n"
    "                        its issuers, if FILE has them), certificate request or\n"
    "                        key would be accepted: for the targets that it names,\n"
    "                        or for all if it names none of them\n"
    "  --json                print one JSON object\n"
    "  --prometheus          print metrics for Prometheus: days to expiry, pins that\n"
    "                        match, and backup pins, of each target\n"
    "  --starttls PROTOCOL   the protocol before TLS; by default, by the port:\n"
    "                        smtp, imap, pop3, ftp, sieve, nntp, postgres, mysql,\n"
    "                        ldap, xmpp or none\n"
    "  --timeout SECONDS     for each server; 10 by default\n"
    "\n"
    "Exit status: 0 all would be accepted; 1 a server would not be accepted or could\n"
    "not be reached, or the pins file is faulty; 2 usage error or nothing to check.\n";

enum answer_kind {
    ANSWER_FAILED = 0, /* the server could not be reached */
    ANSWER_REFUSED,
    ANSWER_REPORTED, /* refused, but mode=report or report-until lets it continue */
    ANSWER_UNPINNED, /* there is no rule */
    ANSWER_UNKNOWN, /* --next does not give enough to decide */
    ANSWER_ACCEPTED,
    ANSWER_NOT_ASKED,
};

static const struct {
    const char *name;
    enum tone tone;
} answers[] = {
    [ANSWER_FAILED] = {"failed", TONE_BAD},
    [ANSWER_REFUSED] = {"refused", TONE_BAD},
    [ANSWER_REPORTED] = {"reported", TONE_DOUBT},
    [ANSWER_UNPINNED] = {"unpinned", TONE_BAD},
    [ANSWER_UNKNOWN] = {"unknown", TONE_DOUBT},
    [ANSWER_ACCEPTED] = {"accepted", TONE_GOOD},
    [ANSWER_NOT_ASKED] = {"-", TONE_PLAIN},
};

struct answer {
    enum answer_kind kind;
    enum reason because;
    char reason[1800];
    char rule[400];
    char matched[160];
    unsigned matching; /* pins of the rules that the server satisfies */
    unsigned backups; /* the others, that have not expired */
};

#define VIEWS 8

/* What a server shows at one of its addresses, with one of its keys. In memory that a child shares with the parent. */
struct result {
    const char *volatile stage; /* these three: of the first view */
    volatile size_t views; /* 0: it was not reached */
    char trying[64]; /* the address */
    char unchecked[700]; /* what could not be checked beside it */
    struct answer now;
    struct answer next;
    char address[64];
    char tls[16];
    struct peer_text peer;
};

struct row {
    char *target;
    struct host host;
    const char *skipped; /* why it is not checked; NULL: it is */
    bool next; /* --next is checked for it */
};

struct check {
    const char *path;
    struct pins *pins;
    struct row *rows;
    size_t count;
    struct result *results; /* VIEWS for each row */
    size_t *jobs; /* the rows that are checked */
    size_t job_count;
    size_t finished;
    const char *next_path; /* NULL: not given */
    struct objects next;
    const char *protocol;
    unsigned seconds;
};

static bool no_resolved_names(const struct target *target, uintptr_t *cursor, struct host *out)
{
    (void)target;
    (void)cursor;
    (void)out;
    return false;
}

/* The target of a program that connects to the host. `address`: the one that was connected to; HOST_UNREADABLE: not known. */
static void mean(const struct host *host, const struct host *address, struct target *out)
{
    memset(out, 0, sizeof(*out));
    out->named = host->kind == HOST_NAME;
    (void)target_add(out, host);
    if (address->kind == HOST_ADDRESS && target_add(out, address) != NULL)
        out->next_resolved = no_resolved_names;
}

static enum answer_kind kind_of(const struct judgement *judgement)
{
    if (judgement->verdict != VERDICT_ACCEPT)
        return judgement->report ? ANSWER_REPORTED : ANSWER_REFUSED;
    /* "* allow" says no more of it than no rule. */
    return judgement->reason == REASON_NO_RULE || (judgement->reason == REASON_ALLOW && targets_are_any(judgement->rule)) ? ANSWER_UNPINNED
                                                                                                                         : ANSWER_ACCEPTED;
}

/* A key alone does not show whether a certificate with it will satisfy pkix, a cert- pin or a ca- pin. */
static const char *needs_certificate(const struct check *check, const struct judgement *judgement)
{
    const struct rules rules = judgement->rules;

    if (judgement->reason == REASON_UNTRUSTED)
        return "pkix requires a certificate, not only a key; give the certificate";
    for (const struct rule *rule = judgement->reason == REASON_NO_MATCH ? rules.first : NULL; rule != NULL;
         rule = pins_next_rule(check->pins, rules, rule)) {
        for (const struct pin *pin = pins_next_pin(check->pins, rule, NULL); pin != NULL; pin = pins_next_pin(check->pins, rule, pin)) {
            if (pin->kind != PIN_SPKI)
                return "its key is not pinned, and the other pins need a certificate; give the certificate";
        }
    }
    return NULL;
}

/* What is open, and until when. */
static void print_end(const struct pins *pins, const struct rule *rule, struct text *out)
{
    if (rule == NULL || !pins_only_report(pins, rule))
        return;
    text_add(out, "; refusals are only logged");
    if (rule->report_until == REPORT_ALWAYS)
        return;
    text_add(out, " until ");
    text_add_date(out, rule->report_until);
}

/* Pins of a CA match by a path, of which the judgement knows one. */
static void count_pins(const struct pins *pins, const struct judgement *judgement, const struct peer *peer, struct answer *out)
{
    const struct rules rules = judgement->rules;

    out->matching = out->backups = 0;
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            bool matches = pin == judgement->matched || (peer->known[pin->kind][pin->digest]
                && memcmp(peer->digests[pin->kind][pin->digest], pins_digest(pins, pin), digest_size((enum digest)pin->digest)) == 0);

            if (pin->expires != 0 && pin->expires <= peer->today)
                continue;
            out->matching += matches;
            out->backups += !matches;
        }
    }
}

static void judge(const struct check *check, const struct host *host, const struct host *address, const struct presented *presented,
    struct answer *out)
{
    struct target target;
    struct evidence evidence;
    struct judgement judgement;
    struct text text;
    const char *missing = NULL;

    mean(host, address, &target);
    peer_read(linked_tls(), check->pins, presented, &evidence);
    if (presented->leaf == NULL)
        evidence.peer.path = NULL;
    policy_judge(check->pins, &target, &evidence.peer, &judgement);
    peer_forget(&evidence);
    ERR_clear_error();
    out->kind = kind_of(&judgement);
    out->because = judgement.reason;
    if (presented->leaf == NULL && out->kind != ANSWER_ACCEPTED)
        missing = needs_certificate(check, &judgement);
    text = text_over(out->reason, sizeof(out->reason));
    if (missing != NULL) {
        out->kind = ANSWER_UNKNOWN;
        text_add(&text, "%s", missing);
    } else if (out->kind == ANSWER_UNPINNED && judgement.reason == REASON_ALLOW) {
        text_add(&text, "only ");
        policy_print_rule(check->path, &judgement, &text);
        text_add(&text, " applies, which allows every host; is it spelled right?");
    } else if (out->kind == ANSWER_UNPINNED) {
        text_add(&text, "the file has no rule for this host and port; is it spelled right?");
    } else {
        policy_print_reason(check->pins, check->path, &judgement, &text);
        report_mistake(linked_tls(), presented, check->pins, &judgement, &text);
        print_end(check->pins, judgement.rule, &text);
    }
    count_pins(check->pins, &judgement, &evidence.peer, out);
    text = text_over(out->rule, sizeof(out->rule));
    policy_print_rule(check->path, &judgement, &text);
    text = text_over(out->matched, sizeof(out->matched));
    if (judgement.matched != NULL)
        pins_print_pin(check->pins, judgement.matched, &text);
}

/* Judge the object of --next. `sent` are the certificates that the server sends now: the renewed one may have the same issuers. */
static void judge_next(const struct check *check, const struct row *row, const struct host *address, const STACK_OF(X509) * sent,
    struct answer *out)
{
    const struct object *leaf = objects_find(&check->next, OBJECT_CERTIFICATE);
    const struct object *request = objects_find(&check->next, OBJECT_REQUEST);
    const struct object *key = objects_find(&check->next, OBJECT_KEY);
    STACK_OF(X509) *beside = sk_X509_new_null();
    struct presented presented = {.leaf = NULL};

    out->kind = ANSWER_NOT_ASKED;
    if (row->next && beside != NULL) {
        for (size_t i = 0; i < check->next.count; i++) {
            if (check->next.at[i].certificate != NULL)
                (void)sk_X509_push(beside, check->next.at[i].certificate);
        }
        presented.sent = (const void *)beside;
        presented.verified = (const void *)sent;
        if (leaf != NULL)
            presented.leaf = certs_from(leaf->certificate);
        else
            presented.raw_key = certs_from_key(request != NULL ? X509_REQ_get0_pubkey(request->request) : key->key);
        judge(check, &row->host, address, &presented, out);
    }
    sk_X509_free(beside);
}

static struct result *view_of(const struct check *check, size_t row, size_t view)
{
    return &check->results[row * VIEWS + view];
}

/* Return the number of lines that a row has. */
static size_t lines_of(const struct check *check, size_t row)
{
    return view_of(check, row, 0)->views > 1 ? view_of(check, row, 0)->views : 1;
}

/* Judge what the server has shown, unless it was the same before. */
static void add_view(const struct check *check, size_t at, const struct dialled *dialled)
{
    const struct row *row = &check->rows[at];
    struct result *first = view_of(check, at, 0);
    struct result *result = view_of(check, at, first->views);
    struct presented presented = {.leaf = certs_from(sk_X509_value(dialled->chain, 0)), .sent = (const void *)dialled->chain};
    struct text text = text_over(result->address, sizeof(result->address));

    dial_print_address(&dialled->address, &text);
    text = text_over(result->tls, sizeof(result->tls));
    text_add(&text, "%s", SSL_get_version(dialled->ssl));
    peer_show(linked_tls(), &presented, &result->peer);
    judge_next(check, row, &dialled->address, dialled->chain, &result->next);
    judge(check, &row->host, &dialled->address, &presented, &result->now);
    for (size_t i = 0; i < first->views; i++) {
        const struct result *other = view_of(check, at, i);

        if (strcmp(other->peer.cert, result->peer.cert) == 0 && other->now.kind == result->now.kind && other->next.kind == result->next.kind)
            return;
    }
    first->views++;
}

/* What was not checked, beside what was. */
static void add_unchecked(struct result *result, const char *problem)
{
    size_t length = strlen(result->unchecked);
    struct text text = text_over(result->unchecked + length, sizeof(result->unchecked) - length);

    text_add(&text, "; not checked at %s: %s", result->trying, problem);
    if (result->views == 0)
        (void)snprintf(result->now.reason, sizeof(result->now.reason), "%s", problem);
}

/* At one address, with both kinds of key. */
static void check_address(const struct check *check, size_t at, const struct host *address, bool guessed, unsigned milliseconds)
{
    const struct row *row = &check->rows[at];
    struct result *first = view_of(check, at, 0);
    struct text text = text_over(first->trying, sizeof(first->trying));
    char problem[1000];
    struct dialled dialled;
    enum dial_key other;

    dial_print_address(address, &text);
    text = text_over(problem, sizeof(problem));
    if (!dial(&row->host, address, DIAL_ANY, check->protocol, milliseconds, &first->stage, &dialled, &text)) {
        /* Where there is no way to such addresses, programs do not reach them either; and few servers use both of loopback's. */
        if (dialled.nowhere || guessed || host_is_loopback(address))
            (void)snprintf(first->now.reason, first->views > 0 ? 0 : sizeof(first->now.reason), "%s", problem);
        else
            add_unchecked(first, problem);
        return;
    }
    (void)alarm(0);
    add_view(check, at, &dialled);
    other = dial_other_key(&dialled);
    dial_close(&dialled);
    (void)alarm(check->seconds);
    if (other == DIAL_ANY || first->views == VIEWS || !dial(&row->host, address, other, check->protocol, milliseconds, &first->stage, &dialled, &text))
        return;
    (void)alarm(0);
    add_view(check, at, &dialled);
    dial_close(&dialled);
}

/* In a child. */
static int check_server(void *arg, size_t job)
{
    const struct check *check = arg;
    size_t at = check->jobs[job];
    struct result *first = view_of(check, at, 0);
    struct text text = text_over(first->now.reason, sizeof(first->now.reason));
    struct host nowhere = {.kind = HOST_UNREADABLE};
    struct dial_addresses addresses;

    judge_next(check, &check->rows[at], &nowhere, NULL, &first->next);
    if (!dial_find(&check->rows[at].host, &first->stage, &addresses, &text))
        return 0;
    for (size_t i = 0; i < addresses.count && first->views < VIEWS; i++) {
        (void)alarm(check->seconds);
        check_address(check, at, &addresses.at[i], addresses.guessed, check->seconds * 1000 / (first->views > 0 ? 1 : (unsigned)(addresses.count - i)));
    }
    return 0;
}

static void note_outcome(void *arg, size_t job, int outcome)
{
    struct check *check = arg;
    struct result *result = view_of(check, check->jobs[job], 0);
    char problem[400];

    if (outcome == WORKER_TIMED_OUT)
        (void)snprintf(problem, sizeof(problem), "no answer within %u seconds, while %s; is the server running, on this port?", check->seconds,
            result->stage);
    else if (outcome == WORKER_DIED)
        (void)snprintf(problem, sizeof(problem), "the process that connected to it ended unexpectedly; try again");
    if (outcome == WORKER_TIMED_OUT || outcome == WORKER_DIED)
        add_unchecked(result, problem);
    check->finished++;
    output_progress("%zu of %zu checked", check->finished, check->job_count);
}

static struct row *add_row(struct check *check, const struct host *host, const char *target, const char *skipped)
{
    struct row *row;

    check->rows = output_allocate(check->rows, (check->count + 1) * sizeof(*check->rows));
    row = &check->rows[check->count++];
    *row = (struct row) {output_copy(target), *host, skipped, false};
    if (row->host.port == 0 && skipped == NULL)
        row->host.port = DEFAULT_PORT;
    return row;
}

static void add_printed(struct check *check, struct host host)
{
    char buffer[1100];
    struct text target = text_over(buffer, sizeof(buffer));

    if (host.port == 0)
        host.port = DEFAULT_PORT;
    host_print(&host, &target);
    (void)add_row(check, &host, buffer, NULL);
}

/* A row for each target of the file, checked or not. */
static void add_targets(struct check *check)
{
    for (const struct rule *rule = targets_next(check->pins, NULL); rule != NULL; rule = targets_next(check->pins, rule)) {
        char buffer[HOST_NAME_MAX_LENGTH + 32];
        struct text target = text_over(buffer, sizeof(buffer));
        struct host host;
        bool exact = targets_host(check->pins, rule, &host);

        targets_print(check->pins, rule, &target);
        if (rule->action != RULE_PINS) {
            (void)add_row(check, &host, buffer, rule->action == RULE_ALLOW ? "not checked: its rule is allow" : "not checked: its rule is deny");
            continue;
        }
        if (!exact) {
            (void)add_row(check, &host, buffer, "not checked: give a HOST that it matches");
            continue;
        }
        if (host.port == 0)
            host.port = DEFAULT_PORT;
        /* If another line has that port, this one does not apply there. */
        if (pins_lookup(check->pins, &host).first == rule)
            add_printed(check, host);
        else
            (void)add_row(check, &host, buffer, "not checked: another line applies to port 443; give a HOST with another port");
    }
}

/* Builds a pins file with each name that --next is for. */
static void add_name(void *to, const char *name)
{
    char **lines = to;
    size_t length = *lines != NULL ? strlen(*lines) : 0;
    size_t size = length + strlen(name) + sizeof(" deny\n");

    *lines = output_allocate(*lines, size);
    (void)snprintf(*lines + length, size - length, "%s deny\n", name);
}

static void ignore(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    (void)line;
    (void)column;
    (void)message;
}

/* Choose the rows for which --next is judged. The names that it covers are looked up like targets, because they are written the same way. */
static void choose_next(struct check *check, bool chosen)
{
    const struct object *object = objects_find(&check->next, OBJECT_CERTIFICATE);
    struct pins *names = NULL;
    char *lines = NULL;
    bool any = false;

    if (object == NULL)
        object = objects_find(&check->next, OBJECT_REQUEST);
    if (object != NULL && !chosen)
        objects_names(object, (struct objects_takers) {&lines, add_name, NULL});
    if (lines != NULL)
        names = pins_parse(lines, strlen(lines), NULL, ignore, NULL);
    for (size_t i = 0; names != NULL && i < check->count; i++) {
        check->rows[i].next = check->rows[i].skipped == NULL && pins_lookup(names, &check->rows[i].host).first != NULL;
        any |= check->rows[i].next;
    }
    for (size_t i = 0; !any && i < check->count; i++)
        check->rows[i].next = check->rows[i].skipped == NULL;
    pins_free(names);
    free(lines);
}

static bool is_good(const struct check *check, size_t row)
{
    bool good = true;

    for (size_t view = 0; view < lines_of(check, row); view++) {
        const struct result *result = view_of(check, row, view);

        good &= result->now.kind == ANSWER_ACCEPTED && (result->next.kind == ANSWER_ACCEPTED || result->next.kind == ANSWER_NOT_ASKED);
    }
    return check->rows[row].skipped != NULL || good;
}

/* What the server shows at one address, with one key. */
static void add_line(struct output_table *table, const struct check *check, size_t at, size_t view)
{
    const struct row *row = &check->rows[at];
    const struct result *result = view_of(check, at, view);
    bool next = check->next_path != NULL;
    bool refused = result->now.kind == ANSWER_REFUSED || result->now.kind == ANSWER_REPORTED;
    bool asked = result->next.kind != ANSWER_NOT_ASKED && row->skipped == NULL;
    char why[4096];
    char until[16];
    struct text text = text_over(why, sizeof(why));
    struct text day = text_over(until, sizeof(until));
    const char *server = row->skipped != NULL ? "-" : answers[result->now.kind].name;
    const char *coming = asked ? answers[result->next.kind].name : "-";

    text_add(&day, "%.10s", result->peer.leaf.not_after);
    text_add(&text, "%s", row->skipped != NULL ? row->skipped : result->now.reason);
    if (refused && result->now.matched[0] == '\0')
        text_add(&text, "; its pin is spki-sha256:%s", result->peer.spki);
    if (asked)
        text_add(&text, "; next: %s", strcmp(result->next.reason, result->now.reason) == 0 ? "the same" : result->next.reason);
    if (lines_of(check, at) > 1)
        text_add(&text, " (at %s)", result->address);
    if (result->views > 0)
        text_add(&text, "%s", result->unchecked);
    output_table_add(table, row->skipped != NULL ? TONE_PLAIN : answers[result->now.kind].tone,
        next ? (const char *const[]) {row->target, server, coming, until, why}
             : (const char *const[]) {row->target, server, until, why});
    if (asked)
        output_table_tone(table, 2, answers[result->next.kind].tone);
}

static void print_table(const struct check *check)
{
    static const char *const headings[] = {"TARGET", "SERVER", "UNTIL", "WHY"};
    static const char *const headings_with_next[] = {"TARGET", "SERVER", "NEXT", "UNTIL", "WHY"};
    bool next = check->next_path != NULL;
    struct output_table *table = output_table_new(next ? 5 : 4, next ? headings_with_next : headings, 1);

    for (size_t i = 0; i < check->count; i++) {
        for (size_t view = 0; view < lines_of(check, i); view++)
            add_line(table, check, i, view);
    }
    output_table_print(table, stdout);
    output_table_free(table);
}

/* As in the log, every object has every member: null if there is no value. */
static void print_member(struct output_json *json, const char *name, const char *value)
{
    if (value[0] != '\0')
        output_json_string(json, name, value);
    else
        output_json_null(json, name);
}

static void print_answer(struct output_json *json, const char *verdict, const char *reason, const struct answer *answer)
{
    output_json_string(json, "verdict", verdict);
    print_member(json, "reason", reason);
    print_member(json, "rule", answer->rule);
    print_member(json, "matched", answer->matched);
}

/* The members are those of the log, where it has them. */
static void print_row(struct output_json *json, const struct check *check, size_t at, size_t view)
{
    const struct row *row = &check->rows[at];
    const struct result *result = view_of(check, at, view);
    const struct peer_text *peer = &result->peer;

    output_json_open(json, NULL, '{');
    output_json_string(json, "target", row->target);
    print_member(json, "address", result->address);
    if (row->host.port != 0)
        output_json_number(json, "port", row->host.port);
    else
        output_json_null(json, "port");
    if (row->skipped != NULL)
        print_answer(json, "not-checked", row->skipped, &result->now);
    else
        print_answer(json, answers[result->now.kind].name, result->now.reason, &result->now);
    print_member(json, "spki_sha256", peer->spki);
    print_member(json, "cert_sha256", peer->cert);
    print_member(json, "subject", peer->leaf.subject);
    print_member(json, "issuer", peer->leaf.issuer);
    print_member(json, "not_after", peer->leaf.not_after);
    print_member(json, "tls", result->tls);
    if (result->next.kind == ANSWER_NOT_ASKED) {
        output_json_null(json, "next");
    } else {
        output_json_open(json, "next", '{');
        print_answer(json, answers[result->next.kind].name, result->next.reason, &result->next);
        output_json_close(json, '}');
    }
    output_json_close(json, '}');
}

static void print_json(const struct check *check, size_t bad)
{
    struct output_json json = {stdout, false};

    output_progress(NULL);
    output_json_open(&json, NULL, '{');
    output_json_string(&json, "file", check->path);
    print_member(&json, "next", check->next_path != NULL ? check->next_path : "");
    output_json_number(&json, "checked", (long long)check->job_count);
    output_json_number(&json, "not_accepted", (long long)bad);
    output_json_open(&json, "targets", '[');
    for (size_t i = 0; i < check->count; i++) {
        for (size_t view = 0; view < lines_of(check, i); view++)
            print_row(&json, check, i, view);
    }
    output_json_close(&json, ']');
    output_json_close(&json, '}');
    output_json_end(&json);
}

/* A label's value: a backslash, a quote and a line feed are escaped. */
static void print_label(const char *name, const char *value, const char *after)
{
    printf("%s=\"", name);
    for (; *value != '\0'; value++)
        printf(*value == '\\' || *value == '"' ? "\\%c" : "%c", *value);
    printf("\"%s", after);
}

static void print_metric(const struct check *check, size_t at, size_t view, const char *name, double value)
{
    printf("pinshim_%s{", name);
    print_label("file", check->path, ",");
    print_label("target", check->rows[at].target, ",");
    print_label("address", view_of(check, at, view)->address, ",");
    print_label("spki_sha256", view_of(check, at, view)->peer.spki, "} ");
    printf("%.10g\n", value);
}

/* In Prometheus' text format, for the directory of a node exporter's textfile collector. */
static void print_metrics(const struct check *check)
{
    static const struct {
        const char *name;
        const char *help;
    } metrics[] = {
        {"server_accepted", "1 if the shim would accept the server now."},
        {"certificate_days_left", "Days until the server's certificate expires."},
        {"pins_matching", "Pins of the target that the server satisfies."},
        {"pins_backup", "Other pins of the target that have not expired."},
        {"refusals_only_logged", "1 if the server would be refused, and that is only logged."},
    };

    output_progress(NULL);
    for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
        printf("# HELP pinshim_%s %s\n# TYPE pinshim_%s gauge\n", metrics[m].name, metrics[m].help, metrics[m].name);
        for (size_t i = 0; i < check->count; i++) {
            for (size_t view = 0; check->rows[i].skipped == NULL && view < lines_of(check, i); view++) {
                const struct result *result = view_of(check, i, view);
                struct tm utc = {.tm_isdst = 0};
                bool known = strptime(result->peer.leaf.not_after, "%Y-%m-%dT%H:%M:%SZ", &utc) != NULL;

                if (m == 0)
                    print_metric(check, i, view, metrics[m].name, result->now.kind == ANSWER_ACCEPTED);
                else if (m == 4)
                    print_metric(check, i, view, metrics[m].name, result->now.kind == ANSWER_REPORTED);
                else if (view_of(check, i, 0)->views > 0 && (m > 1 || known))
                    print_metric(check, i, view, metrics[m].name, m == 1 ? (double)(timegm(&utc) - time(NULL)) / 86400
                            : m == 2 ? result->now.matching : result->now.backups);
            }
        }
    }
}

/* What to do about an answer, by its kind and, for a refusal, by its reason. */
enum advice {
    ADVICE_NONE = 0,
    ADVICE_FAILED,
    ADVICE_UNPINNED,
    ADVICE_CHANGED,
    ADVICE_EXPIRED,
    ADVICE_DENY,
    ADVICE_REVOKED,
    ADVICE_UNTRUSTED,
    ADVICE_OTHER,
    ADVICE_REPORTED,
    ADVICE_NEXT,
    ADVICE_UNKNOWN,
    ADVICES,
};

static const char *const advices[ADVICES] = {
    [ADVICE_FAILED] = "failed: the pins were not tested; is the name right, is the server running, and can it be reached from here?",
    [ADVICE_UNPINNED] = "unpinned: add a rule for this host, or give HOST and port as they are in the file",
    [ADVICE_CHANGED] = "refused: if the key was changed, confirm that with the server's owner, and add the line that \"pinshim pin HOST\" prints",
    [ADVICE_EXPIRED] = "refused: the pin that matches has expired; set a later day if the server's owner confirms that it is still valid",
    [ADVICE_DENY] = "refused: the rule is deny; change it only if the server is to be reached after all",
    [ADVICE_REVOKED] = "refused: the file revokes this key or certificate; do not pin it again: the server needs another, so tell its owner",
    [ADVICE_UNTRUSTED] = "refused: not because of a pin: the certificate does not satisfy pkix; check it and the trust store",
    [ADVICE_OTHER] = "refused: the reason is in the table",
    [ADVICE_REPORTED] = "reported: these would be refused without mode=report or report-until; fix the reason, which is in the table, before that ends",
    [ADVICE_UNKNOWN] = "unknown: give the certificate to --next when you have it",
};

static enum advice advice_for(const struct answer *answer, bool next)
{
    switch (answer->kind) {
    case ANSWER_FAILED:
        return ADVICE_FAILED;
    case ANSWER_UNPINNED:
        return ADVICE_UNPINNED;
    case ANSWER_REPORTED:
        return ADVICE_REPORTED;
    case ANSWER_UNKNOWN:
        return ADVICE_UNKNOWN;
    case ANSWER_ACCEPTED:
    case ANSWER_NOT_ASKED:
        return ADVICE_NONE;
    case ANSWER_REFUSED:
        break;
    }
    switch (answer->because) {
    case REASON_NO_MATCH:
        return next ? ADVICE_NEXT : ADVICE_CHANGED;
    case REASON_EXPIRED:
        return ADVICE_EXPIRED;
    case REASON_DENY:
        return ADVICE_DENY;
    case REASON_REVOKED:
        return ADVICE_REVOKED;
    case REASON_UNTRUSTED:
        return ADVICE_UNTRUSTED;
    default:
        return ADVICE_OTHER;
    }
}

/* Print how many were not accepted, and advice once for each kind of answer. */
static void advise(const struct check *check, size_t bad)
{
    bool wanted[ADVICES] = {false};

    for (size_t i = 0; i < check->count; i++) {
        if (check->rows[i].skipped != NULL)
            continue;
        for (size_t view = 0; view < lines_of(check, i); view++) {
            wanted[advice_for(&view_of(check, i, view)->now, false)] = true;
            wanted[advice_for(&view_of(check, i, view)->next, true)] = true;
        }
    }
    output_error("%zu of %zu not accepted", bad, check->job_count);
    for (size_t i = ADVICE_NONE + 1; i < ADVICES; i++) {
        if (wanted[i] && i == ADVICE_NEXT)
            output_error("next refused: no pin matches it; before it is installed on the server, add the line that "
                "\"pinshim pin --for TARGET %s\" prints", check->next_path);
        else if (wanted[i])
            output_error("%s", advices[i]);
    }
}

enum form { FORM_TABLE = 0, FORM_JSON, FORM_METRICS };

/* Connect to all servers, and print the results. Return the exit status. */
static int run(struct check *check, enum form form)
{
    struct workers workers = {0, PARALLEL, check->seconds, check_server, note_outcome, check};
    size_t bad = 0;

    check->results = workers_share(check->count * VIEWS * sizeof(*check->results));
    check->jobs = output_allocate(NULL, check->count * sizeof(*check->jobs));
    for (size_t i = 0; i < check->count; i++) {
        view_of(check, i, 0)->stage = "starting";
        view_of(check, i, 0)->next.kind = ANSWER_NOT_ASKED;
        if (check->rows[i].skipped == NULL)
            check->jobs[check->job_count++] = i;
    }
    workers.count = check->job_count;
    workers_run(&workers);
    for (size_t i = 0; i < check->count; i++)
        bad += !is_good(check, i);
    if (form == FORM_JSON)
        print_json(check, bad);
    else if (form == FORM_METRICS)
        print_metrics(check);
    else
        print_table(check);
    (void)fflush(stdout);
    free(check->jobs);
    if (check->job_count == 0) {
        output_error("nothing was checked: %s has no target that can be connected to; give a HOST", check->path);
        return 2;
    }
    if (bad == 0)
        return 0;
    advise(check, bad);
    return 1;
}

static void print_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    const struct check *check = arg;

    if (line == 0)
        output_error("%s: %s", check->path, message);
    else
        output_error("%s:%u:%u: %s", check->path, (unsigned)line, (unsigned)column, message);
}

/* Read the files and the HOSTs. Return 0, or the exit status. */
static int prepare(struct check *check, char **hosts)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .read_roots = pinfile_read_roots,
        .tls = linked_tls(), .beside = check->path};
    char message[400];
    struct text problem = text_over(message, sizeof(message));

    check->pins = pins_load(check->path, &reader, NULL, print_error, check);
    if (check->pins == NULL) {
        if (access(check->path, R_OK) != 0 && errno == EACCES)
            output_error("next: let this user read it: chmod a+r %s (and chmod a+x for its directories)", check->path);
        else
            output_error("%s is faulty: the shim would refuse every TLS connection; fix it, see \"pinshim lint\"", check->path);
        return 1;
    }
    pins_read_roots(check->pins, &reader);
    if (check->next_path != NULL && !objects_read(check->next_path, &check->next, &problem)) {
        output_error("%s: %s", check->next_path, message);
        return 1;
    }
    for (char **host = hosts; *host != NULL; host++) {
        struct host read;

        if (!dial_host(*host, &read, &problem))
            return output_bad_usage("check", "\"%s\": %s", *host, message);
        add_printed(check, read);
    }
    if (*hosts == NULL)
        add_targets(check);
    if (check->next_path != NULL)
        choose_next(check, *hosts != NULL);
    return 0;
}

static void discard(struct check *check)
{
    for (size_t i = 0; i < check->count; i++)
        free(check->rows[i].target);
    free(check->rows);
    objects_free(&check->next);
    pins_free(check->pins);
}

int check_main(int argc, char **argv)
{
    enum { NEXT = 256, JSON, PROMETHEUS, STARTTLS, TIMEOUT };
    static const struct option options[] = {{"next", required_argument, NULL, NEXT}, {"json", no_argument, NULL, JSON}, {"prometheus", no_argument, NULL, PROMETHEUS},
        {"starttls", required_argument, NULL, STARTTLS}, {"timeout", required_argument, NULL, TIMEOUT}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct check check = {.seconds = 10};
    enum form form = FORM_TABLE;
    int status;
    int option;

    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case NEXT:
            check.next_path = optarg;
            break;
        case JSON:
        case PROMETHEUS:
            if (form == (option == JSON ? FORM_METRICS : FORM_JSON))
                return output_bad_usage("check", "--json and --prometheus exclude each other");
            form = option == JSON ? FORM_JSON : FORM_METRICS;
            break;
        case STARTTLS:
            check.protocol = optarg;
            break;
        case TIMEOUT:
            check.seconds = text_port(optarg, strlen(optarg));
            break;
        case 'h':
            printf("%s", help);
            return 0;
        default:
            return output_bad_option("check", option, argv);
        }
    }
    if (check.protocol != NULL && !dial_knows(check.protocol))
        return output_bad_usage("check", "the protocol \"%s\" is not known; expected " DIAL_PROTOCOLS, check.protocol);
    if (check.seconds == 0)
        return output_bad_usage("check", "--timeout expects a number of seconds from 1 to 65535");
    check.path = optind < argc ? argv[optind] : targets_default_file();
    status = prepare(&check, optind < argc ? argv + optind + 1 : argv + argc);
    if (status == 0)
        status = run(&check, form);
    discard(&check);
    return status;
}
