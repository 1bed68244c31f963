#include "pinstore.h"

#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(struct pinstore *) in_force;

/* The faults as they are found, each with its NUL: logged only by the thread whose load wins. */
struct faults {
    char *bytes;
    size_t length;
    size_t count;
};

static void keep_fault(struct faults *faults, const char *message)
{
    size_t length = strlen(message) + 1;
    char *bigger = realloc(faults->bytes, faults->length + length);

    faults->count++;
    if (bigger == NULL)
        return;
    memcpy(bigger + faults->length, message, length);
    faults->bytes = bigger;
    faults->length += length;
}

static void on_error(void *arg, uint32_t line, uint32_t column, const char *message)
{
    const char *path = config_get()->pins;
    char buffer[1024];
    struct text text = text_over(buffer, sizeof(buffer));

    text_add_escaped(&text, path, strlen(path), 300);
    if (line != 0)
        text_add(&text, ":%u:%u", (unsigned)line, (unsigned)column);
    text_add(&text, ": %s", message);
    keep_fault(arg, buffer);
}

static struct pinstore *load(struct faults *faults)
{
    const struct config *config = config_get();
    struct pinstore *store = calloc(1, sizeof(*store));
    struct text fault;

    if (store == NULL)
        return NULL;
    if (config->fault[0] != '\0')
        keep_fault(faults, config->fault);
    else
        store->pins = pins_load(config->pins_file, NULL, on_error, faults);
    fault = text_over(store->fault, sizeof(store->fault));
    if (store->pins == NULL)
        text_add(&fault, "%s", faults->bytes != NULL ? faults->bytes : "out of memory");
    if (faults->count > 1)
        text_add(&fault, " (and %zu more)", faults->count - 1);
    return store;
}

const struct pinstore *pinstore_get(void)
{
    struct pinstore *store = atomic_load_explicit(&in_force, memory_order_acquire);
    struct pinstore *loaded;
    struct faults faults = {NULL, 0, 0};
    int saved = errno;

    if (store != NULL)
        return store;
    /* Two threads may both load; one result stands. A lock here could be held for ever in a forked child. */
    loaded = load(&faults);
    if (loaded != NULL && atomic_compare_exchange_strong(&in_force, &store, loaded)) {
        store = loaded;
        for (size_t at = 0; at < faults.length; at += strlen(faults.bytes + at) + 1)
            log_fault("%s", faults.bytes + at);
    } else if (loaded != NULL) {
        pins_free((struct pins *)loaded->pins);
        free(loaded);
    }
    free(faults.bytes);
    errno = saved;
    return store;
}
