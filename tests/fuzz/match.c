/* The matcher and the verdict. The input's first line says what the peer is (see read_peer), the second what the program meant: hosts
 * parted by "|" ("~" before one: its port is doubtful); with "=" or "&" the last is the socket's address, and names that were resolved to it
 * follow ("=": the program gave no name). The rest is a pins file. The rules that are found are those that a plain search over all rules finds, however the host is spelled; and the verdict
 * is the one that a plain reading of these rules gives. */

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
    if (host->kind != HOST_NAME || rule->form == FORM_ANY || rule->form == FORM_UNKNOWN)
        return 0;
    if (rule->form == FORM_NAME)
        return strcmp(name, host->name) == 0 ? SIZE_MAX : 0;
    if (length <= suffix || strcmp(host->name + length - suffix, name) != 0 || host->name[length - suffix - 1] != '.')
        return 0;
    if (rule->form == FORM_LABELS)
        return suffix * 2;
    return memchr(host->name, '.', length - suffix - 1) == NULL ? suffix * 2 + 1 : 0;
}

static uint16_t today;

/* A refusal by the rule is only reported. */
static bool reports(const struct rule *rule)
{
    return rule->report_until == REPORT_ALWAYS || today < rule->report_until;
}

/* The rule is for the host's very port: it counts and no other of the name, but where the port is in doubt and another could demand more. */
static bool holds_alone(const struct rule *rule, const struct host *host)
{
    return host->port != 0 && rule->port == host->port && !(host->port_doubtful && (rule->action == RULE_ALLOW || reports(rule)));
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
        if (holds_alone(&pins->rules[i], host))
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

/* The peer, and what a path of certificates would tell of it. Each digest of a key or certificate is one byte, over and over. */
struct fake {
    struct peer peer; /* the first member: the functions below come back from it */
    const struct meant *meant;
    uint8_t leaf[PIN_KINDS]; /* that byte; PIN_CA: of an issuer in a verified path, 0: none */
    bool trusted;
    unsigned valid_for; /* a bit for each host that was meant, resolved ones behind the given ones */
};

/* What the program meant. */
struct meant {
    struct target target; /* the first member */
    struct host resolved[4];
    size_t resolved_count;
};

static bool same_host(const struct host *a, const struct host *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 && memcmp(a->address, b->address, 16) == 0;
}

static bool is_valid_for(const struct fake *fake, const struct host *host)
{
    const struct meant *meant = fake->meant;
    size_t i;

    for (i = 0; i < meant->target.count; i++) {
        if (same_host(target_at(&meant->target, i), host))
            return (fake->valid_for >> i & 1) != 0;
    }
    for (size_t j = 0; j < meant->resolved_count; j++, i++) {
        if (same_host(&meant->resolved[j], host))
            return (fake->valid_for >> i & 1) != 0;
    }
    require(host->kind == HOST_UNREADABLE && meant->target.count == 0); /* @unknown asks for nobody */
    return false;
}

static bool is_filled(const struct pins *pins, const struct pin *pin, uint8_t byte)
{
    const uint8_t *digest = pins_digest(pins, pin);

    for (size_t i = 0; i < digest_size((enum digest)pin->digest); i++) {
        if (digest[i] != byte)
            return false;
    }
    return true;
}

static bool in_force(const struct pin *pin, const struct peer *peer)
{
    return pin->expires == 0 || peer->today < pin->expires;
}

static const struct pin *authority(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
    const char **problem)
{
    const struct fake *fake = (const struct fake *)peer;

    *problem = "no issuer";
    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind == PIN_CA && fake->leaf[PIN_CA] != 0 && is_filled(pins, pin, fake->leaf[PIN_CA]) && in_force(pin, peer)
            && is_valid_for(fake, host))
            return pin;
    }
    return NULL;
}

static bool trusted(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem)
{
    (void)pins;
    *problem = "no path";
    return ((const struct fake *)peer)->trusted && is_valid_for((const struct fake *)peer, host);
}

static const struct pin *revoked(const struct peer *peer, const struct pins *pins, const char **problem)
{
    const struct fake *fake = (const struct fake *)peer;
    const struct rule *rule = pins_revoked(pins);

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind == PIN_SPKI && fake->leaf[PIN_CA] != 0 && is_filled(pins, pin, fake->leaf[PIN_CA]))
            return pin;
    }
    *problem = NULL;
    return NULL;
}

static bool next_resolved(const struct target *target, uintptr_t *cursor, struct host *out)
{
    const struct meant *meant = (const struct meant *)target;

    if (*cursor == meant->resolved_count)
        return false;
    *out = meant->resolved[(*cursor)++];
    return true;
}

/* A letter and a hexadecimal digit at a time: k and c, the bytes of the leaf's key and certificate; i, of an issuer's key; d, the day;
 * t, there is a trusted path; n and m, the names that the leaf is valid for; x, nothing can tell of paths. 0 is none. */
static void read_peer(const char *string, size_t length, struct fake *out)
{
    static const struct peer_path path = {authority, trusted, revoked};

    out->peer.path = &path;
    for (size_t i = 0; i + 1 < length; i += 2) {
        static const char hex[] = "0123456789abcdef";
        const char *digit = memchr(hex, string[i + 1], 16);
        unsigned value = digit != NULL ? (unsigned)(digit - hex) : 0;

        if (string[i] == 'k' || string[i] == 'c' || string[i] == 'i')
            out->leaf[string[i] == 'k' ? PIN_SPKI : string[i] == 'c' ? PIN_CERT : PIN_CA] = (uint8_t)(value * 0x11);
        else if (string[i] == 'd')
            out->peer.today = (uint16_t)value;
        else if (string[i] == 't')
            out->trusted = value != 0;
        else if (string[i] == 'n' || string[i] == 'm')
            out->valid_for |= string[i] == 'n' ? value : value << 4;
        else if (string[i] == 'x' && value != 0)
            out->peer.path = NULL;
    }
    for (int kind = PIN_SPKI; kind <= PIN_CERT; kind++) {
        out->peer.has[kind] = out->leaf[kind] != 0;
        memset(out->peer.known[kind], out->leaf[kind] != 0, sizeof(out->peer.known[kind]));
        memset(out->peer.digests[kind], out->leaf[kind], sizeof(out->peer.digests[kind]));
    }
}

/* Without a path there is neither an issuer nor trust. */
static void forget_paths(struct fake *fake)
{
    if (fake->peer.path == NULL) {
        fake->trusted = false;
        fake->leaf[PIN_CA] = 0;
    }
}

static void read_meant(const char *string, size_t length, struct meant *out)
{
    const char *end = string + length;
    bool resolved = false;

    out->target.named = true;
    for (const char *at = string; at < end;) {
        const char *stop = at + (*at == '~');
        struct host host;

        while (stop < end && *stop != '|' && *stop != '=' && *stop != '&')
            stop++;
        (void)host_parse(at + (*at == '~'), (size_t)(stop - at) - (*at == '~'), &host);
        host.port_doubtful = *at == '~';
        if (!resolved)
            (void)target_add(&out->target, &host);
        else if (host.kind == HOST_NAME && out->resolved_count < 4)
            out->resolved[out->resolved_count++] = host;
        if (stop < end && *stop != '|') {
            resolved = true;
            out->target.named &= *stop == '&';
            out->target.next_resolved = next_resolved;
        }
        at = stop + 1;
    }
}

/* What a rule, or several, say of the peer. */
enum opinion { NO_OPINION = 0, REFUSES, REPORTS, ALLOWS /* asks for nothing */, ACCEPTS };

static enum opinion ask_rule(const struct pins *pins, const struct rule *rule, const struct fake *fake, const struct host *host)
{
    const struct pin *pin = NULL;
    bool asked = false;
    bool matched = false;

    while (rule->action == RULE_PINS && (pin = pins_next_pin(pins, rule, pin)) != NULL) {
        asked = true;
        if (in_force(pin, &fake->peer) && fake->leaf[pin->kind] != 0 && is_filled(pins, pin, fake->leaf[pin->kind])
            && (pin->kind != PIN_CA || is_valid_for(fake, host)))
            matched = true;
    }
    if (rule->action == RULE_ALLOW)
        return ALLOWS;
    if (rule->action == RULE_PINS && (matched || (!asked && rule->pkix)) && (!rule->pkix || (fake->trusted && is_valid_for(fake, host))))
        return ACCEPTS;
    return reports(rule) ? REPORTS : REFUSES;
}

/* One must be satisfied: an acceptance before a refusal, that before a report, and that before what asks for nothing. */
static enum opinion either(enum opinion a, enum opinion b)
{
    return a == NO_OPINION ? b : b == NO_OPINION ? a : a == ACCEPTS || b == ACCEPTS ? ACCEPTS : a < b ? a : b;
}

/* Of the rules for `target` (or those of "*", or of "@unknown": `form`), found by search; what they say is for `host`. One of them must be satisfied.
 * Where the port is in doubt and no rule of the name is for every port, the wider names below it count as well. */
static enum opinion ask_rules(const struct pins *pins, const struct host *target, enum target_form form, const struct fake *fake, const struct host *host)
{
    bool doubt = target->port == 0 || target->port_doubtful;
    enum opinion opinion = NO_OPINION;
    bool exact = false;
    bool every = false;
    size_t best = 1;
    size_t ranks[64];

    for (size_t i = 0; i < pins->rule_count; i++) {
        const struct rule *rule = &pins->rules[i];

        if (form == FORM_ANY || form == FORM_UNKNOWN)
            ranks[i] = rule->form == form && (target->port == 0 || target->port_doubtful || rule->port == 0 || rule->port == target->port);
        else
            ranks[i] = rank(pins, rule, target);
        best = ranks[i] > best ? ranks[i] : best;
    }
    for (size_t i = 0; i < pins->rule_count; i++)
        exact |= ranks[i] == best && holds_alone(&pins->rules[i], target);
    for (size_t i = 0; i < pins->rule_count; i++) {
        if (ranks[i] != best || (exact && pins->rules[i].port != target->port))
            continue;
        opinion = either(opinion, ask_rule(pins, &pins->rules[i], fake, host));
        every |= pins->rules[i].port == 0;
    }
    while (doubt && !exact && !every && best > 1) {
        size_t wider = 1;

        for (size_t i = 0; i < pins->rule_count; i++)
            wider = ranks[i] < best && ranks[i] > wider ? ranks[i] : wider;
        for (size_t i = 0; i < pins->rule_count && wider > 1; i++) {
            if (ranks[i] != wider)
                continue;
            opinion = either(opinion, ask_rule(pins, &pins->rules[i], fake, host));
            every |= pins->rules[i].port == 0;
        }
        best = wider;
    }
    return opinion;
}

/* Both must be satisfied: what refuses weighs most. */
static enum opinion both(enum opinion a, enum opinion b)
{
    return a == NO_OPINION ? b : b == NO_OPINION || a < b ? a : b;
}

static bool is_revoked(const struct pins *pins, const struct fake *fake)
{
    const struct pin *pin = NULL;

    while ((pin = pins_next_pin(pins, &pins->revoked, pin)) != NULL) {
        if ((fake->leaf[pin->kind] != 0 && is_filled(pins, pin, fake->leaf[pin->kind]))
            || (pin->kind == PIN_SPKI && fake->leaf[PIN_CA] != 0 && is_filled(pins, pin, fake->leaf[PIN_CA])))
            return true;
    }
    return false;
}

/* "*" for each of the hosts, but not for the address of a socket where a name was held to it; and where no name was given, one
 * that was resolved will do. */
static enum opinion ask_any(const struct pins *pins, const struct meant *meant, const struct fake *fake)
{
    const struct target *target = &meant->target;
    enum opinion opinion = NO_OPINION;

    for (size_t i = 0; i < target->count; i++) {
        const struct host *host = target_at(target, i);
        enum opinion one = ask_rules(pins, host, FORM_ANY, fake, host);
        bool socket = target->next_resolved != NULL && i + 1 == target->count;

        if (socket && target->named && opinion != NO_OPINION)
            continue;
        for (size_t j = 0; socket && !target->named && one != NO_OPINION && j < meant->resolved_count; j++) {
            if (ask_rules(pins, host, FORM_ANY, fake, &meant->resolved[j]) >= ALLOWS)
                one = ACCEPTS;
        }
        opinion = both(opinion, one);
    }
    return opinion;
}

static enum opinion ask(const struct pins *pins, const struct meant *meant, const struct fake *fake)
{
    static const struct host nobody;
    const struct target *target = &meant->target;
    const struct host *unreadable = NULL;
    const struct host *address = target->count > 0 ? target_at(target, target->count - 1) : &nobody;
    enum opinion opinion = NO_OPINION;
    enum opinion resolved = NO_OPINION;
    enum opinion unknown = NO_OPINION;
    bool demand = false;
    bool enforced = false;

    if (is_revoked(pins, fake))
        return REFUSES;
    for (size_t i = 0; i < pins->rule_count; i++) {
        demand |= pins->rules[i].action != RULE_ALLOW;
        enforced |= pins->rules[i].action != RULE_ALLOW && !reports(&pins->rules[i]);
    }
    for (size_t i = target->count; i > 0; i--)
        unreadable = target_at(target, i - 1)->kind == HOST_UNREADABLE ? target_at(target, i - 1) : unreadable;
    if (!demand || target->overflow)
        return enforced ? REFUSES : demand ? REPORTS : ACCEPTS;
    for (size_t i = 0; i < target->count; i++)
        opinion = both(opinion, ask_rules(pins, target_at(target, i), FORM_NAME, fake, target_at(target, i)));
    for (size_t i = 0; !target->named && i < meant->resolved_count; i++)
        resolved = either(resolved, ask_rules(pins, &meant->resolved[i], FORM_NAME, fake, &meant->resolved[i]));
    opinion = both(opinion, resolved);
    if (unreadable != NULL || target->count == 0 || (!target->named && meant->resolved_count == 0)) {
        const struct host *host = unreadable != NULL ? unreadable : address;

        unknown = ask_rules(pins, host, FORM_UNKNOWN, fake, host);
        if (unknown == NO_OPINION && (unreadable != NULL || target->count == 0))
            return enforced ? REFUSES : REPORTS;
    }
    opinion = both(opinion, unknown);
    return opinion != NO_OPINION ? opinion : ask_any(pins, meant, fake);
}

/* The peer satisfies, for one of the hosts that were meant, a rule that has this client certificate. */
static bool has_earned(const struct pins *pins, const struct meant *meant, const struct fake *fake, uint32_t client)
{
    for (size_t i = 0; i < pins->rule_count; i++) {
        const struct rule *rule = &pins->rules[i];

        for (size_t j = 0; rule->client == client && j < meant->target.count + meant->resolved_count; j++) {
            const struct host *host = j < meant->target.count ? target_at(&meant->target, j) : &meant->resolved[j - meant->target.count];

            if (rule->action == RULE_PINS && ask_rule(pins, rule, fake, host) == ACCEPTS)
                return !is_revoked(pins, fake);
        }
    }
    return false;
}

/* Return the next line of the input, and go behind it; NULL: there is none. */
static const char *next_line(const uint8_t **at, const uint8_t *end, size_t *length)
{
    const char *line = (const char *)*at;
    const uint8_t *newline = *at != end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

    if (newline == NULL)
        return NULL;
    *length = (size_t)(newline - *at);
    *at = newline + 1;
    return line;
}

static void check_host(const struct pins *pins, const char *string, size_t length)
{
    bool doubtful = length != 0 && string[0] == '~';
    struct rules rules;
    struct host host;

    (void)host_parse(string + doubtful, length - doubtful, &host);
    host.port_doubtful = doubtful;
    rules = pins_lookup(pins, &host);
    compare(pins, &host, rules);
    respell(pins, string + doubtful, length - doubtful, &host, &rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    struct meant meant = {0};
    struct fake fake = {.meant = &meant};
    struct judgement judgement;
    enum opinion opinion;
    const char *peer;
    const char *hosts;
    struct pins *pins;
    size_t peer_length;
    size_t length;

    if ((peer = next_line(&at, end, &peer_length)) == NULL || (hosts = next_line(&at, end, &length)) == NULL
        || (pins = fuzz_parse(at, (size_t)(end - at), on_report, NULL)) == NULL)
        return 0;
    read_peer(peer, peer_length, &fake);
    today = fake.peer.today;
    pins_set_today(pins, today);
    check_host(pins, hosts, length);
    if (pins->rule_count <= 64) {
        read_meant(hosts, length, &meant);
        judgement = fuzz_judge(pins, &meant.target, &fake.peer);
        forget_paths(&fake);
        opinion = ask(pins, &meant, &fake);
        require((judgement.verdict == VERDICT_REFUSE) == (opinion == REFUSES || opinion == REPORTS));
        require(judgement.verdict == VERDICT_ACCEPT || judgement.report == (opinion == REPORTS));
        require(judgement.client == 0 || has_earned(pins, &meant, &fake, judgement.client));
        target_free(&meant.target);
    }
    pins_free(pins);
    return 0;
}
