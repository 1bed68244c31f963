#include "evaluation.h"

#include "client_file.h"
#include "kernel.h"
#include "memory.h"
#include "pinfile.h"
#include "report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define NOTICE_DAYS 14

static const struct pinstore *acquire(const struct tls *tls, bool may_wait)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .read_roots = pinfile_read_roots, .tls = tls, .may_wait = may_wait,
        .beside = config_get()->pins_file};

    return pinstore_acquire(&reader);
}

const struct pinstore *evaluation_pins(const struct tls *tls)
{
    return acquire(tls, false);
}

const struct pinstore *evaluation_prepare(void)
{
    return acquire(NULL, true);
}

static struct spare spare;

struct evaluation *evaluation_new(void)
{
    struct evaluation *evaluation;
    int cancelled;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
    evaluation = spare_take(&spare, sizeof(*evaluation));
    if (evaluation != NULL) {
        evaluation->store = NULL;
        target_clear(&evaluation->target);
        evaluation->cancelled = cancelled;
    } else {
        (void)pthread_setcancelstate(cancelled, NULL);
    }
    return evaluation;
}

void evaluation_free(struct evaluation *evaluation)
{
    int cancelled;

    if (evaluation == NULL)
        return;
    cancelled = evaluation->cancelled;
    spare_let_go(&spare, evaluation);
    (void)pthread_setcancelstate(cancelled, NULL);
}

enum verdict evaluate(const struct tls *tls, const struct presented *presented, struct evaluation *out)
{
    struct evidence evidence;

    memset(&out->judgement, 0, sizeof(out->judgement));
    memset(&out->digests.known, 0, sizeof(out->digests.known));
    out->remark = NULL;
    out->client = NULL;
    out->store = evaluation_pins(tls);
    if (out->target.count > 0)
        out->judgement.host = *target_at(&out->target, 0);
    if (out->store == NULL)
        return VERDICT_REFUSE;
    pinstore_log_faults(out->store);
    if (out->store->pins == NULL) {
        out->judgement.reason = REASON_FAULT;
        return VERDICT_REFUSE;
    }
    peer_read(tls, out->store->pins, presented, &evidence);
    out->today = evidence.peer.today;
    peer_keep(&evidence.peer, &out->digests);
    policy_judge(out->store->pins, &out->target, &evidence.peer, &out->judgement);
    peer_forget(&evidence);
    return out->judgement.verdict;
}

void evaluation_end(struct evaluation *evaluation)
{
    pinstore_release(evaluation->store);
    evaluation->store = NULL;
    target_free(&evaluation->target);
}

bool evaluation_is_final(const struct evaluation *evaluation)
{
    return evaluation->target_final
        || (evaluation->store != NULL && evaluation->store->pins != NULL && !policy_is_open(evaluation->store->pins, &evaluation->target));
}

bool evaluation_only_reported(const struct evaluation *evaluation)
{
    return (config_get()->mode == MODE_REPORT || evaluation->judgement.report) && evaluation->judgement.reason != REASON_FAULT
        && evaluation->judgement.reason != REASON_INTERNAL;
}

/* Of the first such connection of the process. */
static void notice_unnamed(const struct evaluation *evaluation)
{
    static _Atomic uint32_t noticed; /* the process, plus 1 */
    char target[400];
    char reason[800];
    struct text at = text_over(target, sizeof(target));
    struct text text = text_over(reason, sizeof(reason));
    const struct event event = {.verdict = EVENT_NOTICE, .target = target, .reason = reason};
    uint32_t process = kernel_process() + 1;

    if (atomic_exchange(&noticed, process) == process)
        return;
    host_print(&evaluation->judgement.host, &at);
    text_add(&text, "no name is known of this target: the program gave none, or encrypts it (ECH), and resolved none to the address. Rules for names in ");
    text_add_escaped(&text, config_get()->pins, strlen(config_get()->pins), 300);
    text_add(&text, " were not asked; a line for \"@unknown\" there decides on such connections. Later ones of this process are not mentioned");
    log_event(&event);
}

/* At the first decision of the process: one that does no TLS hears nothing of it. */
static void notice_unknown_variables(void)
{
    static _Atomic uint32_t noticed; /* the process, plus 1 */
    const struct config *config = config_get();
    char reason[400];
    struct text text = text_over(reason, sizeof(reason));
    const struct event event = {.verdict = EVENT_NOTICE, .reason = reason};
    uint32_t process;

    if (config->unknown[0] == '\0')
        return;
    process = kernel_process() + 1;
    if (atomic_exchange(&noticed, process) == process)
        return;
    text_add(&text, "pinshim has no variable of this name, and it has no effect: %s", config->unknown);
    log_event(&event);
}

enum notice_kind { NOTICE_EXPIRY = 0, NOTICE_REPORT };

/* Return true once a day for each line and kind; after a collision again. */
static bool is_first_today(enum notice_kind kind, uint32_t line, uint16_t today)
{
    static _Atomic uint64_t noticed[2][64];
    uint64_t key = (uint64_t)line << 16 | today;

    return atomic_exchange(&noticed[kind][line % 64], key) != key;
}

static void log_notice(uint32_t line, const char *what, uint16_t day, const char *after)
{
    char rule_at[400];
    char reason[560];
    struct text at = text_over(rule_at, sizeof(rule_at));
    struct text text = text_over(reason, sizeof(reason));
    const struct event event = {.verdict = EVENT_NOTICE, .rule = rule_at, .reason = reason};

    text_add_escaped(&at, config_get()->pins, strlen(config_get()->pins), 300);
    text_add(&at, ":%u", (unsigned)line);
    text_add(&text, "%s: %s", rule_at, what);
    text_add_date(&text, day);
    text_add(&text, "%s", after);
    log_event(&event);
}

/* Once a day for each line, log which of the pins that were applied have expired or will within two weeks, and which rules are only reported until
 * a day. */
static void notice(const struct evaluation *evaluation)
{
    const struct pins *pins = evaluation->store != NULL ? evaluation->store->pins : NULL;
    const struct rules rules = evaluation->judgement.rules;

    notice_unknown_variables();
    if (evaluation->judgement.unnamed)
        notice_unnamed(evaluation);
    for (const struct rule *rule = pins != NULL ? rules.first : NULL; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        if (rule->report_until != REPORT_ALWAYS && pins_only_report(pins, rule) && is_first_today(NOTICE_REPORT, rule->line, evaluation->today))
            log_notice(rule->line, "refusals for this target are only logged until ", rule->report_until, "; then they are enforced again");
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (pin->expires != 0 && pin->expires <= evaluation->today + NOTICE_DAYS
                && is_first_today(NOTICE_EXPIRY, pin->line, evaluation->today))
                log_notice(pin->line, pin->expires > evaluation->today ? "its pins expire on " : "its pins expired on ", pin->expires, "");
        }
    }
}

bool evaluation_needs_proof(const struct evaluation *evaluation)
{
    return evaluation->judgement.pinned && (evaluation->judgement.verdict == VERDICT_ACCEPT || evaluation_only_reported(evaluation));
}

void evaluation_refuse_unproven(struct evaluation *evaluation)
{
    evaluation->judgement.verdict = VERDICT_REFUSE;
    evaluation->judgement.reason = REASON_UNPROVEN;
    evaluation->judgement.report = false;
}

enum decision evaluation_decide(const struct tls *tls, const struct presented *presented, const struct evaluation *evaluation, bool last,
    struct logged *logged)
{
    bool refused = evaluation->judgement.verdict != VERDICT_ACCEPT;
    enum decision decision = refused && !evaluation_only_reported(evaluation) ? DECISION_REFUSE : DECISION_ACCEPT;

    notice(evaluation);
    if (!refused && pins_client(evaluation->store->pins, evaluation->judgement.client) != NULL)
        decision = DECISION_ACCEPT_WITH_CLIENT_CERT;
    if (refused && !logged->refusal)
        report(tls, presented, evaluation, decision == DECISION_REFUSE ? EVENT_REFUSED : EVENT_REPORTED);
    logged->refusal |= refused;
    if (!refused && last && !logged->acceptance) {
        logged->acceptance = true;
        report(tls, presented, evaluation, EVENT_ACCEPTED);
    }
    return decision;
}

struct outlook evaluation_predict(const struct evaluation *evaluation, bool session)
{
    const struct pins *pins = evaluation->store != NULL ? evaluation->store->pins : NULL;
    bool accepted = evaluation->judgement.verdict == VERDICT_ACCEPT || evaluation_only_reported(evaluation);
    /* A session does not keep its peer's issuers, so what is revoked cannot be checked. One of the names may have a pin that is enforced. */
    struct outlook outlook = {.accepted = accepted, .by_pin = evaluation->judgement.pinned,
        .final = evaluation_is_final(evaluation) && !(session && pins != NULL && pins_revoked(pins) != NULL)};

    if (accepted && config_get()->mode == MODE_REPORT)
        return (struct outlook) {.accepted = true, .final = true};
    outlook.open = !outlook.final && (accepted || evaluation->judgement.reason == REASON_UNIDENTIFIABLE || evaluation->judgement.unknown);
    return outlook;
}
