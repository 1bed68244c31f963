/* The pins file: parsed from a buffer into rules, looked up by host. Pure but for pins_load: no OpenSSL, no other I/O. */
#ifndef PINSHIM_PINS_H
#define PINSHIM_PINS_H

#include "host.h"

#include <sys/types.h>
#include <time.h>

enum digest { DIGEST_SHA256 = 0, DIGEST_SHA384, DIGEST_SHA512 };
#define DIGESTS 3
#define DIGEST_MAX 64

/* Return the digest's length in bytes: 32, 48 or 64. */
size_t digest_size(enum digest digest);

/* What a pin is a digest of. */
enum pin_kind { PIN_SPKI = 0, PIN_CERT };
#define PIN_KINDS 2

struct pin {
    uint32_t line;
    uint32_t next; /* see pins_next_pin */
    uint32_t bytes; /* see pins_digest */
    uint8_t kind; /* enum pin_kind */
    uint8_t digest; /* enum digest */
};

enum rule_action { RULE_UNSET = 0, RULE_DENY, RULE_ALLOW, RULE_PINS }; /* RULE_UNSET refuses, too */

/* All lines of one TARGET. */
struct rule {
    uint32_t line; /* the first of them */
    uint32_t name;
    uint32_t first_pin;
    uint32_t last_pin;
    uint32_t next_port; /* the rule for the same name with another port */
    uint32_t next_in_bucket;
    uint16_t port; /* 0: every port */
    uint8_t form;
    uint8_t action; /* enum rule_action */
};

struct pins;

/* Called for each error: line and column count from 1 (the column in bytes; line 0 where it is about the file as a whole);
 * the message says what is wrong and what was expected. */
typedef void pins_report(void *arg, uint32_t line, uint32_t column, const char *message);

/* Parse the `length` bytes at `buffer`. Return the pins, to be freed with pins_free; or NULL after each error in the file was
 * reported, or when memory ran out. Nothing of the buffer is kept. */
MUST_CHECK struct pins *pins_parse(const char *buffer, size_t length, pins_report *report, void *arg);

/* What a file's content is known again by. Zeroed: no file. */
struct pins_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

/* Look which file is at `path`; zeroed where that cannot be seen. errno is not preserved. */
void pins_identify(const char *path, struct pins_identity *out);

/* Return true if both are the same content of the same file. */
MUST_CHECK bool pins_same_identity(const struct pins_identity *a, const struct pins_identity *b);

/* Read and parse the file at `path`. A file that cannot be read, is not a regular file or may be written by everybody is
 * reported like an error in it. `identity` (or NULL) is the file's that was read or refused; zeroed where none could be opened.
 * errno is not preserved. */
MUST_CHECK struct pins *pins_load(const char *path, struct pins_identity *identity, pins_report *report, void *arg);

/* Free the pins. NULL does nothing. */
void pins_free(struct pins *pins);

/* Return true if and only if some rule asks for more than nothing: any but `allow`. */
MUST_CHECK bool pins_demand_anything(const struct pins *pins);

/* Return true if and only if some rule is for an address or for a port. */
MUST_CHECK bool pins_ask_address(const struct pins *pins);

/* Return true if and only if some pin of the file is of that kind and digest. */
MUST_CHECK bool pins_use(const struct pins *pins, enum pin_kind kind, enum digest digest);

/* The rules that hold for a host: the most specific target alone. */
struct rules {
    const struct rule *first; /* NULL: none */
    bool all_ports; /* the host's port is not known, or doubtful and without a rule: those for other ports count as well */
};

/* Find the rules for `host`, but for the target `*`. */
struct rules pins_lookup(const struct pins *pins, const struct host *host);

/* Find the rules of the target `*` at the host's port. */
struct rules pins_lookup_any(const struct pins *pins, const struct host *host);

/* Return the rule after `rule` among `rules`, or NULL. */
const struct rule *pins_next_rule(const struct pins *pins, struct rules rules, const struct rule *rule);

/* Return the first pin of `rule` (`pin` NULL) or the one after `pin`; NULL at the end. */
const struct pin *pins_next_pin(const struct pins *pins, const struct rule *rule, const struct pin *pin);

/* Return the pin's digest, digest_size(pin->digest) bytes. */
const uint8_t *pins_digest(const struct pins *pins, const struct pin *pin);

/* Append the pin as the file spells it: spki-sha256:BASE64. */
void pins_print_pin(const struct pins *pins, const struct pin *pin, struct text *out);

/* Append a digest in that spelling. */
void pins_print_digest(enum pin_kind kind, enum digest digest, const uint8_t *bytes, struct text *out);

#endif
