#include "pins_text.h"

#include "memory.h"

static const char *const client_files[CLIENT_FILES] = {"client-cert=", "client-key=", "client-key-pass-file="};

bool read_client_file(struct parser *parser, struct field field, struct line *line)
{
    for (size_t i = 0; i < CLIENT_FILES; i++) {
        size_t prefix = strlen(client_files[i]);

        if (!starts(field, client_files[i]))
            continue;
        if (line->revoked)
            complain(parser, field.at, "\"%s\" after @revoked; expected pins alone", quote(parser, field));
        else if (line->client[i].at != NULL)
            complain(parser, field.at, "\"%s\" is the second of its kind on the line; expected one", quote(parser, field));
        else if (field.length == prefix)
            complain(parser, field.at + prefix, "no path; expected a file's path");
        else
            line->client[i] = (struct field) {field.at + prefix, field.length - prefix};
        return true;
    }
    return false;
}

/* Read these files. Return the client certificate's number; 0 after reporting an error. */
static uint32_t load_client(struct parser *parser, const struct line *line)
{
    char *paths[CLIENT_FILES] = {NULL, NULL, NULL};
    struct client_cert client = {.line = 0};
    enum client_file faulty = CLIENT_CERT;
    char buffer[300];
    struct text problem = text_over(buffer, sizeof(buffer));
    uint32_t number = 0;
    bool read = parser->reader != NULL;

    for (size_t i = 0; i < CLIENT_FILES; i++) {
        if (line->client[i].at != NULL && (paths[i] = memory_copy(line->client[i].at, line->client[i].length)) == NULL)
            parser->out_of_memory = true;
    }
    if (!read)
        text_add(&problem, "files are not read here");
    else if (!parser->out_of_memory)
        read = parser->reader->read_client(parser->reader, (const char *const *)paths, &client, &faulty, &problem);
    if (read && !parser->out_of_memory) {
        client.line = parser->line;
        number = pins_add_client(parser->pins, &client);
        parser->out_of_memory |= number == 0;
        if (number == 0)
            pins_clear_client(&client);
    } else if (!parser->out_of_memory) {
        struct field field = line->client[faulty].at != NULL ? line->client[faulty] : line->client[CLIENT_CERT];

        complain(parser, field.at, "\"%s\" cannot be used: %s%s", quote(parser, field), buffer,
            strstr(buffer, "; expected ") != NULL ? "" : "; expected a client certificate with its key, in PEM or PKCS #12");
    }
    for (size_t i = 0; i < CLIENT_FILES; i++)
        memory_let_go(paths[i]);
    return number;
}

static bool same_field(struct field a, struct field b)
{
    return (a.at == NULL) == (b.at == NULL) && a.length == b.length && (a.at == NULL || memcmp(a.at, b.at, a.length) == 0);
}

/* Lines that name the same files share one client certificate. Return its number; 0 after reporting an error. */
static uint32_t client_of(struct parser *parser, const struct line *line)
{
    struct named_client *bigger;
    uint32_t number;

    for (size_t i = 0; i < parser->client_count; i++) {
        const struct named_client *named = &parser->clients[i];

        if (same_field(named->files[CLIENT_CERT], line->client[CLIENT_CERT]) && same_field(named->files[CLIENT_KEY], line->client[CLIENT_KEY])
            && same_field(named->files[CLIENT_PASS], line->client[CLIENT_PASS]))
            return named->number;
    }
    number = load_client(parser, line);
    bigger = memory_resize(parser->clients, (parser->client_count + 1) * sizeof(*bigger));
    if (bigger == NULL) {
        parser->out_of_memory = true;
        return 0;
    }
    parser->clients = bigger;
    memcpy(bigger[parser->client_count].files, line->client, sizeof(line->client));
    bigger[parser->client_count++].number = number;
    return number;
}

void finish_client(struct parser *parser, const struct line *line)
{
    uint32_t before = line->rule != NULL ? line->rule->client : 0;
    uint32_t number;

    for (size_t i = 0; line->client[CLIENT_CERT].at == NULL && i < CLIENT_FILES; i++) {
        if (line->client[i].at == NULL)
            continue;
        complain(parser, line->client[i].at, "\"%s%s\" without client-cert=PATH on its line; expected the certificate as well", client_files[i],
            quote(parser, line->client[i]));
        return;
    }
    if (line->client[CLIENT_CERT].at == NULL || line->rule == NULL || line->revoked
        || !set_action(parser, line->client[CLIENT_CERT], line->rule, RULE_PINS))
        return;
    number = client_of(parser, line);
    line->rule->client = number;
    if (before != 0 && number != 0 && before != number)
        complain(parser, line->client[CLIENT_CERT].at, "\"%s\" is a second client certificate for the same target, after line %u; expected one",
            quote(parser, line->client[CLIENT_CERT]), (unsigned)pins_client(parser->pins, before)->line);
}

void check_clients(struct parser *parser)
{
    for (size_t i = 0; parser->client_count > 0 && i < parser->pins->rule_count; i++) {
        const struct rule *rule = &parser->pins->rules[i];

        if (rule->client == 0 || rule->first_pin != NOTHING || rule->pkix)
            continue;
        parser->line = rule->line;
        complain(parser, parser->line_start, "a client certificate for a target without a pin or pkix; expected one that identifies the server");
    }
}
