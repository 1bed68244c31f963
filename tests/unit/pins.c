/* The pins file: what it accepts and says, what it refuses and where, and which rule rules. */
#include "memory.h"
#include "pins.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define BYTES(literal) (literal), sizeof(literal) - 1

/* 32 bytes of 0x11, 0x22 and 0x33 each. */
#define B1 "ERERERERERERERERERERERERERERERERERERERERERE="
#define B2 "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="
#define B3 "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM="
#define S1 "spki-sha256:" B1
#define S2 "spki-sha256:" B2
#define S3 "spki-sha256:" B3
#define C1 "cert-sha256:" B1

#define X16 "0123456789abcdef"
#define X40 "0123456789abcdef0123456789abcdef01234567"
#define X64 X16 X16 X16 X16
#define H5 ":11:11:11:11:11"
#define H30 H5 H5 H5 H5 H5 H5
#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define N253 L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"

/* The errors that were reported. */
struct seen {
    size_t count;
    struct {
        uint32_t line;
        uint32_t column;
        char message[600];
    } at[16];
};

static void note(void *arg, uint32_t line, uint32_t column, const char *message)
{
    struct seen *seen = arg;

    if (seen->count < ROWS(seen->at)) {
        struct text text = text_over(seen->at[seen->count].message, sizeof(seen->at[seen->count].message));

        seen->at[seen->count].line = line;
        seen->at[seen->count].column = column;
        text_add(&text, "%s", message);
    }
    seen->count++;
}

static const struct pins_reader *reader; /* of parse */
static size_t clients_read;

/* Stands for the files of client certificates: a name with "bad" is one that cannot be used. */
static bool read_client(const struct pins_reader *from, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem)
{
    (void)from;
    clients_read++;
    for (int which = 0; which < CLIENT_FILES; which++) {
        if (paths[which] == NULL || strstr(paths[which], "bad") == NULL)
            continue;
        *faulty = (enum client_file)which;
        text_add(problem, "it is bad");
        return false;
    }
    out->key = (uint8_t *)memory_copy(paths[CLIENT_KEY] != NULL ? paths[CLIENT_KEY] : "", paths[CLIENT_KEY] != NULL ? strlen(paths[CLIENT_KEY]) : 0);
    out->key_length = strlen((char *)out->key);
    out->paths[CLIENT_CERT] = memory_copy(paths[CLIENT_CERT], strlen(paths[CLIENT_CERT]));
    return true;
}

static const struct pins_reader client_reader = {.read_client = read_client, .beside = "/pins"};

static const char *tail = ""; /* behind each file that is parsed */

/* Parse a copy without a byte to spare, so that a sanitizer sees a read beyond it, and that is gone afterwards. */
static struct pins *parse(const char *bytes, size_t length, struct seen *seen)
{
    size_t more = strlen(tail);
    char *copy = malloc(length + more != 0 ? length + more : 1);
    struct pins *pins;

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, length);
    memcpy(copy + length, tail, more);
    length += more;
    memset(seen, 0, sizeof(*seen));
    pins = pins_parse(copy, length, reader, note, seen);
    memset(copy, '!', length);
    free(copy);
    return pins;
}

/* "*", "*:PORT", or a host as a program gives it. */
static struct rules look_up(const struct pins *pins, const char *string)
{
    struct host host;

    if (string[0] == '*' && (string[1] == '\0' || string[1] == ':')) {
        memset(&host, 0, sizeof(host));
        host.port = string[1] == ':' ? text_port(string + 2, strlen(string + 2)) : 0;
        return pins_lookup_any(pins, &host);
    }
    if (string[0] == '@') {
        memset(&host, 0, sizeof(host));
        host.port = strchr(string, ':') != NULL ? text_port(strchr(string, ':') + 1, strlen(strchr(string, ':') + 1)) : 0;
        return pins_lookup_unknown(pins, &host);
    }
    host_parse(string, strlen(string), &host);
    return pins_lookup(pins, &host);
}

/* Each rule as its action, or its pins each with its line: "1 deny", "1 spki-sha256:... 4 cert-sha256:...", parted by "; ". */
static void describe(const struct pins *pins, struct rules rules, struct text *out)
{
    static const char *const actions[] = {"unset", "deny", "allow"};

    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        text_add(out, "%s", rule == rules.first ? "" : "; ");
        if (rule->action != RULE_PINS) {
            text_add(out, "%u %s%s", (unsigned)rule->line, actions[rule->action],
                pins_next_pin(pins, rule, NULL) != NULL ? " with pins" : "");
            continue;
        }
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            text_add(out, "%s%u ", pin == pins_next_pin(pins, rule, NULL) ? "" : " ", (unsigned)pin->line);
            pins_print_pin(pins, pin, out);
        }
    }
}

static void check_lookup(const struct pins *pins, const char *host, const char *expected, const char *why)
{
    char buffer[2000];
    struct text text = text_over(buffer, sizeof(buffer));

    describe(pins, look_up(pins, host), &text);
    check(strcmp(buffer, expected) == 0, "%s: %s finds [%s]", why, host, buffer);
}

struct accepted {
    const char *why;
    const char *text;
    size_t length;
    const char *host; /* see look_up() */
    const char *expected; /* as describe() has it; "": no rule */
};

static void test_accepted(const struct accepted *table, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        struct seen seen;
        struct pins *pins = parse(table[i].text, table[i].length, &seen);

        check(pins != NULL && seen.count == 0, "%s: is accepted: %s", table[i].why, seen.at[0].message);
        if (pins != NULL)
            check_lookup(pins, table[i].host, table[i].expected, table[i].why);
        pins_free(pins);
    }
}

/* The text around the rules. */
static const struct accepted layout[] = {
    {"one line", BYTES("a.example " S1 "\n"), "a.example", "1 " S1},
    {"no newline at the end", BYTES("a.example " S1), "a.example", "1 " S1},
    {"CRLF", BYTES("# x\r\na.example " S1 "\r\nb.example allow\r\n"), "a.example", "2 " S1},
    {"CRLF after allow", BYTES("a.example allow\r\n"), "a.example", "1 allow"},
    {"CR at the end of the file", BYTES("a.example allow\r"), "a.example", "1 allow"},
    {"LF and CRLF mixed", BYTES("a.example deny\nb.example allow\r\nc.example deny\n"), "c.example", "3 deny"},
    {"a byte order mark", BYTES("\xef\xbb\xbf" "a.example deny\n"), "a.example", "1 deny"},
    {"a byte order mark before a comment", BYTES("\xef\xbb\xbf# x\na.example deny\n"), "a.example", "2 deny"},
    {"tabs", BYTES("a.example\t\t" S1 "\t" S2 "\n"), "a.example", "1 " S1 " 1 " S2},
    {"blanks at either end", BYTES(" \t a.example   allow \t \n"), "a.example", "1 allow"},
    {"empty lines and comments count as lines", BYTES("\n\n  # x\n\t\na.example deny\n"), "a.example", "5 deny"},
    {"a comment after a rule", BYTES("a.example allow # " S1 "\n"), "a.example", "1 allow"},
    {"a comment right after a field", BYTES("a.example allow#deny\n"), "a.example", "1 allow"},
    {"a comment within a comment", BYTES("a.example allow # # x\n"), "a.example", "1 allow"},
    {"a comment in UTF-8", BYTES("# caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x92\na.example deny\n"), "a.example", "2 deny"},
    {"a rule that is commented out", BYTES("a.example allow\n#b.example deny\n"), "b.example", ""},
    {"a quote in a comment means nothing", BYTES("a.example allow # \"\nb.example deny # '\n"), "b.example", "2 deny"},
    {"no other target", BYTES("a.example allow\n"), "b.example", ""},
};

static const struct accepted targets[] = {
    {"a name", BYTES("a.example deny\n"), "a.example:443", "1 deny"},
    {"one label", BYTES("localhost deny\n"), "localhost", "1 deny"},
    {"upper case in the file", BYTES("A.Example deny\n"), "a.example", "1 deny"},
    {"upper case in the program", BYTES("a.example deny\n"), "A.EXAMPLE", "1 deny"},
    {"a trailing dot in the file", BYTES("a.example. deny\n"), "a.example", "1 deny"},
    {"a trailing dot in the program", BYTES("a.example deny\n"), "a.example.", "1 deny"},
    {"a trailing dot and a port", BYTES("a.example.:443 deny\n"), "a.example:443", "1 deny"},
    {"an underscore, a hyphen and digits", BYTES("_a-1.x--2.example deny\n"), "_a-1.x--2.example", "1 deny"},
    {"a label that begins with a digit", BYTES("3com.example deny\n"), "3com.example", "1 deny"},
    {"an A-label", BYTES("xn--bcher-kva.example deny\n"), "xn--bcher-kva.example", "1 deny"},
    {"an A-label as the last one", BYTES("a.xn--p1ai deny\n"), "a.xn--p1ai", "1 deny"},
    {"63 characters in a label", BYTES(L63 ".example deny\n"), L63 ".example", "1 deny"},
    {"253 characters", BYTES(N253 " deny\n"), N253, "1 deny"},
    {"253 characters and a dot", BYTES(N253 ". deny\n"), N253, "1 deny"},
    {"a longer name is another", BYTES("a.example deny\n"), "a.examples", ""},
    {"a name is not a suffix", BYTES("a.example deny\n"), "b.a.example", ""},
    {"an IPv4 address", BYTES("192.0.2.1 deny\n"), "192.0.2.1:443", "1 deny"},
    {"an IPv4 address with a port", BYTES("192.0.2.1:443 deny\n"), "192.0.2.1:443", "1 deny"},
    {"an IPv4 address, IPv4-mapped in the program", BYTES("192.0.2.1 deny\n"), "::ffff:192.0.2.1", "1 deny"},
    {"an IPv4-mapped address, IPv4 in the program", BYTES("[::ffff:192.0.2.1] deny\n"), "192.0.2.1", "1 deny"},
    {"an IPv6 address", BYTES("[2001:db8::1] deny\n"), "[2001:db8::1]:443", "1 deny"},
    {"an IPv6 address with a port", BYTES("[2001:db8::1]:443 deny\n"), "[2001:db8::1]:443", "1 deny"},
    {"an IPv6 address in another spelling", BYTES("[2001:0DB8:0:0::0:1] deny\n"), "2001:db8::1", "1 deny"},
    {"an address with a zone in the program", BYTES("[fe80::1] deny\n"), "fe80::1%eth0", "1 deny"},
    {"another address", BYTES("192.0.2.1 deny\n"), "192.0.2.2", ""},
    {"another IPv6 address", BYTES("[2001:db8::1] deny\n"), "2001:db8::2", ""},
    {"a zero byte in an address does not end it", BYTES("[2001::1] deny\n[2001::2] allow\n"), "2001::2", "2 allow"},
    {"*. is exactly one more label", BYTES("*.a.example deny\n"), "b.a.example", "1 deny"},
    {"*. is not two", BYTES("*.a.example deny\n"), "c.b.a.example", ""},
    {"*. is not the suffix itself", BYTES("*.a.example deny\n"), "a.example", ""},
    {"*. stops at a label's end", BYTES("*.a.example deny\n"), "ba.example", ""},
    {"*. with a port", BYTES("*.a.example:443 deny\n"), "b.a.example:443", "1 deny"},
    {"*. with another port", BYTES("*.a.example:443 deny\n"), "b.a.example:444", ""},
    {"*. without regard to case and dot", BYTES("*.A.Example. deny\n"), "B.a.EXAMPLE.", "1 deny"},
    {"*. with one label", BYTES("*.example deny\n"), "a.example", "1 deny"},
    {"**. is one more label", BYTES("**.a.example deny\n"), "b.a.example", "1 deny"},
    {"**. is two", BYTES("**.a.example deny\n"), "c.b.a.example", "1 deny"},
    {"**. is many", BYTES("**.a.example deny\n"), "g.f.e.d.c.b.a.example", "1 deny"},
    {"**. is not the suffix itself", BYTES("**.a.example deny\n"), "a.example", ""},
    {"**. stops at a label's end", BYTES("**.a.example deny\n"), "c.ba.example", ""},
    {"**. with a port", BYTES("**.a.example:443 deny\n"), "c.b.a.example:443", "1 deny"},
    {"a suffix is no name", BYTES("*.192.example deny\n"), "192.0.2.192", ""},
    {"* is not found by a host", BYTES("* deny\n"), "a.example", ""},
    {"*", BYTES("* deny\n"), "*", "1 deny"},
    {"* at any port", BYTES("* deny\n"), "*:443", "1 deny"},
    {"* with a port", BYTES("*:443 deny\n"), "*:443", "1 deny"},
    {"* with another port", BYTES("*:443 deny\n"), "*:444", ""},
    {"* with a port, where none is known", BYTES("*:443 deny\n* allow\n"), "*", "1 deny; 2 allow"},
    {"the lowest port", BYTES("a.example:1 deny\n"), "a.example:1", "1 deny"},
    {"the highest port", BYTES("a.example:65535 deny\n"), "a.example:65535", "1 deny"},
    {"what cannot be read has no rule", BYTES("a.example deny\n"), "a.example:x", ""},
};

static const struct accepted precedence[] = {
    {"the name before *.", BYTES("*.example deny\na.example allow\n"), "a.example", "2 allow"},
    {"the name before **.", BYTES("**.example deny\na.example allow\n"), "a.example", "2 allow"},
    {"the name before a suffix with the port", BYTES("*.example:443 deny\na.example allow\n"), "a.example:443", "2 allow"},
    {"*. before **. on the same suffix", BYTES("**.example deny\n*.example allow\n"), "a.example", "2 allow"},
    {"*. before **. in the other order", BYTES("*.example allow\n**.example deny\n"), "a.example", "1 allow"},
    {"**. where *. does not reach", BYTES("**.example deny\n*.example allow\n"), "b.a.example", "1 deny"},
    {"the longer suffix: **. before *.", BYTES("*.example deny\n**.a.example allow\n"), "b.a.example", "2 allow"},
    {"the longer suffix: **. before **.", BYTES("**.example deny\n**.a.example allow\n"), "c.b.a.example", "2 allow"},
    {"the longer suffix: *. before **.", BYTES("**.example deny\n*.a.example allow\n"), "b.a.example", "2 allow"},
    {"the longest of three", BYTES("**.example deny\n**.b.a.example allow\n**.a.example deny\n"), "c.b.a.example", "2 allow"},
    {"the longer suffix without the port", BYTES("*.example:443 deny\n**.a.example allow\n"), "b.a.example:443", "2 allow"},
    {"*. without the port before **. with it", BYTES("**.example:443 deny\n*.example allow\n"), "a.example:443", "2 allow"},
    {"*. of another port does not count", BYTES("*.example:444 deny\n**.example allow\n"), "a.example:443", "2 allow"},
    {"the port before none", BYTES("a.example deny\na.example:443 allow\n"), "a.example:443", "2 allow"},
    {"the port before none, in the other order", BYTES("a.example:443 allow\na.example deny\n"), "a.example:443", "1 allow"},
    {"no port where another has one", BYTES("a.example deny\na.example:443 allow\n"), "a.example:444", "1 deny"},
    {"one of several ports", BYTES("a.example:1 deny\na.example:2 allow\na.example:3 deny\n"), "a.example:2", "2 allow"},
    {"another port does not count", BYTES("a.example:443 deny\n"), "a.example:444", ""},
    {"another port leaves it to the suffix", BYTES("a.example:443 deny\n*.example allow\n"), "a.example:444", "2 allow"},
    {"another port leaves it to the shorter suffix", BYTES("*.a.example:1 deny\n**.example:2 allow\n"), "b.a.example:2",
        "2 allow"},
    {"no port known: every port of the name", BYTES("a.example:1 deny\na.example allow\na.example:2 deny\n"), "a.example",
        "1 deny; 2 allow; 3 deny"},
    {"no port known: the suffix, too", BYTES("a.example:1 deny\n*.example:1 allow\nb.example:2 deny\n"), "a.example", "1 deny; 2 allow"},
    {"no port known: not where the name has a rule for every port", BYTES("a.example:1 deny\na.example allow\n*.example:1 allow\n"), "a.example",
        "1 deny; 2 allow"},
    {"no port known: every port of each suffix", BYTES("*.example:1 deny\n*.example:2 allow\n**.example:3 deny\n* deny\n"), "a.example",
        "1 deny; 2 allow; 3 deny"},
    {"no port known: up to the suffix with a rule for every port", BYTES("*.b.example:1 deny\n**.b.example allow\n**.example:3 deny\n"), "a.b.example",
        "1 deny; 2 allow"},
    {"no port known: every port of the address", BYTES("192.0.2.1:1 deny\n192.0.2.1:2 allow\n"), "192.0.2.1", "1 deny; 2 allow"},
    {"a known port: that rule alone", BYTES("a.example:1 deny\na.example allow\na.example:2 deny\n"), "a.example:1", "1 deny"},
    {"an address with the port before one without", BYTES("192.0.2.1 deny\n192.0.2.1:443 allow\n"), "192.0.2.1:443", "2 allow"},
    {"* with the port before one without", BYTES("* deny\n*:443 allow\n"), "*:443", "2 allow"},
    {"* without the port where another has it", BYTES("* deny\n*:443 allow\n"), "*:444", "1 deny"},
    {"@unknown is not *", BYTES("@unknown deny\n"), "*", ""},
    {"* is not @unknown", BYTES("* deny\na.example deny\n"), "@unknown", ""},
    {"@unknown", BYTES("* allow\n@unknown " S1 "\n@unknown " S2 "\n"), "@unknown", "2 " S1 " 3 " S2},
    {"@unknown with the port before the one without", BYTES("@unknown deny\n@unknown:443 allow\n"), "@unknown:443", "2 allow"},
    {"@unknown without the port where another has it", BYTES("@unknown deny\n@unknown:443 allow\n"), "@unknown:444", "1 deny"},
    {"@unknown where no port is known", BYTES("@unknown deny\n@unknown:443 allow\n"), "@unknown", "1 deny; 2 allow"},
};

static const struct accepted adding_up[] = {
    {"several pins on a line", BYTES("a.example " S1 " " C1 " " S2 "\n"), "a.example", "1 " S1 " 1 " C1 " 1 " S2},
    {"lines for one target", BYTES("a.example " S1 "\nb.example deny\na.example " S2 "\n"), "a.example", "1 " S1 " 3 " S2},
    {"in another spelling", BYTES("a.example " S1 "\nA.EXAMPLE. " S2 "\n"), "a.example", "1 " S1 " 2 " S2},
    {"one address in two spellings", BYTES("192.0.2.1 " S1 "\n[::ffff:c000:201] " S2 "\n"), "192.0.2.1", "1 " S1 " 2 " S2},
    {"one suffix", BYTES("**.example " S1 "\n**.EXAMPLE " S2 "\n"), "a.example", "1 " S1 " 2 " S2},
    {"*", BYTES("* " S1 "\n* " S2 "\n"), "*", "1 " S1 " 2 " S2},
    {"one port", BYTES("a.example:443 " S1 "\na.example " S3 "\na.example:443 " S2 "\n"), "a.example:443", "1 " S1 " 3 " S2},
    {"another port is another target", BYTES("a.example:443 " S1 "\na.example:444 " S2 "\n"), "a.example:443", "1 " S1},
    {"another port may say something else", BYTES("a.example:443 allow\na.example " S2 "\n"), "a.example", "1 allow; 2 " S2},
    {"*. and **. are two targets", BYTES("*.example " S1 "\n**.example " S2 "\n"), "a.example", "1 " S1},
    {"a name and an address are two targets", BYTES("a.example " S1 "\n192.0.2.1 deny\n"), "a.example", "1 " S1},
    {"the same pin twice", BYTES("a.example " S1 "\na.example " S1 "\n"), "a.example", "1 " S1 " 2 " S1},
    {"allow twice", BYTES("a.example allow\na.example allow\n"), "a.example", "1 allow"},
    {"deny twice", BYTES("a.example deny\na.example deny\n"), "a.example", "1 deny"},
};

/* Every spelling that is not generated by test_spellings(). */
static const struct accepted pin_fields[] = {
    {"curl's", BYTES("a sha256//" B1 "\n"), "a", "1 " S1},
    {"OkHttp's", BYTES("a sha256/" B1 "\n"), "a", "1 " S1},
    {"RFC 7469's", BYTES("a pin-sha256=\"" B1 "\"\n"), "a", "1 " S1},
    {"OkHttp's, of a digest that begins with a slash", BYTES("a sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), "a",
        "1 spki-sha256:/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"curl's, of a digest that begins with a slash", BYTES("a sha256////////////////////////////////////////////8=\n"), "a",
        "1 spki-sha256://////////////////////////////////////////8="},
    {"the prefix in upper case", BYTES("a SPKI-SHA256:" B1 " Cert-Sha256:" B1 "\n"), "a", "1 " S1 " 1 " C1},
    {"an alias in upper case", BYTES("a SHA256//" B1 " Sha256/" B2 " PIN-SHA256=\"" B3 "\"\n"), "a", "1 " S1 " 1 " S2 " 1 " S3},
    {"hex in both cases", BYTES("a cert-sha256:11111111111111111111111111111111111111111111111111111111111111Ff "
                                "cert-sha256:aAbBcCdDeEfF11111111111111111111111111111111111111111111111111FF\n"), "a",
        "1 cert-sha256:EREREREREREREREREREREREREREREREREREREREREf8= "
        "1 cert-sha256:qrvM3e7/EREREREREREREREREREREREREREREREREf8="},
};

/* Each kind, digest and way of writing one. */
static void test_spellings(void)
{
    static const char *const kinds[PIN_KINDS] = {"spki", "cert", "ca"};
    static const unsigned sizes[DIGESTS] = {256, 384, 512};
    static const char *const forms[] = {"base64", "base64 without padding", "hex", "upper-case hex", "hex with colons",
        "upper-case hex with colons"};
    static const char *const aliases[][2] = {{"sha256//", ""}, {"sha256/", ""}, {"pin-sha256=\"", "\""}};

    for (unsigned row = 0; row < PIN_KINDS * DIGESTS * ROWS(forms); row++) {
        enum pin_kind kind = (enum pin_kind)(row % PIN_KINDS);
        enum digest digest = (enum digest)(row / PIN_KINDS % DIGESTS);
        unsigned form = row / (PIN_KINDS * DIGESTS);
        size_t size = digest_size(digest);
        uint8_t bytes[DIGEST_MAX];
        char line[400];
        char printed[200];
        char expected[200];
        struct text text = text_over(line, sizeof(line));
        struct text print = text_over(printed, sizeof(printed));
        struct text expect = text_over(expected, sizeof(expected));
        struct seen seen;
        struct pins *pins;
        const struct pin *pin;
        const struct rule *rule;

        check(size == sizes[digest] / 8, "SHA-%u has %zu bytes", sizes[digest], size);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 73 + 0x9c + row);
        text_add(&text, "a.example %s-sha%u:", kinds[kind], sizes[digest]);
        if (form < 2)
            text_add_base64(&text, bytes, size);
        for (size_t i = 0; form >= 2 && i < size; i++) {
            text_add(&text, form >= 4 && i > 0 ? ":" : "");
            text_add(&text, (form & 1) != 0 ? "%02X" : "%02x", (unsigned)bytes[i]);
        }
        while (form == 1 && line[text.length - 1] == '=')
            text.length--;
        pins = parse(line, text.length, &seen);
        check(pins != NULL, "%s-sha%u in %s: %s", kinds[kind], sizes[digest], forms[form], seen.at[0].message);
        if (pins == NULL)
            continue;
        rule = look_up(pins, "a.example").first;
        pin = rule != NULL ? pins_next_pin(pins, rule, NULL) : NULL;
        check(pin != NULL && rule->action == RULE_PINS && pin->kind == kind && pin->digest == digest && pin->line == 1
            && memcmp(pins_digest(pins, pin), bytes, size) == 0 && pins_next_pin(pins, rule, pin) == NULL,
            "%s-sha%u in %s is read", kinds[kind], sizes[digest], forms[form]);
        for (unsigned use = 0; use < PIN_KINDS * DIGESTS; use++) {
            enum pin_kind k = (enum pin_kind)(use % PIN_KINDS);
            enum digest d = (enum digest)(use / PIN_KINDS);

            check(pins_use(pins, k, d) == (k == kind && d == digest), "%s-sha%u alone is used", kinds[kind], sizes[digest]);
        }
        text_add(&expect, "%s-sha%u:", kinds[kind], sizes[digest]);
        text_add_base64(&expect, bytes, size);
        if (pin != NULL)
            pins_print_pin(pins, pin, &print);
        check(strcmp(printed, expected) == 0, "a pin is printed as the file spells it: [%s]", printed);
        print = text_over(printed, sizeof(printed));
        pins_print_digest(kind, digest, bytes, &print);
        check(strcmp(printed, expected) == 0, "and so is a digest: [%s]", printed);
        pins_free(pins);
    }
    for (size_t i = 0; i < ROWS(aliases); i++) {
        for (int padded = 0; padded < 2; padded++) {
            char line[100];
            struct text text = text_over(line, sizeof(line));
            struct seen seen;
            struct pins *pins;

            text_add(&text, "a %s%.*s%s", aliases[i][0], padded != 0 ? 44 : 43, B1, aliases[i][1]);
            pins = parse(line, text.length, &seen);
            check(pins != NULL, "%s: %s", line, seen.at[0].message);
            if (pins != NULL)
                check_lookup(pins, "a", "1 " S1, line);
            pins_free(pins);
        }
    }
}

struct refused {
    const char *why;
    const char *text;
    size_t length;
    struct {
        uint32_t line;
        uint32_t column;
        const char *message; /* a part of it */
    } errors[7];
};

static void test_refused(const struct refused *table, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        struct seen seen;
        struct pins *pins = parse(table[i].text, table[i].length, &seen);
        size_t expected = 0;

        check(pins == NULL, "%s: is refused", table[i].why);
        pins_free(pins);
        while (expected < ROWS(table[i].errors) && table[i].errors[expected].message != NULL)
            expected++;
        check(seen.count == expected, "%s: %zu errors, not %zu", table[i].why, seen.count, expected);
        for (size_t k = 0; k < expected && k < seen.count; k++) {
            check(seen.at[k].line == table[i].errors[k].line && seen.at[k].column == table[i].errors[k].column,
                "%s: at %u:%u: %s", table[i].why, (unsigned)seen.at[k].line, (unsigned)seen.at[k].column, seen.at[k].message);
            check(strstr(seen.at[k].message, table[i].errors[k].message) != NULL, "%s: says [%s]", table[i].why,
                seen.at[k].message);
            /* An error is one line of a log, and says what was expected. */
            check(strpbrk(seen.at[k].message, "\n\r\033") == NULL, "%s: no control byte in [%s]", table[i].why,
                seen.at[k].message);
            check(strstr(seen.at[k].message, "expected ") != NULL, "%s: what was expected: [%s]", table[i].why,
                seen.at[k].message);
        }
    }
}

static const struct refused bad_layout[] = {
    {"an empty file", BYTES(""), {{0, 0, "no rule in the file"}}},
    {"an empty line", BYTES("\n"), {{0, 0, "no rule in the file"}}},
    {"comments alone", BYTES("# a.example allow\n  # x\n\n"), {{0, 0, "no rule in the file"}}},
    {"a byte order mark alone", BYTES("\xef\xbb\xbf"), {{0, 0, "no rule in the file"}}},
    {"the way out is named", BYTES("\n"), {{0, 0, "\"* allow\""}}},
    {"a target alone", BYTES("a.example\n"), {{1, 10, "nothing after the target"}}},
    {"a target and blanks", BYTES("  a.example  \t\n"), {{1, 12, "nothing after the target"}}},
    {"a target and a comment", BYTES("a.example # " S1 "\n"), {{1, 10, "nothing after the target"}}},
    {"a comment right after the target", BYTES("a.example# allow\n"), {{1, 10, "nothing after the target"}}},
    {"a target without a newline", BYTES("b.example allow\na.example"), {{2, 10, "nothing after the target"}}},
    {"a NUL byte", BYTES("a.example allow\0\n"), {{1, 16, "control character (0x00)"}}},
    {"a NUL byte does not hide what follows", BYTES("a.example allow\nb\0.example deny\n"), {{2, 2, "control character (0x00)"}}},
    {"a NUL byte in a comment", BYTES("a.example allow # \0\n"), {{1, 19, "control character (0x00)"}}},
    {"a NUL byte at the end", BYTES("a.example allow\n\0"), {{2, 1, "control character (0x00)"}}},
    {"an escape byte", BYTES("a.example \033[1mallow\n"), {{1, 11, "control character (0x1b)"}}},
    {"DEL", BYTES("a.example allow\x7f\n"), {{1, 16, "control character (0x7f)"}}},
    {"a form feed is no blank", BYTES("a.example\fallow\n"), {{1, 10, "control character (0x0c)"}}},
    {"a CR within a line", BYTES("a.example\rallow\n"), {{1, 10, "control character (0x0d)"}}},
    {"two CRs at its end", BYTES("a.example allow\r\r\n"), {{1, 16, "control character (0x0d)"}}},
    {"CRs alone", BYTES("a.example allow\rb.example deny\r"), {{1, 16, "control character (0x0d)"}}},
    {"not UTF-8", BYTES("a.example allow\n# caf\xe9\n"), {{2, 6, "not UTF-8"}}},
    {"UTF-16", BYTES("\xff\xfe" "a\0"), {{1, 1, "not UTF-8"}}},
    {"UTF-8, cut at the end", BYTES("a.example allow # \xe2\x82"), {{1, 19, "not UTF-8"}}},
    {"an overlong NUL", BYTES("a.example allow # \xc0\x80\n"), {{1, 19, "not UTF-8"}}},
    {"half a byte order mark", BYTES("\xef\xbb" "a.example allow\n"), {{1, 1, "not UTF-8"}}},
    {"a second byte order mark", BYTES("\xef\xbb\xbf\xef\xbb\xbf" "a.example allow\n"), {{1, 1, "beyond ASCII"}}},
    {"columns are the same after a byte order mark", BYTES("\xef\xbb\xbf" "a.example maybe\n"),
        {{1, 11, "\"maybe\" is not known"}}},
    {"columns are the same with CRLF", BYTES("\r\na.example maybe\r\n"), {{2, 11, "\"maybe\" is not known"}}},
    {"a tab is one column", BYTES("\ta.example\t\tmaybe\n"), {{1, 13, "\"maybe\" is not known"}}},
};

static const struct refused bad_targets[] = {
    {"a U-label", BYTES("b\xc3\xbc" "cher.example allow\n"), {{1, 2, "xn--"}}},
    {"a U-label further on", BYTES("a.b\xc3\xbc" "cher.example:443 allow\n"), {{1, 4, "beyond ASCII"}}},
    {"a no-break space", BYTES("a.example\xc2\xa0" "b allow\n"), {{1, 10, "beyond ASCII"}}},
    {"a URL", BYTES("https://a.example/ allow\n"), {{1, 1, "\"https://a.example/\" is a URL"}}},
    {"a URL with a port", BYTES("https://a.example:443 allow\n"), {{1, 1, "is a URL; expected only the host"}}},
    {"a path", BYTES("a.example/x allow\n"), {{1, 1, "a host with a path"}}},
    {"a range of addresses", BYTES("192.0.2.0/24 allow\n"), {{1, 1, "a range of addresses"}}},
    {"a range of IPv6 addresses", BYTES("2001:db8::/32 allow\n"), {{1, 1, "a range of addresses"}}},
    {"a range in brackets", BYTES("[2001:db8::]/32 allow\n"), {{1, 1, "a range of addresses"}}},
    {"@ and anything", BYTES("@include allow\n"), {{1, 1, "\"@include\" is not known; expected a target, @unknown or @revoked"}}},
    {"@unknown in upper case", BYTES("@UNKNOWN " S1 "\n"), {{1, 1, "is not known"}}},
    {"@unknown and more", BYTES("@unknown.example " S1 "\n@unknowns allow\n"), {{1, 1, "is not known"}, {2, 1, "is not known"}}},
    {"@unknown at no port", BYTES("@unknown: allow\n@unknown:0 allow\n"), {{1, 10, "is not a port"}, {2, 10, "is not a port"}}},
    {"@unknown that contradicts itself", BYTES("@unknown allow\n@unknown " S1 "\n"), {{2, 10, "contradicts line 1"}}},
    {"@unknown alone", BYTES("@unknown\n"), {{1, 9, "nothing after the target"}}},
    {"@revoked in upper case", BYTES("@REVOKED " S1 "\n"), {{1, 1, "is not known"}}},
    {"an IPv6 address without brackets", BYTES("2001:db8::1 allow\n"), {{1, 1, "expected [2001:db8::1]"}}},
    {"an IPv6 address with what may be a port", BYTES("2001:db8::1:443 allow\n"), {{1, 1, "expected [2001:db8::1]:443, if that is its port, or [2001:db8::1:443]"}}},
    {"an IPv6 address whose last group is no port", BYTES("2001:db8::fffe allow\n"), {{1, 1, "brackets; expected [2001:db8::fffe]"}}},
    {"no closing bracket", BYTES(" [2001:db8::1 allow\n"), {{1, 2, "no closing bracket"}}},
    {"a malformed IPv6 address", BYTES("[2001:db8:::1] allow\n"), {{1, 2, "\"2001:db8:::1\" is not an IPv6 address"}}},
    {"nothing in brackets", BYTES("[] allow\n"), {{1, 2, "is not an IPv6 address"}}},
    {"IPv4 in brackets", BYTES("[192.0.2.1] allow\n"), {{1, 2, "\"192.0.2.1\" is not an IPv6 address"}}},
    {"a name in brackets", BYTES("[a.example] allow\n"), {{1, 2, "\"a.example\" is not an IPv6 address"}}},
    {"a zone", BYTES("[fe80::1%eth0] allow\n"), {{1, 2, "\"fe80::1%eth0\" is not an IPv6 address"}}},
    {"text after the bracket", BYTES("[2001:db8::1]443 allow\n"), {{1, 14, "text after \"]\""}}},
    {"no port after the bracket", BYTES("[2001:db8::1]: allow\n"), {{1, 15, "\"\" is not a port"}}},
    {"a bad port after the bracket", BYTES("[2001:db8::1]:0 allow\n"), {{1, 15, "\"0\" is not a port"}}},
    {"no port", BYTES("a.example: allow\n"), {{1, 11, "\"\" is not a port"}}},
    {"port zero", BYTES("a.example:0 allow\n"), {{1, 11, "\"0\" is not a port; expected a number from 1 to 65535"}}},
    {"a port too large", BYTES("a.example:65536 allow\n"), {{1, 11, "\"65536\" is not a port"}}},
    {"a leading zero", BYTES("a.example:0443 allow\n"), {{1, 11, "\"0443\" is not a port"}}},
    {"a service's name", BYTES("a.example:https allow\n"), {{1, 11, "\"https\" is not a port"}}},
    {"two ports", BYTES("a.example:443:444 allow\n"), {{1, 11, "\"443:444\" is not a port"}}},
    {"* and a bad port", BYTES("*:x allow\n"), {{1, 3, "\"x\" is not a port"}}},
    {"a port alone", BYTES(":443 allow\n"), {{1, 1, "\"\" is empty; expected a host name"}}},
    {"a dot alone", BYTES(". allow\n"), {{1, 1, "is empty"}}},
    {"an empty suffix", BYTES("*. allow\n"), {{1, 3, "is empty"}}},
    {"an empty suffix of **.", BYTES("**.:443 allow\n"), {{1, 4, "is empty"}}},
    {"254 characters", BYTES(N253 "x allow\n"), {{1, 1, "too long"}}},
    {"254 characters and a dot", BYTES(N253 "x. allow\n"), {{1, 1, "too long"}}},
    {"64 characters in a label", BYTES("b." L63 "x.example allow\n"), {{1, 3, "is not a label"}}},
    {"an empty label", BYTES("a..example allow\n"), {{1, 3, "\"\" in \"a..example\" is not a label"}}},
    {"a leading dot", BYTES(".example allow\n"), {{1, 1, "begins with a dot"}}},
    {"two trailing dots", BYTES("a.example.. allow\n"), {{1, 11, "is not a label"}}},
    {"a leading hyphen", BYTES("b.-a.example allow\n"), {{1, 3, "\"-a\" in \"b.-a.example\" is not a label"}}},
    {"a trailing hyphen", BYTES("a-.example allow\n"), {{1, 1, "no hyphen at either end"}}},
    {"an @ in a name", BYTES("me@a.example allow\n"), {{1, 1, "is not a label"}}},
    {"a list of names", BYTES("a.example,b.example allow\n"), {{1, 3, "\"example,b\" in"}}},
    {"a query", BYTES("a.example?x allow\n"), {{1, 3, "is not a label"}}},
    {"quotes", BYTES("\"a.example\" allow\n"), {{1, 1, "\\\"a"}}},
    {"too few numbers", BYTES("192.0.2 allow\n"), {{1, 1, "neither a host name nor an IPv4 address"}}},
    {"a number too large", BYTES("192.0.2.256 allow\n"), {{1, 1, "four numbers of 0 to 255"}}},
    {"a leading zero in an address", BYTES("192.0.2.01 allow\n"), {{1, 1, "without leading zeros"}}},
    {"an address with a trailing dot", BYTES("192.0.2.1. allow\n"), {{1, 1, "neither a host name"}}},
    {"five numbers", BYTES("192.0.2.1.1 allow\n"), {{1, 1, "neither a host name"}}},
    {"a number", BYTES("443 allow\n"), {{1, 1, "neither a host name"}}},
    {"a suffix that is a part of an address", BYTES("*.0.2.1 allow\n"), {{1, 3, "neither a host name"}}},
    {"a suffix that is an address", BYTES("*.192.0.2.1 allow\n"), {{1, 3, "neither a host name"}}},
    {"a * within", BYTES("a.*.example allow\n"), {{1, 1, "\"a.*.example\" has a \"*\" inside"}}},
    {"a * as a part of a label", BYTES("*a.example allow\n"), {{1, 1, "has a \"*\" inside"}}},
    {"a * at the end", BYTES("a.* allow\n"), {{1, 1, "has a \"*\" inside"}}},
    {"two *.", BYTES("*.*.example allow\n"), {{1, 3, "has a \"*\" inside"}}},
    {"** alone", BYTES("** allow\n"), {{1, 1, "has a \"*\" inside"}}},
    {"three stars", BYTES("***.example allow\n"), {{1, 1, "has a \"*\" inside"}}},
    {"a pin in the target's place", BYTES("b.example deny\n" S1 " allow\n"), {{2, 1, "in the target's place"}}},
    {"a bad target: the rest is looked at as well", BYTES("a..example maybe\n"),
        {{1, 3, "is not a label"}, {1, 12, "\"maybe\" is not known"}}},
    {"a bad target alone", BYTES("a..example\n"), {{1, 3, "is not a label"}, {1, 11, "nothing after the target"}}},
    {"a long target is shortened in the message", BYTES(N253 L63 " allow\n"), {{1, 1, "...\" is too long"}}},
};

static const struct refused bad_fields[] = {
    {"an unknown word", BYTES("a maybe\n"), {{1, 3, "\"maybe\" is not known; expected spki-sha256:DIGEST"}}},
    {"allow in upper case", BYTES("a ALLOW\n"), {{1, 3, "\"ALLOW\" is not known"}}},
    {"a longer word than allow", BYTES("a allowed\n"), {{1, 3, "\"allowed\" is not known"}}},
    {"a digest without its kind", BYTES("a " X64 "\n"), {{1, 3, "is a digest alone"}}},
    {"a digest without spki or cert", BYTES("a sha256:" X64 "\n"), {{1, 3, "does not say of what"}}},
    {"an unknown digest", BYTES("a spki-sha224:" X64 "\n"), {{1, 3, "is not known"}}},
    {"an unknown digest: SHA-3", BYTES("a spki-sha3-256:" X64 "\n"), {{1, 3, "is not known"}}},
    {"a blank after the colon", BYTES("a spki-sha256: " B1 "\n"),
        {{1, 15, "\"\" is not a digest of 32 bytes"}, {1, 16, "is a digest alone"}}},
    {"a comma between pins", BYTES("a " S1 "," S2 "\n"), {{1, 59, "a \",\" after a pin"}}},
    {"beyond ASCII", BYTES("a caf\xc3\xa9\n"), {{1, 3, "\"caf\\xc3\\xa9\" is not known"}}},

    {"no digest", BYTES("a spki-sha256:\n"), {{1, 15, "expected 44 characters of base64, or hex with or without colons"}}},
    {"no digest after curl's", BYTES("a sha256//\n"), {{1, 11, "expected 44 characters of base64"}}},
    {"base64, a character short", BYTES("a spki-sha256:ERERERERERERERERERERERERERERERERERERERERER\n"), {{1, 15, "32 bytes"}}},
    {"base64, a character long", BYTES("a spki-sha256:" B1 "=\n"), {{1, 15, "32 bytes"}}},
    {"base64 with stray bits", BYTES("a spki-sha256:ERERERERERERERERERERERERERERERERERERERERERF=\n"), {{1, 15, "32 bytes"}}},
    {"base64 with stray bits, not padded", BYTES("a sha256//ERERERERERERERERERERERERERERERERERERERERERF\n"),
        {{1, 11, "32 bytes"}}},
    {"base64 for the web", BYTES("a spki-sha256:-_ERERERERERERERERERERERERERERERERERERERERE=\n"), {{1, 15, "32 bytes"}}},
    {"hex, a digit short", BYTES("a spki-sha256:1111111111111111111111111111111111111111111111111111111111111111111\n"),
        {{1, 15, "32 bytes"}}},
    {"hex that is none", BYTES("a spki-sha256:g111111111111111111111111111111111111111111111111111111111111111\n"),
        {{1, 15, "32 bytes"}}},
    {"a SHA-512 digest for SHA-256", BYTES("a spki-sha256:" X64 X64 "\n"), {{1, 15, "32 bytes"}}},
    {"a SHA-256 digest for SHA-512", BYTES("a spki-sha512:" X64 "\n"),
        {{1, 15, "is not a digest of 64 bytes; expected 88 characters of base64"}}},
    {"a SHA-256 digest for SHA-384", BYTES("a cert-sha384:" B1 "\n"),
        {{1, 15, "is not a digest of 48 bytes; expected 64 characters of base64"}}},
    {"a SHA-1 digest for SHA-256", BYTES("a cert-sha256:" X40 "\n"), {{1, 15, "32 bytes"}}},
    {"colons at uneven places", BYTES("a cert-sha256:1:111" H30 "\n"), {{1, 15, "32 bytes"}}},
    {"a missing colon", BYTES("a cert-sha256:1111" H30 "\n"), {{1, 15, "32 bytes"}}},
    {"a hyphen for a colon", BYTES("a cert-sha256:11-11" H30 "\n"), {{1, 15, "32 bytes"}}},
    {"a colon too many", BYTES("a cert-sha256:11:11" H30 ":\n"), {{1, 15, "32 bytes"}}},
    {"hex after curl's", BYTES("a sha256//" X64 "\n"), {{1, 11, "expected 44 characters of base64"}}},
    {"hex after OkHttp's", BYTES("a sha256/" X64 "\n"), {{1, 10, "32 bytes"}}},
    {"hex after RFC 7469's", BYTES("a pin-sha256=\"" X64 "\"\n"), {{1, 15, "32 bytes"}}},
    {"the hex of a SHA-256 as a SHA-384", BYTES("a spki-sha384:" X64 "\n"), {{1, 15, "is not a digest of 48 bytes"}}},
    {"an address in hex", BYTES("0x7f000001 " S1 "\n"), {{1, 1, "neither a host name nor an IPv4 address"}}},
    {"no closing quote", BYTES("a pin-sha256=\"" B1 "\n"), {{1, 15, "and a closing quote"}}},
    {"a quote alone", BYTES("a pin-sha256=\"\n"), {{1, 15, "and a closing quote"}}},
    {"nothing in the quotes", BYTES("a pin-sha256=\"\"\n"), {{1, 15, "\"\" is not a digest"}}},
    {"text after the quote", BYTES("a pin-sha256=\"" B1 "\";\n"), {{1, 60, "a \";\" after a pin"}}},
    {"no quotes", BYTES("a pin-sha256=" B1 "\n"), {{1, 3, "is not known"}}},
    {"a long field is shortened in the message", BYTES("a " X64 X64 "\n"), {{1, 3, "...\" is a digest alone"}}},
};

/* One round of mending is to be enough, and a line that lacks its beginning is to be told so. */
static const struct refused misplaced[] = {
    {"what is wrong with a line whatever stood before it", BYTES("b bogus\nd pkix expires=2027-01-01\na mode=report\n"),
        {{1, 3, "\"bogus\" is not known"}, {2, 8, "without a pin on its line"}, {3, 3, "without a pin or pkix"}}},
    {"a pin without a target", BYTES(S1 "\n"), {{1, 1, "in the target's place; expected the host before it"}, {1, 57, "nothing after the target"}}},
    {"curl's pin without a target", BYTES("sha256//" B1 "\n"), {{1, 1, "in the target's place"}, {1, 53, "nothing after"}}},
    {"a host of such a name", BYTES("ca-file:443 allow\nspki-sha256:443 allow\nsha256//AAAA allow\n"), {{3, 1, "in the target's place"}}},
    {"a file without a target", BYTES("spki-file:/k " S1 "\n"), {{1, 1, "in the target's place"}}},
};

static const struct refused weak_digests[] = {
    {"spki-sha1", BYTES("a spki-sha1:" X40 "\n"), {{1, 3, "broken digest, SHA-1; expected sha256, sha384 or sha512"}}},
    {"cert-sha1", BYTES("a cert-sha1:" X40 "\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"ca-sha1", BYTES("a ca-sha1:" X40 "\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"OkHttp's SHA-1", BYTES("a sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"curl's spelling with SHA-1", BYTES("a sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"RFC 7469's spelling with SHA-1", BYTES("a pin-sha1=\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"sha1:", BYTES("a sha1:" X40 "\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"in upper case", BYTES("a SPKI-SHA1:" X40 "\n"), {{1, 3, "broken digest, SHA-1"}}},
    {"spki-md5", BYTES("a spki-md5:00112233445566778899aabbccddeeff\n"), {{1, 3, "broken digest, MD5"}}},
    {"cert-md5", BYTES("a cert-md5:00112233445566778899aabbccddeeff\n"), {{1, 3, "broken digest, MD5"}}},
    {"ca-md5", BYTES("a ca-md5:00112233445566778899aabbccddeeff\n"), {{1, 3, "broken digest, MD5"}}},
    {"md5/", BYTES("a md5/AAAAAAAAAAAAAAAAAAAAAA==\n"), {{1, 3, "broken digest, MD5"}}},
    {"pin-md5", BYTES("a pin-md5=\"AAAAAAAAAAAAAAAAAAAAAA==\"\n"), {{1, 3, "broken digest, MD5"}}},
    {"md5:", BYTES("a md5:00112233445566778899aabbccddeeff\n"), {{1, 3, "broken digest, MD5"}}},
    {"beside a good pin", BYTES("a " S1 " spki-sha1:" X40 "\n"), {{1, 60, "broken digest, SHA-1"}}},
};

/* None of these may be taken for nothing. */
static const struct refused options[] = {
    {"files without a reader", BYTES("a spki-file:/k\nb cert-file:/c\nc ca-file:/c\nd pkix client-cert=/c\n"),
        {{1, 13, "\"/k\" cannot be used: files are not read here"}, {2, 13, "\"/c\" cannot be used"}, {3, 11, "cannot be used"},
            {4, 20, "\"/c\" cannot be used: files are not read here"}}},
    {"a file without a path", BYTES("a spki-file:\nb ca-file: allow\n"), {{1, 13, "no path"}, {2, 11, "no path"}, {2, 12, "beside"}}},
    {"a mode that is none", BYTES("a mode=enforce " S1 "\n"), {{1, 8, "\"mode=enforce\" is not known; expected mode=report"}}},
    {"TLS that is none", BYTES("a tls=yes " S1 "\n"), {{1, 7, "\"tls=yes\" is not known; expected tls=required"}}},
    {"TLS twice", BYTES("a tls=required tls=required " S1 "\n"), {{1, 16, "second of its kind"}}},
    {"tls=required without a pin", BYTES("b " S1 "\na tls=required\n"), {{2, 1, "tls=required for a target without a pin, pkix or allow"}}},
    {"tls=required for @unknown", BYTES("b " S1 "\n@unknown " S1 " tls=required\n"), {{2, 1, "tls=required for @unknown"}}},
    {"tls=required after @revoked", BYTES("@revoked " S1 " tls=required\n"), {{1, 67, "expected pins alone"}}},
    {"tls=required beside allow", BYTES("a allow tls=required\n"), {{1, 3, "beside"}}},
    {"mode=report of nothing", BYTES("a mode=report\n"), {{1, 3, "\"mode=report\" without a pin or pkix"}}},
    {"report-until= of nothing", BYTES("a report-until=2030-01-01\n"), {{1, 3, "\"report-until=2030-01-01\" without a pin or pkix"}}},
    {"report-until= beside allow", BYTES("a allow report-until=2030-01-01\n"), {{1, 3, "beside"}}},
    {"report-until= no day", BYTES("a pkix report-until=\nb pkix report-until=2030-02-30\nc pkix report-until=soon\n"),
        {{1, 21, "\"\" is not a day; expected YYYY-MM-DD"}, {2, 21, "\"2030-02-30\" is not a day"}, {3, 21, "is not a day"}}},
    {"report-until= the last of all days", BYTES("a pkix report-until=2149-06-06\n"), {{1, 21, "is not a day before 2149-06-06"}}},
    {"report-until= twice", BYTES("a pkix report-until=2030-01-01 report-until=2030-01-01\nb pkix mode=report report-until=2030-01-01\n"),
        {{1, 32, "second of its kind"}, {2, 20, "second of its kind"}}},
    {"report-until= on two lines", BYTES("a " S1 " report-until=2030-01-01\na " S2 " report-until=2030-01-02\n"),
        {{2, 60, "\"report-until=2030-01-02\", but another line of the target has another end"}}},
    {"report-until= and mode=report", BYTES("a " S1 " report-until=2030-01-01\na " S2 " mode=report\n"),
        {{2, 60, "\"mode=report\", but another line of the target has another end"}}},
    {"report-until= after @revoked", BYTES("@revoked " S1 " report-until=2030-01-01\n"), {{1, 67, "after @revoked"}}},
    {"mode=report beside deny", BYTES("a deny mode=report\n"), {{1, 3, "beside"}}},
    {"pkix beside allow", BYTES("a allow pkix\n"), {{1, 3, "beside"}}},
    {"pkix and allow on two lines", BYTES("a allow\na pkix\n"), {{2, 3, "\"pkix\" contradicts line 1, which says allow"}}},
    {"pkix and deny on two lines", BYTES("a pkix\na deny\n"), {{2, 3, "\"deny\" contradicts line 1, which says a pin"}}},
    {"expires= of nothing", BYTES("a expires=2030-01-01\nb pkix expires=2030-01-01\n"),
        {{1, 3, "\"expires=2030-01-01\" without a pin"}, {2, 8, "without a pin"}}},
    {"a day that is none", BYTES("a " S1 " expires=2030-13-01\nb " S1 " expires=2030-02-29\nc " S1 " expires=tomorrow\nd " S1 " expires=\n"),
        {{1, 68, "\"2030-13-01\" is not a day; expected YYYY-MM-DD"}, {2, 68, "is not a day"}, {3, 68, "is not a day"}, {4, 68, "is not a day"}}},
    {"an option twice", BYTES("a " S1 " expires=2030-01-01 expires=2031-01-01\nb " S1 " mode=report mode=report\n"),
        {{1, 79, "second of its kind"}, {2, 72, "second of its kind"}}},
    {"an option of @revoked", BYTES("@revoked " S1 " pkix\n@revoked allow\n@revoked " S1 " expires=2030-01-01\n@revoked " S1 " mode=report\n"),
        {{1, 67, "\"pkix\" after @revoked"}, {2, 10, "\"allow\" after @revoked"}, {3, 67, "after @revoked"}, {4, 67, "after @revoked"}}},
    {"@revoked alone", BYTES("@revoked\n"), {{1, 9, "nothing after @revoked; expected a pin"}}},
    {"a SHA-1 fingerprint", BYTES("a cert-sha256:0123456789abcdef0123456789abcdef01234567\n"), {{1, 15, "; this is a SHA-1 fingerprint"}}},
    {"a SHA-1 fingerprint with colons", BYTES("a cert-sha256:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67\n"),
        {{1, 15, "; this is a SHA-1 fingerprint"}}},
    {"a digest of another length", BYTES("a spki-sha512:ERERERERERERERERERERERERERERERERERERERERERE=\n"),
        {{1, 15, "; this has the length of a SHA-256"}}},
    {"the hex of base64", BYTES("a spki-sha256:455245524552455245524552455245524552455245524552455245524552455245524552455245524552453d\n"),
        {{1, 15, "; this is the hex of base64: decode it first"}}},
    {"the base64 of hex", BYTES("a cert-sha256:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMQ==\n"),
        {{1, 15, "; this is the base64 of hex: decode it first"}}},
    {"a SHA-1 fingerprint in base64", BYTES("a spki-sha256:ERERERERERERERERERERERERERE=\n"), {{1, 15, "; this is a SHA-1 fingerprint"}}},
    {"a SHA-1 fingerprint in quotes", BYTES("a pin-sha256=\"ERERERERERERERERERERERERERE=\"\n"), {{1, 15, " and a closing quote; this is a SHA-1 fingerprint"}}},
};

/* What was probably meant. */
static const struct refused meant[] = {
    {"a word with a slip", BYTES("a spki-sha265:" B1 "\nb exprires=2030-01-01 " S1 "\nc pkxi\nd alow\ne tls=requierd " S1 "\n"),
        {{1, 3, "\"spki-sha265:" B1 "\" is not known; expected perhaps spki-sha256:" B1}, {2, 3, "expected perhaps expires=2030-01-01"}, {3, 3, "expected perhaps pkix"},
            {4, 3, "expected perhaps allow"}, {5, 7, "expected tls=required"}}},
    {"nothing like it", BYTES("a maybe\nb xyz:1\n"), {{1, 3, "\"maybe\" is not known; expected spki-sha256"}, {2, 3, "is not known; expected spki-sha256"}}},
    {"the digest of what", BYTES("a sha256:" B1 "\n"), {{1, 3, "does not say of what it is the digest; expected spki-sha256:"}}},
    {"a digest alone", BYTES("a " B1 "\n"), {{1, 3, "is a digest alone; expected spki-sha256: before it"}}},
    {"quotes", BYTES("a \"" S1 "\"\n'b' allow\n"), {{1, 3, "is in quotes; expected it without: " S1}, {2, 1, "is in quotes; expected it without: b"}}},
    {"a suffix", BYTES(".example.com allow\n"), {{1, 1, "expected *.example.com (names with one more label), **.example.com (one or more), or example.com"}}},
    {"curl's list", BYTES("a sha256//" B1 ";sha256//" B1 "\n"), {{1, 55, "a \";\" after a pin; expected a blank instead: sha256//" B1 " sha256//"}}},
    {"a header", BYTES("Public-Key-Pins: pin-sha256=\"" B1 "\"; max-age=1\n"), {{1, 1, "this is an HTTP header (RFC 7469); expected the host"},
        {1, 75, "expected a blank instead: pin-sha256=\"" B1 "\" "}, {1, 77, "is of an HTTP header"}}},
    {"OkHttp", BYTES(".add( allow\n"), {{1, 1, "OkHttp's **. includes the name itself"}}},
    {"PEM", BYTES("-----BEGIN CERTIFICATE-----\n"), {{1, 1, "this is PEM, not a pins file"}, {1, 12, "is not known"}}},
};

static const struct refused contradictions[] = {
    {"allow beside a pin", BYTES("a allow " S1 "\n"), {{1, 3, "\"allow\" beside other fields; expected it alone"}}},
    {"a pin beside allow", BYTES("a " S1 " allow\n"), {{1, 60, "\"allow\" beside other fields"}}},
    {"deny beside a pin", BYTES("a deny " S1 "\n"), {{1, 3, "\"deny\" beside other fields"}}},
    {"a pin beside deny", BYTES("a " S1 " deny\n"), {{1, 60, "\"deny\" beside other fields"}}},
    {"allow beside deny", BYTES("a allow deny\n"), {{1, 3, "\"allow\" beside"}, {1, 9, "\"deny\" beside"}}},
    {"allow twice on a line", BYTES("a allow allow\n"), {{1, 3, "\"allow\" beside"}, {1, 9, "\"allow\" beside"}}},
    {"a pin after allow", BYTES("a allow\nb deny\na " S1 "\n"), {{3, 3, "contradicts line 1, which says allow"}}},
    {"allow after a pin", BYTES("a " S1 "\na allow\n"), {{2, 3, "\"allow\" contradicts line 1, which says a pin"}}},
    {"a pin after deny", BYTES("a deny\na " S1 "\n"), {{2, 3, "contradicts line 1, which says deny"}}},
    {"deny after a pin", BYTES("a " S1 "\na deny\n"), {{2, 3, "\"deny\" contradicts line 1, which says a pin"}}},
    {"deny after allow", BYTES("a allow\na deny\n"), {{2, 3, "\"deny\" contradicts line 1, which says allow"}}},
    {"allow after deny", BYTES("a deny\na allow\n"), {{2, 3, "\"allow\" contradicts line 1, which says deny"}}},
    {"each pin of the line", BYTES("a allow\na " S1 " " S2 "\n"), {{2, 3, "contradicts line 1"}, {2, 60, "contradicts line 1"}}},
    {"in another spelling", BYTES("a.example allow\nA.Example. deny\n"), {{2, 12, "contradicts line 1"}}},
    {"with the same port", BYTES("a:443 allow\na deny\na:443 deny\n"), {{3, 7, "contradicts line 1"}}},
    {"an address in two spellings", BYTES("192.0.2.1 allow\n[::ffff:192.0.2.1] deny\n"), {{2, 20, "contradicts line 1"}}},
    {"a suffix", BYTES("*.a allow\n**.a deny\n*.A deny\n"), {{3, 5, "contradicts line 1"}}},
    {"*", BYTES("* allow\n\n* deny\n"), {{3, 3, "contradicts line 1"}}},
    {"the first line is named", BYTES("a allow\na allow\na deny\n"), {{3, 3, "contradicts line 1"}}},
};

static const struct refused several[] = {
    {"every error in the file, in its order", BYTES("a maybe\n# x\nb..c allow\n\nd:0 deny\ne " S1 " pkix\nf allow\nf deny\ng\n"),
        {{1, 3, "is not known"}, {3, 3, "is not a label"}, {5, 3, "is not a port"},
            {8, 3, "contradicts line 7"}, {9, 2, "nothing after"}}},
    {"every error on a line", BYTES("a maybe pkix spki-sha1:x allow sha256/x " S1 "\n"),
        {{1, 3, "is not known"}, {1, 14, "SHA-1"}, {1, 26, "beside"}, {1, 39, "32 bytes"}}},
    {"a line that is not text does not hide the next", BYTES("a\0 allow\nb \xff\nc maybe\n"),
        {{1, 2, "control character"}, {2, 3, "not UTF-8"}, {3, 3, "is not known"}}},
    {"one bad line spoils the file", BYTES("a allow\nb allow\nc allow\nd alow\n"), {{4, 3, "\"alow\" is not known"}}},
    {"no complaint of a missing rule beside others", BYTES("a..b allow\n"), {{1, 3, "is not a label"}}},
};

static void test_demand(void)
{
    static const struct {
        const char *why;
        const char *text;
        bool demands;
    } table[] = {
        {"allow asks for nothing", "* allow\n", false},
        {"nor do several", "a allow\nb:443 allow\n* allow\n", false},
        {"deny does", "a allow\nb deny\n", true},
        {"deny of * does", "* deny\n", true},
        {"a pin does", "* allow\na " S1 "\n", true},
        {"a certificate's pin does", "a " C1 "\n* allow\n", true},
    };

    for (size_t i = 0; i < ROWS(table); i++) {
        struct seen seen;
        struct pins *pins = parse(table[i].text, strlen(table[i].text), &seen);

        check(pins != NULL && pins_demand_anything(pins) == table[i].demands, "demand: %s", table[i].why);
        pins_free(pins);
    }
}

#define GENERATED 10000U

/* The target of the generated rule in line `i` + 1; `host`: one that it is for. */
static void generate(unsigned i, struct text *target, struct text *host)
{
    switch (i % 7) {
    case 0:
        text_add(target, "host%u.example.com", i);
        text_add(host, "HOST%u.example.com.:%u", i, i % 60000 + 1);
        break;
    case 1:
        text_add(target, "host%u.example.com:%u", i, i % 60000 + 1);
        text_add(host, "host%u.example.com:%u", i, i % 60000 + 1);
        break;
    case 2:
        text_add(target, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        text_add(host, "::ffff:10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        break;
    case 3:
        text_add(target, "[2001:db8::%x]:%u", i, i % 60000 + 1);
        text_add(host, "[2001:db8:0::%x]:%u", i, i % 60000 + 1);
        break;
    case 4:
        text_add(target, "*.one%u.example", i);
        text_add(host, "www.one%u.example", i);
        break;
    case 5:
        text_add(target, "**.many%u.example", i);
        text_add(host, "a.b.c.many%u.example:443", i);
        break;
    default:
        /* One name with many ports. */
        text_add(target, "ports.example:%u", i + 1);
        text_add(host, "ports.example:%u", i + 1);
        break;
    }
}

static void test_many(void)
{
    size_t size = GENERATED * 120;
    char *buffer = malloc(size);
    struct text text;
    struct seen seen;
    struct pins *pins;
    unsigned found = 0;
    unsigned of_name = 0;
    unsigned absent = 0;
    uint8_t digest[32] = {0};
    struct rules rules;

    if (buffer == NULL)
        abort();
    text = text_over(buffer, size);
    for (unsigned i = 0; i < GENERATED; i++) {
        char host[100];
        struct text unused = text_over(host, sizeof(host));

        generate(i, &text, &unused);
        memcpy(digest, &i, sizeof(i));
        text_add(&text, " ");
        pins_print_digest(PIN_SPKI, DIGEST_SHA256, digest, &text);
        text_add(&text, "\n");
    }
    check(!text.cut, "the generated file has room");
    pins = parse(buffer, text.length, &seen);
    free(buffer);
    check(pins != NULL, "%u generated rules are accepted: %s", GENERATED, seen.at[0].message);
    if (pins == NULL)
        return;
    for (unsigned i = 0; i < GENERATED; i++) {
        char target[100];
        char host[100];
        struct text unused = text_over(target, sizeof(target));
        struct text name = text_over(host, sizeof(host));
        const struct pin *pin;

        generate(i, &unused, &name);
        rules = look_up(pins, host);
        pin = rules.first != NULL ? pins_next_pin(pins, rules.first, NULL) : NULL;
        memcpy(digest, &i, sizeof(i));
        if (pin != NULL && rules.first->line == i + 1 && pin->line == i + 1 && memcmp(pins_digest(pins, pin), digest, 32) == 0
            && pins_next_pin(pins, rules.first, pin) == NULL)
            found++;
        else
            check(false, "generated rule %u is found by %s", i, host);
        text_add(&name, "0");
        if (i % 7 == 4 && look_up(pins, host).first == NULL)
            absent++;
    }
    check(found == GENERATED, "each generated rule is found: %u", found);
    check(absent == GENERATED / 7, "what is not in the file is not found: %u", absent);
    rules = look_up(pins, "ports.example");
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule))
        of_name += rule->port == rule->line;
    check(of_name == GENERATED / 7, "each port of one name counts where the port is not known: %u", of_name);
    pins_free(pins);
}

/* pins_load() of a file with that content and mode. */
static struct pins *load(const char *path, const char *content, mode_t mode, struct seen *seen)
{
    FILE *file = fopen(path, "w");

    if (file == NULL || fputs(content, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0)
        abort();
    memset(seen, 0, sizeof(*seen));
    return pins_load(path, NULL, NULL, note, seen);
}

static void test_load(void)
{
    static const struct {
        const char *why;
        const char *content;
        mode_t mode;
        const char *message; /* NULL: accepted */
        uint32_t line;
        uint32_t column;
    } table[] = {
        {"a readable file", "a " S1 "\n", 0644, NULL, 0, 0},
        {"its owner's alone", "a " S1 "\n", 0600, NULL, 0, 0},
        {"its group may write", "a " S1 "\n", 0664, NULL, 0, 0},
        {"everybody may write", "a " S1 "\n", 0646, "is world-writable", 0, 0},
        {"everybody may write only", "a " S1 "\n", 0602, "is world-writable", 0, 0},
        {"empty", "", 0644, "no rule in the file", 0, 0},
        {"an error in it", "a allow\nb maybe\n", 0644, "\"maybe\" is not known", 2, 3},
    };
    char directory[] = "/tmp/pinshim-unit-XXXXXX";
    char path[64];
    char other[64];
    struct seen seen;
    struct pins *pins;

    if (mkdtemp(directory) == NULL)
        abort();
    (void)snprintf(path, sizeof(path), "%s/pins", directory);
    (void)snprintf(other, sizeof(other), "%s/link", directory);
    for (size_t i = 0; i < ROWS(table); i++) {
        pins = load(path, table[i].content, table[i].mode, &seen);
        check((pins != NULL) == (table[i].message == NULL), "load: %s: %s", table[i].why, seen.at[0].message);
        check(seen.count == (table[i].message != NULL), "load: %s: %zu errors", table[i].why, seen.count);
        check(table[i].message == NULL || (strstr(seen.at[0].message, table[i].message) != NULL
            && seen.at[0].line == table[i].line && seen.at[0].column == table[i].column), "load: %s: %u:%u: [%s]", table[i].why,
            (unsigned)seen.at[0].line, (unsigned)seen.at[0].column, seen.at[0].message);
        if (pins != NULL)
            check_lookup(pins, "a", "1 " S1, table[i].why);
        pins_free(pins);
    }

    pins = load(path, "a " S1 "\n", 0644, &seen);
    pins_free(pins);
    if (symlink("pins", other) != 0)
        abort();
    memset(&seen, 0, sizeof(seen));
    pins = pins_load(other, NULL, NULL, note, &seen);
    check(pins != NULL, "load: a symbolic link: %s", seen.at[0].message);
    pins_free(pins);
    (void)unlink(other);

    memset(&seen, 0, sizeof(seen));
    pins = pins_load(other, NULL, NULL, note, &seen);
    check(pins == NULL && seen.count == 1 && strstr(seen.at[0].message, "cannot open the pins file: ") != NULL,
        "load: no file: %s", seen.at[0].message);
    memset(&seen, 0, sizeof(seen));
    pins = pins_load(directory, NULL, NULL, note, &seen);
    check(pins == NULL && seen.count == 1 && strstr(seen.at[0].message, "not a regular file") != NULL, "load: a directory: %s",
        seen.at[0].message);
    if (mkfifo(other, 0600) != 0)
        abort();
    memset(&seen, 0, sizeof(seen));
    pins = pins_load(other, NULL, NULL, note, &seen);
    check(pins == NULL && seen.count == 1 && strstr(seen.at[0].message, "not a regular file") != NULL,
        "load: a FIFO, without waiting for its other end: %s", seen.at[0].message);
    (void)unlink(other);
    (void)unlink(path);
    (void)rmdir(directory);
}

/* The rules of ./pins.example; the lines are not looked at. */
static void test_example(void)
{
    static const struct {
        const char *host;
        enum rule_action action;
        const char *pins[3];
    } table[] = {
        {"api.example.com:443", RULE_PINS, {"spki-sha256:y6p+C5+6tvOCE9YwO30j4s3bVAE50ncv4MIinKETF0g=",
            "spki-sha256:w2CxUMWHJSMZWbx65GFM9dQuVyXtuwXzZdDBZ9GJHFs="}},
        {"mail.example.com", RULE_PINS, {"spki-sha256:9vrws+mfSe6G6Z1JAPxM2k2G/c5zXsPx3nzsOMfdsyg=",
            "spki-sha256:dUz/0hGXRY9vzDU3V1ANCKmXD3kdqEBWSIpXxE1E3dg="}},
        {"printer.example.com", RULE_PINS, {"cert-sha256:EkFY4nXZ8U75qWfLcm2/0rpPFsaskTfjjB5rsiX7jJM="}},
        {"ldap.example.com:636", RULE_PINS, {"spki-sha384:LPqR7/9lVzQVDGnpRhIjxO7Yw8ZcBJd7CcDeh+Sdf/ibKgyfRhWhetyxq3EHcw7S",
            "spki-sha512:a661HEq8j7Eq299PoqTjS8Rz4jRaoWmog4K8Sfkj6MbdAgBl4zq5fd1sTxzvCmp9U4RbuLdkhkuR5gbSOKHnMQ=="}},
        {"scan.example.com", RULE_PINS, {"cert-sha384:e/3AvmcBx8MFcnLfc1o2TYKz8AjrhzIbaV+vk/wUos/go2vcVxwx6bYD2CaBKmoW",
            "cert-sha512:tN8LAO6LPhuB52sdlIef7ediunnoJ8S6lp9iQJaGQjf6hNGiI2iQnzsp7AvRySWAKO6JTLEYRO68HjBAIs3wpA=="}},
        {"base64.example.com", RULE_PINS, {"spki-sha256:lTf9o+SZ/Tnouzs3gFIVxYEXRnivzzDckHu4jqAEPwM="}},
        {"hex.example.com", RULE_PINS, {"spki-sha256:9vrws+mfSe6G6Z1JAPxM2k2G/c5zXsPx3nzsOMfdsyg=",
            "spki-sha384:U4kqT4RzaFhMGOOCcL04KKbtA3y58u5anDSLsUXcMo+6sufdWaDOZQwHUnB7XazT"}},
        {"colons.example.com", RULE_PINS, {"cert-sha256:dUz/0hGXRY9vzDU3V1ANCKmXD3kdqEBWSIpXxE1E3dg="}},
        {"curl.example.com", RULE_PINS, {"spki-sha256:eHHnEq62lfMqI7Qx1Sc9m2iZCizOOhMCGSL0qW/VKVc="}},
        {"okhttp.example.com", RULE_PINS, {"spki-sha256:Lz9OaJtW9mJ+nrcxpzzp7II99UdA2wsFSFwWoVRF5Hw="}},
        {"rfc7469.example.com", RULE_PINS, {"spki-sha256:alGS0GRRIuakiFT3t7qnDlXPdXXiXiwGhXfj8iAV2Mc="}},
        {"downloads.example.com:443", RULE_ALLOW, {NULL}},
        {"old.example.com", RULE_DENY, {NULL}},
        {"WWW.example.com.:443", RULE_PINS, {"spki-sha256:Cm1GLw4hBiu6dM+kbvJg0TgnbZ0iSmTFisUiNhE/ueI="}},
        {"www.example.com:8443", RULE_PINS, {"spki-sha384:5fj5pj6nMife9p/FbvXBuksL23xyXQPad9A0lXkqHcEqdrWR8wrK5D1pNezjApbV"}},
        {"xn--bcher-kva.example", RULE_PINS, {"spki-sha256:IFNVw8uttNJewF9vvwoDkJuTx130mfsydN3WUJMaJAE="}},
        {"192.0.2.10:443", RULE_PINS, {"spki-sha256:EMExUVMZW3aTT0aBpj6Sa84bDwBo73Gr7NBX8eJeQus="}},
        {"192.0.2.10:8443", RULE_ALLOW, {NULL}},
        {"[2001:db8::10]:443", RULE_PINS, {"spki-sha256:l43t4GdpwqUTJoTRQtR/0NptxB1+yS9Bi0QWIZ4kROY="}},
        {"[2001:db8::10]:8443", RULE_DENY, {NULL}},
        {"a.example.net:443", RULE_PINS, {"spki-sha256:IAON09mcecvbu6v6kQVz3cn2xa1x2CcUu6dRvIViZjs="}},
        {"a.example.net:8443", RULE_ALLOW, {NULL}},
        {"b.a.example.net:443", RULE_DENY, {NULL}},
        {"b.a.example.net:636", RULE_ALLOW, {NULL}},
        {"a.eu.example.net:443", RULE_ALLOW, {NULL}},
        {"*:443", RULE_ALLOW, {NULL}},
        {"*:25", RULE_DENY, {NULL}},
        {"example.net", RULE_UNSET, {NULL}},
        {"other.example.com", RULE_UNSET, {NULL}},
    };
    struct seen seen = {0};
    struct pins *pins = pins_load("pins.example", NULL, NULL, note, &seen);

    check(pins != NULL && seen.count == 0, "pins.example is accepted: %u:%u: %s", (unsigned)seen.at[0].line,
        (unsigned)seen.at[0].column, seen.at[0].message);
    if (pins == NULL)
        return;
    for (size_t i = 0; i < ROWS(table); i++) {
        const struct rule *rule = look_up(pins, table[i].host).first;
        const struct pin *pin = rule != NULL ? pins_next_pin(pins, rule, NULL) : NULL;

        /* RULE_UNSET stands for no rule. */
        check(rule != NULL ? rule->action == table[i].action : table[i].action == RULE_UNSET, "pins.example: %s", table[i].host);
        for (size_t k = 0; k < ROWS(table[i].pins) && table[i].pins[k] != NULL; k++) {
            char buffer[200];
            struct text text = text_over(buffer, sizeof(buffer));

            if (pin != NULL) {
                pins_print_pin(pins, pin, &text);
                pin = pins_next_pin(pins, rule, pin);
            }
            check(strcmp(buffer, table[i].pins[k]) == 0, "pins.example: %s: [%s]", table[i].host, buffer);
        }
        check(pin == NULL, "pins.example: %s has no more pins", table[i].host);
    }
    for (unsigned use = 0; use < PIN_KINDS * DIGESTS; use++)
        check(pins_use(pins, (enum pin_kind)(use % PIN_KINDS), (enum digest)(use / PIN_KINDS)), "pins.example shows each pin");
    pins_free(pins);
}

static const struct refused bad_clients[] = {
    {"a certificate that cannot be used", BYTES("a " S1 " client-cert=/bad client-key=/k\n"),
        {{1, 72, "\"/bad\" cannot be used: it is bad; expected a client certificate with its key"}}},
    {"a key that cannot be used", BYTES("a " S1 " client-cert=/c client-key=/bad\n"), {{1, 86, "\"/bad\" cannot be used"}}},
    {"a passphrase that cannot be used", BYTES("a " S1 " client-cert=/c client-key=/k client-key-pass-file=/bad\n"),
        {{1, 110, "\"/bad\" cannot be used"}}},
    {"the same bad one again is told once", BYTES("a " S1 " client-cert=/bad\nb " S1 " client-cert=/bad\n"), {{1, 72, "cannot be used"}}},
    {"a key alone", BYTES("a " S1 " client-key=/k\n"), {{1, 71, "\"client-key=/k\" without client-cert=PATH on its line"}}},
    {"a passphrase alone", BYTES("a " S1 " client-key-pass-file=/p\n"), {{1, 81, "without client-cert=PATH"}}},
    {"no path", BYTES("a " S1 " client-cert= client-key=/k\n"), {{1, 72, "no path"}, {1, 84, "without client-cert=PATH"}}},
    {"one field twice", BYTES("a " S1 " client-cert=/c client-cert=/d\n"), {{1, 75, "the second of its kind"}}},
    {"two for a target on two lines", BYTES("a " S1 " client-cert=/c\na " S2 " client-cert=/d\n"),
        {{2, 72, "\"/d\" is a second client certificate for the same target, after line 1; expected one"}}},
    {"two that differ by their keys", BYTES("a " S1 " client-cert=/c client-key=/k\na " S2 " client-cert=/c client-key=/l\n"),
        {{2, 72, "second client certificate"}}},
    {"without a pin", BYTES("b allow\na client-cert=/c\n"), {{2, 1, "a client certificate for a target without a pin or pkix"}}},
    {"beside allow", BYTES("a allow client-cert=/c\n"), {{1, 3, "beside other fields"}}},
    {"of an allowed target", BYTES("a allow\na client-cert=/c\n"), {{2, 15, "\"/c\" contradicts line 1, which says allow"}}},
    {"of @revoked", BYTES("@revoked " S1 " client-cert=/c\n"), {{1, 67, "after @revoked"}}},
};

static void test_clients(void)
{
    static const char text[] = "a " S1 " client-cert=/c client-key=/k\n"
                               "a " S2 "\n"
                               "b " S1 "\n"
                               "b client-key=/k client-cert=/c\n"
                               "c:443 pkix client-cert=/d\n"
                               "c " S1 "\n";
    static const struct {
        const char *host;
        const char *certificate; /* NULL: none */
        const char *key;
    } table[] = {{"a", "/c", "/k"}, {"b", "/c", "/k"}, {"c:443", "/d", ""}, {"c:444", NULL, NULL}};
    struct seen seen;
    struct pins *pins;

    reader = &client_reader;
    test_refused(bad_clients, ROWS(bad_clients));
    clients_read = 0;
    pins = parse(BYTES(text), &seen);
    check(pins != NULL && seen.count == 0, "client certificates are accepted: %s", seen.at[0].message);
    check(clients_read == 2, "the same files are read once: %zu", clients_read);
    for (size_t i = 0; pins != NULL && i < ROWS(table); i++) {
        const struct rule *rule = look_up(pins, table[i].host).first;
        const struct client_cert *client = rule != NULL ? pins_client(pins, rule->client) : NULL;

        check((client != NULL) == (table[i].certificate != NULL), "%s has a client certificate or not", table[i].host);
        if (client != NULL && table[i].certificate != NULL)
            check(strcmp(client->paths[CLIENT_CERT], table[i].certificate) == 0 && strncmp((char *)client->key, table[i].key, client->key_length) == 0,
                "%s has that of its line", table[i].host);
    }
    check(pins == NULL || (pins_client(pins, 0) == NULL && pins_client(pins, 3) == NULL), "no client certificate beyond the last");
    pins_free(pins);
    reader = NULL;
}

/* Most lines are a name and pins: what is wrong with such a one. */
static const struct refused bad_pinned[] = {
    {"a hyphen at the start", BYTES("-a.example " S1 "\n"), {{1, 1, "\"-a\" in \"-a.example\" is not a label"}}},
    {"a hyphen after a dot", BYTES("a.-example " S1 "\n"), {{1, 3, "\"-example\" in \"a.-example\" is not a label"}}},
    {"a hyphen before a dot", BYTES("a-.example " S1 "\n"), {{1, 1, "\"a-\" in \"a-.example\" is not a label"}}},
    {"a hyphen at the end", BYTES("a.example- " S1 "\n"), {{1, 3, "\"example-\" in \"a.example-\" is not a label"}}},
    {"a dot at the start", BYTES(".example " S1 "\n"), {{1, 1, "\".example\" begins with a dot"}}},
    {"two dots", BYTES("a..example " S1 "\n"), {{1, 3, "\"\" in \"a..example\" is not a label"}}},
    {"a number at the end", BYTES("a.example.7 " S1 "\n"), {{1, 1, "neither a host name nor an IPv4 address"}}},
    {"a label of 64", BYTES(L63 "x " S1 "\n"), {{1, 1, "is not a label"}}},
    {"a star and no dot", BYTES("*ab.example " S1 "\n"), {{1, 1, "has a \"*\" inside"}}},
    {"two stars and no dot", BYTES("**ab.example " S1 "\n"), {{1, 1, "has a \"*\" inside"}}},
    {"port 0", BYTES("a.example:0 " S1 "\n"), {{1, 11, "is not a port"}}},
    {"port 65536", BYTES("a.example:65536 " S1 "\n"), {{1, 11, "is not a port"}}},
    {"a control character behind the pin", BYTES("a.example " S1 "\v\n"), {{1, 67, "a control character (0x0b)"}}},
    {"a NUL behind the pin", BYTES("a.example " S1 "\0\n"), {{1, 67, "a control character (0x00)"}}},
    {"no UTF-8 behind the pin", BYTES("a.example " S1 "\x80\n"), {{1, 67, "not UTF-8"}}},
    {"a control character in a comment", BYTES("a.example " S1 " # c\x1b\n"), {{1, 71, "a control character (0x1b)"}}},
    {"no UTF-8 in a comment", BYTES("a.example " S1 " # \xff\r\n"), {{1, 70, "not UTF-8"}}},
    {"a comment for a pin", BYTES("a.example # " S1 "\n"), {{1, 10, "nothing after the target"}}},
    {"CR inside", BYTES("a.example " S1 "\r" S2 "\n"), {{1, 67, "a control character (0x0d)"}}},
    {"a contradiction among many lines", BYTES("a " S1 "\nb allow\nc " S1 "\nb " S2 "\nd " S1 "\nd deny\n"),
        {{4, 3, "contradicts line 2, which says allow"}, {6, 3, "contradicts line 5, which says a pin"}}},
};

static const struct accepted pinned[] = {
    {"six pins, in the eighth line", BYTES("b " S1 "\nb " S1 "\nb " S1 "\nb " S1 "\nb " S1 "\nb " S1 "\nb " S1 "\n"
                                           "a.example " S1 " " S2 "\t" S3 "  " C1 " ca-sha256:" B2 " sha256/" B3 " \n"), "a.example",
        "8 " S1 " 8 " S2 " 8 " S3 " 8 " C1 " 8 ca-sha256:" B2 " 8 " S3},
    {"a label of 63", BYTES(L63 " " S1 "\n"), L63, "1 " S1},
    {"a name of 64", BYTES(L63 ".x " S1 "\n"), L63 ".x", "1 " S1},
    {"a comment", BYTES("a " S1 " # b " S2 "\r\na " S2 "  #\na " S3 " #\r\n"), "a", "1 " S1 " 2 " S2 " 3 " S3},
    {"upper case", BYTES("AZ-az_09.Example:8443 " S1 "\n"), "az-az_09.example:8443", "1 " S1},
    {"lines for one name", BYTES("*.a " S1 "\n**.A " S2 "\n*.A " S2 "\n*.a:1 " S3 "\n"), "x.a", "1 " S1 " 3 " S2 "; 4 " S3},
};

static void test_files(void)
{
    test_accepted(pinned, ROWS(pinned));
    test_refused(bad_pinned, ROWS(bad_pinned));
    test_accepted(layout, ROWS(layout));
    test_accepted(targets, ROWS(targets));
    test_accepted(precedence, ROWS(precedence));
    test_accepted(adding_up, ROWS(adding_up));
    test_accepted(pin_fields, ROWS(pin_fields));
    test_spellings();
    test_refused(bad_layout, ROWS(bad_layout));
    test_refused(bad_targets, ROWS(bad_targets));
    test_refused(bad_fields, ROWS(bad_fields));
    test_refused(misplaced, ROWS(misplaced));
    test_refused(weak_digests, ROWS(weak_digests));
    test_refused(options, ROWS(options));
    test_refused(contradictions, ROWS(contradictions));
    test_refused(meant, ROWS(meant));
    test_clients();
    test_refused(several, ROWS(several));
}

int main(void)
{
    test_files();
    /* Once more with more behind the last line than is read at once. */
    tail = "\n# 4567890123456789012345678901234567890123456789012345678901234567890";
    test_files();
    tail = "";
    test_demand();
    test_many();
    test_load();
    test_example();
    pins_free(NULL);
    return unit_end("pins");
}
