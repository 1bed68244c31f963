/* What pins.c (the rules in memory) and pins_parse.c (the text) share. */
#ifndef PINSHIM_PINS_INTERNAL_H
#define PINSHIM_PINS_INTERNAL_H

#include "pins.h"

#define NOTHING UINT32_MAX /* an index of no element */

/* FORM_UNKNOWN: @unknown. */
enum target_form { FORM_NAME = 0, FORM_ADDRESS, FORM_ONE_LABEL, FORM_LABELS, FORM_ANY, FORM_UNKNOWN };

/* TARGET as written: `host` is a name (the suffix for *. and **.), an address, or empty (* and @unknown). */
struct target_pattern {
    enum target_form form;
    struct host host;
};

/* A certificate from a ca-file: its place in the bytes. */
struct issuer {
    uint64_t subject;
    uint32_t bytes;
    uint32_t length;
};

/* Open addressing. Only the first rule for a name is here; those with other ports are linked to it. */
struct index_slot {
    uint32_t hash; /* of form and name: most mismatches are found without reading the rule */
    uint32_t rule; /* from 1; 0: empty */
};

struct pins {
    struct rule *rules;
    struct pin *pins;
    uint8_t *bytes; /* names, each with its NUL, and digests */
    struct index_slot *index; /* a power of two of them */
    size_t rule_count, rule_room;
    size_t pin_count, pin_room;
    size_t byte_count, byte_room;
    size_t index_size;
    size_t own_rules, own_pins; /* the file's; those after them are of an older one (pins_keep_lost) */
    uint32_t open; /* the rule of the last line, from 1, if that has no end and may be written on; 0: none */
    struct rule revoked;
    struct issuer *issuers;
    size_t issuer_count, issuer_room;
    struct client_cert *clients;
    size_t client_count, client_room;
    bool demand;
    bool located;
    bool named; /* some rule for a name is not `allow` */
    bool pkix; /* some rule asks for it */
    bool tls_required; /* likewise */
    bool days; /* some rule has a report_until that ends */
    _Atomic uint16_t today; /* see pins_set_today */
    struct roots *roots;
    bool used[PIN_KINDS][DIGESTS];
};

/* Return pins without a rule, with room for every target that `lines` lines of `length` bytes in all can hold, and for one pin a line. What is not
 * used takes no memory. NULL when memory ran out. */
MUST_CHECK struct pins *pins_make(size_t lines, size_t length);

/* Free the room of pins_make that was not needed. */
void pins_fit(struct pins *pins);

/* Prefetch the memory that pins_rule will read for that name. Only a hint. */
void pins_expect(const struct pins *pins, const char *name, size_t length);

/* Return the rule for that target; NULL when memory ran out. If there is none yet, make it: RULE_UNSET, first seen in `line`. */
MUST_CHECK struct rule *pins_rule(struct pins *pins, const struct target_pattern *target, uint32_t line);

/* Return the first rule for that name (or 16 bytes of an address), whatever its port; NULL: there is none. */
const struct rule *pins_find(const struct pins *pins, enum target_form form, const char *name);

/* Return the first rule of the most specific suffix that is wider than that target; NULL: none. */
const struct rule *pins_find_wider(const struct pins *pins, enum target_form form, const char *suffix);

/* Append a pin to `rule`. Return false when memory ran out. */
MUST_CHECK bool pins_add_pin(struct pins *pins, struct rule *rule, uint32_t line, enum pin_kind kind, enum digest digest,
    const uint8_t *bytes);

/* Append a certificate of a ca-file. Return false when memory ran out. */
MUST_CHECK bool pins_add_issuer(struct pins *pins, const void *der, size_t length);

/* Append a client certificate; the pins own its parts from then on. Return its number; 0 when memory ran out. */
MUST_CHECK uint32_t pins_add_client(struct pins *pins, const struct client_cert *client);

#endif
