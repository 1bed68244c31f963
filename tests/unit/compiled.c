/* Compiled pins: they say what the text says, and count only for the file that they were made from; damaged ones never do harm. */
#include "pins_internal.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES 1000U
#define CHANGES 4000
#define NOBODY 65534
#define ROOM (4U * PINS_WORTH_COMPILING)

static char path[64];
static char *compiled;
static char *elsewhere;
static char directory[] = "/tmp/pinshim-unit-XXXXXX";

static void unexpected(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    check(false, "%u:%u: %s", (unsigned)line, (unsigned)column, message);
}

static void put(const char *where, const void *bytes, size_t length)
{
    int fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || fchmod(fd, 0644) != 0 || close(fd) != 0)
        abort();
}

/* A pins file of each form of target, with ports, several pins, options and @revoked. Its length does not hang on `word`, of six letters. */
static void write_pins(const char *word)
{
    static char buffer[ROOM];
    struct text text = text_over(buffer, sizeof(buffer));

    text_add(&text, "* deny\n@revoked cert-sha256:%064d\n", 7);
    for (unsigned i = 0; i < RULES; i++) {
        static const char *const forms[] = {"", "*.", "**."};

        text_add(&text, "%shost-%u.%s.example", forms[i % 3], i, word);
        if (i % 4 == 0)
            text_add(&text, ":%u", 1 + i % 60000);
        text_add(&text, " spki-sha256:%064u%s\n", i, i % 5 == 0 ? " expires=2149-01-01" : i % 7 == 0 ? " pkix mode=report" : "");
        if (i % 8 == 0)
            text_add(&text, "%shost-%u.%s.example:443 spki-sha512:%0128u\n192.0.2.%u cert-sha384:%096u\n", forms[i % 3], i, word, i, i % 256, i);
    }
    if (text.cut || text.length < PINS_WORTH_COMPILING)
        abort();
    put(path, buffer, text.length);
}

/* Load both ways; the compiled pins are NULL where they do not count. */
static struct pins *load_text(struct file_identity *file)
{
    struct pins *pins = pins_load(path, NULL, file, unexpected, NULL);

    if (pins == NULL)
        abort();
    return pins;
}

static struct pins *load_compiled(void)
{
    struct file_identity seen;
    struct file_identity file;

    file_identify(path, &seen);
    return pins_load_compiled(path, &seen, &file);
}

/* Return true if there are such pins. */
static bool counts(void)
{
    struct pins *pins = load_compiled();
    bool loaded = pins != NULL;

    pins_free(pins);
    return loaded;
}

/* Compile the file as it stands, as if it had stood for long. */
static uint8_t *compile(size_t *length)
{
    struct file_identity file;
    struct pins *pins = load_text(&file);
    uint8_t *bytes = pins_compile(pins, &file, length);

    if (bytes == NULL)
        abort();
    put(compiled, bytes, *length);
    pins_free(pins);
    return bytes;
}

static void describe(const struct pins *pins, const struct rules rules, struct text *out)
{
    for (const struct rule *rule = rules.first; rule != NULL; rule = pins_next_rule(pins, rules, rule)) {
        text_add(out, "%u:%u,%u,%d,%d", (unsigned)rule->line, rule->port, rule->action, rule->pkix, rule->report);
        for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
            text_add(out, " %u,%u ", (unsigned)pin->line, pin->expires);
            pins_print_pin(pins, pin, out);
        }
    }
}

static void look_up(const struct pins *pins, const char *name, struct text *out)
{
    struct host host;

    (void)host_parse(name, strlen(name), &host);
    describe(pins, pins_lookup(pins, &host), out);
    describe(pins, pins_lookup_any(pins, &host), out);
}

/* Print what the pins say of every host in the file and of some beside it. */
static void ask_all(const struct pins *pins, struct text *out)
{
    for (unsigned i = 0; i < RULES; i++) {
        static const char *const before[] = {"", "a.", "a.b.", "", "a."};
        static const char *const after[] = {"", "", "", ":443", ":1"};

        for (size_t k = 0; k < sizeof(before) / sizeof(before[0]); k++) {
            char name[64];

            (void)snprintf(name, sizeof(name), "%shost-%u.inside.example%s", before[k], i, after[k]);
            look_up(pins, name, out);
        }
    }
    look_up(pins, "192.0.2.8", out);
    look_up(pins, "192.0.2.9:443", out);
    if (pins_revoked(pins) != NULL)
        describe(pins, (struct rules) {pins_revoked(pins), false}, out);
    for (unsigned use = 0; use < PIN_KINDS * DIGESTS; use++)
        text_add(out, "%d", pins_use(pins, (enum pin_kind)(use / DIGESTS), (enum digest)(use % DIGESTS)));
    text_add(out, "%d%d", pins_demand_anything(pins), pins_ask_address(pins));
}

static void test_same(void)
{
    static char buffers[2][4000000];
    struct text texts[2] = {text_over(buffers[0], sizeof(buffers[0])), text_over(buffers[1], sizeof(buffers[1]))};
    struct file_identity file;
    struct pins *parsed;
    struct pins *loaded;
    size_t length;

    write_pins("inside");
    free(compile(&length));
    parsed = load_text(&file);
    loaded = load_compiled();
    check(loaded != NULL, "what was compiled counts");
    if (loaded != NULL) {
        ask_all(parsed, &texts[0]);
        ask_all(loaded, &texts[1]);
        check(!texts[0].cut && texts[0].length > 200000 && strcmp(buffers[0], buffers[1]) == 0, "it says what the text says, %zu characters",
            texts[0].length);
    }
    pins_free(parsed);
    pins_free(loaded);
}

static void test_stale(void)
{
    struct file_identity before;
    struct file_identity after;
    struct timespec times[2];
    uint8_t *bytes;
    size_t length;

    write_pins("inside");
    bytes = compile(&length);
    check(counts(), "it counts before the file changes");
    file_identify(path, &before);
    do {
        write_pins("beside");
        file_identify(path, &after);
    } while (before.changed.tv_sec == after.changed.tv_sec && before.changed.tv_nsec == after.changed.tv_nsec);
    times[0] = times[1] = before.modified;
    (void)utimensat(AT_FDCWD, path, times, 0);
    file_identify(path, &after);
    check(after.inode == before.inode && after.size == before.size && after.modified.tv_nsec == before.modified.tv_nsec,
        "another text has the inode, the length and the time stamp of the first");
    check(!counts(), "what was compiled from that one does not count for it");
    free(bytes);
    free(compile(&length));
    check(counts(), "what was compiled from it does");
    (void)unlink(compiled);
    check(!counts(), "what is gone does not count");
}

/* Compiled pins that accept everything, for the file as it stands. */
static void forge(void)
{
    static const char text[] = "* allow\n";
    struct file_identity file;
    struct pins *pins = pins_parse(text, strlen(text), NULL, unexpected, NULL);
    uint8_t *bytes;
    size_t length;

    file_identify(path, &file);
    bytes = pins_compile(pins, &file, &length);
    if (bytes == NULL)
        abort();
    (void)unlink(compiled);
    put(compiled, bytes, length);
    pins_free(pins);
    free(bytes);
}

static void test_trust(void)
{
    struct pins *pins;

    write_pins("inside");
    forge();
    pins = load_compiled();
    check(pins != NULL && !pins_demand_anything(pins), "whose owner is the pins file's is believed");
    pins_free(pins);
    for (unsigned i = 0; i < 2; i++) {
        (void)chmod(compiled, i == 0 ? 0664 : 0646);
        check(!counts(), "what %s may write is not", i == 0 ? "a group" : "everybody");
    }
    (void)chmod(compiled, 0644);
    check(counts(), "its mode is right again");
    (void)chmod(path, 0646);
    forge();
    check(!counts(), "a pins file that everybody may write is none, compiled or not");
    (void)chmod(path, 0644);
    forge();
    if (geteuid() == 0) {
        check(chown(compiled, NOBODY, (gid_t)-1) == 0 && !counts(), "what belongs to somebody else is not believed");
        check(chown(path, NOBODY, (gid_t)-1) == 0, "nobody's pins");
        forge();
        check(counts(), "what belongs to root is, beside nobody's pins");
        check(chown(compiled, NOBODY, (gid_t)-1) == 0 && counts(), "and what belongs to their owner");
    }
    (void)unlink(compiled);
    check(symlink("pins", compiled) == 0 && !counts(), "a link to the text is no compiled file");
    (void)unlink(compiled);
    forge();
    check(rename(compiled, elsewhere) == 0 && symlink(elsewhere, compiled) == 0 && !counts(), "nor is a link to one");
    (void)unlink(compiled);
    check(link(elsewhere, compiled) == 0 && !counts(), "nor one that has another name");
    check(unlink(elsewhere) == 0 && counts(), "until that is gone");
    for (unsigned i = 0; i < 2; i++) {
        (void)chmod(directory, i == 0 ? 01777 : 01775);
        check(!counts(), "nor one where %s may put files, but not replace the text", i == 0 ? "everybody" : "a group");
    }
    (void)chmod(directory, 0700);
    check(counts(), "the directory is the owner's again");
    (void)unlink(compiled);
    check(mkfifo(compiled, 0644) == 0 && !counts(), "nor is a FIFO");
    (void)unlink(compiled);
}

/* xorshift64: the same changes in every run. */
static uint64_t next_number(void)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Change bytes in what was compiled: with its old checksum it does not count; with a new one it may, and then no lookup goes astray. */
static void test_damaged(void)
{
    static char buffer[100000];
    uint8_t *bytes;
    uint8_t *changed;
    size_t length;
    unsigned counted = 0;
    unsigned sealed = 0;

    write_pins("inside");
    bytes = compile(&length);
    changed = malloc(length);
    if (changed == NULL)
        abort();
    for (unsigned i = 0; i < CHANGES; i++) {
        struct text text = text_over(buffer, sizeof(buffer));
        uint64_t number = next_number();
        /* Half of them in the head and the slots, where the most depends on. */
        size_t at = number % (i % 2 == 0 ? 400 : length);
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        struct pins *pins;
        size_t cut = i % 16 == 3 ? number % length : length;

        memcpy(changed, bytes, length);
        changed[at] = i % 3 == 0 ? values[number / length % sizeof(values)] : (uint8_t)(changed[at] ^ (1U << number / length % 8));
        if (memcmp(changed, bytes, length) == 0 && cut == length)
            continue;
        put(compiled, changed, cut);
        counted += counts();
        pins_seal(changed, cut > 100 ? cut : length);
        put(compiled, changed, cut);
        pins = load_compiled();
        if (pins == NULL)
            continue;
        sealed++;
        for (unsigned k = 0; k < 20; k++) {
            char name[64];

            (void)snprintf(name, sizeof(name), "a.host-%u.inside.example:%u", (unsigned)(next_number() % RULES), k * 50);
            look_up(pins, name, &text);
        }
        describe(pins, (struct rules) {pins_revoked(pins), false}, &text);
        pins_free(pins);
    }
    check(counted == 0, "of damaged files, so many count: %u", counted);
    check(sealed > CHANGES / 10, "so many count with a checksum of their own: %u", sealed);
    free(changed);
    free(bytes);
}

/* Names stand at the end, and what follows the last has to end it. */
static void test_unended(void)
{
    size_t length;
    uint8_t *bytes;

    write_pins("inside");
    bytes = compile(&length);
    bytes[length - 1] = 'a';
    pins_seal(bytes, length);
    put(compiled, bytes, length);
    check(!counts(), "what has no zeros at its end does not count");
    free(bytes);
}

static void test_not_compiled(void)
{
    static const char small[] = "a deny\n";
    struct file_identity file;
    struct pins *pins;
    size_t length;
    uint8_t *bytes;

    put(path, small, strlen(small));
    pins = load_text(&file);
    bytes = pins_compile(pins, &file, &length);
    put(compiled, bytes, length);
    check(!counts(), "beside a small file none is looked for");
    check(pins_add_issuer(pins, "x", 1), "an issuer");
    free(bytes);
    bytes = pins_compile(pins, &file, &length);
    check(bytes == NULL, "pins with an issuer from a file are not compiled");
    free(bytes);
    pins_free(pins);
}

int main(void)
{
    if (mkdtemp(directory) == NULL)
        abort();
    (void)snprintf(path, sizeof(path), "%s/pins", directory);
    compiled = pins_compiled_path(path);
    elsewhere = pins_compiled_path(compiled);
    test_same();
    test_stale();
    test_trust();
    test_damaged();
    test_unended();
    test_not_compiled();
    (void)unlink(path);
    (void)unlink(compiled);
    (void)rmdir(directory);
    free(compiled);
    free(elsewhere);
    return unit_end("compiled");
}
