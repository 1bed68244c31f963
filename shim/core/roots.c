#include "roots.h"

#include "der.h"
#include "memory.h"

#include <stdatomic.h>
#include <string.h>

struct stored {
    uint64_t subject;
    size_t at; /* in the bytes */
    size_t length;
    uint32_t hash;
    bool hashed;
};

struct place {
    char *path;
    struct file_identity identity;
};

struct roots {
    _Atomic unsigned owners;
    uint8_t *bytes;
    size_t byte_count, byte_room;
    struct stored *stored;
    size_t count, room;
    struct place *places;
    size_t place_count;
    struct timespec begun; /* file_clock */
};

struct roots *roots_new(void)
{
    struct roots *roots = memory_get(sizeof(*roots));

    if (roots != NULL) {
        atomic_init(&roots->owners, 1);
        roots->begun = file_clock();
    }
    return roots;
}

bool roots_note_place(struct roots *roots, const char *path, const struct file_identity *identity)
{
    struct place *bigger = memory_resize(roots->places, (roots->place_count + 1) * sizeof(*bigger));
    char *copy = memory_copy(path, strlen(path));

    if (bigger != NULL)
        roots->places = bigger;
    if (bigger == NULL || copy == NULL) {
        memory_let_go(copy);
        return false;
    }
    roots->places[roots->place_count].path = copy;
    roots->places[roots->place_count++].identity = *identity;
    return true;
}

static bool grow(void **array, size_t *room, size_t wanted, size_t size)
{
    size_t more = *room == 0 ? 64 : *room;
    void *bigger;

    if (wanted <= *room)
        return true;
    while (more < wanted)
        more *= 2;
    bigger = memory_resize(*array, more * size);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *room = more;
    return true;
}

bool roots_add(struct roots *roots, const void *der, size_t length, const uint32_t *hash)
{
    struct der_names names;

    if (!der_read_names((struct bytes) {der, length}, &names) || !grow((void **)&roots->bytes, &roots->byte_room, roots->byte_count + length, 1)
        || !grow((void **)&roots->stored, &roots->room, roots->count + 1, sizeof(*roots->stored)))
        return false;
    memcpy(roots->bytes + roots->byte_count, der, length);
    roots->stored[roots->count++] = (struct stored) {names.subject, roots->byte_count, length, hash != NULL ? *hash : 0, hash != NULL};
    roots->byte_count += length;
    return true;
}

size_t roots_count(const struct roots *roots)
{
    return roots->count;
}

void roots_cut(struct roots *roots, size_t count)
{
    if (count < roots->count)
        roots->byte_count = roots->stored[count].at;
    roots->count = count;
}

bool roots_next(const struct roots *roots, uint64_t subject, size_t *cursor, struct root *out)
{
    for (size_t i = *cursor; roots != NULL && i < roots->count; i++) {
        const struct stored *stored = &roots->stored[i];

        if (stored->subject != subject)
            continue;
        *cursor = i + 1;
        *out = (struct root) {subject, roots->bytes + stored->at, stored->length, stored->hashed, stored->hash};
        return true;
    }
    return false;
}

bool roots_stay(const struct roots *roots)
{
    for (size_t i = 0; roots != NULL && i < roots->place_count; i++) {
        if (!file_stays(roots->places[i].path, &roots->places[i].identity))
            return false;
    }
    return true;
}

enum file_age roots_age(const struct roots *roots)
{
    enum file_age age = FILE_SETTLED;

    for (size_t i = 0; roots != NULL && i < roots->place_count; i++)
        age = file_younger(age, file_age(&roots->places[i].identity, &roots->begun));
    return age;
}

struct roots *roots_share(struct roots *roots)
{
    if (roots != NULL)
        atomic_fetch_add(&roots->owners, 1);
    return roots;
}

void roots_free(struct roots *roots)
{
    if (roots == NULL || atomic_fetch_sub(&roots->owners, 1) != 1)
        return;
    for (size_t i = 0; i < roots->place_count; i++)
        memory_let_go(roots->places[i].path);
    memory_let_go(roots->places);
    memory_let_go(roots->stored);
    memory_let_go(roots->bytes);
    memory_let_go(roots);
}
