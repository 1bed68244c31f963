/* A writer that stops in the midst leaves what looks like a whole file. What the one before it demanded besides may be still to come. */
#include "memory.h"
#include "pins_internal.h"

#include <string.h>

/* The older file, and what of it counts. */
struct older {
    const struct pins *pins;
    bool own;
};

static const char *name_of(const struct pins *pins, const struct rule *rule)
{
    return (const char *)pins->bytes + rule->name;
}

static const struct rule *next_port(const struct pins *pins, const struct rule *rule)
{
    return rule->next_port != NOTHING ? &pins->rules[rule->next_port] : NULL;
}

static bool counts(const struct older *older, const struct rule *rule)
{
    return !older->own || !rule->kept;
}

static bool demands_pkix(const struct older *older, const struct rule *rule)
{
    return rule->pkix && (!older->own || !rule->kept_pkix);
}

static bool demands_tls(const struct older *older, const struct rule *rule)
{
    return rule->tls_required && (!older->own || !rule->kept_tls);
}

/* Return the rule for exactly this target of other pins. */
static struct rule *same_target(const struct pins *pins, const struct pins *other, const struct rule *rule)
{
    const struct rule *found = pins_find(pins, (enum target_form)rule->form, name_of(other, rule));

    while (found != NULL && found->port != rule->port)
        found = next_port(pins, found);
    return (struct rule *)(uintptr_t)found;
}

/* Return the older rule that decided for this target of other pins: its own, or that of the next wider one. */
static const struct rule *decided(const struct older *older, const struct pins *other, const struct rule *rule)
{
    enum target_form form = (enum target_form)rule->form;
    const char *name = name_of(other, rule);
    const struct rule *first = pins_find(older->pins, form, name);

    for (;;) {
        const struct rule *found = NULL;

        for (; first != NULL; first = next_port(older->pins, first)) {
            if ((first->port == rule->port || (first->port == 0 && found == NULL)) && counts(older, first))
                found = first;
        }
        if (found != NULL || form == FORM_ANY || form == FORM_UNKNOWN)
            return found;
        first = pins_find_wider(older->pins, form, name);
        if (first == NULL)
            first = pins_find(older->pins, FORM_ANY, "");
        if (first == NULL)
            return NULL;
        form = (enum target_form)first->form;
        name = name_of(older->pins, first);
    }
}

/* Return that pin of other pins in the rule; NULL: it has none. */
static const struct pin *same_pin(const struct pins *pins, const struct rule *rule, const struct pins *other, const struct pin *pin)
{
    const struct pin *own = NULL;

    while ((own = pins_next_pin(pins, rule, own)) != NULL
        && (own->kind != pin->kind || own->digest != pin->digest
            || memcmp(pins_digest(pins, own), pins_digest(other, pin), digest_size((enum digest)pin->digest)) != 0)) {}
    return own;
}

/* Return true if the rule accepts what the older one did not: what a line that is cut has of a pin may lack the rest (pkix, expires=). */
static bool has_news(const struct pins *pins, const struct rule *rule, const struct pins *before, const struct rule *old)
{
    const struct pin *pin = NULL;
    const struct pin *same = NULL;

    do {
        pin = pins_next_pin(pins, rule, pin);
        same = pin != NULL ? same_pin(before, old, pins, pin) : NULL;
    } while (same != NULL && same->expires == pin->expires);
    return pin != NULL;
}

/* Take over the pins that are not there. */
static bool keep_pins(struct pins *pins, struct rule *rule, const struct older *older, const struct rule *old)
{
    const struct pins *before = older->pins;

    for (uint32_t at = old->first_pin; at != NOTHING; at = before->pins[at].next) {
        const struct pin *pin = &before->pins[at];

        if ((older->own && at >= before->own_pins) || same_pin(pins, rule, before, pin) != NULL)
            continue;
        if (!pins_add_pin(pins, rule, pin->line, (enum pin_kind)pin->kind, (enum digest)pin->digest, pins_digest(before, pin)))
            return false;
        pins->pins[pins->pin_count - 1].expires = pin->expires;
    }
    return true;
}

/* Make the index as large as so many rules need. */
static bool widen(struct pins *pins, size_t rules)
{
    size_t size = pins->index_size;
    struct index_slot *wider;

    while (size < rules + rules / 2)
        size *= 2;
    if (size == pins->index_size)
        return true;
    wider = memory_get(size * sizeof(*wider));
    for (size_t i = 0; wider != NULL && i < pins->index_size; i++) {
        size_t at = pins->index[i].hash & (size - 1);

        while (pins->index[i].rule != 0 && wider[at].rule != 0)
            at = (at + 1) & (size - 1);
        if (pins->index[i].rule != 0)
            wider[at] = pins->index[i];
    }
    if (wider == NULL)
        return false;
    memory_let_go(pins->index);
    pins->index = wider;
    pins->index_size = size;
    return true;
}

/* Put the older rule in the place of `rule`, or of none (NULL). */
static bool keep_rule(struct pins *pins, struct rule *rule, const struct older *older, const struct rule *old)
{
    const struct pins *before = older->pins;
    const char *name = name_of(before, old);
    struct target_pattern target = {.form = (enum target_form)old->form, .host.port = old->port};

    if (old->form == FORM_ADDRESS)
        memcpy(target.host.address, name, sizeof(target.host.address));
    else
        strcpy(target.host.name, name); /* it was one */
    if (rule == NULL && (!widen(pins, pins->rule_count + 1) || (rule = pins_rule(pins, &target, old->line)) == NULL))
        return false;
    rule->line = old->line;
    rule->action = old->action;
    rule->report_until = old->report_until;
    rule->pkix = demands_pkix(older, old);
    rule->tls_required = demands_tls(older, old);
    rule->kept = true;
    rule->first_pin = rule->last_pin = NOTHING;
    pins->demand |= before->demand;
    pins->named |= before->named;
    pins->pkix |= before->pkix;
    pins->tls_required |= before->tls_required;
    pins->days |= before->days;
    return keep_pins(pins, rule, older, old);
}

/* What a rule that stands in both files may still get. */
static bool keep_options(struct pins *pins, struct rule *rule, const struct older *older, const struct rule *old)
{
    if (demands_tls(older, old) && !rule->tls_required)
        rule->tls_required = rule->kept_tls = pins->tls_required = true;
    if (rule->action != RULE_PINS)
        return true;
    if (demands_pkix(older, old) && !rule->pkix)
        rule->pkix = rule->kept_pkix = pins->pkix = true;
    return rule->first_pin != NOTHING || keep_pins(pins, rule, older, old);
}

bool pins_keep_lost(struct pins *pins, const struct pins *before, bool own)
{
    const struct older older = {before, own};
    bool fine = true;

    for (size_t i = 0; fine && i < pins->own_rules; i++) {
        struct rule *rule = &pins->rules[i];
        const struct rule *exact = i + 1 == pins->open && !rule->kept ? same_target(before, pins, rule) : NULL;
        const struct rule *old;

        if (exact != NULL && counts(&older, exact) && has_news(pins, rule, before, exact))
            fine = keep_rule(pins, rule, &older, exact);
        else if ((before->pkix || before->tls_required || rule->first_pin == NOTHING) && (old = decided(&older, pins, rule)) != NULL)
            fine = keep_options(pins, rule, &older, old);
    }
    for (size_t i = 0; fine && i < before->rule_count; i++) {
        const struct rule *old = &before->rules[i];

        if ((old->action != RULE_ALLOW || demands_tls(&older, old)) && counts(&older, old) && same_target(pins, before, old) == NULL)
            fine = keep_rule(pins, NULL, &older, old);
    }
    return fine && keep_pins(pins, &pins->revoked, &older, &before->revoked);
}

size_t pins_kept(const struct pins *pins)
{
    return pins->rule_count + pins->pin_count - pins->own_rules - pins->own_pins;
}
