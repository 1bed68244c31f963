/* The verdict: which identities are asked, what satisfies a rule, and how it is told. */
#include "memory.h"
#include "pins_internal.h"
#include "policy.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Pins of 0x11, 0x22, 0x33 and 0x00 bytes. */
#define S1 "spki-sha256:ERERERERERERERERERERERERERERERERERERERERERE="
#define S1_384 "spki-sha384:ERERERERERERERERERERERERERERERERERERERERERERERERERERERERERERERER"
#define S1_512 "spki-sha512:EREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREQ=="
#define C2 "cert-sha256:IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="
#define C2_384 "cert-sha384:IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi"
#define C2_512 "cert-sha512:IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIg=="
#define S3 "spki-sha256:MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM="
#define C3 "cert-sha256:MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM="
#define S0 "spki-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define C0 "cert-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
/* The good peer's digests under the other kind: a key's digest is no certificate's. */
#define C1 "cert-sha256:ERERERERERERERERERERERERERERERERERERERERERE="
#define S2 "spki-sha256:IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="

enum who {
    ZEROED,
    GOOD, /* a key of 0x11, in a certificate of 0x22 */
    BAD, /* a key of 0x44, in a certificate of 0x44 */
    RAW, /* the good key without a certificate */
    BARE, /* neither key nor certificate */
    UNCOMPUTED, /* the good one, but none of its digests was computed */
};

static struct peer peer_of(enum who who)
{
    struct peer peer = {0};

    if (who == ZEROED)
        return peer;
    /* Digests that are not known hold the right bytes, and must not count for all that. */
    memset(peer.digests[PIN_SPKI], who == BAD ? 0x44 : 0x11, sizeof(peer.digests[PIN_SPKI]));
    memset(peer.digests[PIN_CERT], who == BAD ? 0x44 : 0x22, sizeof(peer.digests[PIN_CERT]));
    peer.has[PIN_SPKI] = who != BARE;
    peer.has[PIN_CERT] = who != BARE && who != RAW;
    for (int digest = 0; digest < DIGESTS; digest++) {
        peer.known[PIN_SPKI][digest] = peer.has[PIN_SPKI] && who != UNCOMPUTED;
        peer.known[PIN_CERT][digest] = peer.has[PIN_CERT] && who != UNCOMPUTED;
    }
    return peer;
}

static void on_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    check(false, "a pins file of the tests is right: %u:%u: %s", (unsigned)line, (unsigned)column, message);
}

/* Every client certificate can be read. */
static bool read_client(const struct pins_reader *from, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem)
{
    (void)from;
    (void)faulty;
    (void)problem;
    out->paths[CLIENT_CERT] = memory_copy(paths[CLIENT_CERT], strlen(paths[CLIENT_CERT]));
    return true;
}

static struct pins *parse(const char *string)
{
    static const struct pins_reader reader = {.read_client = read_client, .beside = "/pins"};
    struct pins *pins = pins_parse(string, strlen(string), &reader, on_error, NULL);

    if (pins == NULL)
        abort();
    return pins;
}

/* Take the next word of `*at`. */
static bool next_word(const char **at, struct host *out)
{
    size_t length;

    *at += strspn(*at, " ");
    length = strcspn(*at, " ");
    if (length == 0)
        return false;
    host_parse(*at, length, out);
    *at += length;
    return true;
}

static const char *resolved_names;
static unsigned resolved_asked;
static bool resolved_forgot;

static bool next_resolved(const struct target *target, uintptr_t *cursor, struct host *out)
{
    const char *at = resolved_names + *cursor;
    bool more = next_word(&at, out);

    (void)target;
    resolved_asked++;
    *cursor = (uintptr_t)(at - resolved_names);
    if (!more && resolved_forgot) {
        resolved_forgot = false;
        out->kind = HOST_UNREADABLE;
        return true;
    }
    return more;
}

enum flag { NAMED = 1, OVERFLOW = 2, FORGOT = 4, DOUBTFUL = 8 };

static struct target target_of(const char *identities, int flags, const char *resolved)
{
    struct target target = {0};
    struct host host;

    while (next_word(&identities, &host))
        (void)target_add(&target, &host);
    for (size_t i = 0; i < target.count; i++)
        target_at(&target, i)->port_doubtful = (flags & DOUBTFUL) != 0;
    target.named = (flags & NAMED) != 0;
    target.overflow = (flags & OVERFLOW) != 0;
    if (resolved != NULL)
        target.next_resolved = next_resolved;
    resolved_names = resolved;
    resolved_asked = 0;
    resolved_forgot = (flags & FORGOT) != 0;
    return target;
}

static const char *const reasons[] = {"internal", "fault", "unidentifiable", "deny", "no match", "no certificate", "revoked", "expired",
    "untrusted", "unproven", "no rule", "allow", "match"};

struct row {
    const char *why;
    const char *pins;
    const char *identities; /* as a program gives them, parted by blanks */
    int flags;
    const char *resolved; /* the same; NULL: nothing was resolved */
    enum who who;
    enum reason reason;
    const char *host; /* the one that decided; "": none */
    const char *rule; /* file:line; "": none */
};

static void judge_rows(const struct row *table, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        const struct row *row = &table[i];
        struct pins *pins = parse(row->pins);
        struct target target = target_of(row->identities, row->flags, row->resolved);
        struct peer peer = peer_of(row->who);
        struct judgement judgement;
        char buffer[400];
        struct text text = text_over(buffer, sizeof(buffer));
        bool accepted = row->reason == REASON_NO_RULE || row->reason == REASON_ALLOW || row->reason == REASON_MATCH;

        memset(&judgement, 0xaa, sizeof(judgement));
        policy_judge(pins, &target, &peer, &judgement);
        check(judgement.verdict == (accepted ? VERDICT_ACCEPT : VERDICT_REFUSE), "%s: is %s", row->why,
            judgement.verdict == VERDICT_REFUSE ? "refused" : "accepted");
        check(judgement.reason == row->reason, "%s: because of %s", row->why,
            judgement.reason < ROWS(reasons) ? reasons[judgement.reason] : "?");
        check((judgement.matched != NULL) == (row->reason == REASON_MATCH), "%s: a pin matched, or none did", row->why);
        host_print(&judgement.host, &text);
        check(strcmp(buffer, row->host) == 0, "%s: decided by [%s]", row->why, buffer);
        text = text_over(buffer, sizeof(buffer));
        policy_print_rule("P", &judgement, &text);
        check(strcmp(buffer, row->rule) == 0, "%s: by the rule [%s]", row->why, buffer);
        check((row->flags & NAMED) == 0 || resolved_asked == 0, "%s: a program that gave a name is not asked what it resolved",
            row->why);
        pins_free(pins);
    }
}

/* One identity, one rule. */
static const struct row pins_rows[] = {
    {"the key's pin", "a.example " S1, "a.example:443", NAMED, NULL, GOOD, REASON_MATCH, "a.example:443", "P:1"},
    {"the key's pin, SHA-384", "a.example " S1_384, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"the key's pin, SHA-512", "a.example " S1_512, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"the certificate's pin", "a.example " C2, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"the certificate's pin, SHA-384", "a.example " C2_384, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"the certificate's pin, SHA-512", "a.example " C2_512, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"another key", "a.example " S1, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH, "a.example", "P:1"},
    {"another certificate", "a.example " C2, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH, "a.example", "P:1"},
    {"another pin", "a.example " S3, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH, "a.example", "P:1"},
    {"a key's digest is no certificate's", "a.example " C1, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH, "a.example", "P:1"},
    {"a certificate's digest is no key's", "a.example " S2, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH, "a.example", "P:1"},
    {"any one pin is enough", "a.example " S3 "\na.example " C3 " " S1, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example",
        "P:2"},
    {"any one of both kinds", "a.example " S3 "\na.example " C2, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example",
        "P:2"},
    {"none of several", "a.example " S3 "\na.example " C3, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH, "a.example", "P:1"},
    {"deny", "a.example deny", "a.example", NAMED, NULL, GOOD, REASON_DENY, "a.example", "P:1"},
    {"allow", "a.example allow\n* deny", "a.example", NAMED, NULL, BAD, REASON_ALLOW, "a.example", "P:1"},
    {"allow, no certificate", "a.example allow\n* deny", "a.example", NAMED, NULL, BARE, REASON_ALLOW, "a.example", "P:1"},
    {"no rule", "b.example deny", "a.example:443", NAMED, NULL, BAD, REASON_NO_RULE, "a.example:443", ""},
    {"no rule, no certificate", "b.example deny", "a.example", NAMED, NULL, BARE, REASON_NO_RULE, "a.example", ""},
    {"the most specific rule alone: not *.", "*.example allow\na.example " S1, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH,
        "a.example", "P:2"},
    {"the most specific rule alone: not **.", "**.example " S1 "\n*.example " S3, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH,
        "a.example", "P:2"},
    {"the most specific rule alone: not *", "* " S1 "\na.example " S3, "a.example", NAMED, NULL, GOOD, REASON_NO_MATCH,
        "a.example", "P:2"},
    {"the rule of the port", "a.example allow\na.example:443 " S1, "a.example:443", NAMED, NULL, BAD, REASON_NO_MATCH,
        "a.example:443", "P:2"},
    {"the rule of no port", "a.example " S1 "\na.example:443 allow", "a.example:444", NAMED, NULL, BAD, REASON_NO_MATCH,
        "a.example:444", "P:1"},
    {"another port's rule", "a.example:443 deny", "a.example:444", NAMED, NULL, BAD, REASON_NO_RULE, "a.example:444", ""},
    {"an unknown port: one of its rules", "a.example:1 " S3 "\na.example:2 " S1, "a.example", NAMED, NULL, GOOD, REASON_MATCH,
        "a.example", "P:2"},
    {"an unknown port: none of its rules", "a.example:1 " S3 "\na.example:2 " S1, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH,
        "a.example", "P:1"},
    {"an unknown port: deny does not veto another port's pin", "a.example:1 deny\na.example:2 " S1, "a.example", NAMED, NULL,
        GOOD, REASON_MATCH, "a.example", "P:2"},
    {"an unknown port: allow for one does not outweigh the pin of another", "a.example:1 allow\na.example:2 " S1, "a.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.example", "P:2"},
    {"an unknown port: nor does allow for all", "a.example allow\na.example:2 " S1, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH, "a.example", "P:2"},
    {"an unknown port: allow does not outweigh deny", "a.example:1 deny\na.example:2 allow", "a.example", NAMED, NULL, GOOD, REASON_DENY,
        "a.example", "P:1"},
    {"an unknown port: allow, and a pin that holds", "a.example:1 allow\na.example:2 " S1, "a.example", NAMED, NULL, GOOD, REASON_MATCH,
        "a.example", "P:2"},
    {"an unknown port: allow for each", "a.example:1 allow\na.example:2 allow", "a.example", NAMED, NULL, BAD, REASON_ALLOW, "a.example", "P:1"},
    {"an unknown port: allow for one does not outweigh the pin of a suffix at another", "a.example:1 allow\n*.example:2 " S1, "a.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.example", "P:2"},
    {"an unknown port: nor of a wider one", "a.b.example:1 allow\n*.b.example:2 allow\n**.b.example:3 allow\n**.example " S1 "\n* deny", "a.b.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.b.example", "P:4"},
    {"an unknown port: a rule for every port keeps wider ones away", "a.example:1 allow\na.example allow\n*.example deny", "a.example", NAMED, NULL, BAD,
        REASON_ALLOW, "a.example", "P:1"},
    {"an unknown port: and so does one of a suffix", "a.b.example:1 allow\n*.b.example allow\n**.example deny", "a.b.example", NAMED, NULL, BAD, REASON_ALLOW,
        "a.b.example", "P:1"},
    {"a doubtful port: allow for it does not outweigh the pin of a suffix at another", "a.example:1 allow\n**.example:2 " S1, "a.example:1", NAMED | DOUBTFUL,
        NULL, BAD, REASON_NO_MATCH, "a.example:1", "P:2"},
    {"a certain port: its rule alone", "a.example:1 allow\n**.example:2 " S1, "a.example:1", NAMED, NULL, BAD, REASON_ALLOW, "a.example:1", "P:1"},
    {"an unknown port: deny everywhere", "a.example:1 deny\na.example:2 deny", "a.example", NAMED, NULL, GOOD, REASON_DENY,
        "a.example", "P:1"},
    {"an unknown port: a pin that fails, and deny", "a.example:1 " S1 "\na.example:2 deny", "a.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.example", "P:1"},
    {"an unknown port: the rule that decided is told", "a.example:1 " S3 "\na.example:2 allow", "a.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.example", "P:1"},
    {"an unknown port: the rule that asked for a pin is told", "a.example:1 deny\na.example:2 " S1, "a.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "a.example", "P:2"},
    {"a doubtful port with a rule: that rule", "a.example:1 allow\na.example:2 " S1, "a.example:2", NAMED | DOUBTFUL, NULL, BAD,
        REASON_NO_MATCH, "a.example:2", "P:2"},
    {"a doubtful port that is allowed: all ports", "a.example:1 allow\na.example:2 " S1, "a.example:1", NAMED | DOUBTFUL, NULL, BAD,
        REASON_NO_MATCH, "a.example:1", "P:2"},
    {"a doubtful port that is allowed, and a pin for all that holds", "a.example:1 allow\na.example " S1, "a.example:1", NAMED | DOUBTFUL, NULL, GOOD,
        REASON_MATCH, "a.example:1", "P:2"},
    {"a doubtful port without a rule: all ports", "a.example:1 " S1, "a.example:3128", NAMED | DOUBTFUL, NULL, BAD,
        REASON_NO_MATCH, "a.example:3128", "P:1"},
    {"an address", "192.0.2.1 " S1, "192.0.2.1:443", 0, NULL, BAD, REASON_NO_MATCH, "192.0.2.1:443", "P:1"},
    {"an IPv6 address", "[2001:db8::1] " S1, "[2001:db8::1]:443", 0, NULL, GOOD, REASON_MATCH, "[2001:db8::1]:443", "P:1"},
};

static const struct row peer_rows[] = {
    {"no certificate, the key's pin", "a.example " S1, "a.example", NAMED, NULL, BARE, REASON_NO_CERTIFICATE, "a.example", "P:1"},
    {"no certificate, the certificate's pin", "a.example " C2, "a.example", NAMED, NULL, BARE, REASON_NO_CERTIFICATE, "a.example",
        "P:1"},
    {"no certificate, deny", "a.example deny", "a.example", NAMED, NULL, BARE, REASON_DENY, "a.example", "P:1"},
    {"a raw public key, the key's pin", "a.example " S1, "a.example", NAMED, NULL, RAW, REASON_MATCH, "a.example", "P:1"},
    {"a raw public key, the certificate's pin", "a.example " C2, "a.example", NAMED, NULL, RAW, REASON_NO_MATCH, "a.example",
        "P:1"},
    {"a raw public key, either pin", "a.example " C2 " " S1, "a.example", NAMED, NULL, RAW, REASON_MATCH, "a.example", "P:1"},
    {"a raw public key, another key's pin", "a.example " S3, "a.example", NAMED, NULL, RAW, REASON_NO_MATCH, "a.example", "P:1"},
    {"digests that were not computed", "a.example " S1 " " C2, "a.example", NAMED, NULL, UNCOMPUTED, REASON_NO_MATCH, "a.example",
        "P:1"},
    {"a zeroed peer", "a.example " S1, "a.example", NAMED, NULL, ZEROED, REASON_NO_CERTIFICATE, "a.example", "P:1"},
    {"a zeroed peer, pins of zeros", "a.example " S0 " " C0, "a.example", NAMED, NULL, ZEROED, REASON_NO_CERTIFICATE, "a.example",
        "P:1"},
    {"a zeroed peer, pins of * of zeros", "* " S0 " " C0, "a.example", NAMED, NULL, ZEROED, REASON_NO_CERTIFICATE, "a.example",
        "P:1"},
};

static const struct row any_rows[] = {
    {"* deny", "* deny", "a.example:443", NAMED, NULL, GOOD, REASON_DENY, "a.example:443", "P:1"},
    {"* allow", "b.example deny\n* allow", "a.example", NAMED, NULL, BAD, REASON_ALLOW, "a.example", "P:2"},
    {"* with a pin", "* " S1, "a.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example", "P:1"},
    {"* with another pin", "* " S1, "a.example", NAMED, NULL, BAD, REASON_NO_MATCH, "a.example", "P:1"},
    {"* for an address", "* " S1, "192.0.2.1:443", 0, NULL, BAD, REASON_NO_MATCH, "192.0.2.1:443", "P:1"},
    {"* at the port", "* deny\n*:443 allow", "a.example:443", NAMED, NULL, BAD, REASON_ALLOW, "a.example:443", "P:2"},
    {"* at another port", "*:443 deny", "a.example:444", NAMED, NULL, BAD, REASON_NO_RULE, "a.example:444", ""},
    {"* where one of two identities has a rule", "* deny\na.example " S1, "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD,
        REASON_MATCH, "a.example:443", "P:2"},
    {"* where the other of two has one", "* deny\n192.0.2.1 " S1, "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD, REASON_MATCH,
        "192.0.2.1:443", "P:2"},
    {"* where neither has one", "* deny\nb.example " S1, "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD, REASON_DENY,
        "a.example:443", "P:1"},
    {"* at two ports, one of them denied", "*:25 deny\n*:443 allow", "a.example:443 192.0.2.1:25", NAMED, NULL, GOOD, REASON_DENY,
        "192.0.2.1:25", "P:1"},
    {"* where another port of a name has a rule", "* deny\na.example:443 allow", "a.example:444", NAMED, NULL, GOOD, REASON_DENY,
        "a.example:444", "P:1"},
    {"* where a resolved name has a rule", "* deny\nb.example " S1, "192.0.2.1:443", 0, "b.example:443", GOOD, REASON_MATCH,
        "b.example:443", "P:2"},
    {"* where no resolved name has one", "* deny", "192.0.2.1:443", 0, "b.example:443", GOOD, REASON_DENY, "192.0.2.1:443",
        "P:1"},
};

/* Each identity that has a rule must be satisfied. */
static const struct row several_rows[] = {
    {"both are satisfied", "a.example " S1 "\nb.example " C2, "a.example b.example", NAMED, NULL, GOOD, REASON_MATCH, "a.example",
        "P:1"},
    {"the first is not", "a.example " S3 "\nb.example " S1, "a.example b.example", NAMED, NULL, GOOD, REASON_NO_MATCH,
        "a.example", "P:1"},
    {"the second is not", "a.example " S1 "\nb.example " S3, "a.example b.example", NAMED, NULL, GOOD, REASON_NO_MATCH,
        "b.example", "P:2"},
    {"the last of three is not", "**.example " S1 "\n192.0.2.1 " S3, "a.example b.example 192.0.2.1:443", NAMED, NULL, GOOD,
        REASON_NO_MATCH, "192.0.2.1:443", "P:2"},
    {"one has no rule", "b.example " S1, "a.example b.example", NAMED, NULL, GOOD, REASON_MATCH, "b.example", "P:1"},
    {"one has no rule, the other fails", "b.example " S1, "a.example b.example", NAMED, NULL, BAD, REASON_NO_MATCH, "b.example",
        "P:1"},
    {"allow for one does not help the other", "a.example allow\nb.example " S1, "a.example b.example", NAMED, NULL, BAD,
        REASON_NO_MATCH, "b.example", "P:2"},
    {"allow for one after the other", "a.example allow\nb.example " S1, "b.example a.example", NAMED, NULL, BAD, REASON_NO_MATCH,
        "b.example", "P:2"},
    {"deny for one", "a.example " S1 "\n192.0.2.1 deny", "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD, REASON_DENY,
        "192.0.2.1:443", "P:2"},
    {"one name at two ports", "a.example:1 " S1 "\na.example:2 deny", "a.example:1 a.example:2", NAMED, NULL, GOOD, REASON_DENY,
        "a.example:2", "P:2"},
    {"all of twelve", "**.example " S1 "\nl.example deny",
        "a.example b.example c.example d.example e.example f.example g.example h.example i.example j.example k.example l.example",
        NAMED, NULL, GOOD, REASON_DENY, "l.example", "P:2"},
};

static const struct row resolved_rows[] = {
    {"the name that was resolved", "b.example " S1, "192.0.2.1:443", 0, "b.example:443", GOOD, REASON_MATCH, "b.example:443",
        "P:1"},
    {"the name that was resolved fails", "b.example " S1, "192.0.2.1:443", 0, "b.example:443", BAD, REASON_NO_MATCH,
        "b.example:443", "P:1"},
    {"it is not asked where a name was given", "b.example deny", "a.example:443 192.0.2.1:443", NAMED, "b.example:443", BAD,
        REASON_NO_RULE, "a.example:443", ""},
    {"nor where the name has a rule", "a.example " S1 "\nb.example deny", "a.example:443 192.0.2.1:443", NAMED, "b.example:443",
        GOOD, REASON_MATCH, "a.example:443", "P:1"},
    {"one of several with a rule suffices: the first", "b.example " S1 "\nc.example " S3, "192.0.2.1", 0, "b.example c.example",
        GOOD, REASON_MATCH, "b.example", "P:1"},
    {"one of several with a rule suffices: the last", "b.example " S1 "\nc.example " S3 "\nd.example deny", "192.0.2.1", 0,
        "d.example c.example b.example", GOOD, REASON_MATCH, "b.example", "P:1"},
    {"none of several suffices: the first is told", "b.example " S1 "\nc.example " S3, "192.0.2.1", 0, "c.example b.example", BAD,
        REASON_NO_MATCH, "c.example", "P:2"},
    {"a name without a rule does not satisfy another's", "b.example " S1, "192.0.2.1", 0, "a.example b.example c.example", BAD,
        REASON_NO_MATCH, "b.example", "P:1"},
    {"no resolved name has a rule", "b.example deny", "192.0.2.1:443", 0, "a.example:443", BAD, REASON_NO_RULE, "192.0.2.1:443",
        ""},
    {"nothing was resolved", "b.example deny", "192.0.2.1:443", 0, "", BAD, REASON_NO_RULE, "192.0.2.1:443", ""},
    {"resolving is not watched", "b.example deny", "192.0.2.1:443", 0, NULL, BAD, REASON_NO_RULE, "192.0.2.1:443", ""},
    {"the address's own rule must be satisfied as well", "192.0.2.1 " S3 "\nb.example " S1, "192.0.2.1:443", 0, "b.example", GOOD,
        REASON_NO_MATCH, "192.0.2.1:443", "P:1"},
    {"the address's own rule does not do for the name's", "192.0.2.1 allow\nb.example " S1, "192.0.2.1:443", 0, "b.example:443",
        BAD, REASON_NO_MATCH, "b.example:443", "P:2"},
    {"both are satisfied", "192.0.2.1 " S1 "\nb.example " C2, "192.0.2.1:443", 0, "b.example:443", GOOD, REASON_MATCH,
        "192.0.2.1:443", "P:1"},
    {"a name was forgotten: it could be any", "b.example " S1, "192.0.2.1:443", FORGOT, "", GOOD, REASON_UNIDENTIFIABLE,
        "192.0.2.1:443", ""},
    {"a name was forgotten, * or not", "* allow\nb.example deny", "192.0.2.1:443", FORGOT, "", GOOD, REASON_UNIDENTIFIABLE,
        "192.0.2.1:443", ""},
    {"a name was forgotten, and nothing is asked for", "* allow", "192.0.2.1:443", FORGOT, "", GOOD, REASON_NO_RULE,
        "192.0.2.1:443", ""},
    {"a name was forgotten, another has a rule", "b.example " S1, "192.0.2.1:443", FORGOT, "b.example", GOOD, REASON_MATCH,
        "b.example", "P:1"},
    {"a name was forgotten, another's rule fails", "b.example " S1, "192.0.2.1:443", FORGOT, "b.example", BAD, REASON_NO_MATCH,
        "b.example", "P:1"},
    {"a name was forgotten, but the program gave one", "b.example " S1, "a.example:443 192.0.2.1:443", NAMED | FORGOT, "", GOOD,
        REASON_NO_RULE, "a.example:443", ""},
};

static const struct row unidentifiable_rows[] = {
    {"nothing is known, a pin", "a.example " S1, "", 0, NULL, GOOD, REASON_UNIDENTIFIABLE, "", ""},
    {"nothing is known, deny", "a.example deny", "", 0, NULL, GOOD, REASON_UNIDENTIFIABLE, "", ""},
    {"nothing is known, * with the right pin", "* " S1, "", 0, NULL, GOOD, REASON_UNIDENTIFIABLE, "", ""},
    {"nothing is known, * deny", "* deny", "", 0, NULL, GOOD, REASON_UNIDENTIFIABLE, "", ""},
    {"nothing is known, nothing is asked for", "a.example allow\n* allow", "", 0, NULL, BARE, REASON_NO_RULE, "", ""},
    {"a name that cannot be read", "b.example " S1, "a.example:x", NAMED, NULL, GOOD, REASON_UNIDENTIFIABLE, "a.example:x", ""},
    {"a name that cannot be read, and one that is satisfied", "b.example " S1, "b.example a.example:x", NAMED, NULL, GOOD,
        REASON_UNIDENTIFIABLE, "a.example:x", ""},
    {"a name that cannot be read, and one that is allowed", "b.example allow\n* deny", "a.example:x b.example", NAMED, NULL, GOOD,
        REASON_UNIDENTIFIABLE, "a.example:x", ""},
    {"a name that cannot be read, nothing is asked for", "b.example allow", "a.example:x", NAMED, NULL, BARE, REASON_NO_RULE,
        "a.example:x", ""},
    {"more identities than there is memory for", "a.example " S1, "a.example", NAMED | OVERFLOW, NULL, GOOD, REASON_INTERNAL,
        "a.example", ""},
    {"more identities than there is memory for, * deny", "* deny", "a.example", NAMED | OVERFLOW, NULL, GOOD, REASON_INTERNAL,
        "a.example", ""},
    {"more identities than there is memory for, nothing is asked for", "a.example allow", "b.example", NAMED | OVERFLOW, NULL, GOOD,
        REASON_NO_RULE, "b.example", ""},
    {"more identities than there is memory for, @unknown or not", "@unknown allow\na.example deny", "b.example", NAMED | OVERFLOW, NULL, GOOD,
        REASON_INTERNAL, "b.example", ""},
};

/* @unknown: no name is known. */
static const struct row unknown_rows[] = {
    {"nothing is known, and it is allowed", "a.example deny\n@unknown allow", "", 0, NULL, BAD, REASON_ALLOW, "", "P:2"},
    {"nothing is known, its pin", "@unknown " S1, "", 0, NULL, GOOD, REASON_MATCH, "", "P:1"},
    {"nothing is known, its pin fails", "@unknown " S1, "", 0, NULL, BAD, REASON_NO_MATCH, "", "P:1"},
    {"nothing is known, no certificate", "@unknown " S1, "", 0, NULL, BARE, REASON_NO_CERTIFICATE, "", "P:1"},
    {"nothing is known, deny", "@unknown deny", "", 0, NULL, GOOD, REASON_DENY, "", "P:1"},
    {"nothing is known: one of its ports", "@unknown:1 " S3 "\n@unknown:2 " S1, "", 0, NULL, GOOD, REASON_MATCH, "", "P:2"},
    {"nothing is known: allow for one port does not outweigh the pin of another", "@unknown:1 allow\n@unknown:2 " S1, "", 0, NULL, BAD,
        REASON_NO_MATCH, "", "P:2"},
    {"an address: its pin", "@unknown " S1 "\n* deny", "192.0.2.1:443", 0, NULL, GOOD, REASON_MATCH, "192.0.2.1:443", "P:1"},
    {"an address: its pin fails", "@unknown " S1 "\n* allow", "192.0.2.1:443", 0, NULL, BAD, REASON_NO_MATCH, "192.0.2.1:443", "P:1"},
    {"an address: it is allowed, whatever * says", "@unknown allow\n* deny", "192.0.2.1:443", 0, "", BAD, REASON_ALLOW, "192.0.2.1:443", "P:1"},
    {"an address, at the port", "@unknown deny\n@unknown:443 allow", "192.0.2.1:443", 0, NULL, BAD, REASON_ALLOW, "192.0.2.1:443", "P:2"},
    {"an address, at another port: * decides", "@unknown:443 allow\n* deny", "192.0.2.1:444", 0, NULL, BAD, REASON_DENY, "192.0.2.1:444", "P:2"},
    {"an address with a rule: that holds as well", "@unknown allow\n192.0.2.1 " S1, "192.0.2.1:443", 0, NULL, BAD, REASON_NO_MATCH,
        "192.0.2.1:443", "P:2"},
    {"an address that is allowed: @unknown holds as well", "@unknown " S1 "\n192.0.2.1 allow", "192.0.2.1:443", 0, NULL, BAD, REASON_NO_MATCH,
        "192.0.2.1:443", "P:1"},
    {"an address and @unknown, both satisfied", "@unknown " S1 "\n192.0.2.1 " C2, "192.0.2.1:443", 0, NULL, GOOD, REASON_MATCH,
        "192.0.2.1:443", "P:2"},
    {"a name was given", "@unknown deny\na.example " S1, "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD, REASON_MATCH, "a.example:443", "P:2"},
    {"a name without a rule was given", "@unknown deny\n* allow", "a.example:443 192.0.2.1:443", NAMED, NULL, GOOD, REASON_ALLOW, "a.example:443", "P:2"},
    {"a name was resolved", "@unknown allow\nb.example " S1, "192.0.2.1:443", 0, "b.example:443", BAD, REASON_NO_MATCH, "b.example:443", "P:2"},
    {"a name without a rule was resolved", "@unknown deny", "192.0.2.1:443", 0, "b.example:443", BAD, REASON_NO_RULE, "192.0.2.1:443", ""},
    {"a name was forgotten: the pin decides", "@unknown " S1, "192.0.2.1:443", FORGOT, "", GOOD, REASON_MATCH, "192.0.2.1:443", "P:1"},
    {"a name was forgotten: the pin fails", "@unknown " S1, "192.0.2.1:443", FORGOT, "", BAD, REASON_NO_MATCH, "192.0.2.1:443", "P:1"},
    {"a name was forgotten, which may have a pin: allow is not enough", "@unknown allow\nb.example " S1, "192.0.2.1:443", FORGOT, "", GOOD,
        REASON_UNIDENTIFIABLE, "192.0.2.1:443", ""},
    {"a name was forgotten, and another's rule decides", "@unknown deny\nb.example " S1, "192.0.2.1:443", FORGOT, "b.example", GOOD, REASON_MATCH,
        "b.example", "P:2"},
    {"a name that cannot be read, and it is allowed", "a.example deny\n@unknown allow", "a.example:x", NAMED, NULL, BAD, REASON_ALLOW, "a.example:x",
        "P:2"},
    {"a name that cannot be read: the pin fails", "@unknown " S1, "a.example:x", NAMED, NULL, BAD, REASON_NO_MATCH, "a.example:x", "P:1"},
    {"a name that cannot be read, beside one that has a rule", "b.example " S1 "\n@unknown allow", "b.example a.example:x", NAMED, NULL, BAD,
        REASON_NO_MATCH, "b.example", "P:1"},
};

/* What the fake paths below say of the peer. */
enum path {
    ISSUED = 1, /* an issuer with a key of 0x55 is in a verified path */
    TRUSTED = 2, /* a path to the system's trust store is verified */
    IGNORANT = 4, /* nothing can tell: each function is NULL */
    PATHLESS = 8, /* there is not even a table of functions */
    FORGOTTEN = 16, /* not of a path: a name was resolved that could not be remembered */
};

static int path_flags;
static const char *path_names; /* that the leaf is valid for */
static unsigned path_asked;

static bool valid_for(const struct host *host)
{
    const char *at = path_names;
    struct host name;

    while (next_word(&at, &name)) {
        if (name.kind == host->kind && strcmp(name.name, host->name) == 0 && memcmp(name.address, host->address, 16) == 0)
            return true;
    }
    return false;
}

static const struct pin *of_issuer(const struct pins *pins, const struct rule *rule, enum pin_kind kind, uint16_t today)
{
    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind == kind && pins_digest(pins, pin)[0] == 0x55 && (pin->expires == 0 || today < pin->expires))
            return pin;
    }
    return NULL;
}

static const struct pin *fake_authority(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
    const char **problem)
{
    path_asked++;
    *problem = "no such issuer";
    return (path_flags & ISSUED) != 0 && valid_for(host) ? of_issuer(pins, rule, PIN_CA, peer->today) : NULL;
}

static bool fake_trusted(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem)
{
    (void)pins;
    path_asked++;
    *problem = "no such path";
    return (path_flags & TRUSTED) != 0 && peer->has[PIN_CERT] && valid_for(host);
}

static const struct pin *fake_revoked(const struct peer *peer, const struct pins *pins, const char **problem)
{
    (void)peer;
    (void)problem;
    path_asked++;
    return (path_flags & ISSUED) != 0 ? of_issuer(pins, pins_revoked(pins), PIN_SPKI, 0) : NULL;
}

#define A5 "ca-sha256:VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU="
#define S5 "spki-sha256:VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU="
#define A1 "ca-sha256:ERERERERERERERERERERERERERERERERERERERERERE=" /* the leaf's own key */
#define AFTER_EXPIRY "; next: set a later day there, if the server's owner confirms that it is still valid"
#define UNTIL " expires=1970-01-10" /* day 9 */
#define OPEN " report-until=1970-01-10" /* the same */

enum outcome {
    ENFORCED = 0,
    REPORTED = 1, /* `report` is set */
    PINNED = 2, /* `pinned` is set */
    UNASKED = 4, /* nothing is asked of a path */
};

struct path_row {
    const char *why;
    const char *pins;
    const char *identities; /* behind "=" those that were resolved, by a program that gave no name; behind "~", by one that did */
    enum who who;
    uint16_t today;
    int path;
    const char *names; /* the leaf's */
    enum reason reason;
    const char *host;
    int outcome;
    const char *text; /* the reason as printed */
};

static void judge_path_row(const struct path_row *row)
{
    static const struct peer_path fake = {fake_authority, fake_trusted, fake_revoked};
    static const struct peer_path ignorant = {NULL, NULL, NULL};
    const char *resolved = strpbrk(row->identities, "=~");
    char *given = strndup(row->identities, strcspn(row->identities, "=~"));
    int flags = (resolved == NULL || *resolved == '~' ? NAMED : 0) | ((row->path & FORGOTTEN) != 0 ? FORGOT : 0);
    struct target target = target_of(given, flags, resolved != NULL ? resolved + 1 : "");
    struct pins *pins = parse(row->pins);
    struct peer peer = peer_of(row->who);
    struct judgement judgement;
    char buffer[400];
    struct text text = text_over(buffer, sizeof(buffer));

    free(given);
    peer.today = row->today;
    pins_set_today(pins, row->today);
    peer.path = (row->path & PATHLESS) != 0 ? NULL : (row->path & IGNORANT) != 0 ? &ignorant : &fake;
    path_flags = row->path;
    path_names = row->names;
    path_asked = 0;
    memset(&judgement, 0xaa, sizeof(judgement));
    policy_judge(pins, &target, &peer, &judgement);
    check(judgement.reason == row->reason, "%s: because of %s", row->why,
        judgement.reason < ROWS(reasons) ? reasons[judgement.reason] : "?");
    check(judgement.verdict == (row->reason >= REASON_NO_RULE ? VERDICT_ACCEPT : VERDICT_REFUSE), "%s: is %s", row->why,
        judgement.verdict == VERDICT_REFUSE ? "refused" : "accepted");
    check(judgement.report == ((row->outcome & REPORTED) != 0), "%s: is %s", row->why, judgement.report ? "reported" : "enforced");
    check(judgement.pinned == ((row->outcome & PINNED) != 0), "%s: was%s accepted by a pin", row->why, judgement.pinned ? "" : " not");
    check((path_asked == 0) == ((row->outcome & UNASKED) != 0), "%s: a path was asked %u times", row->why, path_asked);
    check(judgement.matched == NULL || row->reason == REASON_MATCH || row->reason == REASON_EXPIRED || row->reason == REASON_REVOKED,
        "%s: no pin decided", row->why);
    check(judgement.verdict == VERDICT_REFUSE || judgement.problem == NULL, "%s: no problem with what is accepted", row->why);
    host_print(&judgement.host, &text);
    check(strcmp(buffer, row->host) == 0, "%s: decided by [%s]", row->why, buffer);
    text = text_over(buffer, sizeof(buffer));
    policy_print_reason(pins, "P", &judgement, &text);
    check(strcmp(buffer, row->text) == 0, "%s: printed: [%s]", row->why, buffer);
    pins_free(pins);
}

static const struct path_row expires_rows[] = {
    {"the day before", "a " S1 UNTIL, "a", GOOD, 8, 0, "", REASON_MATCH, "a", PINNED | UNASKED, "P:1 matched " S1},
    {"on the day", "a " S1 UNTIL, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", UNASKED, "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"the day after", "a " S1 UNTIL, "a", GOOD, 10, 0, "", REASON_EXPIRED, "a", UNASKED,
        "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"without a clock", "a " S1 " expires=2149-06-06", "a", GOOD, UINT16_MAX, 0, "", REASON_EXPIRED, "a", UNASKED,
        "P:1 matched, but its pin expired on 2149-06-06" AFTER_EXPIRY},
    {"without a date, for ever", "a " S1, "a", GOOD, UINT16_MAX, 0, "", REASON_MATCH, "a", PINNED | UNASKED, "P:1 matched " S1},
    {"each pin of the line", "a " S3 " " C2 UNTIL, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", UNASKED,
        "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"not those of another line", "a " S3 UNTIL "\na " C2, "a", GOOD, 9, 0, "", REASON_MATCH, "a", PINNED | UNASKED, "P:2 matched " C2},
    {"another line's pin of the same key", "a " S1 UNTIL "\na " S1, "a", GOOD, 9, 0, "", REASON_MATCH, "a", PINNED | UNASKED,
        "P:2 matched " S1},
    {"what expired is told before what does not match", "a " S3 "\na " S1 UNTIL, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", UNASKED,
        "P:2 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"what did not match has not expired", "a " S1 UNTIL, "a", BAD, 9, 0, "", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"at one of several ports", "a:1 " S3 "\na:2 " S1 UNTIL "\na:3 " S3, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", UNASKED,
        "P:2 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"a CA's pin is in force", "a " S1 UNTIL "\na " A5, "a", GOOD, 9, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:2 matched " A5},
    {"a CA's pin is not", "a " A5 UNTIL, "a", GOOD, 9, ISSUED, "a", REASON_NO_MATCH, "a", 0, "no pin of P:1 matched (no such issuer)"},
    {"for *", "* " S1 UNTIL, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", UNASKED, "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"for a name that was resolved", "b " S1 UNTIL, "192.0.2.1=b", GOOD, 9, 0, "", REASON_EXPIRED, "b", UNASKED,
        "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
};

static const struct path_row pkix_rows[] = {
    {"pkix alone", "a pkix", "a", GOOD, 0, TRUSTED, "a", REASON_MATCH, "a", PINNED, "P:1 satisfied: pkix"},
    {"no trusted path", "a pkix", "a", GOOD, 0, ISSUED, "a", REASON_UNTRUSTED, "a", 0, "pkix of P:1 is not satisfied (no such path)"},
    {"another name", "a pkix", "a", GOOD, 0, TRUSTED, "b", REASON_UNTRUSTED, "a", 0, "pkix of P:1 is not satisfied (no such path)"},
    {"nothing that could tell", "a pkix", "a", GOOD, 0, TRUSTED | IGNORANT, "a", REASON_UNTRUSTED, "a", UNASKED,
        "pkix of P:1 is not satisfied"},
    {"no table of what could tell", "a pkix", "a", GOOD, 0, TRUSTED | PATHLESS, "a", REASON_UNTRUSTED, "a", UNASKED,
        "pkix of P:1 is not satisfied"},
    {"no certificate", "a pkix", "a", BARE, 0, TRUSTED, "a", REASON_NO_CERTIFICATE, "a", 0, "no certificate for the pin of P:1"},
    {"a key without a certificate", "a pkix", "a", RAW, 0, TRUSTED, "a", REASON_UNTRUSTED, "a", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"pkix and a pin", "a " S1 " pkix", "a", GOOD, 0, TRUSTED, "a", REASON_MATCH, "a", PINNED, "P:1 matched " S1},
    {"the pin alone", "a " S1 " pkix", "a", GOOD, 0, 0, "a", REASON_UNTRUSTED, "a", 0, "pkix of P:1 is not satisfied (no such path)"},
    {"the path alone", "a " S1 " pkix", "a", BAD, 0, TRUSTED, "a", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"pkix on a line of its own", "a " S1 "\na pkix", "a", GOOD, 0, 0, "a", REASON_UNTRUSTED, "a", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"on a line of its own, before", "a pkix\na " S1, "a", BAD, 0, TRUSTED, "a", REASON_NO_MATCH, "a", UNASKED,
        "no pin of P:1,2 matched"},
    {"and a pin that expired", "a " S1 UNTIL "\na pkix", "a", GOOD, 9, TRUSTED, "a", REASON_EXPIRED, "a", UNASKED,
        "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"and a CA's pin", "a " A5 " pkix", "a", GOOD, 0, ISSUED, "a", REASON_UNTRUSTED, "a", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"and a CA's pin, both", "a " A5 " pkix", "a", GOOD, 0, ISSUED | TRUSTED, "a", REASON_MATCH, "a", PINNED, "P:1 matched " A5},
    {"at one of several ports", "a:1 " S3 "\na:2 pkix", "a", GOOD, 0, 0, "a", REASON_UNTRUSTED, "a", 0,
        "pkix of P:2 is not satisfied (no such path)"},
    {"a pin of the second line, without a path", "a pkix\na " S1, "a", GOOD, 0, 0, "a", REASON_UNTRUSTED, "a", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"each of two names", "*.example pkix", "a.example b.example", GOOD, 0, TRUSTED, "a.example", REASON_UNTRUSTED, "b.example", PINNED,
        "pkix of P:1 is not satisfied (no such path)"},
    {"an address with a rule", "192.0.2.1 pkix", "a 192.0.2.1", GOOD, 0, TRUSTED, "a", REASON_UNTRUSTED, "192.0.2.1", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"for *", "* pkix", "a", GOOD, 0, TRUSTED, "a", REASON_MATCH, "a", PINNED, "P:1 satisfied: pkix"},
    {"for *, another name", "* pkix", "a 192.0.2.1", GOOD, 0, TRUSTED, "192.0.2.1", REASON_UNTRUSTED, "a", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"for *, and no name", "* pkix", "192.0.2.1=", GOOD, 0, TRUSTED, "192.0.2.1", REASON_MATCH, "192.0.2.1", PINNED,
        "P:1 satisfied: pkix"},
    {"for *, and no name, for which it is not valid", "* pkix", "192.0.2.1=", GOOD, 0, TRUSTED, "a", REASON_UNTRUSTED, "192.0.2.1", 0,
        "pkix of P:1 is not satisfied (no such path)"},
    {"for *, and a name that was resolved", "* pkix", "192.0.2.1=b c", GOOD, 0, TRUSTED, "c", REASON_MATCH, "c", PINNED,
        "P:1 satisfied: pkix"},
    {"for *, and none of the names that were resolved", "* pkix", "192.0.2.1=b c", GOOD, 0, TRUSTED, "d", REASON_UNTRUSTED, "192.0.2.1",
        0, "pkix of P:1 is not satisfied (no such path)"},
    {"for *, and a name that was resolved by a program that gave another", "*:443 pkix", "a:25 192.0.2.1:443~b", GOOD, 0, TRUSTED, "b",
        REASON_UNTRUSTED, "192.0.2.1:443", 0, "pkix of P:1 is not satisfied (no such path)"},
    {"for a name that was resolved", "b pkix", "192.0.2.1=b", GOOD, 0, TRUSTED, "b", REASON_MATCH, "b", PINNED, "P:1 satisfied: pkix"},
    {"for a name that was resolved, the address is none", "b pkix", "192.0.2.1=b", GOOD, 0, TRUSTED, "192.0.2.1", REASON_UNTRUSTED, "b",
        0, "pkix of P:1 is not satisfied (no such path)"},
};

static const struct path_row authority_rows[] = {
    {"a pinned issuer", "a " A5, "a", GOOD, 0, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:1 matched " A5},
    {"another issuer", "a " A5, "a", GOOD, 0, TRUSTED, "a", REASON_NO_MATCH, "a", 0, "no pin of P:1 matched (no such issuer)"},
    {"another name", "a " A5, "a", GOOD, 0, ISSUED, "b", REASON_NO_MATCH, "a", 0, "no pin of P:1 matched (no such issuer)"},
    {"the leaf is no issuer of its own", "a " A1, "a", GOOD, 0, ISSUED, "a", REASON_NO_MATCH, "a", 0,
        "no pin of P:1 matched (no such issuer)"},
    {"an issuer's key is no leaf's", "a " S5, "a", GOOD, 0, ISSUED, "a", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"nothing that could tell", "a " A5, "a", GOOD, 0, ISSUED | IGNORANT, "a", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"no table of what could tell", "a " A5, "a", GOOD, 0, ISSUED | PATHLESS, "a", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"beside the leaf's pin", "a " A5 "\na " S1, "a", GOOD, 0, 0, "", REASON_MATCH, "a", PINNED | UNASKED, "P:2 matched " S1},
    {"beside another's", "a " S3 "\na " A5, "a", GOOD, 0, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:2 matched " A5},
    {"before another's", "a " A5 "\na " S3, "a", GOOD, 0, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:1 matched " A5},
    {"at one of several ports", "a:1 " S3 "\na:2 " A5, "a", GOOD, 0, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:2 matched " A5},
    {"each of two names", "*.example " A5, "a.example b.example", GOOD, 0, ISSUED, "a.example", REASON_NO_MATCH, "b.example", PINNED,
        "no pin of P:1 matched (no such issuer)"},
    {"for *", "* " A5, "a 192.0.2.1", GOOD, 0, ISSUED, "a", REASON_MATCH, "a", PINNED, "P:1 matched " A5},
    {"for *, and a name that was resolved", "* " A5, "192.0.2.1=b", GOOD, 0, ISSUED, "b", REASON_MATCH, "b", PINNED, "P:1 matched " A5},
};

static const struct path_row revoked_rows[] = {
    {"the leaf's key", "a " S1 "\n@revoked " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " S1},
    {"the leaf", "a " S1 "\n@revoked " C2, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " C2},
    {"the second of them", "a " S1 "\n@revoked " S3 "\n@revoked " C3 " " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED,
        "P:3 revokes " S1},
    {"the key, written as a CA's", "a " S1 "\n@revoked " A1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " S1},
    {"an issuer", "a " S1 "\n@revoked " A5, "a", GOOD, 0, ISSUED, "", REASON_REVOKED, "a", 0, "P:2 revokes " S5},
    {"an issuer, written as a leaf's key", "a " S1 "\n@revoked " S5, "a", GOOD, 0, ISSUED, "", REASON_REVOKED, "a", 0, "P:2 revokes " S5},
    {"an issuer that is pinned", "a " A5 "\n@revoked " A5, "a", GOOD, 0, ISSUED, "a", REASON_REVOKED, "a", 0, "P:2 revokes " S5},
    {"an issuer that is not there", "a " S1 "\n@revoked " A5, "a", GOOD, 0, 0, "", REASON_MATCH, "a", PINNED, "P:1 matched " S1},
    {"nothing that could tell", "a " S1 "\n@revoked " A5, "a", GOOD, 0, ISSUED | IGNORANT, "", REASON_MATCH, "a", PINNED | UNASKED,
        "P:1 matched " S1},
    {"no table of what could tell", "a " S1 "\n@revoked " A5, "a", GOOD, 0, ISSUED | PATHLESS, "", REASON_MATCH, "a", PINNED | UNASKED,
        "P:1 matched " S1},
    {"another", "a " S1 "\n@revoked " S3 " " C3, "a", GOOD, 0, 0, "", REASON_MATCH, "a", PINNED, "P:1 matched " S1},
    {"it vetoes allow", "a allow\n@revoked " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " S1},
    {"an issuer vetoes allow", "a allow\n@revoked " S5, "a", GOOD, 0, ISSUED, "", REASON_REVOKED, "a", 0, "P:2 revokes " S5},
    {"it vetoes * allow", "@revoked " S1 "\n* allow", "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:1 revokes " S1},
    {"it vetoes what has no rule", "b " S3 "\n@revoked " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " S1},
    {"it vetoes where there is no other line", "@revoked " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:1 revokes " S1},
    {"an issuer vetoes where there is no other line", "@revoked " S5, "a", GOOD, 0, ISSUED, "", REASON_REVOKED, "a", 0,
        "P:1 revokes " S5},
    {"another, and no other line", "@revoked " S3, "a", GOOD, 0, 0, "", REASON_NO_RULE, "a", 0, "no rule for this target"},
    {"it is enforced where the target is reported", "a " S1 " mode=report\n@revoked " S1, "a", GOOD, 0, 0, "", REASON_REVOKED, "a",
        UNASKED, "P:2 revokes " S1},
    {"it vetoes pkix", "a pkix\n@revoked " C2, "a", GOOD, 0, TRUSTED, "a", REASON_REVOKED, "a", UNASKED, "P:2 revokes " C2},
    {"no target is known", "a allow\n@revoked " S1, "", GOOD, 0, 0, "", REASON_REVOKED, "", UNASKED, "P:2 revokes " S1},
    {"the target cannot be read", "a allow\n@revoked " S1, "a:x", GOOD, 0, 0, "", REASON_REVOKED, "a:x", UNASKED, "P:2 revokes " S1},
    {"a key without a certificate", "a allow\n@revoked " S1, "a", RAW, 0, 0, "", REASON_REVOKED, "a", UNASKED, "P:2 revokes " S1},
    {"neither key nor certificate", "a allow\n@revoked " S1 " " C2, "a", BARE, 0, 0, "", REASON_ALLOW, "a", 0, "P:1 says allow"},
    {"the name was resolved", "b allow\n@revoked " S1, "192.0.2.1=b", GOOD, 0, 0, "", REASON_REVOKED, "192.0.2.1", UNASKED,
        "P:2 revokes " S1},
};

static const struct path_row report_rows[] = {
    {"what would be refused is reported", "a " S1 " mode=report", "a", BAD, 0, 0, "", REASON_NO_MATCH, "a", REPORTED | UNASKED,
        "no pin of P:1 matched"},
    {"what is accepted was not held to a pin", "a " S1 " mode=report", "a", GOOD, 0, 0, "", REASON_MATCH, "a", REPORTED | UNASKED,
        "P:1 matched " S1},
    {"all lines of the target", "a " S3 "\na " C3 " mode=report", "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a", REPORTED | UNASKED,
        "no pin of P:1,2 matched"},
    {"not another target", "b " S3 " mode=report\na " S3, "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a", UNASKED, "no pin of P:2 matched"},
    {"a pin that expired", "a " S1 " mode=report" UNTIL, "a", GOOD, 9, 0, "", REASON_EXPIRED, "a", REPORTED | UNASKED,
        "P:1 matched, but its pin expired on 1970-01-10" AFTER_EXPIRY},
    {"pkix", "a pkix mode=report", "a", GOOD, 0, 0, "", REASON_UNTRUSTED, "a", REPORTED, "pkix of P:1 is not satisfied (no such path)"},
    {"no certificate", "a " S1 " mode=report", "a", BARE, 0, 0, "", REASON_NO_CERTIFICATE, "a", REPORTED | UNASKED,
        "no certificate for the pin of P:1"},
    {"both fail: what is enforced is told, the second", "a " S1 " mode=report\nb " S1, "a b", BAD, 0, 0, "", REASON_NO_MATCH, "b", UNASKED,
        "no pin of P:2 matched"},
    {"both fail: what is enforced is told, the first", "a " S1 " mode=report\nb " S1, "b a", BAD, 0, 0, "", REASON_NO_MATCH, "b", UNASKED,
        "no pin of P:2 matched"},
    {"what is reported fails, what is enforced does not", "a " S3 " mode=report\nb " S1, "a b", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        REPORTED | PINNED | UNASKED, "no pin of P:1 matched"},
    {"the same, the other way round", "a " S3 " mode=report\nb " S1, "b a", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        REPORTED | PINNED | UNASKED, "no pin of P:1 matched"},
    {"what is enforced fails, what is reported does not", "a " S1 " mode=report\nb " S3, "a b", GOOD, 0, 0, "", REASON_NO_MATCH, "b",
        UNASKED, "no pin of P:2 matched"},
    {"it satisfies nothing that is enforced", "a " S1 " mode=report\nb " S3, "b a", GOOD, 0, 0, "", REASON_NO_MATCH, "b", UNASKED,
        "no pin of P:2 matched"},
    {"deny is enforced", "a " S3 " mode=report\n192.0.2.1 deny", "a 192.0.2.1", GOOD, 0, 0, "", REASON_DENY, "192.0.2.1", UNASKED,
        "P:2 says deny"},
    {"both are reported: the first is told", "a " S3 " mode=report\nb " C3 " mode=report", "a b", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        REPORTED | UNASKED, "no pin of P:1 matched"},
    {"allow beside it", "a allow\nb " S3 " mode=report", "a b", GOOD, 0, 0, "", REASON_NO_MATCH, "b", REPORTED | UNASKED,
        "no pin of P:2 matched"},
    {"a rule of its own keeps * away", "a " S3 " mode=report\n* deny", "a 192.0.2.1", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        REPORTED | UNASKED, "no pin of P:1 matched"},
    {"of *", "* " S3 " mode=report", "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a", REPORTED | UNASKED, "no pin of P:1 matched"},
    {"until a day, on the day before", "a " S1 OPEN, "a", BAD, 8, 0, "", REASON_NO_MATCH, "a", REPORTED | UNASKED, "no pin of P:1 matched"},
    {"until a day, on that day", "a " S1 OPEN, "a", BAD, 9, 0, "", REASON_NO_MATCH, "a", UNASKED, "no pin of P:1 matched"},
    {"until a day, without a clock", "a " S1 " report-until=2149-06-05", "a", BAD, UINT16_MAX, 0, "", REASON_NO_MATCH, "a", UNASKED,
        "no pin of P:1 matched"},
    {"until a day, on any line of the target", "a " S3 "\na " C3 OPEN, "a", GOOD, 8, 0, "", REASON_NO_MATCH, "a", REPORTED | UNASKED,
        "no pin of P:1,2 matched"},
    {"until a day, accepted", "a " S1 OPEN, "a", GOOD, 8, 0, "", REASON_MATCH, "a", REPORTED | UNASKED, "P:1 matched " S1},
    {"until a day, accepted on that day", "a " S1 OPEN, "a", GOOD, 9, 0, "", REASON_MATCH, "a", PINNED | UNASKED, "P:1 matched " S1},
    {"of *, but not of its port", "* " S3 " mode=report\n*:25 " S3, "a:25", GOOD, 0, 0, "", REASON_NO_MATCH, "a:25", UNASKED,
        "no pin of P:2 matched"},
    {"of * at one port, enforced at the other", "*:443 " S3 " mode=report\n*:25 deny", "a:443 b:25 192.0.2.1:443", GOOD, 0, 0, "", REASON_DENY, "b:25",
        UNASKED, "P:2 says deny"},
    {"of * at one port, satisfied at the other", "*:443 " S3 " mode=report\n*:25 " S1, "a:443 b:25 192.0.2.1:443", GOOD, 0, 0, "", REASON_NO_MATCH,
        "a:443", REPORTED | PINNED | UNASKED, "no pin of P:1 matched"},
    {"of *, and a target that is enforced", "* " S3 " mode=report\na " S3, "a 192.0.2.1", GOOD, 0, 0, "", REASON_NO_MATCH, "a", UNASKED,
        "no pin of P:2 matched"},
    {"of *, and no target at all", "* " S3 " mode=report", "", GOOD, 0, 0, "", REASON_UNIDENTIFIABLE, "", REPORTED | UNASKED,
        "unidentifiable: the program gave no host name and no socket that identifies the target for certain, and P has rules; a line \"@unknown allow\" would allow it, and \"@unknown\" with a pin would hold it to that pin"},
    {"of *, no target at all, and another that is enforced", "* " S3 " mode=report\na deny", "", GOOD, 0, 0, "", REASON_UNIDENTIFIABLE, "", UNASKED,
        "unidentifiable: the program gave no host name and no socket that identifies the target for certain, and P has rules; a line \"@unknown allow\" would allow it, and \"@unknown\" with a pin would hold it to that pin"},
    {"at one of several ports: it is enforced", "a:1 " S3 " mode=report\na:2 " C3, "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a", UNASKED,
        "no pin of P:1,2 matched"},
    {"at the last of several ports: it is enforced", "a:1 " S3 "\na:2 " C3 " mode=report", "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        UNASKED, "no pin of P:1,2 matched"},
    {"at all of several ports", "a:1 " S3 " mode=report\na:2 " C3 " mode=report", "a", GOOD, 0, 0, "", REASON_NO_MATCH, "a",
        REPORTED | UNASKED, "no pin of P:1,2 matched"},
    {"for a name that was resolved", "b " S3 " mode=report", "192.0.2.1=b", GOOD, 0, 0, "", REASON_NO_MATCH, "b", REPORTED | UNASKED,
        "no pin of P:1 matched"},
    {"for the first of two that were resolved", "b " S3 " mode=report\nc " S3, "192.0.2.1=b c", GOOD, 0, 0, "", REASON_NO_MATCH, "c",
        UNASKED, "no pin of P:2 matched"},
    {"for the second of two that were resolved", "b " S3 "\nc " S3 " mode=report", "192.0.2.1=b c", GOOD, 0, 0, "", REASON_NO_MATCH, "b",
        UNASKED, "no pin of P:1 matched"},
    {"for one of two that were resolved, the other is satisfied", "b " S3 " mode=report\nc " S1, "192.0.2.1=b c", GOOD, 0, 0, "",
        REASON_MATCH, "c", PINNED | UNASKED, "P:2 matched " S1},
    {"for one of two that were resolved, and satisfied", "b " S1 " mode=report\nc " S3, "192.0.2.1=b c", GOOD, 0, 0, "", REASON_MATCH, "b",
        REPORTED | UNASKED, "P:1 matched " S1},
    {"the same, the other way round", "b " S1 " mode=report\nc " S3, "192.0.2.1=c b", GOOD, 0, 0, "", REASON_MATCH, "b",
        REPORTED | UNASKED, "P:1 matched " S1},
    {"for an address; the name resolved to it was forgotten", "192.0.2.1 " S3 " mode=report", "192.0.2.1=", GOOD, 0, FORGOTTEN, "",
        REASON_UNIDENTIFIABLE, "192.0.2.1", REPORTED | UNASKED,
        "unidentifiable: a name that was resolved to its address is no longer known, and P has rules; a line \"@unknown\" with a pin would hold it to that pin"},
    {"for a name that was resolved to an address that is enforced", "192.0.2.1 " S3 "\nb " S3 " mode=report", "192.0.2.1=b", GOOD, 0, 0,
        "", REASON_NO_MATCH, "192.0.2.1", UNASKED, "no pin of P:1 matched"},
    {"for an address whose resolved name is enforced", "192.0.2.1 " S3 " mode=report\nb " S3, "192.0.2.1=b", GOOD, 0, 0, "",
        REASON_NO_MATCH, "b", UNASKED, "no pin of P:2 matched"},
};

static void judge_path_rows(const struct path_row *table, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        judge_path_row(&table[i]);
}

/* Whose client certificate a server gets: that of a rule which it has satisfied. */
static void test_clients(void)
{
    static const struct {
        const char *why;
        const char *pins;
        const char *identities; /* behind "=" those that were resolved */
        enum who who;
        const char *client; /* NULL: none */
    } table[] = {
        {"its pin matched", "a " S1 " client-cert=/x", "a", GOOD, "/x"},
        {"none matched", "a " S3 " client-cert=/x", "a", GOOD, NULL},
        {"under mode=report its pin matched", "a " S1 " mode=report client-cert=/x", "a", GOOD, "/x"},
        {"under mode=report none matched", "a " S3 " mode=report client-cert=/x", "a", GOOD, NULL},
        {"another target's", "a " S1 " client-cert=/x\nb " S1, "b", GOOD, NULL},
        {"no rule", "a " S1 " client-cert=/x", "b", GOOD, NULL},
        {"an allowed target", "a " S1 " client-cert=/x\nb allow", "b", GOOD, NULL},
        {"a denied one", "a " S1 " client-cert=/x\nb deny", "b", GOOD, NULL},
        {"of *", "* " S1 " client-cert=/x", "a 192.0.2.1", GOOD, "/x"},
        {"of * though the target has a rule", "* " S1 " client-cert=/x\na " S1, "a", GOOD, NULL},
        {"the first of two that were satisfied", "a " S1 " client-cert=/x\n192.0.2.1 " S1 " client-cert=/y", "a 192.0.2.1", GOOD, "/x"},
        {"the second, where the first has none", "a " S1 "\n192.0.2.1 " S1 " client-cert=/y", "a 192.0.2.1", GOOD, "/y"},
        {"the second, where the first is allowed", "a allow\n192.0.2.1 " S1 " client-cert=/y", "a 192.0.2.1", GOOD, "/y"},
        {"the port's", "a:1 " S1 " client-cert=/x\na:2 " S1 " client-cert=/y", "a:2", GOOD, "/y"},
        {"of several ports that which matched", "a:1 " S3 " client-cert=/x\na:2 " S1 " client-cert=/y", "a", GOOD, "/y"},
        {"of the resolved name", "b " S1 " client-cert=/x", "192.0.2.1=b", GOOD, "/x"},
        {"of the resolved name that was satisfied", "b " S3 " client-cert=/x\nc " S1 " client-cert=/y", "192.0.2.1=b c", GOOD, "/y"},
        {"no certificate", "a " S1 " client-cert=/x", "a", BARE, NULL},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        const char *resolved = strchr(table[i].identities, '=');
        char *given = strndup(table[i].identities, strcspn(table[i].identities, "="));
        struct target target = target_of(given, resolved == NULL ? NAMED : 0, resolved != NULL ? resolved + 1 : "");
        struct pins *pins = parse(table[i].pins);
        struct peer peer = peer_of(table[i].who);
        struct judgement judgement;
        const struct client_cert *client;

        free(given);
        memset(&judgement, 0xaa, sizeof(judgement));
        policy_judge(pins, &target, &peer, &judgement);
        client = pins_client(pins, judgement.client);
        check((client != NULL) == (table[i].client != NULL) && (client == NULL || strcmp(client->paths[CLIENT_CERT], table[i].client) == 0),
            "%s: the client certificate is %s", table[i].why, client != NULL ? client->paths[CLIENT_CERT] : "none");
        pins_free(pins);
    }
}

static void test_target_add(void)
{
    struct target target = {0};
    struct host host;
    bool kept = true;

    host_parse("a.example:443", 13, &host);
    for (unsigned i = 0; i < 1000; i++) {
        struct host *place;

        host.port = (uint16_t)(i + 1);
        place = target_add(&target, &host);
        kept = kept && place != NULL && place == target_at(&target, i);
    }
    for (unsigned i = 0; i < 1000; i++)
        kept = kept && target_at(&target, i)->port == i + 1 && strcmp(target_at(&target, i)->name, "a.example") == 0;
    check(kept && target.count == 1000 && !target.overflow, "a thousand identities are kept");
    target_free(&target);
    check(target.count == 0 && target.more == NULL, "and given back");
}

static void test_zero(void)
{
    struct judgement zero = {0};
    struct rule rule = {0};
    struct peer peer = peer_of(GOOD);
    struct target target = target_of("a.example", NAMED, NULL);
    struct target_pattern pattern = {.form = FORM_NAME};
    struct pins *pins = pins_make(1, 0);
    struct judgement judgement;

    check(zero.verdict == VERDICT_REFUSE && zero.reason == REASON_INTERNAL, "a zeroed judgement refuses");
    check(rule.action == RULE_UNSET && RULE_UNSET != RULE_ALLOW && RULE_UNSET != RULE_PINS, "a zeroed rule says nothing");
    if (pins == NULL)
        abort();
    host_parse("a.example", 9, &pattern.host);
    check(pins_rule(pins, &pattern, 1) != NULL, "a rule that says nothing is made");
    memset(&judgement, 0xaa, sizeof(judgement));
    policy_judge(pins, &target, &peer, &judgement);
    check(judgement.verdict == VERDICT_REFUSE, "a rule that says nothing refuses");
    pins_rule(pins, &pattern, 1)->action = RULE_PINS;
    policy_judge(pins, &target, &peer, &judgement);
    check(judgement.verdict == VERDICT_REFUSE, "a rule that asks for pins and has none refuses");
    pins_free(pins);
}

static void test_printing(void)
{
    static const struct {
        const char *why;
        const char *pins;
        const char *identities;
        enum who who;
        const char *reason;
        const char *wanted;
        const char *rule;
    } table[] = {
        {"a match", "# x\na.example " S3 "\na.example " C2, "a.example", GOOD, "P:3 matched " C2, "", "P:3"},
        {"no match", "# x\na.example " S1, "a.example", BAD, "no pin of P:2 matched", S1, "P:2"},
        {"no match of two on a line", "a.example " S1 " " C2, "a.example", BAD, "no pin of P:1 matched", S1 " " C2, "P:1"},
        {"no match on several lines", "a.example " S1 "\n\na.example " S3 " " C3 "\na.example " C2, "a.example", BAD,
            "no pin of P:1,3,4 matched", S1 " " S3 " " C3 " ...", "P:1"},
        {"three pins are listed", "a.example " S1 " " S3 " " C2, "a.example", BAD, "no pin of P:1 matched", S1 " " S3 " " C2,
            "P:1"},
        {"eight lines are listed", "a " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1, "a", BAD,
            "no pin of P:1,2,3,4,5,6,7,8 matched", S1 " " S1 " " S1 " ...", "P:1"},
        {"nine are not", "a " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1 "\na " S1, "a", BAD,
            "no pin of P:1,2,3,4,5,6,7,8,... matched", S1 " " S1 " " S1 " ...", "P:1"},
        {"the lines of every port, where none is known", "a:1 " S1 "\nb allow\na:2 " S3, "a", BAD, "no pin of P:1,3 matched",
            S1 " " S3, "P:1"},
        {"no certificate", "a.example " S1, "a.example", BARE, "no certificate for the pin of P:1", S1, "P:1"},
        {"deny", "\na.example deny", "a.example", GOOD, "P:2 says deny", "", "P:2"},
        {"allow", "a.example allow", "a.example", GOOD, "P:1 says allow", "", "P:1"},
        {"no rule", "b.example deny", "a.example", GOOD, "no rule for this target", "", ""},
        {"unidentifiable", "b.example deny", "", GOOD,
            "unidentifiable: the program gave no host name and no socket that identifies the target for certain, and P has rules; a line \"@unknown allow\" would allow it, and \"@unknown\" with a pin would hold it to that pin", "", ""},
    };
    struct judgement zero = {0};
    struct pins *pins;
    char buffer[700];
    struct text text;

    for (size_t i = 0; i < ROWS(table); i++) {
        struct target target = target_of(table[i].identities, NAMED, NULL);
        struct peer peer = peer_of(table[i].who);
        struct judgement judgement;

        pins = parse(table[i].pins);
        policy_judge(pins, &target, &peer, &judgement);
        text = text_over(buffer, sizeof(buffer));
        policy_print_reason(pins, "P", &judgement, &text);
        check(strcmp(buffer, table[i].reason) == 0, "printed reason: %s: [%s]", table[i].why, buffer);
        text = text_over(buffer, sizeof(buffer));
        policy_print_wanted(pins, &judgement, &text);
        check(strcmp(buffer, table[i].wanted) == 0, "printed wanted: %s: [%s]", table[i].why, buffer);
        text = text_over(buffer, sizeof(buffer));
        policy_print_rule("P", &judgement, &text);
        check(strcmp(buffer, table[i].rule) == 0, "printed rule: %s: [%s]", table[i].why, buffer);
        text = text_over(buffer, sizeof(buffer));
        policy_print_reason(pins, "/etc/a\n\033b", &judgement, &text);
        check(strpbrk(buffer, "\n\033") == NULL, "printed reason: %s: the path is escaped: [%s]", table[i].why, buffer);
        pins_free(pins);
    }

    pins = parse("* deny");
    text = text_over(buffer, sizeof(buffer));
    policy_print_reason(pins, "P", &zero, &text);
    check(strcmp(buffer, "internal error") == 0, "printed reason: of a zeroed judgement: [%s]", buffer);
    text = text_over(buffer, sizeof(buffer));
    policy_print_wanted(pins, &zero, &text);
    policy_print_rule("P", &zero, &text);
    check(buffer[0] == '\0', "a zeroed judgement has neither pins nor a rule: [%s]", buffer);
    zero.reason = REASON_FAULT;
    policy_print_reason(pins, "P", &zero, &text);
    check(strcmp(buffer, "configuration fault") == 0, "printed reason: of a fault: [%s]", buffer);
    pins_free(pins);
}

/* The address is not known yet, nor the port. */
static void test_open(void)
{
    static const struct {
        const char *why;
        const char *rules;
        const char *known;
        int flags;
        bool open;
    } table[] = {
        {"nothing is demanded", "* allow", "", 0, false},
        {"nor of anybody", "a allow\n192.0.2.1 allow\n*:443 allow", "", 0, false},
        {"a name may be resolved to the address", "a " S1, "", 0, true},
        {"so it may to an address that is to be verified", "a " S1, "192.0.2.1", 0, true},
        {"but not beside a name that was given", "a " S1, "b", NAMED, false},
        {"an address may have a rule", "192.0.2.1 " S1, "b", NAMED, true},
        {"one that allows", "192.0.2.1 allow\na deny", "b", NAMED, false},
        {"one that only reports", "192.0.2.1 " S1 " mode=report\na deny", "b", NAMED, false},
        {"at a port", "192.0.2.1:443 deny", "b", NAMED, true},
        {"all that could be asked for is reported", "a " S1 " mode=report\n192.0.2.1 " S1 " mode=report", "", 0, false},
        {"one rule is not", "a " S1 " mode=report\n192.0.2.1 " S1, "", 0, true},
        {"what is asked for now is asked for then", "a " S1, "a", NAMED, false},
        {"a port decides between two rules", "a:443 " S1 "\na:8443 allow", "a", NAMED, true},
        {"a port decides whether there is a rule", "a:443 " S1, "a", NAMED, true},
        {"a port that is known", "a:443 " S1 "\na:8443 allow", "a:8443", NAMED, false},
        {"another name's port", "a:443 " S1, "b", NAMED, false},
        {"a port with a rule that reports", "a:443 " S1 " mode=report\na:8443 allow", "a", NAMED, false},
        {"a port of *", "*:443 deny", "b", NAMED, true},
        {"a port of *, beside a rule for the name", "*:443 deny\nb allow", "b", NAMED, false},
        {"*", "* " S1, "b", NAMED, false},
        {"*, and no name", "* " S1, "192.0.2.1", 0, true},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct pins *pins = pins_parse(table[i].rules, strlen(table[i].rules), NULL, on_error, NULL);
        struct target target = target_of(table[i].known, table[i].flags, NULL);

        check(pins != NULL && policy_is_open(pins, &target) == table[i].open, "open: %s", table[i].why);
        pins_free(pins);
    }
}

/* The line of the rule by which only TLS may be sent. */
static void test_required(void)
{
    static const struct {
        const char *why;
        const char *rules;
        const char *known;
        int flags;
        const char *resolved;
        unsigned line; /* 0: none */
    } table[] = {
        {"no rule says so", "a " S1 "\n192.0.2.1 " S1, "192.0.2.1:5432", 0, "a", 0},
        {"the address", "192.0.2.1 " S1 " tls=required", "192.0.2.1:5432", 0, NULL, 1},
        {"a name that was resolved to it", "b " S1 "\na " S1 " tls=required", "192.0.2.1:5432", 0, "a", 2},
        {"one of two", "b allow\na " S1 " tls=required", "192.0.2.1:5432", 0, "b a", 2},
        {"the name with that port", "a:5432 " S1 " tls=required", "192.0.2.1:5432", 0, "a:5432", 1},
        {"the name with another port", "a:5433 " S1 " tls=required", "192.0.2.1:5432", 0, "a:5432", 0},
        {"it is told on a line of its own", "a " S1 "\na tls=required", "192.0.2.1:5432", 0, "a", 1},
        {"a target that is not pinned", "a allow\na tls=required", "192.0.2.1:5432", 0, "a", 1},
        {"a rule for all others", "* allow\n* tls=required", "192.0.2.1:5432", 0, "a", 1},
        {"a rule for all others, beside one for the name", "* allow\n* tls=required\na " S1, "192.0.2.1:5432", 0, "a", 0},
        {"another name", "b " S1 " tls=required", "192.0.2.1:5432", 0, "a", 0},
        {"an enforced rule before one that is not", "a " S1 " tls=required mode=report\nb " S1 " tls=required", "192.0.2.1:5432", 0, "a b", 2},
        {"one that is only reported", "a " S1 " tls=required mode=report", "192.0.2.1:5432", 0, "a", 1},
        {"the name that a proxy was asked for", "a " S1 " tls=required", "a:5432", NAMED, NULL, 1},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct pins *pins = parse(table[i].rules);
        struct target target = target_of(table[i].known, table[i].flags, table[i].resolved);
        const struct rule *rule = policy_requires_tls(pins, &target);

        check((rule != NULL ? rule->line : 0) == table[i].line, "TLS is required: %s", table[i].why);
        check(pins_require_tls(pins) == (strstr(table[i].rules, "tls=") != NULL), "somewhere: %s", table[i].why);
        pins_free(pins);
    }
}

/* When it is to be noticed that no rule for a name was asked. */
static void test_unnamed(void)
{
    static const struct {
        const char *why;
        const char *rules;
        const char *known;
        int flags;
        const char *resolved;
        enum who who;
        bool unnamed;
    } table[] = {
        {"an address alone, and a rule for a name", "a.example " S1, "192.0.2.1:443", 0, NULL, BAD, true},
        {"a rule for a suffix", "**.example deny\n* allow", "192.0.2.1:443", 0, "", BAD, true},
        {"the address is allowed", "a.example " S1 "\n192.0.2.1 allow", "192.0.2.1:443", 0, NULL, BAD, true},
        {"the address has a pin that holds", "a.example " S1 "\n192.0.2.1 " S1, "192.0.2.1:443", 0, NULL, GOOD, false},
        {"* has one", "a.example " S3 "\n* " S1, "192.0.2.1:443", 0, NULL, GOOD, true},
        {"it is refused", "a.example " S1 "\n* deny", "192.0.2.1:443", 0, NULL, BAD, false},
        {"the refusal is reported", "a.example " S1 "\n* " S1 " mode=report", "192.0.2.1:443", 0, NULL, BAD, true},
        {"no name has a rule that demands anything", "a.example allow\n192.0.2.7 deny\n* allow", "192.0.2.1:443", 0, NULL, BAD, false},
        {"@unknown decides", "a.example " S1 "\n@unknown allow", "192.0.2.1:443", 0, NULL, BAD, false},
        {"a name was given", "a.example " S1, "b.example 192.0.2.1:443", NAMED, NULL, BAD, false},
        {"a name was resolved", "a.example " S1, "192.0.2.1:443", 0, "b.example", BAD, false},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct pins *pins = parse(table[i].rules);
        struct target target = target_of(table[i].known, table[i].flags, table[i].resolved);
        struct peer peer = peer_of(table[i].who);
        struct judgement judgement;

        memset(&judgement, 0xaa, sizeof(judgement));
        policy_judge(pins, &target, &peer, &judgement);
        check(judgement.unnamed == table[i].unnamed, "unnamed: %s", table[i].why);
        pins_free(pins);
    }
}

int main(void)
{
    test_open();
    judge_rows(pins_rows, ROWS(pins_rows));
    judge_rows(peer_rows, ROWS(peer_rows));
    judge_rows(any_rows, ROWS(any_rows));
    judge_rows(several_rows, ROWS(several_rows));
    judge_rows(resolved_rows, ROWS(resolved_rows));
    judge_rows(unidentifiable_rows, ROWS(unidentifiable_rows));
    judge_rows(unknown_rows, ROWS(unknown_rows));
    test_required();
    test_unnamed();
    judge_path_rows(expires_rows, ROWS(expires_rows));
    judge_path_rows(pkix_rows, ROWS(pkix_rows));
    judge_path_rows(authority_rows, ROWS(authority_rows));
    judge_path_rows(revoked_rows, ROWS(revoked_rows));
    judge_path_rows(report_rows, ROWS(report_rows));
    test_clients();
    test_target_add();
    test_zero();
    test_printing();
    return unit_end("policy");
}
