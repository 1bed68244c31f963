#include "der.h"
#include "memory.h"
#include "pins_internal.h"

#include <stdatomic.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} digests[DIGESTS] = {{"sha256", 32}, {"sha384", 48}, {"sha512", 64}};

static const char *const kinds[PIN_KINDS] = {"spki", "cert", "ca"};

size_t digest_size(enum digest digest)
{
    return digests[digest].size;
}

static bool enlarge(void **array, size_t *room, size_t count, size_t more, size_t size)
{
    size_t wanted = *room == 0 ? 64 : *room;
    void *bigger;

    while (wanted < count + more)
        wanted *= 2;
    if (wanted >= NOTHING || (bigger = memory_resize(*array, wanted * size)) == NULL)
        return false;
    *array = bigger;
    *room = wanted;
    memory_prefer_large_pages(bigger, wanted * size);
    return true;
}

/* Make room for `more` elements after `count`. */
static inline bool grow(void **array, size_t *room, size_t count, size_t more, size_t size)
{
    return count + more <= *room || enlarge(array, room, count, more, size);
}

static inline uint64_t mix(uint64_t hash, const char *key, size_t length)
{
    uint64_t word = 0;

    memcpy(&word, key, length);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* A chosen collision costs time only, and only the file's owner can choose it. */
static inline uint32_t hash_of(enum target_form form, const char *key, size_t length)
{
    uint64_t hash = (uint64_t)form + length;

    for (; length >= 8; key += 8, length -= 8)
        hash = mix(hash, key, 8);
    if (length > 0)
        hash = mix(hash, key, length);
    return (uint32_t)(hash ^ hash >> 32);
}

/* A target without its port, as the index has it. */
struct target_key {
    enum target_form form;
    uint32_t hash;
    const char *at;
    size_t length;
};

static inline struct target_key key_of(enum target_form form, const char *at, size_t length)
{
    return (struct target_key) {form, hash_of(form, at, length), at, length};
}

/* The slot of the first rule for the name, whatever its port; an empty slot if there is none. */
static inline struct index_slot *slot_of(const struct pins *pins, const struct target_key *key)
{
    size_t at = key->hash & (pins->index_size - 1);

    for (; pins->index[at].rule != 0; at = (at + 1) & (pins->index_size - 1)) {
        const struct rule *rule = &pins->rules[pins->index[at].rule - 1];
        const char *name = (const char *)pins->bytes + rule->name;

        if (pins->index[at].hash == key->hash && rule->form == key->form
            && (key->form == FORM_ADDRESS ? memcmp(name, key->at, key->length) == 0
                : strncmp(name, key->at, key->length) == 0 && name[key->length] == '\0'))
            break;
    }
    return &pins->index[at];
}

static const struct rule *find(const struct pins *pins, enum target_form form, const char *at, size_t length)
{
    struct target_key key = key_of(form, at, length);
    const struct index_slot *slot = pins->index != NULL ? slot_of(pins, &key) : NULL;

    return slot != NULL && slot->rule != 0 ? &pins->rules[slot->rule - 1] : NULL;
}

const struct rule *pins_find(const struct pins *pins, enum target_form form, const char *name)
{
    return find(pins, form, name, form == FORM_ADDRESS ? sizeof(((struct host *)0)->address) : strlen(name));
}

static bool reserve(struct pins *pins, size_t lines, size_t length)
{
    /* A name with its NUL, and digests in binary, are never longer than their text with the blank between. */
    if (!grow((void **)&pins->rules, &pins->rule_room, 0, lines, sizeof(*pins->rules))
        || !grow((void **)&pins->pins, &pins->pin_room, 0, lines, sizeof(*pins->pins))
        || !grow((void **)&pins->bytes, &pins->byte_room, 0, length + 16 * lines, 1))
        return false;
    for (pins->index_size = 16; pins->index_size < lines + lines / 2;)
        pins->index_size *= 2;
    pins->index = memory_get(pins->index_size * sizeof(*pins->index));
    if (pins->index != NULL)
        memory_prefer_large_pages(pins->index, pins->index_size * sizeof(*pins->index));
    return pins->index != NULL;
}

struct pins *pins_make(size_t lines, size_t length)
{
    struct pins *pins = memory_get(sizeof(*pins));

    if (pins == NULL)
        return NULL;
    pins->revoked.first_pin = NOTHING;
    pins_set_today(pins, UINT16_MAX);
    if (reserve(pins, lines, length))
        return pins;
    pins_free(pins);
    return NULL;
}

static void fit(void **array, size_t *room, size_t count, size_t size)
{
    void *smaller = count != 0 && count < *room ? memory_resize(*array, count * size) : NULL;

    if (smaller == NULL)
        return;
    *array = smaller;
    *room = count;
}

void pins_fit(struct pins *pins)
{
    fit((void **)&pins->rules, &pins->rule_room, pins->rule_count, sizeof(*pins->rules));
    fit((void **)&pins->pins, &pins->pin_room, pins->pin_count, sizeof(*pins->pins));
    fit((void **)&pins->bytes, &pins->byte_room, pins->byte_count, 1);
    pins->own_rules = pins->rule_count;
    pins->own_pins = pins->pin_count;
}

void pins_expect(const struct pins *pins, const char *name, size_t length)
{
    __builtin_prefetch(&pins->index[hash_of(FORM_NAME, name, length) & (pins->index_size - 1)], 1);
}

struct rule *pins_rule(struct pins *pins, const struct target_pattern *target, uint32_t line)
{
    const struct host *host = &target->host;
    bool address = target->form == FORM_ADDRESS;
    struct target_key key = key_of(target->form, address ? (const char *)host->address : host->name,
        address ? sizeof(host->address) : strlen(host->name));
    struct index_slot *slot = slot_of(pins, &key);
    uint32_t number = slot->rule;
    uint32_t last = NOTHING;
    struct rule *rule;

    for (; number != 0; number = rule->next_port + 1) {
        last = number - 1;
        rule = &pins->rules[last];
        if (rule->port == host->port)
            return rule;
        if (rule->next_port == NOTHING)
            break;
    }
    if (pins->rule_count + 1 == pins->index_size || !grow((void **)&pins->rules, &pins->rule_room, pins->rule_count, 1, sizeof(*pins->rules))
        || !grow((void **)&pins->bytes, &pins->byte_room, pins->byte_count, key.length + 1, 1))
        return NULL;
    pins->located |= address;
    rule = &pins->rules[pins->rule_count];
    *rule = (struct rule) {
        .line = line,
        .name = last != NOTHING ? pins->rules[last].name : (uint32_t)pins->byte_count,
        .first_pin = NOTHING,
        .last_pin = NOTHING,
        .next_port = NOTHING,
        .port = host->port,
        .form = (uint8_t)key.form,
        .action = RULE_UNSET,
    };
    if (last != NOTHING) {
        pins->rules[last].next_port = (uint32_t)pins->rule_count;
    } else {
        memcpy(pins->bytes + pins->byte_count, key.at, key.length);
        pins->bytes[pins->byte_count + key.length] = '\0';
        pins->byte_count += key.length + 1;
        *slot = (struct index_slot) {key.hash, (uint32_t)pins->rule_count + 1};
    }
    pins->rule_count++;
    return rule;
}

bool pins_add_pin(struct pins *pins, struct rule *rule, uint32_t line, enum pin_kind kind, enum digest digest,
    const uint8_t *bytes)
{
    uint32_t index = (uint32_t)pins->pin_count;
    size_t size = digests[digest].size;

    if (!grow((void **)&pins->pins, &pins->pin_room, pins->pin_count, 1, sizeof(*pins->pins))
        || !grow((void **)&pins->bytes, &pins->byte_room, pins->byte_count, size, 1))
        return false;
    pins->pins[index] = (struct pin) {line, NOTHING, (uint32_t)pins->byte_count, (uint8_t)kind, (uint8_t)digest, 0};
    memcpy(pins->bytes + pins->byte_count, bytes, size);
    pins->byte_count += size;
    pins->pin_count++;
    pins->used[kind][digest] = true;
    if (rule->first_pin == NOTHING)
        rule->first_pin = index;
    else
        pins->pins[rule->last_pin].next = index;
    rule->last_pin = index;
    return true;
}

bool pins_add_issuer(struct pins *pins, const void *der, size_t length)
{
    struct der_names names;

    /* A certificate whose subject cannot be read cannot be matched as an issuer; its pin stays. */
    if (!der_read_names((struct bytes) {der, length}, &names))
        names.subject = 0;
    if (!grow((void **)&pins->issuers, &pins->issuer_room, pins->issuer_count, 1, sizeof(*pins->issuers))
        || !grow((void **)&pins->bytes, &pins->byte_room, pins->byte_count, length, 1))
        return false;
    pins->issuers[pins->issuer_count++] = (struct issuer) {names.subject, (uint32_t)pins->byte_count, (uint32_t)length};
    memcpy(pins->bytes + pins->byte_count, der, length);
    pins->byte_count += length;
    return true;
}

uint32_t pins_add_client(struct pins *pins, const struct client_cert *client)
{
    if (!grow((void **)&pins->clients, &pins->client_room, pins->client_count, 1, sizeof(*pins->clients)))
        return 0;
    pins->clients[pins->client_count] = *client;
    return (uint32_t)++pins->client_count;
}

bool pins_copy_client(const struct client_cert *from, struct client_cert *to)
{
    bool fine;

    *to = *from;
    to->chain = (uint8_t *)memory_copy((const char *)from->chain, from->chain_length);
    to->key = (uint8_t *)memory_copy((const char *)from->key, from->key_length);
    fine = to->chain != NULL && to->key != NULL;
    for (size_t i = 0; i < CLIENT_FILES; i++) {
        to->paths[i] = from->paths[i] != NULL ? memory_copy(from->paths[i], strlen(from->paths[i])) : NULL;
        fine &= (to->paths[i] == NULL) == (from->paths[i] == NULL);
    }
    if (!fine)
        pins_clear_client(to);
    return fine;
}

void pins_clear_client(struct client_cert *client)
{
    if (client->key != NULL)
        explicit_bzero(client->key, client->key_length);
    memory_let_go(client->key);
    memory_let_go(client->chain);
    for (size_t i = 0; i < CLIENT_FILES; i++)
        memory_let_go(client->paths[i]);
    memset(client, 0, sizeof(*client));
}

void pins_free(struct pins *pins)
{
    if (pins == NULL)
        return;
    memory_let_go(pins->rules);
    memory_let_go(pins->pins);
    memory_let_go(pins->bytes);
    memory_let_go(pins->index);
    memory_let_go(pins->issuers);
    roots_free(pins->roots);
    for (size_t i = 0; i < pins->client_count; i++)
        pins_clear_client(&pins->clients[i]);
    memory_let_go(pins->clients);
    memory_let_go(pins);
}

bool pins_demand_anything(const struct pins *pins)
{
    return pins->demand;
}

void pins_set_today(struct pins *pins, uint16_t today)
{
    atomic_store_explicit(&pins->today, today, memory_order_relaxed);
}

bool pins_have_days(const struct pins *pins)
{
    return pins->days;
}

bool pins_only_report(const struct pins *pins, const struct rule *rule)
{
    return rule->report_until == REPORT_ALWAYS
        || (rule->report_until != 0 && atomic_load_explicit(&pins->today, memory_order_relaxed) < rule->report_until);
}

bool pins_enforce(const struct pins *pins, bool addresses)
{
    if (!pins->demand || (addresses && !pins->located))
        return false;
    for (size_t i = 0; i < pins->rule_count; i++) {
        const struct rule *rule = &pins->rules[i];

        if (rule->action != RULE_ALLOW && !pins_only_report(pins, rule) && (!addresses || rule->form == FORM_ADDRESS))
            return true;
    }
    return false;
}

bool pins_require_tls(const struct pins *pins)
{
    return pins->tls_required;
}

bool pins_name_hosts(const struct pins *pins)
{
    return pins->named;
}

bool pins_use(const struct pins *pins, enum pin_kind kind, enum digest digest)
{
    return pins->used[kind][digest];
}

const bool (*pins_uses(const struct pins *pins))[DIGESTS]
{
    return (const bool(*)[DIGESTS])pins->used;
}

const struct rule *pins_revoked(const struct pins *pins)
{
    return pins->revoked.first_pin != NOTHING ? &pins->revoked : NULL;
}

const uint8_t *pins_next_issuer(const struct pins *pins, uint64_t subject, size_t *cursor, size_t *length)
{
    for (size_t i = *cursor; i < pins->issuer_count; i++) {
        const struct issuer *issuer = &pins->issuers[i];

        if (issuer->subject != subject)
            continue;
        *cursor = i + 1;
        *length = issuer->length;
        return pins->bytes + issuer->bytes;
    }
    return NULL;
}

/* The trust store may be the only place that has a pinned issuer, or one that is not revoked: most servers do not send their root. */
static bool needs_roots(const struct pins *pins)
{
    bool needed = pins->pkix || pins_revoked(pins) != NULL;

    for (int digest = 0; digest < DIGESTS; digest++)
        needed |= pins_use(pins, PIN_CA, (enum digest)digest);
    return needed;
}

bool pins_need_library(const struct pins *pins)
{
    return needs_roots(pins) || pins->client_count > 0;
}

void pins_read_roots(struct pins *pins, const struct pins_reader *reader)
{
    struct roots *before = reader != NULL && reader->before != NULL ? reader->before->roots : NULL;

    if (reader == NULL || reader->read_roots == NULL || pins->roots != NULL || !needs_roots(pins))
        return;
    pins->roots = before != NULL && roots_age(before) == FILE_SETTLED && roots_stay(before) ? roots_share(before) : reader->read_roots(reader);
}

const struct roots *pins_roots(const struct pins *pins)
{
    return pins->roots;
}

const struct client_cert *pins_client(const struct pins *pins, uint32_t number)
{
    return number != 0 && number <= pins->client_count ? &pins->clients[number - 1] : NULL;
}

static const struct rule *next_port(const struct pins *pins, const struct rule *rule)
{
    return rule->next_port == NOTHING ? NULL : &pins->rules[rule->next_port];
}

const struct rule *pins_find_wider(const struct pins *pins, enum target_form form, const char *suffix)
{
    const struct rule *found = NULL;

    if (form != FORM_NAME && form != FORM_ONE_LABEL && form != FORM_LABELS)
        return NULL;
    if (form == FORM_ONE_LABEL)
        found = find(pins, FORM_LABELS, suffix, strlen(suffix));
    for (bool first = form == FORM_NAME; found == NULL && (suffix = strchr(suffix, '.')) != NULL; first = false) {
        size_t length = strlen(++suffix);

        if (first)
            found = find(pins, FORM_ONE_LABEL, suffix, length);
        if (found == NULL)
            found = find(pins, FORM_LABELS, suffix, length);
    }
    return found;
}

const struct rule *pins_next_rule(const struct pins *pins, struct rules rules, const struct rule *rule)
{
    const char *name = (const char *)pins->bytes + rule->name;

    if (!rules.all_ports || rule->next_port != NOTHING)
        return rules.all_ports ? next_port(pins, rule) : NULL;
    if (rule->form == FORM_ADDRESS)
        return NULL;
    /* At a port that none of these is for, the next wider target decides. */
    for (const struct rule *one = find(pins, rule->form, name, strlen(name)); one != NULL; one = next_port(pins, one)) {
        if (one->port == 0)
            return NULL;
    }
    return pins_find_wider(pins, (enum target_form)rule->form, name);
}

/* A rule with the port beats one without; if no port is known, all rules of the name count. */
static struct rules pick(const struct pins *pins, const struct rule *first, const struct host *host)
{
    const struct rule *every_port = NULL;

    if (host->port == 0)
        return (struct rules) {first, true};
    for (const struct rule *rule = first; rule != NULL; rule = next_port(pins, rule)) {
        /* In doubt it holds alone only where the others could not demand more. */
        if (rule->port == host->port && !(host->port_doubtful && (rule->action == RULE_ALLOW || pins_only_report(pins, rule))))
            return (struct rules) {rule, false};
        if (rule->port == 0)
            every_port = rule;
    }
    return host->port_doubtful ? (struct rules) {first, true} : (struct rules) {every_port, false};
}

struct rules pins_lookup(const struct pins *pins, const struct host *host)
{
    struct rules found = {NULL, false};
    const char *suffix = host->name;
    bool first_dot = true;

    if (host->kind == HOST_ADDRESS)
        return pick(pins, find(pins, FORM_ADDRESS, (const char *)host->address, sizeof(host->address)), host);
    if (host->kind != HOST_NAME)
        return found;
    found = pick(pins, find(pins, FORM_NAME, host->name, strlen(host->name)), host);
    while (found.first == NULL && (suffix = strchr(suffix, '.')) != NULL) {
        size_t length = strlen(++suffix);

        if (first_dot)
            found = pick(pins, find(pins, FORM_ONE_LABEL, suffix, length), host);
        first_dot = false;
        if (found.first == NULL)
            found = pick(pins, find(pins, FORM_LABELS, suffix, length), host);
    }
    return found;
}

struct rules pins_lookup_any(const struct pins *pins, const struct host *host)
{
    return pick(pins, find(pins, FORM_ANY, "", 0), host);
}

struct rules pins_lookup_unknown(const struct pins *pins, const struct host *address)
{
    return pick(pins, find(pins, FORM_UNKNOWN, "", 0), address);
}

const struct pin *pins_next_pin(const struct pins *pins, const struct rule *rule, const struct pin *pin)
{
    uint32_t index = pin == NULL ? rule->first_pin : pin->next;

    return index == NOTHING ? NULL : &pins->pins[index];
}

const uint8_t *pins_digest(const struct pins *pins, const struct pin *pin)
{
    return pins->bytes + pin->bytes;
}

void pins_print_digest(enum pin_kind kind, enum digest digest, const uint8_t *bytes, struct text *out)
{
    text_add(out, "%s-%s:", kinds[kind], digests[digest].name);
    text_add_base64(out, bytes, digest_size(digest));
}

void pins_print_pin(const struct pins *pins, const struct pin *pin, struct text *out)
{
    pins_print_digest((enum pin_kind)pin->kind, (enum digest)pin->digest, pins_digest(pins, pin), out);
}
