#include "pins_internal.h"

#include <stdlib.h>
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

/* Make room for `more` elements after `count`. */
static bool grow(void **array, size_t *room, size_t count, size_t more, size_t size)
{
    size_t wanted = *room == 0 ? 64 : *room;
    void *bigger;

    if (count + more <= *room)
        return true;
    while (wanted < count + more)
        wanted *= 2;
    if (wanted >= NOTHING || (bigger = realloc(*array, wanted * size)) == NULL)
        return false;
    *array = bigger;
    *room = wanted;
    return true;
}

/* FNV-1a. A chosen collision costs time only, and the file is its owner's. */
static uint32_t hash_of(enum target_form form, const char *key, size_t length)
{
    uint32_t hash = 2166136261U ^ (uint32_t)form;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)key[i]) * 16777619U;
    return hash ^ hash >> 15;
}

static size_t key_of(enum target_form form, const struct host *host, const char **key)
{
    *key = form == FORM_ADDRESS ? (const char *)host->address : host->name;
    return form == FORM_ADDRESS ? sizeof(host->address) : form == FORM_ANY ? 0 : strlen(host->name);
}

/* The first rule for the name, whatever its port. */
static struct rule *find(const struct pins *pins, enum target_form form, const char *key, size_t length)
{
    uint32_t at;

    if (pins->bucket_count == 0)
        return NULL;
    at = pins->buckets[hash_of(form, key, length) & (pins->bucket_count - 1)];
    for (; at != NOTHING; at = pins->rules[at].next_in_bucket) {
        struct rule *rule = &pins->rules[at];
        const char *name = (const char *)pins->bytes + rule->name;

        if (rule->form == form && (form == FORM_ADDRESS ? memcmp(name, key, length) == 0 : strcmp(name, key) == 0))
            return rule;
    }
    return NULL;
}

/* Only the first rule for a name stands in a bucket; those with other ports hang on it. */
static bool spread(struct pins *pins)
{
    size_t wanted = pins->bucket_count == 0 ? 64 : pins->bucket_count * 2;
    uint32_t *buckets;
    bool *hanging;

    if (pins->rule_count < pins->bucket_count)
        return true;
    buckets = malloc(wanted * sizeof(*buckets));
    hanging = calloc(pins->rule_count + 1, sizeof(*hanging));
    if (buckets == NULL || hanging == NULL) {
        free(buckets);
        free(hanging);
        return false;
    }
    memset(buckets, 0xff, wanted * sizeof(*buckets));
    for (size_t i = 0; i < pins->rule_count; i++) {
        if (pins->rules[i].next_port != NOTHING)
            hanging[pins->rules[i].next_port] = true;
    }
    for (size_t i = 0; i < pins->rule_count; i++) {
        struct rule *rule = &pins->rules[i];
        const char *key = (const char *)pins->bytes + rule->name;
        size_t length = rule->form == FORM_ADDRESS ? 16 : strlen(key);
        uint32_t *bucket = &buckets[hash_of(rule->form, key, length) & (wanted - 1)];

        if (hanging[i])
            continue;
        rule->next_in_bucket = *bucket;
        *bucket = (uint32_t)i;
    }
    free(hanging);
    free(pins->buckets);
    pins->buckets = buckets;
    pins->bucket_count = wanted;
    return true;
}

struct rule *pins_rule(struct pins *pins, const struct target_pattern *target, uint32_t line)
{
    const char *key;
    size_t length = key_of(target->form, &target->host, &key);
    struct rule *rule = find(pins, target->form, key, length);
    struct rule *last = NULL;
    uint32_t index = (uint32_t)pins->rule_count;
    uint32_t last_index = 0;

    for (; rule != NULL; rule = rule->next_port == NOTHING ? NULL : &pins->rules[rule->next_port]) {
        if (rule->port == target->host.port)
            return rule;
        last = rule;
    }
    if (last != NULL)
        last_index = (uint32_t)(last - pins->rules);
    if (!grow((void **)&pins->rules, &pins->rule_room, pins->rule_count, 1, sizeof(*pins->rules))
        || !grow((void **)&pins->bytes, &pins->byte_room, pins->byte_count, length + 1, 1) || !spread(pins))
        return NULL;
    pins->located |= target->form == FORM_ADDRESS || target->host.port != 0;
    rule = &pins->rules[index];
    *rule = (struct rule) {
        .line = line,
        .name = (uint32_t)pins->byte_count,
        .first_pin = NOTHING,
        .last_pin = NOTHING,
        .next_port = NOTHING,
        .next_in_bucket = NOTHING,
        .port = target->host.port,
        .form = (uint8_t)target->form,
        .action = RULE_UNSET,
    };
    memcpy(pins->bytes + pins->byte_count, key, length);
    pins->bytes[pins->byte_count + length] = '\0';
    if (last != NULL) {
        rule->name = pins->rules[last_index].name;
        pins->rules[last_index].next_port = index;
    } else {
        uint32_t *bucket = &pins->buckets[hash_of(target->form, key, length) & (pins->bucket_count - 1)];

        pins->byte_count += length + 1;
        rule->next_in_bucket = *bucket;
        *bucket = index;
    }
    pins->rule_count++;
    return rule;
}

bool pins_add_pin(struct pins *pins, struct rule *rule, uint32_t line, enum pin_kind kind, enum digest digest,
    const uint8_t *bytes)
{
    uint32_t index = (uint32_t)pins->pin_count;
    size_t size = digest_size(digest);

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
    if (!grow((void **)&pins->issuers, &pins->issuer_room, pins->issuer_count, 1, sizeof(*pins->issuers))
        || !grow((void **)&pins->bytes, &pins->byte_room, pins->byte_count, length, 1))
        return false;
    pins->issuers[pins->issuer_count++] = (struct issuer) {(uint32_t)pins->byte_count, (uint32_t)length};
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

void pins_clear_client(struct client_cert *client)
{
    if (client->key != NULL)
        explicit_bzero(client->key, client->key_length);
    free(client->key);
    free(client->chain);
    for (size_t i = 0; i < CLIENT_FILES; i++)
        free(client->paths[i]);
    memset(client, 0, sizeof(*client));
}

void pins_free(struct pins *pins)
{
    if (pins == NULL)
        return;
    free(pins->rules);
    free(pins->pins);
    free(pins->bytes);
    free(pins->buckets);
    free(pins->issuers);
    for (size_t i = 0; i < pins->client_count; i++)
        pins_clear_client(&pins->clients[i]);
    free(pins->clients);
    free(pins);
}

bool pins_demand_anything(const struct pins *pins)
{
    return pins->demand;
}

bool pins_ask_address(const struct pins *pins)
{
    return pins->located;
}

bool pins_use(const struct pins *pins, enum pin_kind kind, enum digest digest)
{
    return pins->used[kind][digest];
}

const struct rule *pins_revoked(const struct pins *pins)
{
    return pins->revoked.first_pin != NOTHING ? &pins->revoked : NULL;
}

const uint8_t *pins_issuer(const struct pins *pins, size_t index, size_t *length)
{
    if (index >= pins->issuer_count)
        return NULL;
    *length = pins->issuers[index].length;
    return pins->bytes + pins->issuers[index].bytes;
}

const struct client_cert *pins_client(const struct pins *pins, uint32_t number)
{
    return number != 0 && number <= pins->client_count ? &pins->clients[number - 1] : NULL;
}

const struct rule *pins_next_rule(const struct pins *pins, struct rules rules, const struct rule *rule)
{
    return !rules.all_ports || rule->next_port == NOTHING ? NULL : &pins->rules[rule->next_port];
}

/* With the port beats without; with no port known, all rules of the name count. */
static struct rules pick(const struct pins *pins, const struct rule *first, const struct host *host)
{
    const struct rule *every_port = NULL;

    if (host->port == 0)
        return (struct rules) {first, true};
    for (const struct rule *rule = first; rule != NULL; rule = rule->next_port == NOTHING ? NULL : &pins->rules[rule->next_port]) {
        if (rule->port == host->port)
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
