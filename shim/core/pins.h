/* The pins file: parsed from a buffer into rules, looked up by host. Pure but for pins_load: no OpenSSL, no other I/O. */
#ifndef PINSHIM_PINS_H
#define PINSHIM_PINS_H

#include "file.h"
#include "host.h"
#include "roots.h"

enum digest { DIGEST_SHA256 = 0, DIGEST_SHA384, DIGEST_SHA512 };
#define DIGESTS 3
#define DIGEST_MAX 64

/* Return the digest's length in bytes: 32, 48 or 64. */
size_t digest_size(enum digest digest);

/* What a pin is a digest of: the leaf's public key, the leaf, or the public key of an issuer in a verified path. */
enum pin_kind { PIN_SPKI = 0, PIN_CERT, PIN_CA };
#define PIN_KINDS 3

struct pin {
    uint32_t line;
    uint32_t next; /* see pins_next_pin */
    uint32_t bytes; /* see pins_digest */
    uint8_t kind; /* enum pin_kind */
    uint8_t digest; /* enum digest */
    uint16_t expires; /* the first day (see text_date) on which it no longer counts; 0: never */
};

enum rule_action { RULE_UNSET = 0, RULE_DENY, RULE_ALLOW, RULE_PINS }; /* RULE_UNSET refuses, too */

#define REPORT_ALWAYS UINT16_MAX

/* All lines of one TARGET. */
struct rule {
    uint32_t line; /* the first of them */
    uint32_t name;
    uint32_t first_pin;
    uint32_t last_pin;
    uint32_t next_port; /* the rule for the same name with another port */
    uint32_t client; /* see pins_client; 0: none */
    uint16_t port; /* 0: every port */
    uint16_t report_until; /* before this day a refusal is logged, not enforced; 0: it is enforced, REPORT_ALWAYS: never */
    uint8_t form;
    uint8_t action; /* enum rule_action */
    bool pkix : 1; /* besides any pin: a path to the system's trust store, and a leaf valid for the target's name */
    bool tls_required : 1; /* besides any pin: nothing but TLS, or a request to start it, may be sent there */
    bool kept : 1; /* all of it is an older file's (pins_keep_lost) */
    bool kept_pkix : 1; /* this alone is */
    bool kept_tls : 1; /* likewise */
};

struct pins;

/* Tell the pins which day it is (text_today), for what ends on a day. Until then every report-until= has ended. */
void pins_set_today(struct pins *pins, uint16_t today);

/* Return true if pins_set_today matters for them. */
MUST_CHECK bool pins_have_days(const struct pins *pins);

/* Return true if a refusal by this rule is logged today, not enforced. */
MUST_CHECK bool pins_only_report(const struct pins *pins, const struct rule *rule);

/* Return true if some rule has tls_required. */
MUST_CHECK bool pins_require_tls(const struct pins *pins);

/* The files of a client certificate, in the order of the fields that name them. */
enum client_file { CLIENT_CERT = 0, CLIENT_KEY, CLIENT_PASS };
#define CLIENT_FILES 3

/* A client certificate with its key, for a server that has satisfied the rule. */
struct client_cert {
    uint32_t line;
    uint8_t *chain; /* DER, one certificate after another; the leaf first */
    size_t chain_length;
    uint8_t *key; /* DER (PKCS #8, or the older form of its algorithm), not encrypted */
    size_t key_length;
    char *paths[CLIENT_FILES]; /* absolute; NULL: no such file was named */
    struct file_identity files[CLIENT_FILES]; /* the files that were read */
    enum file_age age; /* of the youngest of them */
};

/* Called by a reader for each object in a file, with its SHA-256 digest of the requested kind; for PIN_CA also with the certificate in
 * DER. */
typedef void pins_found(void *to, const uint8_t digest[static 32], const void *der, size_t length);

struct tls;

/* Reads the files that rules name (spki-file: and the like). A relative path starts in the directory of the file `beside`. `read` returns true if the
 * file has an object and every one could be read; else false, with what is wrong in `problem`. */
struct pins_reader {
    bool (*read)(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
        struct text *problem);
    /* Read a client certificate and its key; all paths but the first may be NULL. Fills all of `out` but the line; the caller frees each part.
     * If it returns false, there is nothing to free, and `faulty` is the file that has the problem. */
    bool (*read_client)(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
        enum client_file *faulty, struct text *problem);
    /* Read the system's trust store. NULL when memory ran out. */
    struct roots *(*read_roots)(const struct pins_reader *reader);
    const struct tls *tls; /* the TLS library that decodes client certificates and knows the system's trust store; NULL: there is none */
    bool may_wait; /* `tls` is NULL, and nothing is judged now */
    const struct pins *before; /* client certificates and a trust store that have not changed since need not be read again; NULL: none */
    const char *beside;
};

/* Called for each error: line and column count from 1 (the column in bytes; line 0: about the whole file);
 * the message says what is wrong and what was expected. */
typedef void pins_report(void *arg, uint32_t line, uint32_t column, const char *message);

/* Parse the `length` bytes at `buffer`. Return the pins, to be freed with pins_free; or NULL after every error in the file was
 * reported, or when memory ran out. The buffer is not needed afterwards. With `reader` NULL a rule that names a file is an error. */
MUST_CHECK struct pins *pins_parse(const char *buffer, size_t length, const struct pins_reader *reader, pins_report *report, void *arg);

/* Read and parse the file at `path` (file_read). A file that cannot be read is reported like an error in it. `identity` may be NULL. errno is
 * not preserved. */
MUST_CHECK struct pins *pins_load(const char *path, const struct pins_reader *reader, struct file_identity *identity, pins_report *report,
    void *arg);

/* Free the pins. NULL does nothing. */
void pins_free(struct pins *pins);

/* Return true if and only if some rule is not `allow`. */
MUST_CHECK bool pins_demand_anything(const struct pins *pins);

/* Return true if and only if some rule can refuse: one that is neither `allow` nor only reported. With `addresses`, only rules for
 * addresses count. */
MUST_CHECK bool pins_enforce(const struct pins *pins, bool addresses);

/* Return true if and only if some rule for a name, or for names below a suffix, is not `allow`. */
MUST_CHECK bool pins_name_hosts(const struct pins *pins);

/* Return true if and only if some pin of the file has that kind and digest. */
MUST_CHECK bool pins_use(const struct pins *pins, enum pin_kind kind, enum digest digest);
const bool (*pins_uses(const struct pins *pins))[DIGESTS];

/* Return what is revoked for every target: a rule with pins of the kinds PIN_SPKI and PIN_CERT. NULL: nothing. */
const struct rule *pins_revoked(const struct pins *pins);

/* Return the next certificate from a ca-file with that subject (der_names), in DER with its length; NULL after the last. `*cursor` starts
 * at 0. */
const uint8_t *pins_next_issuer(const struct pins *pins, uint64_t subject, size_t *cursor, size_t *length);

/* Return true if a TLS library must be there to read what the rules need besides: a client certificate, or the system's trust store. */
MUST_CHECK bool pins_need_library(const struct pins *pins);

/* While a file is being written: take over what the one before it demands besides. A target that has no line yet keeps its whole rule; of one that has, a
 * pkix or tls=required that it had (or a wider target, if it is new), and its pins if it has none now, may be on a line that is still to come; if its last
 * line has no end, the older rule holds instead. What is revoked stays revoked. With `own` that which `before` itself has taken over does not count. Return
 * false when memory ran out. */
MUST_CHECK bool pins_keep_lost(struct pins *pins, const struct pins *before, bool own);

/* Return how many rules and pins were taken over. */
size_t pins_kept(const struct pins *pins);

/* Read the system's trust store, if some rule needs a path that may end there. */
void pins_read_roots(struct pins *pins, const struct pins_reader *reader);

/* Return what was read; NULL: nothing. */
const struct roots *pins_roots(const struct pins *pins);

/* Copy everything in it. Return false when memory ran out. */
MUST_CHECK bool pins_copy_client(const struct client_cert *from, struct client_cert *to);

/* Free its contents. The key is erased from memory. */
void pins_clear_client(struct client_cert *client);

/* Return the client certificate with that number, as in `struct rule`. Numbers start at 1; NULL: there is none. */
const struct client_cert *pins_client(const struct pins *pins, uint32_t number);

/* The rules that apply to a host: those of the most specific target alone. */
struct rules {
    const struct rule *first; /* NULL: none */
    /* The host's port is not known, or is doubtful and has no rule: rules for other ports count as well; and where none of those of a name is for every
     * port, also those of the next wider suffix. */
    bool all_ports;
};

/* Find the rules for `host`, without those of the targets `*` and `@unknown`. */
struct rules pins_lookup(const struct pins *pins, const struct host *host);

/* Find the rules of the target `*` at the host's port. */
struct rules pins_lookup_any(const struct pins *pins, const struct host *host);

/* Find the rules of the target `@unknown` at the port of the connection's address. */
struct rules pins_lookup_unknown(const struct pins *pins, const struct host *address);

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
