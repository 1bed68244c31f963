/* The verdict on a peer, by the pins for the target that the program meant to reach. Pure. */
#ifndef PINSHIM_POLICY_H
#define PINSHIM_POLICY_H

#include "pins.h"

#define TARGET_FEW 12

/* What the program meant to reach. */
struct target {
    /* The SNI, the names and the address to verify, the address connected to: each one that has a rule must be satisfied. See target_at. */
    struct host few[TARGET_FEW];
    struct host *more; /* the rest; NULL: none */
    size_t count;
    bool overflow; /* memory ran out: some are missing */
    bool pattern; /* the program told which names it takes (".example.com") */
    bool named; /* one of them is a name that the program gave */
    const char *lost; /* it gave a name, or may have given one, that is not known: how; NULL: no */
    /* Give the names that the program resolved to the address; called only if the program gave no name. Write the next one and return
     * true; false after the last. NULL: none. `cursor` starts at 0 and is for the function's own use. HOST_UNREADABLE stands for names that were
     * resolved and could not be kept. */
    bool (*next_resolved)(const struct target *target, uintptr_t *cursor, struct host *out);
};

/* Make the target one of which nothing is known. Identities beyond its count have no meaning. target_free frees what was added, and
 * clears it. */
void target_clear(struct target *target);
void target_free(struct target *target);

/* Add an identity. Return the stored one, for more to be set, valid until the next is added; NULL when memory ran out. */
struct host *target_add(struct target *target, const struct host *host);

/* Return the identity at an index below the target's count. */
static inline struct host *target_at(const struct target *target, size_t index)
{
    const struct host *host = index < TARGET_FEW ? &target->few[index] : &target->more[index - TARGET_FEW];

    return (struct host *)(uintptr_t)host;
}

/* What the peer presented. */
struct peer;

/* What needs a path of certificates; each may be NULL, which means no. A `problem` is a constant text. */
struct peer_path {
    /* Find a pin of the kind PIN_CA of `rule`, in force on the peer's `today`, whose issuer is in a verified path from the leaf; the leaf is
     * valid for `host`. NULL: none. */
    const struct pin *(*authority)(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
        const char **problem);
    /* Return true if a path to the system's trust store is verified and the leaf is valid for `host`. */
    bool (*trusted)(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem);
    /* Find a pin of pins_revoked that matches an issuer of the leaf. NULL: none. If that cannot be determined, return any of
     * them, with the reason in `problem`. */
    const struct pin *(*revoked)(const struct peer *peer, const struct pins *pins, const char **problem);
};

struct peer {
    const struct peer_path *path;
    uint16_t today; /* in days since 1970-01-01, UTC */
    bool has[PIN_KINDS]; /* a public key (with or without a certificate); a certificate */
    bool known[PIN_KINDS][DIGESTS]; /* which of the digests below were computed */
    uint8_t digests[PIN_KINDS][DIGESTS][DIGEST_MAX];
};

enum verdict { VERDICT_REFUSE = 0, VERDICT_ACCEPT };

enum reason {
    REASON_INTERNAL = 0, /* refused: something failed (`problem`) */
    REASON_FAULT, /* refused: the configuration */
    REASON_UNIDENTIFIABLE, /* refused: no @unknown rule, and nothing is known of the target, or something that cannot be read */
    REASON_DENY, /* refused */
    REASON_NO_MATCH, /* refused */
    REASON_NO_CERTIFICATE, /* refused */
    REASON_REVOKED, /* refused */
    REASON_EXPIRED, /* refused: a pin matched, but it has expired */
    REASON_UNTRUSTED, /* refused: pkix */
    REASON_UNPROVEN, /* refused: a resumed session whose peer this process has not verified */
    REASON_NO_RULE, /* accepted */
    REASON_ALLOW, /* accepted */
    REASON_MATCH, /* accepted */
};

struct judgement {
    enum verdict verdict;
    enum reason reason;
    struct host host; /* the identity that decided; HOST_UNREADABLE with no name: none */
    struct rules rules; /* those that were applied; `first` is NULL if none was */
    const struct rule *rule; /* the one that decided, or the first that demanded a pin; NULL: none */
    const struct pin *matched; /* REASON_MATCH, _EXPIRED, _REVOKED: the pin; with pkix alone NULL */
    const char *problem; /* what failed, or why a path was not verified; NULL: nothing */
    bool report; /* the target's refusals are logged, not enforced */
    uint32_t client; /* that of the first identity that was accepted by a pin or by pkix and has one (pins_client); 0: none */
    bool pinned; /* an identity, not always the one that decided, was accepted by a pin or by pkix */
    bool unknown; /* @unknown decided: as soon as a name is known, it does not apply */
    bool unnamed; /* accepted by its address, without a pin for that: no name is known, so no rule for a name was asked, and there are some */
};

/* Judge the peer. The judgement points into `pins`. */
void policy_judge(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out);

/* Return a rule by which only TLS may be sent to the target, whose certificate is of no importance; an enforced one if there is one. NULL: none. */
MUST_CHECK const struct rule *policy_requires_tls(const struct pins *pins, const struct target *target);

/* More may become known of the target: the address that it is connected to, the port, and the names that resolved to that address. Return true
 * if a rule could then refuse the target that does not refuse it now. */
MUST_CHECK bool policy_is_open(const struct pins *pins, const struct target *target);

/* Append the reason, as in "no pin of pins:12 matched". `path` is the pins file as the user knows it. */
void policy_print_reason(const struct pins *pins, const char *path, const struct judgement *judgement, struct text *out);

/* Append the first few pins that would have been accepted; nothing if no pin was demanded. */
void policy_print_wanted(const struct pins *pins, const struct judgement *judgement, struct text *out);

/* Append file:line of the rule that decided; nothing if none did. */
void policy_print_rule(const char *path, const struct judgement *judgement, struct text *out);

#endif
