#include "targets.h"

#include "pins_internal.h"

#include <stdlib.h>
#include <string.h>

const struct rule *targets_next(const struct pins *pins, const struct rule *rule)
{
    size_t index = rule == NULL ? 0 : (size_t)(rule - pins->rules) + 1;

    return index < pins->rule_count ? &pins->rules[index] : NULL;
}

bool targets_host(const struct pins *pins, const struct rule *rule, struct host *out)
{
    const char *key = (const char *)pins->bytes + rule->name;

    memset(out, 0, sizeof(*out));
    out->port = rule->port;
    if (rule->form == FORM_ADDRESS) {
        out->kind = HOST_ADDRESS;
        memcpy(out->address, key, sizeof(out->address));
        return true;
    }
    if (rule->form != FORM_NAME)
        return false;
    out->kind = HOST_NAME;
    strcpy(out->name, key); /* fits: it came from a struct host */
    return true;
}

bool targets_are_unknown(const struct rule *rule)
{
    return rule->form == FORM_UNKNOWN;
}

bool targets_are_any(const struct rule *rule)
{
    return rule->form == FORM_ANY;
}

bool targets_have_every_port(const struct pins *pins, const struct rule *rule)
{
    for (size_t i = 0; i < pins->rule_count; i++) {
        /* The rules of one target share its name. */
        if (pins->rules[i].form == rule->form && pins->rules[i].name == rule->name && pins->rules[i].port == 0)
            return true;
    }
    return false;
}

bool targets_differ_in_port(const struct rule *rule, const struct rule *other)
{
    /* The rules of one target share its name. */
    return rule->form == other->form && rule->name == other->name && rule->port != other->port;
}

void targets_print(const struct pins *pins, const struct rule *rule, struct text *out)
{
    static const char *const stars[] = {[FORM_ONE_LABEL] = "*.", [FORM_LABELS] = "**.", [FORM_ANY] = "*", [FORM_UNKNOWN] = "@unknown"};
    struct host host;

    if (targets_host(pins, rule, &host)) {
        host_print(&host, out);
        return;
    }
    text_add(out, "%s%s", stars[rule->form], (const char *)pins->bytes + rule->name);
    if (rule->port != 0)
        text_add(out, ":%u", rule->port);
}

const char *targets_default_file(void)
{
    const char *path = getenv("PINSHIM_PINS");

    return path != NULL ? path : "/etc/pinshim/pins";
}

static void ignore(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    (void)line;
    (void)column;
    (void)message;
}

bool targets_valid(const char *target)
{
    char buffer[HOST_NAME_MAX_LENGTH + 32];
    struct text line = text_over(buffer, sizeof(buffer));
    struct pins *pins;
    bool valid;

    /* The parser decides, but it would also take more than one field, and a comment. */
    if (target[0] == '\0' || strpbrk(target, " \t\r\n#") != NULL)
        return false;
    text_add(&line, "%s deny", target);
    pins = line.cut ? NULL : pins_parse(buffer, line.length, NULL, ignore, NULL);
    valid = pins != NULL;
    pins_free(pins);
    return valid;
}
