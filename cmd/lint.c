#include "command.h"

#include "client_file.h"
#include "output.h"
#include "pinfile.h"
#include "targets.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SOON 30 /* days */

static const char help[] =
    "usage: pinshim lint [--json] [--strict] [FILE]\n"
    "\n"
    "Reports every error in the pins file FILE as FILE:LINE:COLUMN. If there is none,\n"
    "warns about likely problems: targets without a backup pin, targets whose pins\n"
    "have all expired, pins of a single certificate, anything that has expired or\n"
    "will within 30 days, rules that are only logged, and until when, duplicates,\n"
    "pins that can never match, rules for FTP's port alone, and ports on which TLS is\n"
    "optional. \"-\" is standard input. The default FILE is $PINSHIM_PINS, else\n"
    "/etc/pinshim/pins.\n"
    "\n"
    "  --json     print one JSON object\n"
    "  --strict   exit with 1 if there are warnings\n"
    "\n"
    "Exit status: 0 no error (warnings alone: also 0, unless --strict), 1 errors,\n"
    "2 usage error.\n";

struct finding {
    size_t number; /* in the order in which they were found */
    uint32_t line; /* 0: the file as a whole */
    uint32_t column; /* 0: the line as a whole */
    bool warning;
    char *message;
};

/* A pin that came from a certificate in a file (spki-file, cert-file, ca-file). */
struct filed {
    enum pin_kind kind;
    uint8_t digest[32];
    char *path;
    uint16_t until; /* the certificate's last day */
    bool leaf; /* no CA's */
};

struct lint {
    struct pins_reader reader; /* first */
    struct finding *findings;
    size_t count;
    size_t warnings;
    struct filed *filed;
    size_t filed_count;
    uint16_t today;
};

static void add_finding(struct lint *lint, uint32_t line, uint32_t column, bool warning, const char *message)
{
    lint->findings = output_allocate(lint->findings, (lint->count + 1) * sizeof(*lint->findings));
    lint->findings[lint->count] = (struct finding) {lint->count, line, column, warning, output_copy(message)};
    lint->count++;
    lint->warnings += warning;
}

static void take_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    add_finding(arg, line, column, false, message);
}

static void warn(struct lint *lint, uint32_t line, const char *format, ...) PRINTF_LIKE(3, 4);

static void warn(struct lint *lint, uint32_t line, const char *format, ...)
{
    char buffer[2048];
    struct text message = text_over(buffer, sizeof(buffer));
    va_list args;

    va_start(args, format);
    text_add_va(&message, format, args);
    va_end(args);
    /* Two pins of a line may cause the same message. */
    for (size_t i = lint->count; i > 0 && lint->findings[i - 1].line == line; i--) {
        if (strcmp(lint->findings[i - 1].message, buffer) == 0)
            return;
    }
    add_finding(lint, line, 0, true, buffer);
}

/* Return the last day of the certificate's validity; 0 if it cannot be determined. */
static uint16_t last_day(const void *der, size_t length)
{
    const unsigned char *at = der;
    X509 *certificate = d2i_X509(NULL, &at, (long)length);
    struct tm utc;
    time_t until = 0;

    if (certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) == 1)
        until = timegm(&utc);
    X509_free(certificate);
    return until <= 0 ? 0 : until / 86400 > UINT16_MAX ? UINT16_MAX : (uint16_t)(until / 86400);
}

static bool is_leaf(const void *der, size_t length)
{
    const unsigned char *at = der;
    X509 *certificate = d2i_X509(NULL, &at, (long)length);
    bool leaf = certificate != NULL && X509_check_ca(certificate) == 0;

    X509_free(certificate);
    return leaf;
}

/* Passes objects from pinfile_read to the parser, and notes their certificates. */
struct passing {
    struct lint *lint;
    enum pin_kind kind;
    const char *path;
    pins_found *found;
    void *to;
};

static void pass_on(void *to, const uint8_t digest[static 32], const void *der, size_t length)
{
    struct passing *passing = to;
    struct lint *lint = passing->lint;
    struct filed *filed;

    if (der != NULL) {
        lint->filed = output_allocate(lint->filed, (lint->filed_count + 1) * sizeof(*lint->filed));
        filed = &lint->filed[lint->filed_count++];
        *filed = (struct filed) {.kind = passing->kind, .path = output_copy(passing->path), .until = last_day(der, length), .leaf = is_leaf(der, length)};
        memcpy(filed->digest, digest, sizeof(filed->digest));
    }
    passing->found(passing->to, digest, der, length);
}

static bool read_and_remember(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem)
{
    struct passing passing = {(struct lint *)(uintptr_t)reader, kind, path, found, to};

    return pinfile_read(reader, kind, path, pass_on, &passing, problem);
}

static const struct filed *file_of(const struct lint *lint, const struct pins *pins, const struct pin *pin)
{
    for (size_t i = 0; i < lint->filed_count; i++) {
        const struct filed *filed = &lint->filed[i];

        if (pin->kind == filed->kind && pin->digest == DIGEST_SHA256 && memcmp(filed->digest, pins_digest(pins, pin), 32) == 0)
            return filed;
    }
    return NULL;
}

static bool same_pin(const struct pins *pins, const struct pin *a, const struct pin *b)
{
    return a->kind == b->kind && a->digest == b->digest
        && memcmp(pins_digest(pins, a), pins_digest(pins, b), digest_size((enum digest)a->digest)) == 0;
}

static void warn_of_expiry(struct lint *lint, const struct pin *pin, const char *target)
{
    char buffer[16];
    struct text day = text_over(buffer, sizeof(buffer));
    int left = (int)pin->expires - lint->today;

    if (pin->expires == 0)
        return;
    text_add_date(&day, pin->expires);
    if (left <= 0)
        warn(lint, pin->line, "the pins of this line expired on %s and no longer match for %s; delete the line, or set a later day", buffer,
            target);
    else if (left <= SOON)
        warn(lint, pin->line, "the pins of this line expire on %s (days left: %d), and no longer match for %s from then on; add the "
            "next pin, or set a later day", buffer, left, target);
}

static void warn_of_file(struct lint *lint, const struct pin *pin, const struct filed *filed)
{
    static const char *const effects[PIN_KINDS] = {
        "its key stays pinned; if it is renewed with another key, add the new certificate to the file",
        "add the renewed certificate to the file before the server uses that",
        "no chain to it is valid after that; add the CA's next certificate to the file",
    };
    char buffer[16];
    struct text day = text_over(buffer, sizeof(buffer));

    if (filed != NULL && filed->kind == PIN_CA && filed->leaf)
        warn(lint, pin->line, "a certificate in %s is no CA's, so that it has issued no other; for a server's own key write spki-file:%s", filed->path,
            filed->path);
    if (filed == NULL || filed->until == 0 || filed->until > lint->today + SOON)
        return;
    text_add_date(&day, filed->until);
    warn(lint, pin->line, "a certificate in %s %s on %s; %s", filed->path, filed->until < lint->today ? "expired" : "expires", buffer,
        effects[filed->kind]);
}

/* Warn of a duplicate pin. Duplicates in one file are not reported. */
static void warn_of_duplicate(struct lint *lint, const struct pins *pins, const struct rule *rule, const struct pin *pin,
    const char *target)
{
    for (const struct pin *other = pins_next_pin(pins, rule, NULL); other != NULL && other != pin;
         other = pins_next_pin(pins, rule, other)) {
        if (!same_pin(pins, other, pin) || (other->line == pin->line && file_of(lint, pins, pin) != NULL))
            continue;
        if (other->line == pin->line)
            warn(lint, pin->line, "the same pin of %s twice on this line; delete one", target);
        else
            warn(lint, pin->line, "the same pin of %s as in line %u; delete one of them", target, (unsigned)other->line);
        return;
    }
}

/* Warn of a pin that is revoked. @revoked does not distinguish issuers: a key is revoked in every certificate. */
static bool is_vetoed(struct lint *lint, const struct pins *pins, const struct pin *pin, const char *target)
{
    const struct rule *revoked = pins_revoked(pins);
    struct pin sought = *pin;

    if (pin->kind == PIN_CA)
        sought.kind = PIN_SPKI;
    for (const struct pin *veto = revoked != NULL ? pins_next_pin(pins, revoked, NULL) : NULL; veto != NULL;
         veto = pins_next_pin(pins, revoked, veto)) {
        if (!same_pin(pins, veto, &sought))
            continue;
        warn(lint, pin->line, "this pin of %s can never match: line %u revokes it; delete the line that is wrong", target,
            (unsigned)veto->line);
        return true;
    }
    return false;
}

/* If all depends on one key and that is lost, the target is refused. A pin of a CA needs no backup: the CA can issue another certificate. */
static void warn_of_pins(struct lint *lint, const struct pins *pins, const struct rule *rule, const char *target)
{
    const struct pin *only = NULL;
    size_t count = 0;
    bool authority = false;
    bool expired = false;

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        warn_of_expiry(lint, pin, target);
        warn_of_file(lint, pin, file_of(lint, pins, pin));
        warn_of_duplicate(lint, pins, rule, pin, target);
        if (pin->kind == PIN_CERT)
            warn(lint, pin->line, "a certificate pin: it no longer matches after the next renewal of %s; pin its key instead (spki-)", target);
        expired |= pin->expires != 0 && pin->expires <= lint->today;
        if (is_vetoed(lint, pins, pin, target) || (pin->expires != 0 && pin->expires <= lint->today))
            continue;
        authority |= pin->kind == PIN_CA;
        count += only == NULL || !same_pin(pins, only, pin);
        only = pin;
    }
    if (count == 0 && expired)
        warn(lint, rule->line, "no valid pin of %s is left: every connection to it %s; add a pin, or set a later day",
            target, pins_only_report(pins, rule) ? "would be refused now, but is only logged" : "is refused now");
    if (count == 1 && !authority)
        warn(lint, only->line, "no backup pin: if the server has to change this key, %s is refused until this file is changed; add the pin of "
            "a key that is kept offline (\"pinshim pin --for %s KEY\" prints it), or, if it is not your server, of its issuer (ca-)", target, target);
}

/* What is open, and until when. */
static void warn_of_report(struct lint *lint, const struct pins *pins, const struct rule *rule, const char *target)
{
    char buffer[16];
    struct text day = text_over(buffer, sizeof(buffer));

    text_add_date(&day, rule->report_until);
    if (rule->report_until == REPORT_ALWAYS)
        warn(lint, rule->line, "refusals for %s are only logged, without an end (mode=report); report-until=YYYY-MM-DD ends by itself", target);
    else if (pins_only_report(pins, rule))
        warn(lint, rule->line, "refusals for %s are only logged until %s (days left: %d)", target, buffer, rule->report_until - lint->today);
    else if (rule->report_until != 0)
        warn(lint, rule->line, "report-until=%s has passed, and refusals for %s are enforced; delete it", buffer, target);
}

/* A certificate can be valid only for a name or address that is known. */
static void warn_of_unknown(struct lint *lint, const struct pins *pins, const struct rule *rule, const char *target)
{
    bool path = rule->pkix;

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin))
        path |= pin->kind == PIN_CA;
    if (path && targets_are_unknown(rule))
        warn(lint, rule->line, "%s is for connections without a known name: pkix and ca- pins match only if the certificate is valid for the "
            "address, and never if that is unknown; pin the key (spki-)", target);
}

/* FTP's data connections go to other ports of the same host (RFC 959, section 3.2; RFC 4217, section 7). */
static void warn_of_second_ports(struct lint *lint, const struct pins *pins, const struct rule *rule)
{
    char buffer[HOST_NAME_MAX_LENGTH + 16];
    struct text every = text_over(buffer, sizeof(buffer));
    struct rule elsewhere = *rule;

    if ((rule->port != 21 && rule->port != 990) || rule->action != RULE_PINS || targets_have_every_port(pins, rule))
        return;
    elsewhere.port = 0;
    targets_print(pins, &elsewhere, &every);
    warn(lint, rule->line, "a rule for port %u alone: FTP's data connections go to other ports of the host, which have no rule; write %s "
        "without the port", (unsigned)rule->port, buffer);
}

/* Ports of protocols that start TLS on request, whose programs may continue without it. */
static void warn_of_fallback(struct lint *lint, const struct rule *rule, const char *target)
{
    static const struct {
        uint16_t port;
        const char *what;
    } ports[] = {{21, "FTP"}, {25, "SMTP"}, {110, "POP3"}, {119, "NNTP"}, {143, "IMAP"}, {389, "LDAP"}, {587, "SMTP"}, {1433, "TDS"}, {3306, "MySQL"},
        {4190, "ManageSieve"}, {5222, "XMPP"}, {5432, "PostgreSQL"}};

    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]) && rule->action == RULE_PINS && !rule->tls_required; i++) {
        if (rule->port == ports[i].port)
            warn(lint, rule->line, "%s clients may continue in plaintext if TLS fails (%s); add tls=required, so that only TLS is sent there",
                ports[i].what, target);
    }
}

static void warn_of_clients(struct lint *lint, const struct pins *pins)
{
    const struct client_cert *client;

    for (uint32_t number = 1; (client = pins_client(pins, number)) != NULL; number++) {
        char buffer[16];
        struct text day = text_over(buffer, sizeof(buffer));
        uint16_t until = last_day(client->chain, client->chain_length);

        if (until == 0 || until > lint->today + SOON)
            continue;
        text_add_date(&day, until);
        warn(lint, client->line, "the client certificate in %s %s on %s; replace it with the renewed one, which takes effect at the next "
            "handshake", client->paths[CLIENT_CERT], until < lint->today ? "expired" : "expires", buffer);
    }
}

static void look_for_warnings(struct lint *lint, const struct pins *pins)
{
    for (const struct rule *rule = targets_next(pins, NULL); rule != NULL; rule = targets_next(pins, rule)) {
        char buffer[HOST_NAME_MAX_LENGTH + 16];
        struct text target = text_over(buffer, sizeof(buffer));

        targets_print(pins, rule, &target);
        warn_of_pins(lint, pins, rule, buffer);
        warn_of_report(lint, pins, rule, buffer);
        warn_of_unknown(lint, pins, rule, buffer);
        warn_of_second_ports(lint, pins, rule);
        warn_of_fallback(lint, rule, buffer);
    }
    warn_of_clients(lint, pins);
}

static int by_line(const void *a, const void *b)
{
    const struct finding *one = a;
    const struct finding *other = b;

    if (one->line != other->line)
        return one->line < other->line ? -1 : 1;
    return one->number < other->number ? -1 : 1;
}

static void print_findings(const struct lint *lint, const char *path)
{
    for (size_t i = 0; i < lint->count; i++) {
        const struct finding *finding = &lint->findings[i];
        char *message = output_printable(finding->message);

        printf("%s:", path);
        if (finding->line != 0)
            printf("%u:", (unsigned)finding->line);
        if (finding->column != 0)
            printf("%u:", (unsigned)finding->column);
        if (finding->warning)
            printf(" %swarning:%s", output_tone(stdout, TONE_DOUBT), output_tone(stdout, TONE_PLAIN));
        printf(" %s\n", message);
        free(message);
    }
}

static void print_place(struct output_json *json, const char *name, uint32_t at)
{
    if (at != 0)
        output_json_number(json, name, at);
    else
        output_json_null(json, name);
}

static void print_json(const struct lint *lint, const char *path)
{
    struct output_json json = {stdout, false};

    output_json_open(&json, NULL, '{');
    output_json_string(&json, "file", path);
    output_json_number(&json, "errors", (long long)(lint->count - lint->warnings));
    output_json_number(&json, "warnings", (long long)lint->warnings);
    output_json_open(&json, "findings", '[');
    for (size_t i = 0; i < lint->count; i++) {
        const struct finding *finding = &lint->findings[i];

        output_json_open(&json, NULL, '{');
        output_json_string(&json, "severity", finding->warning ? "warning" : "error");
        print_place(&json, "line", finding->line);
        print_place(&json, "column", finding->column);
        output_json_string(&json, "message", finding->message);
        output_json_close(&json, '}');
    }
    output_json_close(&json, ']');
    output_json_close(&json, '}');
    output_json_end(&json);
}

static void discard(struct lint *lint)
{
    for (size_t i = 0; i < lint->count; i++)
        free(lint->findings[i].message);
    for (size_t i = 0; i < lint->filed_count; i++)
        free(lint->filed[i].path);
    free(lint->findings);
    free(lint->filed);
}

/* Read standard input, and parse it. A relative path in it starts in the current directory. */
static struct pins *parse_input(struct lint *lint)
{
    struct pins *pins = NULL;
    char *buffer = NULL;
    size_t length = 0;
    size_t size = 0;
    size_t got;

    do {
        size += 65536;
        buffer = output_allocate(buffer, size);
        got = fread(buffer + length, 1, size - length, stdin);
        length += got;
    } while (got > 0);
    if (ferror(stdin) != 0)
        take_error(lint, 0, 0, "standard input cannot be read");
    else
        pins = pins_parse(buffer, length, &lint->reader, take_error, lint);
    if (pins != NULL)
        pins_set_today(pins, lint->today);
    free(buffer);
    return pins;
}

/* A file that is a certificate or key; pinfile_read would say no more than that of each line. */
static bool is_object(const char *path)
{
    FILE *file = strcmp(path, "-") != 0 ? fopen(path, "re") : NULL;
    unsigned char start[16] = "";
    size_t got = file != NULL ? fread(start, 1, sizeof(start), file) : 0;

    if (file != NULL)
        (void)fclose(file);
    return (got == sizeof(start) && memcmp(start, "-----BEGIN ", 11) == 0) || (got > 4 && start[0] == 0x30 && start[1] >= 0x81 && start[1] <= 0x84);
}

static void add_object(struct lint *lint, const char *path)
{
    char buffer[2048];
    struct text message = text_over(buffer, sizeof(buffer));

    text_add(&message, "this is a certificate or a key, not a pins file; next: \"pinshim pin %s\" prints the lines for it", path);
    take_error(lint, 0, 0, buffer);
}

/* The options. */
struct wish {
    bool json;
    bool strict;
};

/* Return the exit status. */
static int lint_file(const char *path, struct wish wish)
{
    struct lint lint = {.reader = {.read = read_and_remember, .read_client = client_file_read, .tls = linked_tls(), .beside = path},
        .today = text_today()};
    bool input = strcmp(path, "-") == 0;
    struct file_identity file;
    struct pins *pins = NULL;
    int status;

    if (!input && is_object(path))
        add_object(&lint, path);
    else
        pins = input ? parse_input(&lint) : pins_load(path, &lint.reader, &file, take_error, &lint);
    if (pins != NULL)
        look_for_warnings(&lint, pins);
    status = pins == NULL || (wish.strict && lint.warnings > 0) ? 1 : 0;
    if (lint.count > 0)
        qsort(lint.findings, lint.count, sizeof(*lint.findings), by_line);
    if (wish.json)
        print_json(&lint, path);
    else
        print_findings(&lint, path);
    pins_free(pins);
    discard(&lint);
    return status;
}

int lint_main(int argc, char **argv)
{
    enum { JSON = 256, STRICT };
    static const struct option options[] = {{"json", no_argument, NULL, JSON}, {"strict", no_argument, NULL, STRICT},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct wish wish = {false, false};
    const char *path;
    int option;

    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case JSON:
            wish.json = true;
            break;
        case STRICT:
            wish.strict = true;
            break;
        case 'h':
            printf("%s", help);
            return 0;
        default:
            return output_bad_option("lint", option, argv);
        }
    }
    if (argc - optind > 1)
        return output_bad_usage("lint", "more than one file; expected one pins file");
    path = optind < argc ? argv[optind] : targets_default_file();
    return lint_file(path, wish);
}
