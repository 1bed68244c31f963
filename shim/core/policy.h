/* The verdict: what the pins say of a peer that a program meant to reach. Pure. */
#ifndef PINSHIM_POLICY_H
#define PINSHIM_POLICY_H

#include "pins.h"

#define TARGET_FEW 12

/* What the program meant to reach. */
struct target {
    /* The SNI, the names and the address to verify, the address connected to: each one that has a rule must be satisfied. See target_at. */
    struct host few[TARGET_FEW];
    struct host *more; /* those beyond; NULL: none */
    size_t count;
    bool overflow; /* memory ran out: there are others */
    bool named; /* one of them is a name that the program gave */
    bool proxied; /* the socket leads to a proxy first: its port is not the one that is meant. Told in the log, not judged */
    /* The names that the program had resolved to the address; asked only where it gave no name. Write the next one and return
     * true; false after the last. NULL: none. `cursor` starts at 0 and is the function's own. HOST_UNREADABLE stands for names that were
     * resolved and could not be kept. */
    bool (*next_resolved)(const struct target *target, uintptr_t *cursor, struct host *out);
};

/* Make the target one of which nothing is known. Identities beyond its count have no meaning. target_free gives back what was added to it, and
 * clears it. */
void target_clear(struct target *target);
void target_free(struct target *target);

/* Add an identity; return where it stands for more to be set, until the next is added; NULL where memory ran out. */
struct host *target_add(struct target *target, const struct host *host);

/* Return the identity at an index below the target's count. */
static inline struct host *target_at(const struct target *target, size_t index)
{
    const struct host *host = index < TARGET_FEW ? &target->few[index] : &target->more[index - TARGET_FEW];

    return (struct host *)(uintptr_t)host;
}

/* What the peer presented. */
struct peer;

/* What takes a path of certificates to tell; each may be NULL, which is a no. A `problem` is a constant text. */
struct peer_path {
    /* Find a pin of the kind PIN_CA of `rule`, in force on the peer's `today`, whose issuer is in a verified path from the leaf; the leaf is
     * valid for `host`. NULL: none. */
    const struct pin *(*authority)(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
        const char **problem);
    /* Return true if a path to the system's trust store is verified and the leaf is valid for `host`. */
    bool (*trusted)(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem);
    /* Find a pin of pins_revoked that an issuer of the leaf has. NULL: none. Where that cannot be told, it is any, and the `problem` says why. */
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
    REASON_UNIDENTIFIABLE, /* refused */
    REASON_DENY, /* refused */
    REASON_NO_MATCH, /* refused */
    REASON_NO_CERTIFICATE, /* refused */
    REASON_REVOKED, /* refused */
    REASON_EXPIRED, /* refused: a pin matched that no longer accepts */
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
    struct rules rules; /* those that were asked; first is NULL where none was */
    const struct rule *rule; /* the one that decided, or the first that asked for a pin; NULL: none */
    const struct pin *matched; /* REASON_MATCH, _EXPIRED, _REVOKED: the pin; with pkix alone NULL */
    const char *problem; /* what failed, or what the verification of a path said; NULL: nothing */
    bool report; /* the target's refusals are logged, not enforced */
    uint32_t client; /* that of the first identity that was satisfied by a pin or by pkix and has one (pins_client); 0: none */
    bool pinned; /* one of the identities, not always the one that decided, was accepted by a pin or by pkix */
};

/* Judge the peer. The judgement points into `pins`. */
void policy_judge(const struct pins *pins, const struct target *target, const struct peer *peer, struct judgement *out);

/* More may become known of the target: the address that it is connected to, the port, and the names that were resolved to that address. Return true
 * if a rule could refuse it then that does not now. */
MUST_CHECK bool policy_is_open(const struct pins *pins, const struct target *target);

/* Append the reason, as in "no pin of pins:12 matched". `path` is how the pins file is named to the user. */
void policy_print_reason(const struct pins *pins, const char *path, const struct judgement *judgement, struct text *out);

/* Append the pins that would have been accepted, the first few of them; nothing where no pin was asked for. */
void policy_print_wanted(const struct pins *pins, const struct judgement *judgement, struct text *out);

/* Append file:line of what decided; nothing where no rule did. */
void policy_print_rule(const char *path, const struct judgement *judgement, struct text *out);

#endif
