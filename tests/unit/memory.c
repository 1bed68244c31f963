/* The pins' own memory: blocks keep what is in them, new ones are zero, also those that were others before. */
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

/* Take many, of sizes beyond what is there from the start, resize each, and let them go. Return how many were wrong. */
static int fill(void)
{
    static const size_t sizes[] = {1, 15, 16, 17, 4096, 30000, 65520, 100000, 700000};
    unsigned char *blocks[BLOCKS];
    int wrong = 0;

    for (int i = 0; i < BLOCKS; i++) {
        size_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];

        blocks[i] = memory_get(size);
        wrong += blocks[i] == NULL || (uintptr_t)blocks[i] % _Alignof(max_align_t) != 0 || !is_full_of(blocks[i], size, 0);
        memset(blocks[i], i + 1, size);
    }
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];
        size_t next = i % 3 == 0 ? size * 2 : i % 3 == 1 ? size * 20 : (size + 1) / 2;
        size_t same = next < size ? next : size;

        blocks[i] = memory_resize(blocks[i], next);
        wrong += blocks[i] == NULL || !is_full_of(blocks[i], same, i + 1);
        memset(blocks[i] + same, i + 1, next - same);
        wrong += !is_full_of(blocks[i], next, i + 1);
    }
    for (int i = 0; i < BLOCKS; i++)
        memory_let_go(blocks[i]);
    return wrong;
}

static void *fill_often(void *arg)
{
    int *wrong = arg;

    *wrong = 0;
    for (int i = 0; i < 5; i++)
        *wrong += fill();
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int wrong[THREADS];
    char *copy;

    check(fill() == 0, "new ones");
    check(fill() == 0, "those that were others before");
    for (int i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, fill_often, &wrong[i]) == 0, "thread %d", i);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        check(wrong[i] == 0, "in thread %d at the same time", i);
    }
    copy = memory_copy("hello", 4);
    check(copy != NULL && strcmp(copy, "hell") == 0, "a copy");
    check(memory_get(SIZE_MAX) == NULL && memory_get(SIZE_MAX - 15) == NULL && memory_get(SIZE_MAX / 2) == NULL && memory_resize(copy, SIZE_MAX) == NULL,
        "too large");
    check(strcmp(copy, "hell") == 0, "what could not be made larger");
    memory_let_go(copy);
    memory_let_go(NULL);
    return unit_end("memory");
}
