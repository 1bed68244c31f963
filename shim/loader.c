#include "loader.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* The versions that every glibc from 2.2.5 (2.17 on aarch64) to today has: from 2.34 on these stand in libc.so.6 as
 * GLIBC_2.34 as well, and an object that asks for those does not start on older systems. */
#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#else
#error "the oldest version of dlopen and dlsym is not known for this architecture"
#endif
__asm__(".symver dlopen, dlopen@" OLDEST);
__asm__(".symver dlsym, dlsym@" OLDEST);

struct listing {
    struct loaded *out;
    size_t room;
    size_t count;
    uintptr_t only; /* the address whose object alone is wanted; 0: all */
};

static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct listing *listing = arg;
    uintptr_t start = UINTPTR_MAX;
    uintptr_t end = 0;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type != PT_LOAD)
            continue;
        if (info->dlpi_addr + header->p_vaddr < start)
            start = info->dlpi_addr + header->p_vaddr;
        if (info->dlpi_addr + header->p_vaddr + header->p_memsz > end)
            end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    if (listing->only != 0 && (listing->only < start || listing->only >= end))
        return 0;
    if (listing->count == listing->room)
        return 1;
    listing->out[listing->count++] = (struct loaded) {info->dlpi_name, start, end};
    return listing->only != 0;
}

bool loader_find(const void *address, struct loaded *out)
{
    struct loaded found = {NULL, 0, 0};
    struct listing listing = {&found, 1, 0, (uintptr_t)address};

    if (address != NULL)
        (void)dl_iterate_phdr(note_object, &listing);
    *out = found;
    return listing.count == 1;
}

size_t loader_list(struct loaded *out, size_t room)
{
    struct listing listing = {out, room, 0, 0};

    (void)dl_iterate_phdr(note_object, &listing);
    return listing.count;
}

static bool is_own(const void *address)
{
    static struct loaded own;

    if (own.end == 0 && !loader_find((const void *)(uintptr_t)&is_own, &own))
        return true;
    return (uintptr_t)address >= own.start && (uintptr_t)address < own.end;
}

void *loader_symbol(const struct loaded *object, const char *name)
{
    /* By name, not by struct link_map *: as a handle, that crashes for objects loaded at start-up. */
    void *handle = dlopen(object->name[0] == '\0' ? NULL : object->name, RTLD_LAZY | RTLD_NOLOAD);
    void *found;

    if (handle == NULL)
        return NULL;
    found = dlsym(handle, name);
    if (found != NULL && is_own(found))
        found = loader_next(name);
    return found;
}

void *loader_next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}
