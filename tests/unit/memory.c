/* Memory apart from malloc's: blocks of either kind may be resized and freed whatever is set, and keep what is in them. */
#include "memory.h"
#include "unit.h"

#include <pthread.h>
#include <string.h>

#define BLOCKS 200
#define THREADS 8

static bool is_full_of(const unsigned char *at, size_t size, int what)
{
    for (size_t i = 0; i < size; i++) {
        if (at[i] != (unsigned char)what)
            return false;
    }
    return true;
}

/* Take many, of sizes that need several regions, and resize each; in the mode that is set, or one after the other in both. */
static int fill(bool first, bool second)
{
    static const size_t sizes[] = {1, 15, 16, 17, 4096, 100000, 700000};
    unsigned char *blocks[BLOCKS];
    int wrong = 0;

    (void)memory_apart(first);
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];

        blocks[i] = i % 2 == 0 ? memory_new(size) : memory_new_clear(size, 1);
        wrong += blocks[i] == NULL || (uintptr_t)blocks[i] % 16 != 0 || (i % 2 != 0 && !is_full_of(blocks[i], size, 0));
        memset(blocks[i], i, size);
    }
    (void)memory_apart(second);
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];
        unsigned char *bigger = memory_resize(blocks[i], i % 3 == 0 ? size * 2 : (size + 1) / 2);

        wrong += bigger == NULL || !is_full_of(bigger, i % 3 == 0 ? size : (size + 1) / 2, i);
        blocks[i] = bigger;
    }
    for (int i = 0; i < BLOCKS; i++)
        memory_free(blocks[i]);
    (void)memory_apart(false);
    return wrong;
}

static void *fill_apart(void *arg)
{
    *(int *)arg = fill(true, true) + fill(false, false);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int wrong[THREADS];
    char *copy;

    check(fill(false, false) == 0, "malloc's");
    check(fill(true, true) == 0, "apart");
    check(fill(true, false) == 0, "apart, and then malloc's");
    check(!memory_apart(true) && memory_apart(false) && !memory_apart(false), "what was set before");
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, fill_apart, &wrong[i]) == 0, "thread %d", i);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        check(wrong[i] == 0, "thread %d", i);
    }
    (void)memory_apart(true);
    copy = memory_copy("hello", 4);
    check(copy != NULL && strcmp(copy, "hell") == 0, "a copy");
    check(memory_new(SIZE_MAX) == NULL && memory_new(SIZE_MAX - 15) == NULL && memory_new_clear(SIZE_MAX, 2) == NULL && memory_new(SIZE_MAX / 2) == NULL,
        "too large");
    memory_free(NULL);
    (void)memory_apart(false);
    memory_free(copy);
    return unit_end("memory");
}
