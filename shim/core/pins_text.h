/* What the files share that read the text of a pins file. */
#ifndef PINSHIM_PINS_TEXT_H
#define PINSHIM_PINS_TEXT_H

#include "pins_internal.h"

#include <string.h>

struct field {
    const char *at;
    size_t length;
};

/* A client certificate that was read, and its files' names as written in the lines. */
struct named_client {
    struct field files[CLIENT_FILES];
    uint32_t number; /* see pins_client; 0: it was faulty */
};

#define QUOTES 4

struct parser {
    struct pins *pins;
    struct named_client *clients;
    size_t client_count;
    const struct pins_reader *reader;
    pins_report *report;
    void *arg;
    const char *line_start;
    uint32_t line;
    uint32_t complaints;
    bool out_of_memory;
    unsigned quotes;
    char quoted[QUOTES][100];
    char message[512];
};

/* What was read of one line so far. */
struct line {
    struct rule *rule; /* NULL: the target is faulty, and the rest is only checked */
    bool revoked;
    bool alone; /* one field follows the target */
    uint32_t complaints; /* the parser's count at the start of the line */
    size_t pins; /* that the line added, starting at first_pin */
    size_t first_pin;
    bool pkix;
    struct field mode; /* mode= or report-until=; at NULL: not given */
    struct field tls;
    struct field expires;
    uint16_t day;
    struct field client[CLIENT_FILES];
};

/* Report an error at this place of the line. */
void complain(struct parser *parser, const char *at, const char *format, ...) PRINTF_LIKE(3, 4);

/* Return the offending input, for a message that quotes no more than QUOTES. */
char *quote(struct parser *parser, struct field field);

/* Without regard to case. */
static inline bool starts(struct field field, const char *prefix)
{
    for (size_t i = 0; prefix[i] != '\0'; i++) {
        if (i == field.length || text_lower(field.at[i]) != prefix[i])
            return false;
    }
    return true;
}

static inline bool is(struct field field, const char *word)
{
    return field.length == strlen(word) && memcmp(field.at, word, field.length) == 0;
}

/* Read a TARGET. Report and return false if it is none. */
MUST_CHECK bool read_target(struct parser *parser, struct field field, struct target_pattern *target);

/* A spelling of a pin. */
struct spelling {
    const char *prefix;
    size_t length; /* the prefix's */
    const char *suffix;
    uint8_t kind;
    uint8_t digest;
    bool base64_only;
};

/* Return the first spelling with whose prefix the field begins; NULL: none. */
const struct spelling *find_spelling(struct field field);

/* What the fields begin with that read a kind of pin from a file. */
extern const char *const pin_files[PIN_KINDS];

/* Return the kind of pin that the field reads from a file; PIN_KINDS: the field is something else. */
int find_file(struct field field);

/* Read the digest of a field that begins with the prefix of `spelling`. Report and return NULL if it is not a digest. */
const struct spelling *read_pin(struct parser *parser, struct field field, const struct spelling *spelling, uint8_t *out);

/* Report spellings that other products use and this one does not accept. Return false if the field is none of them. */
MUST_CHECK bool reject(struct parser *parser, struct field field);

/* Report what an unknown field was probably meant to be. Return false if nothing is known of it. */
MUST_CHECK bool suggest(struct parser *parser, struct field field);

/* Let the rule have this action. Report and return false if other lines of the target contradict it. */
bool set_action(struct parser *parser, struct field field, struct rule *rule, enum rule_action action);

/* Note a file that the line names for a client certificate. Return false if the field is something else. */
MUST_CHECK bool read_client_file(struct parser *parser, struct field field, struct line *line);

/* Handle the client certificate of a line, once the whole line is known. */
void finish_client(struct parser *parser, const struct line *line);

/* A client certificate is only for servers that a pin or pkix identifies. */
void check_clients(struct parser *parser);

#endif
