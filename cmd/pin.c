#include "command.h"

#include "certs.h"
#include "dial.h"
#include "into.h"
#include "objects.h"
#include "output.h"
#include "peer.h"
#include "targets.h"
#include "workers.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: pinshim pin [OPTION...] {HOST[:PORT] | FILE}...\n"
    "\n"
    "Prints lines for a pins file: the pins of a server's current keys, at all of its\n"
    "addresses and of both kinds (RSA, EC), or of the certificates (PEM or DER),\n"
    "certificate requests and keys in a file. A request or key serves as a backup pin\n"
    "before its certificate is in use. Pins of issuers are printed as comments. An\n"
    "argument is a FILE if it contains a slash or names an existing file; \"-\" is\n"
    "standard input. The default port is 443. A key or request that names no host is\n"
    "a backup for the HOST before it, else for the first HOST:\n"
    "\n"
    "  pinshim pin --into pins www.example.com backup.key\n"
    "\n"
    "Servers are not verified: compare the pin with the one that the server's owner\n"
    "gives you. Lines that need editing are printed as comments that say what to do.\n"
    "\n"
    "  --into FILE           add the lines to this pins file, unless it has them: the\n"
    "                        new file takes the place of the old one once it is whole\n"
    "                        and without error\n"
    "  --replace PIN         with --into: put the pin in the place of this one, which\n"
    "                        is as in a pins file, or of a certificate or key FILE\n"
    "  --for TARGET          use TARGET in every line; with @revoked a line refuses\n"
    "                        the key for every target\n"
    "  --issuer              the pin of the issuer's key is a line as well, not a\n"
    "                        comment: for servers that are not yours\n"
    "  --starttls PROTOCOL   the protocol before TLS; by default, by the port:\n"
    "                        smtp, imap, pop3, ftp, sieve, nntp, postgres, mysql,\n"
    "                        ldap, xmpp or none\n"
    "  --timeout SECONDS     for each server; 10 by default\n"
    "\n"
    "Exit status: 0 printed; 1 a server or file could not be read, or every line is a\n"
    "comment; 2 usage error.\n";

struct pinning {
    const char *target; /* --for; NULL: not given */
    char last[1100]; /* the HOST for which a key in a file is a backup */
    bool last_failed;
    bool usable; /* a line that is not a comment was printed */
    const char *protocol;
    unsigned seconds;
    const char *argument;
    struct host host; /* of the argument */
    const char *volatile *stage; /* shared with the child */
    int outcome; /* of the child */
    bool backed; /* a key or request was given */
    bool issuer; /* --issuer */
    bool unissued; /* of some HOST no issuer is known */
};

/* What lines begin with, and the width of the widest target. */
struct lines {
    const char *before; /* "#" for a comment */
    const char *pin;
    int width;
};

static void measure(void *to, const char *target)
{
    struct lines *lines = to;

    if ((int)strlen(target) > lines->width)
        lines->width = (int)strlen(target);
}

static void print_line(void *to, const char *target)
{
    const struct lines *lines = to;

    printf("%s%-*s   %s\n", lines->before, lines->width, target, lines->pin);
}

/* Print the pin for the target, or for each name that the object is for. Return false if there is neither. */
static bool print_lines(const char *target, const struct object *named, const char *before, const char *pin)
{
    struct lines lines = {before, pin, 0};

    if (target != NULL) {
        print_line(&lines, target);
        return true;
    }
    if (named != NULL)
        objects_names(named, (struct objects_takers) {&lines, measure, NULL});
    if (lines.width > 0)
        objects_names(named, (struct objects_takers) {&lines, print_line, NULL});
    return lines.width > 0;
}

static bool revokes(const char *target)
{
    return target != NULL && strcmp(target, "@revoked") == 0;
}

/* The same for a line that is meant to be used. It is printed as a comment if no target is known, and if the server did not answer: then
 * a backup pin alone would make the shim refuse that server. */
static void print_usable(struct pinning *pinning, const char *target, const struct object *named, const char *pin)
{
    if (target != NULL && pinning->last_failed && !revokes(target)) {
        printf("# The server did not answer. A backup pin alone may make the shim refuse it: uncomment this once the server's own pin is in the file.\n");
        (void)print_lines(target, NULL, "#", pin);
    } else if (print_lines(target, named, "", pin)) {
        pinning->usable = true;
    } else {
        printf("# No server is named: give HOST or --for TARGET as well, or replace NAME and uncomment:\n");
        (void)print_lines("NAME", NULL, "#", pin);
    }
}

/* Write the object's pin of that kind (PIN_SPKI or PIN_CA) as in a pins file. Return false if it cannot be encoded. */
static bool spell(const struct object *object, enum pin_kind kind, char *out, size_t size)
{
    struct text text = text_over(out, size);
    uint8_t digest[32];

    if (!objects_spki(object, digest)) {
        output_error("a public key cannot be encoded, and is skipped");
        return false;
    }
    pins_print_digest(kind, DIGEST_SHA256, digest, &text);
    return true;
}

/* Print what is known of the certificate, as a comment. */
static void describe(const char *what, X509 *certificate)
{
    struct presented presented = {.leaf = certs_from(certificate)};
    struct peer_text text;

    peer_show(linked_tls(), &presented, &text);
    printf("# %s subject \"%s\", issuer \"%s\", valid until %.10s\n", what, text.leaf.subject, text.leaf.issuer, text.leaf.not_after);
}

/* Print the pin of an issuer of certificates for the target, or for the names of `leaf`, as a comment unless it is `wanted`. Not for @revoked: that would
 * refuse all certificates of the issuer. */
static void print_issuer(X509 *certificate, const char *target, const struct object *leaf, bool wanted)
{
    struct object issuer = {OBJECT_CERTIFICATE, certificate, NULL, NULL};
    char pin[128];

    if (revokes(target) || !spell(&issuer, PIN_CA, pin, sizeof(pin)))
        return;
    describe(wanted ? "The next line accepts every certificate of this issuer for the name:"
                    : "To accept every certificate of this issuer for the name, uncomment the next line:", certificate);
    if (!print_lines(target, leaf, wanted ? "" : "#", pin))
        (void)print_lines("NAME", NULL, "#", pin);
}

/* Return the certificate of the leaf's issuer, which the server has not sent, from the trust store; NULL: it is not there. */
static X509 *find_issuer(X509 *leaf)
{
    struct object own = {OBJECT_CERTIFICATE, leaf, NULL, NULL};
    struct object found = {OBJECT_CERTIFICATE, NULL, NULL, NULL};
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    uint8_t key[32];
    uint8_t other[32];

    if (store != NULL && ctx != NULL && X509_STORE_set_default_paths(store) == 1 && X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1
        && X509_STORE_CTX_get1_issuer(&found.certificate, ctx, leaf) == 1
        && (X509_verify(leaf, X509_get0_pubkey(found.certificate)) != 1 || !objects_spki(&own, key) || !objects_spki(&found, other)
            || memcmp(key, other, sizeof(key)) == 0)) {
        X509_free(found.certificate);
        found.certificate = NULL;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return found.certificate;
}

/* Return true if a certificate before that one has the same key, as when the leaf is sent twice. */
static bool is_sent_again(const STACK_OF(X509) * chain, int at)
{
    const struct tls *tls = linked_tls();
    uint8_t digest[32];
    uint8_t other[32];

    if (!digest_certificate(tls, certs_from(sk_X509_value(chain, at)), PIN_SPKI, DIGEST_SHA256, digest))
        return false;
    for (int i = 0; i < at; i++) {
        if (digest_certificate(tls, certs_from(sk_X509_value(chain, i)), PIN_SPKI, DIGEST_SHA256, other)
            && memcmp(digest, other, sizeof(digest)) == 0)
            return true;
    }
    return false;
}

#define KEYS 16

/* The keys that were printed. */
struct shown {
    uint8_t spki[KEYS][32];
    size_t count;
    uint8_t issuers[KEYS][32]; /* those of the leaves */
    size_t issuer_count;
};

/* Print the pins of who issued what the server has shown. The leaf's own issuer comes first, and once. */
static void print_issuers(const struct pinning *pinning, const struct dialled *dialled, const char *target, struct shown *shown)
{
    X509 *missing = NULL;
    bool first = true;

    for (int i = 1; i < sk_X509_num(dialled->chain); i++) {
        struct object issuer = {OBJECT_CERTIFICATE, sk_X509_value(dialled->chain, i), NULL, NULL};
        uint8_t *spki = shown->issuers[shown->issuer_count];
        bool repeated = false;

        if (is_sent_again(dialled->chain, i))
            continue;
        if (first && shown->issuer_count + 1 < KEYS && objects_spki(&issuer, spki)) {
            for (size_t k = 0; k < shown->issuer_count; k++)
                repeated |= memcmp(shown->issuers[k], spki, sizeof(shown->issuers[k])) == 0;
            shown->issuer_count += !repeated;
        }
        print_issuer(issuer.certificate, target, NULL, pinning->issuer && first && !repeated);
        first = false;
    }
    if (first)
        missing = find_issuer(sk_X509_value(dialled->chain, 0));
    if (missing != NULL) {
        print_issuer(missing, target, NULL, pinning->issuer && shown->issuer_count == 0);
        shown->issuer_count++;
    }
    X509_free(missing);
}

/* Print what the server has shown, at this address. */
static bool print_server(const struct pinning *pinning, const struct dialled *dialled, struct shown *shown)
{
    bool first = shown->count == 0;
    struct object leaf = {OBJECT_CERTIFICATE, sk_X509_value(dialled->chain, 0), NULL, NULL};
    char name[1100];
    char reached[64];
    char pin[128];
    char day[16];
    struct text text = text_over(name, sizeof(name));
    const char *target = pinning->target != NULL ? pinning->target : name;

    host_print(&pinning->host, &text);
    text = text_over(reached, sizeof(reached));
    dial_print(&dialled->address, &text);
    text = text_over(day, sizeof(day));
    text_add_date(&text, text_today());
    if (!spell(&leaf, PIN_SPKI, pin, sizeof(pin)))
        return false;
    if (first)
        printf("# Key of %s (%s), fetched %s over %s. Not verified: compare it with the pin that the server's owner gives you.\n", name, reached, day,
            SSL_get_version(dialled->ssl));
    else
        printf("# Another key of %s (%s), over %s: it has several, for other kinds of clients or at other addresses.\n", name, reached,
            SSL_get_version(dialled->ssl));
    describe("Certificate:", leaf.certificate);
    if (first && dialled->asks)
        printf("# The server requests a client certificate: see client-cert= in pins(5).\n");
    (void)print_lines(target, NULL, "", pin);
    print_issuers(pinning, dialled, target, shown);
    return true;
}

/* Print it unless its key has been. Return the other kind of key; DIAL_ANY: it is not to be asked for. */
static enum dial_key show(const struct pinning *pinning, const struct dialled *dialled, struct shown *shown)
{
    struct object leaf = {OBJECT_CERTIFICATE, sk_X509_value(dialled->chain, 0), NULL, NULL};
    uint8_t *spki = shown->spki[shown->count];

    if (shown->count + 1 == KEYS || !objects_spki(&leaf, spki))
        return DIAL_ANY;
    for (size_t i = 0; i < shown->count; i++) {
        if (memcmp(shown->spki[i], spki, sizeof(shown->spki[i])) == 0)
            return dial_other_key(dialled);
    }
    if (print_server(pinning, dialled, shown))
        shown->count++;
    return dial_other_key(dialled);
}

/* The outcome where no issuer is known. */
#define UNISSUED 2

/* In the child. At every address, with both kinds of key. */
static int pin_server(void *arg, size_t job)
{
    const struct pinning *pinning = arg;
    struct host host = pinning->host;
    struct dial_addresses addresses;
    struct shown shown = {.count = 0, .issuer_count = 0};
    struct dialled dialled;
    char message[400];
    char unasked[1200] = "";
    struct text text = text_over(message, sizeof(message));
    struct text others = text_over(unasked, sizeof(unasked));

    (void)job;
    host.port = host.port != 0 ? host.port : 443;
    if (!dial_find(&host, pinning->stage, &addresses, &text)) {
        output_error("%s: %s", pinning->argument, message);
        return 1;
    }
    for (size_t i = 0; i < addresses.count; i++) {
        const struct host *address = &addresses.at[i];
        unsigned milliseconds = pinning->seconds * 1000 / (shown.count > 0 ? 1 : (unsigned)(addresses.count - i));
        enum dial_key other;

        (void)alarm(pinning->seconds);
        text = text_over(message, sizeof(message));
        if (!dial(&host, address, DIAL_ANY, pinning->protocol, milliseconds, pinning->stage, &dialled, &text)) {
            if (!dialled.nowhere && !addresses.guessed && !host_is_loopback(address)) {
                text_add(&others, "%s", others.length > 0 ? ", " : "");
                dial_print_address(address, &others);
            }
            continue;
        }
        (void)alarm(0);
        other = show(pinning, &dialled, &shown);
        dial_close(&dialled);
        if (!output_flush())
            _exit(1);
        (void)alarm(pinning->seconds);
        if (other == DIAL_ANY || !dial(&host, address, other, pinning->protocol, milliseconds, pinning->stage, &dialled, &text))
            continue;
        (void)alarm(0);
        (void)show(pinning, &dialled, &shown);
        dial_close(&dialled);
    }
    if (shown.count == 0)
        output_error("%s: %s", pinning->argument, message);
    else if (others.length > 0)
        output_error("%s: not reached at %s: a server there may have another key", pinning->argument, unasked);
    return shown.count == 0 ? 1 : shown.issuer_count == 0 ? UNISSUED : 0;
}

/* Report what the child could not. */
static void note_outcome(void *arg, size_t job, int outcome)
{
    struct pinning *pinning = arg;

    (void)job;
    pinning->outcome = outcome;
    if (outcome == WORKER_TIMED_OUT)
        output_error("%s: no answer within %u seconds, while %s; is the server running, on this port? --timeout sets another limit",
            pinning->argument, pinning->seconds, *pinning->stage);
    else if (outcome == WORKER_DIED)
        output_error("%s: the process that connected to it ended unexpectedly; try again", pinning->argument);
}

static void note_name(void *to, const char *name)
{
    (void)name;
    *(bool *)to = true;
}

static bool is_named(const struct object *object)
{
    bool named = false;

    objects_names(object, (struct objects_takers) {&named, note_name, NULL});
    return named;
}

#define ODD_NAMES 10 /* that are told one by one */

struct odd {
    const char *path;
    unsigned count;
};

static void tell_odd(void *to, const char *name)
{
    struct odd *odd = to;

    if (odd->count++ < ODD_NAMES)
        output_error("%s: the name \"%s\" is left out: %s", odd->path, name, targets_valid(name) || name[0] == '@' ? "in a pins file it has another meaning than in a certificate"
                                                                                       : "it is neither a host name nor *.SUFFIX");
}

/* Say which of its names make no lines. */
static void tell_odd_names(const struct object *object, const char *path)
{
    struct odd odd = {path, 0};

    objects_names(object, (struct objects_takers) {&odd, NULL, tell_odd});
    if (odd.count > ODD_NAMES)
        output_error("%s: %u more names are left out", path, odd.count - ODD_NAMES);
}

/* Return true if the certificate is a CA's, and no server's own. A server's self-signed certificate often has the CA flag, too, and names
 * the server. */
static bool is_issuer(const struct object *object)
{
    X509 *certificate = object->certificate;

    if (X509_check_ca(certificate) == 0)
        return false;
    if (!is_named(object))
        return true;
    /* The common name alone may be anything. */
    return X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1) < 0 && (X509_get_extension_flags(certificate) & EXFLAG_KUSAGE) != 0
        && (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) != 0;
}

/* Return the certificate that a server presents; NULL if there are only those of CAs. */
static const struct object *find_leaf(const struct objects *objects)
{
    const struct object *leaf = objects_find(objects, OBJECT_CERTIFICATE);

    return leaf != NULL && !is_issuer(leaf) ? leaf : NULL;
}

/* Return what the object's line begins with; NULL: its names. */
static const char *find_target(const struct pinning *pinning, const struct object *object, const struct object *leaf)
{
    if (pinning->target != NULL || pinning->last[0] == '\0')
        return pinning->target;
    return leaf != NULL && is_named(object->kind == OBJECT_CERTIFICATE ? leaf : object) ? NULL : pinning->last;
}

static void print_certificate(struct pinning *pinning, const struct object *object, const struct object *leaf, const char *path, bool *issued)
{
    const char *target = find_target(pinning, object, leaf);
    bool refused = revokes(target);
    char pin[128];

    if (leaf != NULL && object != leaf) {
        print_issuer(object->certificate, target, leaf, pinning->issuer && !*issued);
        *issued = true;
        return;
    }
    /* @revoked refuses a key in the leaf and in issuers, and takes no ca- pins. */
    if (!spell(object, leaf != NULL || refused ? PIN_SPKI : PIN_CA, pin, sizeof(pin)))
        return;
    printf("# %s: a certificate", path);
    if (leaf == NULL && refused)
        printf(" of a CA. The line refuses every server whose certificate it issued");
    else if (leaf == NULL)
        printf(" of a CA. The line accepts a server with a certificate of this CA for its name");
    printf("\n");
    describe("Certificate:", object->certificate);
    if (target == NULL && leaf != NULL)
        tell_odd_names(leaf, path);
    print_usable(pinning, target, leaf, pin);
}

/* Print the pin of a request or a key. */
static void print_backup(struct pinning *pinning, const struct object *object, const struct object *leaf, const char *path)
{
    const char *target = find_target(pinning, object, leaf);
    char pin[128];

    if (!spell(object, PIN_SPKI, pin, sizeof(pin)))
        return;
    pinning->backed = true;
    printf("# %s: a %s. %s\n", path, object->kind == OBJECT_KEY ? "key" : "certificate request",
        revokes(target) ? "The line refuses it for every target" : "Usable as a backup pin");
    if (target == NULL)
        tell_odd_names(object, path);
    print_usable(pinning, target, object, pin);
}

/* Return true if the leaf, or an object before `object`, has the same key. */
static bool is_repeated(const struct objects *objects, const struct object *object, const struct object *leaf)
{
    uint8_t digest[32];
    uint8_t other[32];

    if (object == leaf || !objects_spki(object, digest))
        return false;
    for (const struct object *at = objects->at; at < objects->at + objects->count; at++) {
        if ((at < object || at == leaf) && objects_spki(at, other) && memcmp(digest, other, sizeof(digest)) == 0)
            return true;
    }
    return false;
}

static bool pin_file(struct pinning *pinning, const char *path)
{
    char message[400];
    struct text problem = text_over(message, sizeof(message));
    struct objects objects = {NULL, 0};
    const struct object *leaf;
    bool issued = false;

    if (!objects_read(path, &objects, &problem)) {
        output_error("%s: %s", path, message);
        return false;
    }
    leaf = find_leaf(&objects);
    path = output_printable(path);
    for (const struct object *object = objects.at; object < objects.at + objects.count; object++) {
        if (is_repeated(&objects, object, leaf))
            continue;
        if (object->kind == OBJECT_CERTIFICATE)
            print_certificate(pinning, object, leaf, path, &issued);
        else
            print_backup(pinning, object, leaf, path);
    }
    free((char *)(uintptr_t)path);
    objects_free(&objects);
    return true;
}

/* Return true if the argument names a file. */
static bool is_file(const char *argument)
{
    struct stat status;

    if (strstr(argument, "://") != NULL)
        return false;
    return strcmp(argument, "-") == 0 || strchr(argument, '/') != NULL || (stat(argument, &status) == 0 && !S_ISDIR(status.st_mode));
}

static bool pin_host(struct pinning *pinning, const char *argument)
{
    struct workers workers = {1, 1, pinning->seconds, pin_server, note_outcome, pinning};
    char message[400];
    struct text problem = text_over(message, sizeof(message));
    struct text text;

    pinning->last[0] = '\0';
    if (!dial_host(argument, &pinning->host, &problem)) {
        output_error("\"%s\": %s", argument, message);
        return false;
    }
    text = text_over(pinning->last, sizeof(pinning->last));
    host_print(&pinning->host, &text);
    pinning->argument = argument;
    *pinning->stage = "starting";
    workers_run(&workers);
    if (pinning->outcome == UNISSUED) {
        pinning->unissued = true;
        pinning->outcome = 0;
    }
    pinning->last_failed = pinning->outcome != 0;
    pinning->usable |= pinning->outcome == 0;
    return pinning->outcome == 0;
}

/* Pin all the arguments; the first HOST before the files that it is for. Return the exit status. */
static int pin_all(struct pinning *pinning, char **arguments)
{
    char **first = arguments;
    bool fine = true;

    while (*first != NULL && is_file(*first))
        first++;
    if (*first != NULL)
        fine = pin_host(pinning, *first);
    for (char **argument = arguments; *argument != NULL; argument++) {
        if (is_file(*argument))
            fine &= pin_file(pinning, *argument);
        else if (argument != first)
            fine &= pin_host(pinning, *argument);
    }
    if (pinning->issuer && pinning->unissued)
        output_error("no issuer is known: its certificate is neither sent nor in the trust store; with --for TARGET give a file that has it");
    if (pinning->usable && !pinning->backed && *first != NULL && !revokes(pinning->target) && (!pinning->issuer || pinning->unissued))
        printf("# No backup pin. Your server: add the pin of a spare key (\"pinshim pin KEY\"). Somebody else's: %s, so that\n"
               "# its next key is accepted, too; or let the pin end (expires=YYYY-MM-DD), and fetch the next one, from two networks, before that day.\n",
            pinning->unissued ? "pin its issuer's certificate (\"pinshim pin --for TARGET FILE\")" : "uncomment the line of its issuer (ca-)");
    if (fine && !pinning->usable)
        output_error("every line is a comment: see there what to do");
    return fine && pinning->usable && !(pinning->issuer && pinning->unissued) ? 0 : 1;
}

/* Pin all, into the file. What is printed meanwhile, in children as well, is for it. Return the exit status. */
static int pin_into(struct pinning *pinning, char **arguments, const char *file, const char *old)
{
    FILE *printed = tmpfile();
    int out = dup(STDOUT_FILENO);
    char *lines = NULL;
    long length = -1;
    int status;

    if (printed == NULL || out < 0 || dup2(fileno(printed), STDOUT_FILENO) < 0) {
        output_error("a temporary file cannot be made: %m");
        return 1;
    }
    status = pin_all(pinning, arguments);
    if (fflush(stdout) == 0 && fseek(printed, 0, SEEK_END) == 0)
        length = ftell(printed);
    lines = output_allocate(NULL, (size_t)(length > 0 ? length : 0) + 1);
    rewind(printed);
    if (length < 0 || fread(lines, 1, (size_t)length, printed) != (size_t)length || dup2(out, STDOUT_FILENO) < 0)
        status = 1;
    lines[length > 0 ? length : 0] = '\0';
    if (status == 0)
        status = into_write(file, lines, old);
    else
        output_error("%s is not %s", file, access(file, F_OK) == 0 ? "changed" : "made");
    if (status == 0 && old == NULL && strstr(lines, "# No backup pin.") != NULL)
        printf("no backup pin: if it is your server, give a spare key's file as well; if not, its issuer's pin: --issuer\n");
    free(lines);
    (void)fclose(printed);
    (void)close(out);
    return status;
}

int pin_main(int argc, char **argv)
{
    enum { FOR = 256, STARTTLS, TIMEOUT, INTO, REPLACE, ISSUER };
    static const struct option options[] = {{"for", required_argument, NULL, FOR}, {"starttls", required_argument, NULL, STARTTLS},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"into", required_argument, NULL, INTO}, {"replace", required_argument, NULL, REPLACE}, {"issuer", no_argument, NULL, ISSUER}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct pinning pinning = {.seconds = 10, .stage = workers_share(sizeof(*pinning.stage))};
    const char *into = NULL;
    const char *old = NULL;
    int option;

    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case INTO:
            into = optarg;
            break;
        case REPLACE:
            old = optarg;
            break;
        case ISSUER:
            pinning.issuer = true;
            break;
        case FOR:
            pinning.target = optarg;
            break;
        case STARTTLS:
            pinning.protocol = optarg;
            break;
        case TIMEOUT:
            pinning.seconds = text_port(optarg, strlen(optarg));
            break;
        case 'h':
            printf("%s", help);
            return 0;
        default:
            return output_bad_option("pin", option, argv);
        }
    }
    if (pinning.target != NULL && strcmp(pinning.target, "@revoked") != 0 && !targets_valid(pinning.target))
        return output_bad_usage("pin", "\"%s\" cannot be a target; expected a target as in a pins file", pinning.target);
    if (pinning.protocol != NULL && !dial_knows(pinning.protocol))
        return output_bad_usage("pin", "the protocol \"%s\" is not known; expected " DIAL_PROTOCOLS, pinning.protocol);
    if (pinning.seconds == 0)
        return output_bad_usage("pin", "--timeout expects a number of seconds from 1 to 65535");
    if (optind == argc)
        return output_bad_usage("pin", "nothing to pin; expected hosts or files");
    /* The line's target stays as it is. */
    if (old != NULL && pinning.target == NULL)
        pinning.target = "*";
    if (old != NULL && pinning.issuer)
        return output_bad_usage("pin", "--replace puts one pin in the place of another, and takes no --issuer");
    if (old != NULL && into == NULL)
        return output_bad_usage("pin", "--replace needs --into FILE");
    return into != NULL ? pin_into(&pinning, argv + optind, into, old) : pin_all(&pinning, argv + optind);
}
