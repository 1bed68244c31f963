#include "policy.h"

#include <stdlib.h>
#include <string.h>

void target_clear(struct target *target)
{
    target->more = NULL;
    target->count = 0;
    target->overflow = false;
    target->named = false;
    target->lost = NULL;
    target->pattern = false;
    target->next_resolved = NULL;
}

void target_free(struct target *target)
{
    free(target->more);
    target_clear(target);
}

struct host *target_add(struct target *target, const struct host *host)
{
    size_t beyond = target->count < TARGET_FEW ? 0 : target->count - TARGET_FEW;
    struct host *place;

    /* Double the room whenever it is full. */
    if (target->count >= TARGET_FEW && (beyond & (beyond - 1)) == 0) {
        struct host *more = realloc(target->more, (beyond == 0 ? 1 : 2 * beyond) * sizeof(*more));

        if (more == NULL) {
            target->overflow = true;
            return NULL;
        }
        target->more = more;
    }
    place = target_at(target, target->count++);
    *place = *host;
    return place;
}

static bool matches(const struct pins *pins, const struct pin *pin, const struct peer *peer)
{
    return peer->known[pin->kind][pin->digest]
        && memcmp(pins_digest(pins, pin), peer->digests[pin->kind][pin->digest], digest_size((enum digest)pin->digest)) == 0;
}

static const struct pin *find_match(const struct pins *pins, const struct rule *rule, const struct host *host, const struct peer *peer,
    const struct pin **expired, const char **problem)
{
    bool authority = false;

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        authority |= pin->kind == PIN_CA;
        if (!matches(pins, pin, peer))
            continue;
        if (pin->expires == 0 || peer->today < pin->expires)
            return pin;
        *expired = pin;
    }
    if (!authority || peer->path == NULL || peer->path->authority == NULL)
        return NULL;
    return peer->path->authority(peer, pins, rule, host, problem);
}

/* Judge by one rule. `*out` says why in either case. */
static enum verdict judge_rule(const struct pins *pins, const struct rule *rule, const struct host *host, const struct peer *peer,
    struct judgement *out)
{
    const struct pin *expired = NULL;

    out->rule = rule;
    out->matched = NULL;
    out->problem = NULL;
    out->client = 0;
    out->report = pins_only_report(pins, rule);
    out->verdict = VERDICT_REFUSE;
    out->reason = REASON_DENY;
    if (rule->action == RULE_ALLOW) {
        out->reason = REASON_ALLOW;
        return out->verdict = VERDICT_ACCEPT;
    }
    if (rule->action != RULE_PINS)
        return out->verdict;
    if (pins_next_pin(pins, rule, NULL) != NULL) {
        out->reason = peer->has[PIN_SPKI] ? REASON_NO_MATCH : REASON_NO_CERTIFICATE;
        out->matched = find_match(pins, rule, host, peer, &expired, &out->problem);
        if (out->matched == NULL) {
            if (expired != NULL)
                out->reason = REASON_EXPIRED;
            out->matched = expired;
            return out->verdict;
        }
    } else if (!rule->pkix) {
        return out->verdict; /* a rule that demands nothing accepts nothing */
    }
    if (rule->pkix && (peer->path == NULL || peer->path->trusted == NULL || !peer->path->trusted(peer, pins, host, &out->problem))) {
        out->matched = NULL;
        out->reason = peer->has[PIN_SPKI] ? REASON_UNTRUSTED : REASON_NO_CERTIFICATE;
        return out->verdict;
    }
    out->problem = NULL;
    out->client = rule->client;
    out->reason = REASON_MATCH;
    return out->verdict = VERDICT_ACCEPT;
}

/* Return true if the rules accept without having asked for anything. */
static bool is_allowed(const struct judgement *judgement)
{
    return judgement->verdict == VERDICT_ACCEPT && judgement->rule->action == RULE_ALLOW;
}

/* Judge by these rules alone: one of them must be satisfied. They are several where the port is in doubt; `allow` for one port does not outweigh what
 * another one demands. */
static enum verdict judge_rules(const struct pins *pins, struct rules rules, const struct host *host, const struct peer *peer,
    struct judgement *out)
{
    struct judgement attempt = {VERDICT_REFUSE, REASON_DENY, *host, rules, rules.first, NULL, NULL, false, 0, false, false, false};
    bool enforced = false;

    *out = attempt;
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        if (judge_rule(pins, rule, host, peer, &attempt) == VERDICT_ACCEPT && !is_allowed(&attempt)) {
            *out = attempt;
            return VERDICT_ACCEPT;
        }
        if (is_allowed(&attempt)) {
            if (rule == rules.first)
                *out = attempt;
            continue;
        }
        enforced |= !attempt.report;
        /* Report the reason that says most: first an expired pin, then one that did not match. */
        if (rule == rules.first || is_allowed(out) || (out->reason == REASON_DENY && attempt.reason != REASON_DENY) || attempt.reason == REASON_EXPIRED
            || attempt.reason == REASON_UNTRUSTED)
            *out = attempt;
    }
    if (out->verdict == VERDICT_REFUSE)
        out->report = !enforced;
    return out->verdict;
}

/* Take over the judgement of one identity if it outweighs the one so far (`any`: there is one): an enforced refusal outweighs a reported one,
 * which outweighs an acceptance; of equals the first stays. */
static void weigh(const struct judgement *attempt, bool any, struct judgement *out)
{
    bool pinned = (any && out->pinned) || (attempt->reason == REASON_MATCH && !attempt->report);
    uint32_t client = any && out->client != 0 ? out->client : attempt->client;

    if (!any || (attempt->verdict == VERDICT_REFUSE && (out->verdict == VERDICT_ACCEPT || (out->report && !attempt->report))))
        *out = *attempt;
    out->pinned = pinned;
    out->client = client;
}

/* What is known of the target's name. */
struct naming {
    bool known; /* a name was given, or resolved */
    const char *lost; /* a name was given, or resolved, that is not known: how; NULL: none */
};

/* Judge by the names that the program resolved: if some have rules, those of one must be satisfied, but `allow` does not count if another one
 * demands something. Return false if none has a rule. */
static bool judge_resolved(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out, struct naming *naming)
{
    struct judgement attempt;
    struct host host;
    uintptr_t cursor = 0;
    bool any = false;

    while (target->next_resolved != NULL && target->next_resolved(target, &cursor, &host)) {
        struct rules rules = pins_lookup(pins, &host);

        if (host.kind == HOST_UNREADABLE)
            naming->lost = "a name that was resolved to its address is no longer known";
        naming->known |= host.kind == HOST_NAME;
        if (rules.first == NULL)
            continue;
        (void)judge_rules(pins, rules, &host, peer, &attempt);
        if (!any || (!is_allowed(&attempt) && (attempt.verdict == VERDICT_ACCEPT || is_allowed(out) || (out->report && !attempt.report))))
            *out = attempt;
        any = true;
        if (attempt.verdict == VERDICT_ACCEPT && !is_allowed(&attempt))
            break;
    }
    return any;
}

/* Return true if the peer presented something revoked. */
static bool judge_revoked(const struct pins *pins, const struct peer *peer, struct judgement *out)
{
    const struct rule *revoked = pins_revoked(pins);
    const struct pin *pin = NULL;

    if (revoked == NULL)
        return false;
    for (pin = pins_next_pin(pins, revoked, NULL); pin != NULL && !matches(pins, pin, peer);)
        pin = pins_next_pin(pins, revoked, pin);
    if (pin == NULL && peer->path != NULL && peer->path->revoked != NULL)
        pin = peer->path->revoked(peer, pins, &out->problem);
    if (pin == NULL)
        return false;
    out->verdict = VERDICT_REFUSE;
    out->reason = REASON_REVOKED;
    out->rule = revoked;
    out->matched = pin;
    return true;
}

static void unidentifiable(const struct pins *pins, const char *lost, struct judgement *out)
{
    bool demand = pins_demand_anything(pins);

    out->rules.first = NULL;
    out->rule = NULL;
    out->matched = NULL;
    out->report = demand && !pins_enforce(pins, false);
    out->verdict = demand ? VERDICT_REFUSE : VERDICT_ACCEPT;
    out->reason = demand ? REASON_UNIDENTIFIABLE : REASON_NO_RULE;
    out->problem = lost;
}

/* Judge a target without a known name by @unknown. `identity` is what is known of it instead: an address, or a name that cannot be read; NULL:
 * nothing. Return false if there is no such rule. */
static bool judge_unknown(const struct pins *pins, const struct host *identity, const char *lost, const struct peer *peer, struct judgement *out)
{
    static const struct host nothing;
    const struct host *host = identity != NULL ? identity : &nothing;
    struct rules rules = pins_lookup_unknown(pins, host);

    if (rules.first == NULL)
        return false;
    /* A name that was lost may have a pin. */
    if (judge_rules(pins, rules, host, peer, out) == VERDICT_ACCEPT && is_allowed(out) && lost != NULL)
        unidentifiable(pins, lost, out);
    out->unknown = true;
    return true;
}

/* The client gave no name: a path may be verified for the address, or for a name that resolved to it. */
static void judge_any_resolved(const struct pins *pins, const struct target *target, struct rules rules, const struct peer *peer,
    struct judgement *out)
{
    struct judgement attempt;
    struct host host;
    uintptr_t cursor = 0;

    while (out->verdict == VERDICT_REFUSE && target->next_resolved != NULL && target->next_resolved(target, &cursor, &host)) {
        if (judge_rules(pins, rules, &host, peer, &attempt) == VERDICT_ACCEPT)
            *out = attempt;
    }
}

/* Judge by `*`, for a target that no other rule names. */
static void judge_any(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out)
{
    out->host = *target_at(target, 0);
    out->verdict = VERDICT_ACCEPT;
    out->reason = REASON_NO_RULE;
    for (size_t i = 0; i < target->count; i++) {
        const struct host *host = target_at(target, i);
        struct rules rules = pins_lookup_any(pins, host);
        bool socket = i + 1 == target->count && target->next_resolved != NULL;
        struct judgement attempt;

        /* If there is a name, the certificate need not be valid for the socket's address as well. */
        if (rules.first == NULL || (socket && target->named && out->reason != REASON_NO_RULE))
            continue;
        if (judge_rules(pins, rules, host, peer, &attempt) == VERDICT_REFUSE && socket && !target->named)
            judge_any_resolved(pins, target, rules, peer, &attempt);
        weigh(&attempt, out->reason != REASON_NO_RULE, out);
    }
}

/* Return the first identity that cannot be read as a host; NULL: none. It cannot be looked up, and could be any host. */
static const struct host *find_unreadable(const struct target *target)
{
    for (size_t i = 0; i < target->count; i++) {
        if (target_at(target, i)->kind == HOST_UNREADABLE)
            return target_at(target, i);
    }
    return NULL;
}

void policy_judge(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out)
{
    const struct host *unreadable = pins_demand_anything(pins) ? find_unreadable(target) : NULL;
    const struct host *last = target->count > 0 ? target_at(target, target->count - 1) : NULL;
    struct naming naming = {target->named && target->count > 0, target->lost};
    struct judgement attempt;
    bool any = false;
    bool unnamed;

    memset(out, 0, sizeof(*out));
    if (target->count > 0)
        out->host = *target_at(target, 0);
    if (judge_revoked(pins, peer, out))
        return;
    if (target->overflow) {
        unidentifiable(pins, NULL, out);
        if (out->verdict == VERDICT_REFUSE) {
            out->reason = REASON_INTERNAL;
            out->problem = "out of memory for the names that the program gave";
        }
        return;
    }
    for (size_t i = 0; i < target->count; i++) {
        struct rules rules = pins_lookup(pins, target_at(target, i));

        if (rules.first == NULL)
            continue;
        (void)judge_rules(pins, rules, target_at(target, i), peer, &attempt);
        weigh(&attempt, any, out);
        any = true;
    }
    if (!target->named && judge_resolved(pins, target, peer, &attempt, &naming)) {
        weigh(&attempt, any, out);
        any = true;
        naming.lost = NULL;
    }
    if ((!naming.known || naming.lost != NULL || unreadable != NULL)
        && judge_unknown(pins, unreadable != NULL ? unreadable : last, naming.lost, peer, &attempt)) {
        weigh(&attempt, any, out);
        return;
    }
    if (target->count == 0 || naming.lost != NULL || unreadable != NULL) {
        if (unreadable != NULL)
            out->host = *unreadable;
        unidentifiable(pins, naming.lost, out);
        return;
    }
    unnamed = !naming.known && pins_name_hosts(pins) && !(any && out->pinned);
    if (!any)
        judge_any(pins, target, peer, out);
    out->unnamed = unnamed && (out->verdict == VERDICT_ACCEPT || out->report);
}

/* Take the rule of these that requires TLS, one that is enforced before one that is not. Return true if there are any rules. */
static bool take_required(const struct pins *pins, struct rules rules, const struct rule **out)
{
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        if (rule->tls_required && (*out == NULL || (pins_only_report(pins, *out) && !pins_only_report(pins, rule))))
            *out = rule;
    }
    return rules.first != NULL;
}

const struct rule *policy_requires_tls(const struct pins *pins, const struct target *target)
{
    const struct rule *required = NULL;
    struct host host;
    uintptr_t cursor = 0;
    bool any = false;

    for (size_t i = 0; i < target->count; i++)
        any |= take_required(pins, pins_lookup(pins, target_at(target, i)), &required);
    while (!target->named && target->next_resolved != NULL && target->next_resolved(target, &cursor, &host))
        any |= take_required(pins, pins_lookup(pins, &host), &required);
    for (size_t i = 0; i < target->count && !any; i++)
        (void)take_required(pins, pins_lookup_any(pins, target_at(target, i)), &required);
    return required;
}

/* Return true if some of these rules will not apply once the port is known: a peer that satisfies one of them now may be refused then. */
static bool hang_on_port(const struct pins *pins, struct rules rules)
{
    bool ported = false;
    bool enforced = false;

    for (const struct rule *rule = rules.first; rules.all_ports && rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        ported |= rule->port != 0;
        enforced |= rule->action != RULE_ALLOW && !pins_only_report(pins, rule);
    }
    return ported && enforced;
}

bool policy_is_open(const struct pins *pins, const struct target *target)
{
    bool any = false;
    bool open = false;

    /* Without a name, the names that resolved to the address count. */
    if (!target->named)
        return pins_enforce(pins, false);
    for (size_t i = 0; i < target->count; i++) {
        struct rules rules = pins_lookup(pins, target_at(target, i));

        any |= rules.first != NULL;
        open |= hang_on_port(pins, rules);
    }
    for (size_t i = 0; i < target->count && !any; i++)
        open |= hang_on_port(pins, pins_lookup_any(pins, target_at(target, i)));
    return open || pins_enforce(pins, true);
}

void policy_print_rule(const char *path, const struct judgement *judgement, struct text *out)
{
    const struct rule *rule = judgement->rule;

    if (rule == NULL)
        return;
    text_add_escaped(out, path, strlen(path), 300);
    text_add(out, ":%u", (unsigned)(judgement->matched != NULL ? judgement->matched->line : rule->line));
}

/* file:12 or, if the target has several lines, file:12,13,20. */
static void print_lines(const struct pins *pins, const char *path, const struct judgement *judgement, struct text *out)
{
    uint32_t last = judgement->rule->line;
    int listed = 1;

    policy_print_rule(path, judgement, out);
    for (const struct rule *rule = judgement->rules.first; rule != NULL; rule = pins_next_rule(pins, judgement->rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (pin->line == last)
                continue;
            last = pin->line;
            if (listed++ == 8) {
                text_add(out, ",...");
                return;
            }
            text_add(out, ",%u", (unsigned)last);
        }
    }
}

static void print_problem(const struct judgement *judgement, struct text *out)
{
    if (judgement->problem != NULL)
        text_add(out, " (%s)", judgement->problem);
}

void policy_print_reason(const struct pins *pins, const char *path, const struct judgement *judgement, struct text *out)
{
    switch (judgement->reason) {
    case REASON_INTERNAL:
        text_add(out, "internal error");
        print_problem(judgement, out);
        break;
    case REASON_FAULT:
        text_add(out, "configuration fault");
        break;
    case REASON_UNIDENTIFIABLE:
        text_add(out, "unidentifiable: %s, and ",
            judgement->problem != NULL ? judgement->problem : "the program gave no host name and no socket that identifies the target for certain");
        text_add_escaped(out, path, strlen(path), 300);
        text_add(out, " has rules; a line ");
        /* That name may have a pin. */
        if (judgement->problem == NULL)
            text_add(out, "\"@unknown allow\" would allow it, and ");
        text_add(out, "\"@unknown\" with a pin would hold it to that pin");
        break;
    case REASON_DENY:
        policy_print_rule(path, judgement, out);
        text_add(out, " says deny");
        break;
    case REASON_NO_MATCH:
        text_add(out, "no pin of ");
        print_lines(pins, path, judgement, out);
        text_add(out, " matched");
        print_problem(judgement, out);
        break;
    case REASON_EXPIRED:
        policy_print_rule(path, judgement, out);
        text_add(out, " matched, but its pin expired on ");
        text_add_date(out, judgement->matched->expires);
        text_add(out, "; next: set a later day there, if the server's owner confirms that it is still valid");
        break;
    case REASON_UNTRUSTED:
        text_add(out, "pkix of ");
        policy_print_rule(path, judgement, out);
        text_add(out, " is not satisfied");
        print_problem(judgement, out);
        break;
    case REASON_REVOKED:
        if (judgement->problem != NULL) {
            text_add(out, "whether @revoked applies to one of its issuers cannot be determined");
            print_problem(judgement, out);
            break;
        }
        policy_print_rule(path, judgement, out);
        text_add(out, " revokes ");
        pins_print_pin(pins, judgement->matched, out);
        break;
    case REASON_NO_CERTIFICATE:
        text_add(out, "no certificate for the pin of ");
        print_lines(pins, path, judgement, out);
        break;
    case REASON_UNPROVEN:
        text_add(out, "a session was resumed, but this process has not verified its server");
        break;
    case REASON_NO_RULE:
        text_add(out, "no rule for this target");
        break;
    case REASON_ALLOW:
        policy_print_rule(path, judgement, out);
        text_add(out, " says allow");
        break;
    case REASON_MATCH:
        policy_print_rule(path, judgement, out);
        if (judgement->matched == NULL) {
            text_add(out, " satisfied: pkix");
            break;
        }
        text_add(out, " matched ");
        pins_print_pin(pins, judgement->matched, out);
        break;
    }
}

void policy_print_wanted(const struct pins *pins, const struct judgement *judgement, struct text *out)
{
    const struct rules rules = judgement->rules;
    int listed = 0;

    if (judgement->reason != REASON_NO_MATCH && judgement->reason != REASON_NO_CERTIFICATE)
        return;
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (listed++ == 3) {
                text_add(out, " ...");
                return;
            }
            text_add(out, "%s", listed == 1 ? "" : " ");
            pins_print_pin(pins, pin, out);
        }
    }
}
