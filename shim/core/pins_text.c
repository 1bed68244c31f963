#include "pins_text.h"

void complain(struct parser *parser, const char *at, const char *format, ...)
{
    struct text message = text_over(parser->message, sizeof(parser->message));
    va_list args;

    va_start(args, format);
    text_add_va(&message, format, args);
    va_end(args);
    parser->complaints++;
    parser->report(parser->arg, parser->line, (uint32_t)(at - parser->line_start) + 1, parser->message);
}

char *quote(struct parser *parser, struct field field)
{
    char *quoted = parser->quoted[parser->quotes++ % QUOTES];
    struct text text = text_over(quoted, sizeof(parser->quoted[0]));

    text_add_escaped(&text, field.at, field.length, sizeof(parser->quoted[0]) - 4);
    return quoted;
}

bool set_action(struct parser *parser, struct field field, struct rule *rule, enum rule_action action)
{
    static const char *const names[] = {"", "deny", "allow", "a pin"};

    if (rule->action == RULE_UNSET) {
        rule->action = (uint8_t)action;
    } else if (rule->action != action) {
        complain(parser, field.at, "\"%s\" contradicts line %u, which says %s for the same target; expected lines for one target "
            "to agree", quote(parser, field), (unsigned)rule->line, names[rule->action]);
        return false;
    }
    if (action != RULE_ALLOW)
        parser->pins->demand = true;
    if (action != RULE_ALLOW && (rule->form == FORM_NAME || rule->form == FORM_ONE_LABEL || rule->form == FORM_LABELS))
        parser->pins->named = true;
    return true;
}
