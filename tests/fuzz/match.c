/* The matcher. The input's first line is a host as a program gives it ("~" before it: its port is doubtful), the rest a pins
 * file. The rule that is found is the one that a plain search over all rules finds, however the host is spelled. */

#include "fuzz.h"

static void on_report(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    (void)line;
    (void)column;
    (void)message;
}

/* How specific the rule is for the host; 0: it is not for it. Two more than the suffix's length leave room for the form. */
static size_t rank(const struct pins *pins, const struct rule *rule, const struct host *host)
{
    const char *name = (const char *)pins->bytes + rule->name;
    size_t length = strlen(host->name);
    size_t suffix = rule->form == FORM_ADDRESS ? 0 : strlen(name);

    if (host->port != 0 && !host->port_doubtful && rule->port != 0 && rule->port != host->port)
        return 0;
    if (rule->form == FORM_ADDRESS)
        return host->kind == HOST_ADDRESS && memcmp(name, host->address, 16) == 0;
    if (host->kind != HOST_NAME || rule->form == FORM_ANY)
        return 0;
    if (rule->form == FORM_NAME)
        return strcmp(name, host->name) == 0 ? SIZE_MAX : 0;
    if (length <= suffix || strcmp(host->name + length - suffix, name) != 0 || host->name[length - suffix - 1] != '.')
        return 0;
    if (rule->form == FORM_LABELS)
        return suffix * 2;
    return memchr(host->name, '.', length - suffix - 1) == NULL ? suffix * 2 + 1 : 0;
}

/* The rules for the host, found one by one: none is more specific, and the one for the port comes before the others. */
static void compare(const struct pins *pins, const struct host *host, struct rules rules)
{
    size_t best = 0;

    for (size_t i = 0; i < pins->rule_count; i++)
        best = rank(pins, &pins->rules[i], host) > best ? rank(pins, &pins->rules[i], host) : best;
    require((rules.first != NULL) == (best != 0));
    if (rules.first == NULL)
        return;
    require(rules.first >= pins->rules && rules.first < pins->rules + pins->rule_count);
    require(rank(pins, rules.first, host) == best);
    require(rules.all_ports || rules.first->port == 0 || rules.first->port == host->port);
    for (size_t i = 0; i < pins->rule_count; i++) {
        const struct rule *rule = rules.first;

        if (rank(pins, &pins->rules[i], host) != best)
            continue;
        if (host->port != 0 && pins->rules[i].port == host->port)
            require(rules.first == &pins->rules[i] && !rules.all_ports);
        for (size_t steps = 0; rules.all_ports && rule != &pins->rules[i]; steps++) {
            rule = pins_next_rule(pins, rules, rule);
            require(rule != NULL && steps < pins->rule_count);
        }
    }
}

/* The same host in capitals, with a dot at its end. */
static void respell(const struct pins *pins, const char *string, size_t length, const struct host *host, const struct rules *rules)
{
    struct host other;
    struct rules found;
    char spelled[300];
    size_t end = memchr(string, ':', length) != NULL ? (size_t)((const char *)memchr(string, ':', length) - string) : length;

    if (host->kind != HOST_NAME || string[end - 1] == '.' || length + 1 > sizeof(spelled))
        return;
    for (size_t i = 0; i < length; i++)
        spelled[i + (i >= end)] = string[i] >= 'a' && string[i] <= 'z' ? (char)(string[i] - 'a' + 'A') : string[i];
    spelled[end] = '.';
    require(host_parse(spelled, length + 1, &other) == HOST_NAME && other.port == host->port);
    other.port_doubtful = host->port_doubtful;
    found = pins_lookup(pins, &other);
    require(found.first == rules->first && found.all_ports == rules->all_ports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *string = (const char *)data;
    const uint8_t *newline = size != 0 ? memchr(data, '\n', size) : NULL;
    bool doubtful = size != 0 && data[0] == '~';
    size_t length = newline != NULL ? (size_t)(newline - data) - doubtful : 0;
    struct peer peer = {.has = {true, true}};
    struct judgement judgement;
    struct rules rules;
    struct pins *pins;
    struct host host;
    bool only_deny = true;

    if (newline == NULL || (pins = fuzz_parse(newline + 1, size - (size_t)(newline + 1 - data), on_report, NULL)) == NULL)
        return 0;
    string += doubtful;
    require(host_parse(string, length, &host) == host.kind && host.kind <= HOST_ADDRESS);
    host.port_doubtful = doubtful;
    rules = pins_lookup(pins, &host);
    compare(pins, &host, rules);
    respell(pins, string, length, &host, &rules);
    judgement = fuzz_judge(pins, &host, &peer);
    for (size_t i = 0; i < pins->rule_count; i++)
        only_deny &= pins->rules[i].action == RULE_DENY;
    if (rules.first != NULL)
        require(judgement.verdict == VERDICT_REFUSE || !only_deny);
    if (host.kind == HOST_UNREADABLE && pins_demand_anything(pins))
        require(judgement.verdict == VERDICT_REFUSE);
    pins_free(pins);
    return 0;
}
