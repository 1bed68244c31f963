#include "policy.h"

#include <string.h>

struct host *target_add(struct target *target, const struct host *host)
{
    struct host *place;

    if (target->count == TARGET_IDENTITIES) {
        target->overflow = true;
        return NULL;
    }
    place = &target->identities[target->count++];
    *place = *host;
    return place;
}

static bool matches(const struct pins *pins, const struct pin *pin, const struct peer *peer)
{
    return peer->known[pin->kind][pin->digest]
        && memcmp(pins_digest(pins, pin), peer->digests[pin->kind][pin->digest], digest_size((enum digest)pin->digest)) == 0;
}

/* Judge by these rules alone: one of them must be satisfied. `*out` says why in either case. */
static enum verdict judge_rules(const struct pins *pins, struct rules rules, const struct host *host, const struct peer *peer,
    struct judgement *out)
{
    out->verdict = VERDICT_REFUSE;
    out->reason = REASON_DENY;
    out->host = *host;
    out->rules = rules;
    out->rule = rules.first;
    out->matched = NULL;
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        if (rule->action == RULE_ALLOW) {
            out->rule = rule;
            out->reason = REASON_ALLOW;
            return out->verdict = VERDICT_ACCEPT;
        }
        if (rule->action != RULE_PINS)
            continue;
        if (out->reason == REASON_DENY)
            out->rule = rule;
        out->reason = peer->has[PIN_SPKI] ? REASON_NO_MATCH : REASON_NO_CERTIFICATE;
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (matches(pins, pin, peer)) {
                out->rule = rule;
                out->matched = pin;
                out->reason = REASON_MATCH;
                return out->verdict = VERDICT_ACCEPT;
            }
        }
    }
    return out->verdict;
}

/* Judge by the names that the program had resolved: of those with a rule, one must be satisfied. Return false where none has. */
static bool judge_resolved(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out)
{
    struct judgement attempt;
    struct host host;
    uintptr_t cursor = 0;
    bool any = false;

    while (target->next_resolved != NULL && target->next_resolved(target, &cursor, &host)) {
        struct rules rules = pins_lookup(pins, &host);

        if (rules.first == NULL)
            continue;
        if (judge_rules(pins, rules, &host, peer, &attempt) == VERDICT_ACCEPT || !any)
            *out = attempt;
        any = true;
        if (attempt.verdict == VERDICT_ACCEPT)
            break;
    }
    return any;
}

static void unidentifiable(const struct pins *pins, struct judgement *out)
{
    bool demand = pins_demand_anything(pins);

    out->rules.first = NULL;
    out->rule = NULL;
    out->matched = NULL;
    out->verdict = demand ? VERDICT_REFUSE : VERDICT_ACCEPT;
    out->reason = demand ? REASON_UNIDENTIFIABLE : REASON_NO_RULE;
}

/* The target `*`, for a target that no other rule names. */
static void judge_any(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out)
{
    out->host = target->identities[0];
    out->verdict = VERDICT_ACCEPT;
    out->reason = REASON_NO_RULE;
    for (size_t i = 0; i < target->count; i++) {
        const struct host *host = &target->identities[i];
        struct rules rules = pins_lookup_any(pins, host);
        struct judgement attempt;

        if (rules.first == NULL)
            continue;
        if (judge_rules(pins, rules, host, peer, &attempt) == VERDICT_REFUSE) {
            *out = attempt;
            return;
        }
        if (out->reason == REASON_NO_RULE)
            *out = attempt;
    }
}

void policy_judge(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out)
{
    struct judgement attempt;
    bool any = false;

    memset(out, 0, sizeof(*out));
    if (target->count > 0)
        out->host = target->identities[0];
    for (size_t i = 0; i < target->count; i++) {
        /* What cannot be read as a host cannot be looked up, and could be any. */
        if (target->identities[i].kind == HOST_UNREADABLE && pins_demand_anything(pins)) {
            out->host = target->identities[i];
            unidentifiable(pins, out);
            return;
        }
    }
    if (target->count == 0 || target->overflow) {
        unidentifiable(pins, out);
        return;
    }
    for (size_t i = 0; i < target->count; i++) {
        struct rules rules = pins_lookup(pins, &target->identities[i]);

        if (rules.first == NULL)
            continue;
        if (judge_rules(pins, rules, &target->identities[i], peer, &attempt) == VERDICT_REFUSE) {
            *out = attempt;
            return;
        }
        if (!any)
            *out = attempt;
        any = true;
    }
    if (!target->named) {
        if (judge_resolved(pins, target, peer, &attempt)) {
            if (!any || attempt.verdict == VERDICT_REFUSE)
                *out = attempt;
            any = true;
        } else if (target->resolved_overflow) {
            unidentifiable(pins, out);
            return;
        }
    }
    if (!any)
        judge_any(pins, target, peer, out);
}

void policy_print_rule(const char *path, const struct judgement *judgement, struct text *out)
{
    const struct rule *rule = judgement->rule;

    if (rule == NULL)
        return;
    text_add_escaped(out, path, strlen(path), 300);
    text_add(out, ":%u", (unsigned)(judgement->matched != NULL ? judgement->matched->line : rule->line));
}

/* file:12 or, where the target has several lines, file:12,13,20. */
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

void policy_print_reason(const struct pins *pins, const char *path, const struct judgement *judgement, struct text *out)
{
    switch (judgement->reason) {
    case REASON_INTERNAL:
        text_add(out, "internal error");
        break;
    case REASON_FAULT:
        text_add(out, "configuration fault");
        break;
    case REASON_UNIDENTIFIABLE:
        text_add(out, "unidentifiable: the program gave no host name and no socket by which the target could be told for sure, and ");
        text_add_escaped(out, path, strlen(path), 300);
        text_add(out, " has rules");
        break;
    case REASON_DENY:
        policy_print_rule(path, judgement, out);
        text_add(out, " says deny");
        break;
    case REASON_NO_MATCH:
        text_add(out, "no pin of ");
        print_lines(pins, path, judgement, out);
        text_add(out, " matched");
        break;
    case REASON_NO_CERTIFICATE:
        text_add(out, "no certificate for the pin of ");
        print_lines(pins, path, judgement, out);
        break;
    case REASON_UNPROVEN:
        text_add(out, "a session was resumed whose server this process has not verified");
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
