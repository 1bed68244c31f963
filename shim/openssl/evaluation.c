#include "evaluation.h"

#include "client_file.h"
#include "kernel.h"
#include "pinfile.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE_DAYS 14
#define MOST_MISTAKEN 8 /* sent certificates that are checked for it */

const struct pinstore *evaluation_pins(const struct ossl *ossl)
{
    struct pins_reader reader = {.read = pinfile_read, .read_client = client_file_read, .read_roots = pinfile_read_roots, .library = ossl,
        .beside = config_get()->pins_file};

    return pinstore_acquire(&reader);
}

/* The last one freed, kept for reuse: the heap would split and join a block of this size each time. */
static _Atomic(struct evaluation *) spare;

struct evaluation *evaluation_new(void)
{
    struct evaluation *evaluation;
    int cancelled;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
    evaluation = atomic_exchange(&spare, NULL);
    if (evaluation == NULL)
        evaluation = malloc(sizeof(*evaluation));
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
    free(atomic_exchange(&spare, evaluation));
    (void)pthread_setcancelstate(cancelled, NULL);
}

enum verdict evaluate(const struct ossl *ossl, SSL *ssl, const struct facts *facts, const struct presented *presented, struct evaluation *out)
{
    struct evidence evidence;

    memset(&out->judgement, 0, sizeof(out->judgement));
    memset(&out->digests.known, 0, sizeof(out->digests.known));
    out->remark = NULL;
    out->client = NULL;
    out->store = evaluation_pins(ossl);
    out->target_final = facts_read(ossl, ssl, facts, &out->target, &out->address);
    if (out->target.count > 0)
        out->judgement.host = *target_at(&out->target, 0);
    if (out->store == NULL)
        return VERDICT_REFUSE;
    if (out->store->pins == NULL) {
        out->judgement.reason = REASON_FAULT;
        return VERDICT_REFUSE;
    }
    peer_read(ossl, out->store->pins, presented, &evidence);
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
    text_add(&text, "no name is known of this target: the program gave none, and resolved none to the address. Rules for names in ");
    text_add_escaped(&text, config_get()->pins, strlen(config_get()->pins), 300);
    text_add(&text, " were not asked; a line for \"@unknown\" there decides on such connections. Later ones of this process are not mentioned");
    log_event(&event);
}

void evaluation_notice(const struct evaluation *evaluation)
{
    static _Atomic uint64_t noticed[64]; /* after a collision the notice is logged again */
    const struct pins *pins = evaluation->store != NULL ? evaluation->store->pins : NULL;
    const struct rules rules = evaluation->judgement.rules;

    if (evaluation->judgement.unnamed)
        notice_unnamed(evaluation);
    for (const struct rule *rule = pins != NULL ? rules.first : NULL; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            uint64_t key = (uint64_t)pin->line << 16 | evaluation->today;
            char rule_at[400];
            char reason[480];
            struct text at = text_over(rule_at, sizeof(rule_at));
            struct text text = text_over(reason, sizeof(reason));
            const struct event event = {.verdict = EVENT_NOTICE, .rule = rule_at, .reason = reason};

            if (pin->expires == 0 || pin->expires > evaluation->today + NOTICE_DAYS
                || atomic_exchange(&noticed[pin->line % (sizeof(noticed) / sizeof(noticed[0]))], key) == key)
                continue;
            text_add_escaped(&at, config_get()->pins, strlen(config_get()->pins), 300);
            text_add(&at, ":%u", (unsigned)pin->line);
            text_add(&text, "%s: its pins %s on ", rule_at, pin->expires > evaluation->today ? "expire" : "expired");
            text_add_date(&text, pin->expires);
            log_event(&event);
        }
    }
}

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

/* If a digest matches something other than what the pin says, say so. */
static void add_hint(const struct ossl *ossl, const struct presented *presented, const struct evaluation *evaluation, struct text *out)
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
    const struct pins *pins = evaluation->store->pins;
    const struct rules rules = evaluation->judgement.rules;
    int sent = presented->chain != NULL ? ossl->OPENSSL_sk_num(presented->chain) : 0;
    uint8_t digest[DIGEST_MAX];

    if (presented->leaf == NULL || evaluation->judgement.reason != REASON_NO_MATCH)
        return;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]) * DIGESTS; i++) {
        enum digest kind = (enum digest)(i % DIGESTS);
        size_t m = i / DIGESTS;
        /* The first certificate sent is the leaf. Those beyond the limit are not checked. */
        int last = !mistakes[m].issuer ? 0 : sent < MOST_MISTAKEN ? sent - 1 : MOST_MISTAKEN - 1;

        for (int k = mistakes[m].issuer ? 1 : 0; k <= last && pins_use(pins, mistakes[m].written, kind); k++) {
            X509 *certificate = k == 0 ? presented->leaf : ossl->OPENSSL_sk_value(presented->chain, k);
            const struct pin *pin = digest_certificate(ossl, certificate, mistakes[m].is, kind, digest)
                ? find_pin(pins, rules, mistakes[m].written, kind, digest)
                : NULL;

            if (pin == NULL || !digest_certificate(ossl, certificate, mistakes[m].meant, kind, digest))
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
    char client[320];
    char identities[1100];
    char resolved[800];
    char library[32];
    struct peer_text peer;
};

/* Append the host after a blank, whole or not at all. A doubtful port gets a question mark; a proxy's port is left out. */
static void list_host(const struct host *host, bool proxied, struct text *out)
{
    char buffer[HOST_NAME_MAX_LENGTH * 4 + 16];
    struct text text = text_over(buffer, sizeof(buffer));
    struct host listed = *host;

    if (proxied && listed.port_doubtful)
        listed.port = 0;
    if (host->kind != HOST_UNREADABLE)
        host_print(&listed, &text);
    text_add(&text, "%s", listed.kind == HOST_UNREADABLE || (listed.port != 0 && listed.port_doubtful) ? "?" : "");
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
        list_host(target_at(target, i), target->proxied, &text);
    text = text_over(strings->resolved, sizeof(strings->resolved));
    while (target->next_resolved != NULL && target->next_resolved(target, &cursor, &host)) {
        host.port = 0;
        list_host(&host, false, &text);
    }
}

/* "OpenSSL 3.0.22 28 Oct 2025": the name in lower case, and the release. */
static void put_library(const struct ossl *ossl, struct text *out)
{
    const char *version = ossl->OpenSSL_version(OPENSSL_VERSION);
    size_t name = strcspn(version, " ");
    size_t length = version[name] != '\0' ? name + 1 + strcspn(version + name + 1, " ") : name;

    for (size_t i = 0; i < name; i++)
        text_add(out, "%c", version[i] | 0x20);
    text_add_escaped(out, version + name, length - name, 20);
}

void evaluation_log(const struct ossl *ossl, SSL *ssl, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict)
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
    strings = malloc(sizeof(*strings));
    if (strings == NULL) {
        log_event(&event);
        return;
    }
    text = text_over(strings->library, sizeof(strings->library));
    put_library(ossl, &text);
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
        text_add(&text, "configuration fault: %s", evaluation->store->fault);
    else
        policy_print_reason(pins, path, judgement, &text);
    if (pins != NULL && evaluation->remark == NULL && verdict != EVENT_ACCEPTED && judgement->rule != NULL && judgement->rule->port != 0
        && judgement->host.port != 0 && judgement->rule->port != judgement->host.port)
        text_add(&text, " (its port is not the connection's, which is in doubt)");
    if (pins != NULL && evaluation->remark == NULL)
        add_hint(ossl, presented, evaluation, &text);
    text = text_over(strings->matched, sizeof(strings->matched));
    if (pins != NULL && judgement->matched != NULL)
        pins_print_pin(pins, judgement->matched, &text);
    text = text_over(strings->wanted, sizeof(strings->wanted));
    if (pins != NULL && evaluation->remark == NULL)
        policy_print_wanted(pins, judgement, &text);
    peer_show(ossl, presented, &strings->peer);
    strings->identities[0] = strings->resolved[0] = '\0';
    if (config_get()->level == LEVEL_DEBUG) {
        peer_show_issuer(ossl, presented, &strings->peer);
        list_target(evaluation, strings);
    }
    if (evaluation->client != NULL)
        peer_show_subject(ossl, evaluation->client, strings->client, sizeof(strings->client));
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
        .subject = presented->leaf != NULL ? strings->peer.subject : NULL,
        .issuer = strings->peer.issuer,
        .issuer_spki_sha256 = strings->peer.issuer_spki,
        .identities = strings->identities,
        .resolved = strings->resolved,
        .not_after = strings->peer.not_after,
        .tls = ossl->SSL_get_version(ssl),
        .resumed = ossl->SSL_session_reused(ssl) == 1,
        .client = evaluation->client != NULL ? strings->client : NULL,
    };
    log_event(&event);
    free(strings);
}
