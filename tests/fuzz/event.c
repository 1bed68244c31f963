/* Lines of the JSON log as `pinshim learn` and `prove` read them, with whatever a program may write there: what is found lies within the line, and the hosts in
 * it can be judged. */

#include "../../cmd/event.c"
#include "../../cmd/observed.c"
#include "../../cmd/output.c"
#include "fuzz.h"

static void refuse(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    fprintf(stderr, "%u:%u: %s\n", line, column, message);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char rules[] = "a.example spki-sha256:AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n*.a.example deny\n192.0.2.1:443 deny\n";
    struct pins *pins = fuzz_parse(rules, strlen(rules), refuse, NULL);
    struct observed *list = NULL;
    const struct observed *one;
    char *line = malloc(size + 1);
    char *value = malloc(size + 1);
    struct text text = text_over(value, size + 1);
    struct judgement judgement;

    if (size != 0)
        memcpy(line, data, size);
    line[size] = '\0';
    require(event_member(line, "target", &text) || text.length <= size);
    require(!text.cut && text.length <= size);
    one = observed_add(&list, line, value);
    (void)!observed_is_named(one);
    observed_judge(one, pins, &judgement);
    require(judgement.reason > REASON_INTERNAL && judgement.reason <= REASON_MATCH);
    require(observed_add(&list, line, value) == one);
    observed_free(list);
    free(value);
    free(line);
    pins_free(pins);
    return 0;
}
