#include "hearing.h"

#include "pinfile.h"

#include <stdlib.h>
#include <string.h>

enum verdict hearing_hold(const struct ossl *ossl, SSL *ssl, const struct clues *clues, const struct shown *shown, struct hearing *out)
{
    struct evidence evidence;

    memset(&out->judgement, 0, sizeof(out->judgement));
    out->store = pinfile_acquire(ossl);
    out->settled = intent_read(ossl, ssl, clues, &out->target, &out->address);
    if (out->target.count > 0)
        out->judgement.host = out->target.identities[0];
    if (out->store == NULL)
        return VERDICT_REFUSE;
    if (out->store->pins == NULL) {
        out->judgement.reason = REASON_FAULT;
        return VERDICT_REFUSE;
    }
    peer_read(ossl, out->store->pins, shown, &evidence);
    policy_judge(out->store->pins, &out->target, &evidence.peer, &out->judgement);
    return out->judgement.verdict;
}

void hearing_end(struct hearing *hearing)
{
    pinstore_release(hearing->store);
    hearing->store = NULL;
}

bool hearing_is_settled(const struct hearing *hearing)
{
    return hearing->settled
        || (hearing->target.named && hearing->store != NULL && hearing->store->pins != NULL && !pins_ask_address(hearing->store->pins));
}

bool hearing_only_reported(const struct hearing *hearing)
{
    return (config_get()->mode == MODE_REPORT || hearing->judgement.report) && hearing->judgement.reason != REASON_FAULT
        && hearing->judgement.reason != REASON_INTERNAL;
}

/* The strings of one event. On the heap: OpenSSL's own fibres (ASYNC jobs) have 32 KiB of stack. */
struct strings {
    char target[1100];
    char address[64];
    char rule[1300];
    char reason[1600];
    char matched[160];
    char wanted[480];
    struct peer_text peer;
};

void hearing_log(const struct ossl *ossl, SSL *ssl, const struct shown *shown, const struct hearing *hearing, enum event_verdict verdict)
{
    const char *path = config_get()->pins;
    const struct judgement *judgement = &hearing->judgement;
    const struct pins *pins = hearing->store != NULL ? hearing->store->pins : NULL;
    struct strings *strings;
    struct event event = {.verdict = verdict, .reason = "out of memory"};
    struct text text;

    if (!log_wants(verdict))
        return;
    strings = malloc(sizeof(*strings));
    if (strings == NULL) {
        log_event(&event);
        return;
    }
    text = text_over(strings->target, sizeof(strings->target));
    host_print(&judgement->host, &text);
    if (text.length == 0)
        text_add(&text, "unknown target");
    text = text_over(strings->address, sizeof(strings->address));
    if (hearing->address.kind == HOST_ADDRESS)
        host_print_bare(&hearing->address, &text);
    text = text_over(strings->rule, sizeof(strings->rule));
    policy_print_rule(path, judgement, &text);
    text = text_over(strings->reason, sizeof(strings->reason));
    if (judgement->reason == REASON_FAULT && hearing->store != NULL)
        text_add(&text, "configuration fault: %s", hearing->store->fault);
    else
        policy_print_reason(pins, path, judgement, &text);
    text = text_over(strings->matched, sizeof(strings->matched));
    if (pins != NULL && judgement->matched != NULL)
        pins_print_pin(pins, judgement->matched, &text);
    text = text_over(strings->wanted, sizeof(strings->wanted));
    if (pins != NULL)
        policy_print_wanted(pins, judgement, &text);
    peer_show(ossl, shown, &strings->peer);
    event = (struct event) {
        .verdict = verdict,
        .target = strings->target,
        .address = strings->address,
        .port = hearing->address.port != 0 ? hearing->address.port : judgement->host.port,
        .rule = strings->rule,
        .reason = strings->reason,
        .matched = strings->matched,
        .wanted = strings->wanted,
        .spki_sha256 = strings->peer.spki,
        .cert_sha256 = strings->peer.cert,
        .subject = shown->leaf != NULL ? strings->peer.subject : NULL,
        .issuer = strings->peer.issuer,
        .not_after = strings->peer.not_after,
        .tls = ossl->SSL_get_version(ssl),
        .resumed = ossl->SSL_session_reused(ssl) == 1,
    };
    log_event(&event);
    free(strings);
}
