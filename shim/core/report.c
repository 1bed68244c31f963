#include "report.h"

#include "memory.h"

#include <string.h>

#define MOST_MISTAKEN 8 /* sent certificates that are checked for it */

static const struct pin *find_pin(const struct pins *pins, struct rules rules, enum pin_kind kind, enum digest digest, const uint8_t *bytes)
{
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            if (pin->kind == kind && pin->digest == digest && memcmp(bytes, pins_digest(pins, pin), digest_size(digest)) == 0)
                return pin;
        }
    }
    return NULL;
}

void report_mistake(const struct tls *tls, const struct presented *presented, const struct pins *pins, const struct judgement *judgement,
    struct text *out)
{
    static const struct {
        enum pin_kind written; /* the kind that the pin says */
        enum pin_kind is;
        enum pin_kind meant;
        bool issuer; /* of an issuer that was sent, not of the leaf */
        const char *what;
    } mistakes[] = {
        {PIN_SPKI, PIN_CERT, PIN_SPKI, false, "the certificate's fingerprint; its SPKI pin is "},
        {PIN_CERT, PIN_SPKI, PIN_SPKI, false, "the SPKI pin, not a fingerprint; write "},
        {PIN_CA, PIN_SPKI, PIN_SPKI, false, "the server's own key, not an issuer's; write "},
        {PIN_CA, PIN_CERT, PIN_SPKI, false, "the certificate's fingerprint; its SPKI pin is "},
        {PIN_SPKI, PIN_CA, PIN_CA, true, "an issuer's key; write "},
        {PIN_CA, PIN_CERT, PIN_CA, true, "the fingerprint of an issuer; its pin is "},
    };
    const struct rules rules = judgement->rules;
    size_t sent = tls->count(tls, presented->sent);
    uint8_t digest[DIGEST_MAX];

    if (presented->leaf == NULL || judgement->reason != REASON_NO_MATCH)
        return;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]) * DIGESTS; i++) {
        enum digest kind = (enum digest)(i % DIGESTS);
        size_t m = i / DIGESTS;
        /* The first certificate sent is the leaf. Those beyond the limit are not checked. */
        size_t end = !mistakes[m].issuer ? 1 : sent < MOST_MISTAKEN ? sent : MOST_MISTAKEN;

        for (size_t k = mistakes[m].issuer ? 1 : 0; k < end && pins_use(pins, mistakes[m].written, kind); k++) {
            const struct certificate *certificate = k == 0 ? presented->leaf : tls->at(tls, presented->sent, k);
            const struct pin *pin = digest_certificate(tls, certificate, mistakes[m].is, kind, digest)
                ? find_pin(pins, rules, mistakes[m].written, kind, digest)
                : NULL;

            if (pin == NULL || !digest_certificate(tls, certificate, mistakes[m].meant, kind, digest))
                continue;
            text_add(out, " (that of line %u is %s", (unsigned)pin->line, mistakes[m].what);
            pins_print_digest(mistakes[m].meant, kind, digest, out);
            text_add(out, ")");
            return;
        }
    }
}

/* The strings of one event. On the heap: OpenSSL's own fibres (ASYNC jobs) have 32 KiB of stack. */
struct strings {
    char target[1100];
    char address[64];
    char rule[1300];
    char reason[1600];
    char matched[160];
    char wanted[480];
    char identities[1100];
    char resolved[800];
    char library[32];
    struct peer_text peer;
    struct certificate_text client;
};

/* Append the host after a blank, whole or not at all. A doubtful port gets a question mark; what is not known is one, and a name that is none is two. */
static void list_host(const struct host *host, struct text *out)
{
    char buffer[HOST_NAME_MAX_LENGTH * 4 + 16];
    struct text text = text_over(buffer, sizeof(buffer));

    if (host->kind != HOST_UNREADABLE)
        host_print(host, &text);
    else if (host->name[0] != '\0')
        text_add_string(&text, "?");
    text_add_string(&text, host->kind == HOST_UNREADABLE || (host->port != 0 && host->port_doubtful) ? "?" : "");
    if (out->length + text.length + 2 < out->size)
        text_add(out, "%s%s", out->length > 0 ? " " : "", buffer);
}

/* List what identifies the target, for pinshim learn. */
static void list_target(const struct evaluation *evaluation, struct strings *strings)
{
    const struct target *target = &evaluation->target;
    struct text text = text_over(strings->identities, sizeof(strings->identities));
    struct host host;
    uintptr_t cursor = 0;

    for (size_t i = 0; i < target->count; i++)
        list_host(target_at(target, i), &text);
    text = text_over(strings->resolved, sizeof(strings->resolved));
    while (target->next_resolved != NULL && target->next_resolved(target, &cursor, &host)) {
        host.port = 0;
        list_host(&host, &text);
    }
}

static struct spare spare;

void report(const struct tls *tls, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict)
{
    const char *path = config_get()->pins;
    const struct judgement *judgement = &evaluation->judgement;
    const struct pins *pins = evaluation->store != NULL ? evaluation->store->pins : NULL;
    struct strings *strings;
    struct event event = {.verdict = verdict, .reason = "out of memory"};
    struct text text;

    if (verdict == EVENT_ACCEPTED && judgement->reason == REASON_NO_RULE)
        event.verdict = verdict = EVENT_UNPINNED;
    if (!log_wants(verdict))
        return;
    strings = spare_take(&spare, sizeof(*strings));
    if (strings == NULL) {
        log_event(&event);
        return;
    }
    text = text_over(strings->library, sizeof(strings->library));
    if (tls != NULL)
        tls->print_name(tls, &text);
    else
        text_add_string(&text, "unjudged");
    text = text_over(strings->target, sizeof(strings->target));
    host_print(&judgement->host, &text);
    if (text.length == 0)
        text_add(&text, "unknown target");
    text = text_over(strings->address, sizeof(strings->address));
    if (evaluation->address.kind == HOST_ADDRESS)
        host_print_bare(&evaluation->address, &text);
    text = text_over(strings->rule, sizeof(strings->rule));
    policy_print_rule(path, judgement, &text);
    text = text_over(strings->reason, sizeof(strings->reason));
    if (evaluation->remark != NULL)
        text_add(&text, "%s", evaluation->remark);
    else if (judgement->reason == REASON_FAULT && evaluation->store != NULL)
        text_add(&text, "configuration fault: %s; next: \"pinshim lint\" on the pins file", evaluation->store->fault);
    else
        policy_print_reason(pins, path, judgement, &text);
    if (pins != NULL && evaluation->remark == NULL && verdict != EVENT_ACCEPTED && judgement->rule != NULL && judgement->rule->port != 0
        && judgement->host.port != 0 && judgement->rule->port != judgement->host.port)
        text_add(&text, " (its port is not the connection's, which is in doubt)");
    if (pins != NULL && evaluation->remark == NULL && tls != NULL)
        report_mistake(tls, presented, pins, judgement, &text);
    text = text_over(strings->matched, sizeof(strings->matched));
    if (pins != NULL && judgement->matched != NULL)
        pins_print_pin(pins, judgement->matched, &text);
    text = text_over(strings->wanted, sizeof(strings->wanted));
    if (pins != NULL && evaluation->remark == NULL)
        policy_print_wanted(pins, judgement, &text);
    peer_show(tls, presented, &strings->peer);
    strings->identities[0] = strings->resolved[0] = '\0';
    if (config_get()->level == LEVEL_DEBUG) {
        if (tls != NULL)
            peer_show_issuer(tls, presented, &strings->peer);
        list_target(evaluation, strings);
    }
    if (tls != NULL && evaluation->client != NULL)
        tls->describe(tls, evaluation->client, &strings->client);
    event = (struct event) {
        .verdict = verdict,
        .library = strings->library,
        .target = strings->target,
        .address = strings->address,
        .port = evaluation->address.port != 0 ? evaluation->address.port : judgement->host.port,
        .rule = strings->rule,
        .reason = strings->reason,
        .matched = strings->matched,
        .wanted = strings->wanted,
        .spki_sha256 = strings->peer.spki,
        .cert_sha256 = strings->peer.cert,
        .subject = presented->leaf != NULL ? strings->peer.leaf.subject : NULL,
        .issuer = strings->peer.leaf.issuer,
        .issuer_spki_sha256 = strings->peer.issuer_spki,
        .identities = strings->identities,
        .resolved = strings->resolved,
        .not_after = strings->peer.leaf.not_after,
        .tls = presented->version,
        .resumed = presented->resumed,
        .client = evaluation->client != NULL ? strings->client.subject : NULL,
    };
    log_event(&event);
    spare_let_go(&spare, strings);
}

void report_client(unsigned line, const char *problem, struct text *out)
{
    const char *path = config_get()->pins;

    text_add(out, "the client certificate of ");
    text_add_escaped(out, path, strlen(path), 300);
    text_add(out, ":%u %s", line, problem);
}
