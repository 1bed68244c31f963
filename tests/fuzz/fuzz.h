/* What the harnesses of this directory share. */
#ifndef PINSHIM_FUZZ_H
#define PINSHIM_FUZZ_H

#include "memory.h"
#include "pins_internal.h"
#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is to hold for every input. */
#define require(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* Stands for the files that rules name: one object in each, and "missing" is none. */
static inline bool fuzz_read(const struct pins_reader *reader, enum pin_kind kind, const char *path, pins_found *found, void *to,
    struct text *problem)
{
    static const uint8_t digest[32] = {1, 2, 3};

    (void)reader;
    (void)kind;
    if (strstr(path, "missing") != NULL) {
        text_add(problem, "there is none");
        return false;
    }
    found(to, digest, path, strlen(path));
    return true;
}

static inline bool fuzz_read_client(const struct pins_reader *reader, const char *const paths[static CLIENT_FILES], struct client_cert *out,
    enum client_file *faulty, struct text *problem)
{
    (void)reader;
    *faulty = CLIENT_KEY;
    if (strstr(paths[CLIENT_CERT], "missing") != NULL) {
        text_add(problem, "there is none");
        return false;
    }
    out->paths[CLIENT_CERT] = memory_copy(paths[CLIENT_CERT], strlen(paths[CLIENT_CERT]));
    return true;
}

/* The one place that calls the parser. The copy has no byte to spare, so that a read beyond it is seen, and is gone afterwards. */
static inline struct pins *fuzz_parse(const void *bytes, size_t length, pins_report *report, void *arg)
{
    static const struct pins_reader reader = {.read = fuzz_read, .read_client = fuzz_read_client, .beside = "/pins"};
    char *copy = malloc(length != 0 ? length : 1);
    struct pins *pins;

    if (length != 0)
        memcpy(copy, bytes, length);
    pins = pins_parse(copy, length, &reader, report, arg);
    free(copy);
    return pins;
}

/* The text is terminated, in its buffer, and printable ASCII. */
static inline void fuzz_require_plain(const struct text *text)
{
    require(text->length < text->size && text->at[text->length] == '\0' && strlen(text->at) == text->length);
    for (size_t i = 0; i < text->length; i++)
        require(text->at[i] >= 0x20 && text->at[i] <= 0x7e);
}

/* Judge the peer; what comes out is in range and agrees with itself. */
static inline struct judgement fuzz_judge(const struct pins *pins, const struct target *target, const struct peer *peer)
{
    struct judgement judgement;
    char buffer[2048];
    struct text text = text_over(buffer, sizeof(buffer));

    policy_judge(pins, target, peer, &judgement);
    require(judgement.verdict == VERDICT_REFUSE || judgement.verdict == VERDICT_ACCEPT);
    require(judgement.reason > REASON_INTERNAL && judgement.reason <= REASON_MATCH);
    require((judgement.verdict == VERDICT_ACCEPT) == (judgement.reason >= REASON_NO_RULE));
    if (judgement.reason == REASON_MATCH)
        require(judgement.matched != NULL || judgement.rule->pkix);
    else
        require((judgement.matched != NULL) == (judgement.reason == REASON_EXPIRED || judgement.reason == REASON_REVOKED));
    policy_print_reason(pins, "/pins\n", &judgement, &text);
    policy_print_wanted(pins, &judgement, &text);
    policy_print_rule("/pins\n", &judgement, &text);
    host_print(&judgement.host, &text);
    fuzz_require_plain(&text);
    return judgement;
}

/* For one host that the program named. */
static inline struct judgement fuzz_judge_host(const struct pins *pins, const struct host *host, const struct peer *peer)
{
    struct target target = {.named = true};

    (void)target_add(&target, host);
    return fuzz_judge(pins, &target, peer);
}

#endif
