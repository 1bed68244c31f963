#include "pins_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "pinshim compiled"
#define SUFFIX ".compiled"
#define MADE_BY PINSHIM_VERSION "/1" /* the number is to be raised where the parser reads a text in another way within a version */
#define LARGEST (1 << 30) /* bytes */
#define LANES 4
#define BLOCK (LANES * sizeof(uint64_t)) /* what the checksum takes at once, and the length is a multiple of */

/* The pins file that it was made from. Not the device, whose number may be another one when the system has started again. */
struct origin {
    uint64_t inode;
    int64_t size;
    int64_t modified[2]; /* seconds and nanoseconds */
    int64_t changed[2];
};

/* As in memory: slots, rules, pins and bytes follow it, and zeros; the last name ends among them at the latest. */
struct compiled {
    char magic[16];
    char maker[sizeof(MADE_BY) + -sizeof(MADE_BY) % 16];
    uint64_t checksum; /* of all that follows it */
    uint32_t layout[4]; /* sizes; and a hash, by which the slots were filled */
    struct origin origin;
    uint64_t slots;
    uint64_t rules;
    uint64_t pins;
    uint64_t bytes;
    struct rule revoked;
    uint8_t demand;
    uint8_t located;
    uint8_t used[PIN_KINDS * DIGESTS];
};

#define SUMMED (offsetof(struct compiled, checksum) + sizeof(uint64_t))
_Static_assert(SUMMED % sizeof(uint64_t) == 0 && sizeof(struct compiled) % sizeof(uint64_t) == 0, "words of 64 bits");

static struct origin origin_of(const struct file_identity *file)
{
    return (struct origin) {file->inode, file->size, {file->modified.tv_sec, file->modified.tv_nsec},
        {file->changed.tv_sec, file->changed.tv_nsec}};
}

/* All of it but the counts and the sum. */
static void begin(struct compiled *head, const struct file_identity *file)
{
    memset(head, 0, sizeof(*head));
    memcpy(head->magic, MAGIC, sizeof(head->magic));
    memcpy(head->maker, MADE_BY, sizeof(MADE_BY));
    head->layout[0] = sizeof(struct rule);
    head->layout[1] = sizeof(struct pin);
    head->layout[2] = sizeof(struct compiled);
    head->layout[3] = pins_hash(FORM_NAME, SUFFIX, strlen(SUFFIX));
    head->origin = origin_of(file);
}

/* Tells a file that was damaged, and no more: who may write it may write the pins. */
static uint64_t sum(const uint8_t *at, size_t length)
{
    uint64_t lanes[LANES] = {1, 2, 3, 4};
    uint64_t all = length;

    for (size_t i = 0; i + BLOCK <= length; i += BLOCK) {
        for (size_t lane = 0; lane < LANES; lane++) {
            uint64_t word;

            memcpy(&word, at + i + lane * sizeof(word), sizeof(word));
            lanes[lane] = (lanes[lane] ^ word) * UINT64_C(0x9e3779b97f4a7c15);
            lanes[lane] ^= lanes[lane] >> 32;
        }
    }
    for (size_t i = length - length % BLOCK; i < length; i++)
        all = all * 257 + at[i];
    for (size_t lane = 0; lane < LANES; lane++)
        all = (all ^ lanes[lane]) * UINT64_C(0x9e3779b97f4a7c15) + (all >> 32);
    return all;
}

/* Return how long the whole is; 0 where no counts give that much. */
static size_t length_of(const struct compiled *head)
{
    if (head->slots >= LARGEST || head->rules >= LARGEST || head->pins >= LARGEST || head->bytes >= LARGEST)
        return 0;
    return sizeof(*head) + head->slots * sizeof(struct index_slot) + head->rules * sizeof(struct rule) + head->pins * sizeof(struct pin)
        + head->bytes + sizeof(((struct host *)NULL)->address);
}

char *pins_compiled_path(const char *path)
{
    char *compiled = malloc(strlen(path) + sizeof(SUFFIX));

    if (compiled != NULL)
        memcpy(mempcpy(compiled, path, strlen(path)), SUFFIX, sizeof(SUFFIX));
    return compiled;
}

void *pins_compile(const struct pins *pins, const struct file_identity *file, size_t *length)
{
    struct compiled head;
    uint8_t *whole;
    uint8_t *at;

    begin(&head, file);
    head.slots = pins->index_size;
    head.rules = pins->rule_count;
    head.pins = pins->pin_count;
    head.bytes = pins->byte_count;
    head.revoked = pins->revoked;
    head.demand = pins->demand;
    head.located = pins->located;
    for (size_t i = 0; i < sizeof(head.used); i++)
        head.used[i] = pins->used[i / DIGESTS][i % DIGESTS];
    *length = length_of(&head);
    if (pins->client_count != 0 || pins->issuer_count != 0 || *length == 0 || *length > LARGEST || (whole = calloc(1, *length)) == NULL)
        return NULL;
    at = mempcpy(whole, &head, sizeof(head));
    at = mempcpy(at, pins->index, head.slots * sizeof(*pins->index));
    at = mempcpy(at, pins->rules, head.rules * sizeof(*pins->rules));
    at = mempcpy(at, pins->pins, head.pins * sizeof(*pins->pins));
    memcpy(at, pins->bytes, head.bytes);
    pins_seal(whole, *length);
    return whole;
}

void pins_seal(void *compiled, size_t length)
{
    ((struct compiled *)compiled)->checksum = sum((uint8_t *)compiled + SUMMED, length - SUMMED);
}

/* Return true if the last name ends among the zeros at the latest: a search compares as much of it as it looks for. */
static bool is_ended(const struct pins *pins)
{
    static const uint8_t zeros[sizeof(((struct host *)NULL)->address)];

    return memcmp(pins->bytes + pins->byte_count, zeros, sizeof(zeros)) == 0;
}

static bool is_flag(const bool *flag)
{
    return *(const uint8_t *)flag <= 1;
}

/* Each chain leads on, and each offset to what there is. Who may write the pins of a program is not to get at its memory by that. */
static bool is_sound_rule(const struct pins *pins, const struct rule *rule)
{
    return is_flag(&rule->pkix) && is_flag(&rule->report) && (rule->first_pin == NOTHING || rule->first_pin < pins->pin_count) && rule->name <= pins->byte_count && rule->action <= RULE_PINS
        && rule->client == 0;
}

static bool is_sound(const struct pins *pins)
{
    size_t filled = 0;

    if (pins->index_size == 0 || (pins->index_size & (pins->index_size - 1)) != 0 || !is_sound_rule(pins, &pins->revoked)
        || !is_ended(pins))
        return false;
    for (size_t i = 0; i < pins->index_size; i++) {
        filled += pins->index[i].rule != 0;
        if (pins->index[i].rule > pins->rule_count)
            return false;
    }
    for (size_t i = 0; i < pins->rule_count; i++) {
        const struct rule *rule = &pins->rules[i];

        if (!is_sound_rule(pins, rule) || (rule->next_port != NOTHING && (rule->next_port <= i || rule->next_port >= pins->rule_count)))
            return false;
    }
    for (size_t i = 0; i < pins->pin_count; i++) {
        const struct pin *pin = &pins->pins[i];

        if ((pin->next != NOTHING && (pin->next <= i || pin->next >= pins->pin_count)) || pin->kind >= PIN_KINDS || pin->digest >= DIGESTS
            || pin->bytes > pins->byte_count || pins->byte_count - pin->bytes < digest_size((enum digest)pin->digest))
            return false;
    }
    return filled < pins->index_size; /* where a search ends that finds nothing */
}

/* Return the pins that stand in `whole`, which is theirs then; NULL where it was made otherwise, or was damaged. */
static struct pins *unfold(uint8_t *whole, size_t length, const struct file_identity *file)
{
    struct compiled *head = (struct compiled *)(void *)whole;
    struct compiled expected;
    struct pins *pins;

    begin(&expected, file);
    if (length < sizeof(*head) || length_of(head) != length || memcmp(head->magic, expected.magic, sizeof(head->magic)) != 0
        || memcmp(head->maker, expected.maker, sizeof(head->maker)) != 0
        || memcmp(head->layout, expected.layout, sizeof(head->layout)) != 0
        || memcmp(&head->origin, &expected.origin, sizeof(head->origin)) != 0 || sum(whole + SUMMED, length - SUMMED) != head->checksum
        || (pins = calloc(1, sizeof(*pins))) == NULL)
        return NULL;
    pins->index = (struct index_slot *)(head + 1);
    pins->index_size = head->slots;
    pins->rules = (struct rule *)(pins->index + head->slots);
    pins->rule_count = head->rules;
    pins->pins = (struct pin *)(pins->rules + head->rules);
    pins->pin_count = head->pins;
    pins->bytes = (uint8_t *)(pins->pins + head->pins);
    pins->byte_count = head->bytes;
    pins->revoked = head->revoked;
    pins->demand = head->demand != 0;
    pins->located = head->located != 0;
    for (size_t i = 0; i < sizeof(head->used); i++)
        pins->used[i / DIGESTS][i % DIGESTS] = head->used[i] != 0;
    if (is_sound(pins)) {
        pins->whole = whole;
        return pins;
    }
    free(pins);
    return NULL;
}

/* Return true if nobody could have put a file beside the pins at `path` who could not have replaced them. With the sticky bit, as in /tmp,
 * others may do the one and not the other. The file's owner tells too little: what they had somebody unpack or store for them is his. */
static bool is_trusted_place(const char *path)
{
    struct file_identity directory;
    char *name = file_beside(".", path);

    if (name == NULL)
        return false;
    file_identify(name, &directory);
    free(name);
    return directory.mode != 0 && ((directory.mode & S_ISVTX) == 0 || (directory.mode & (S_IWGRP | S_IWOTH)) == 0);
}

/* Return true if nobody could have written it who could not have written the pins. Not what a link leads to, which was stored elsewhere. */
static bool is_trusted(const struct file_identity *compiled, const struct file_identity *file)
{
    return (compiled->owner == 0 || compiled->owner == file->owner) && (compiled->mode & (S_IWGRP | S_IWOTH)) == 0 && compiled->names == 1;
}

struct pins *pins_load_compiled(const char *path, const struct file_identity *seen, struct file_identity *identity)
{
    struct pins *pins = NULL;
    char message[300];
    struct text unwanted = text_over(message, sizeof(message));
    struct file_identity compiled;
    struct file_identity read;
    char *name = seen->size >= PINS_WORTH_COMPILING ? pins_compiled_path(path) : NULL;
    uint8_t *whole = NULL;
    size_t length;

    if (name == NULL)
        return NULL;
    file_identify_link(name, &compiled);
    if (compiled.size != 0 && is_trusted_place(path) && compiled.changed.tv_sec >= seen->changed.tv_sec && is_trusted(&compiled, seen))
        whole = (uint8_t *)file_read(name, "it", LARGEST, &read, &length, &unwanted);
    /* The pins file comes last: what it is now is what it says now. */
    if (whole != NULL && file_same(&read, &compiled) && is_trusted(&read, seen) && file_examine(path, identity) && is_trusted(&read, identity))
        pins = unfold(whole, length, identity);
    if (pins == NULL)
        free(whole);
    free(name);
    return pins;
}
