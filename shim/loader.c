#include "loader.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* This object stands before these three itself (interpose.S), so a plain reference would come back to it. */
void *(*loader_real_dlopen)(const char *, int);
void *(*loader_real_dlsym)(void *, const char *);
void *(*loader_real_dlvsym)(void *, const char *, const char *);
static int (*real_dlclose)(void *);
static char *(*real_dlerror)(void);

/* The parts of an object's dynamic section by which a symbol is found. */
struct dynamic {
    const char *strings;
    const ElfW(Sym) *symbols;
    const uint32_t *gnu_hash;
};

/* glibc has made these addresses absolute, but not those of the kernel's vDSO. */
static const void *absolute(uintptr_t base, ElfW(Addr) address)
{
    return (const void *)(address < base ? address + base : address);
}

static struct dynamic read_dynamic(uintptr_t base, const ElfW(Dyn) *entry)
{
    struct dynamic out = {NULL, NULL, NULL};

    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_STRTAB)
            out.strings = absolute(base, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_SYMTAB)
            out.symbols = absolute(base, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_GNU_HASH)
            out.gnu_hash = absolute(base, entry->d_un.d_ptr);
    }
    return out;
}

/* Not strcmp(): on the way to the first dlsym nothing may be called that another object could stand before, and look for by dlsym. */
static bool equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Walk the chain of `name` in the GNU hash table: header (buckets, first symbol, size of the Bloom filter, shift), filter, buckets,
 * chains. Return the first definition, of whatever version: those of these functions differ in nothing. */
static void *find_defined(uintptr_t base, const struct dynamic *dynamic, const char *name)
{
    const uint32_t *header = dynamic->gnu_hash;
    const uint32_t *buckets;
    const uint32_t *chains;
    uint32_t hash = 5381;
    uint32_t at;

    if (header == NULL || dynamic->symbols == NULL || dynamic->strings == NULL)
        return NULL;
    buckets = header + 4 + header[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    chains = buckets + header[0];
    for (const char *c = name; *c != '\0'; c++)
        hash = hash * 33 + (uint8_t)*c;
    at = header[0] != 0 ? buckets[hash % header[0]] : 0;
    if (at < header[1])
        return NULL;
    for (;; at++) {
        const ElfW(Sym) *symbol = &dynamic->symbols[at];
        uint32_t link = chains[at - header[1]];

        if ((link | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF && equal(dynamic->strings + symbol->st_name, name))
            return (void *)(base + symbol->st_value);
        if ((link & 1) != 0)
            return NULL;
    }
}

/* dlopen and its kin stand in libc.so.6 from glibc 2.34 on, in libdl.so.2 before. */
static bool take_loader(const struct link_map *map)
{
    const char *base = map->l_name;
    struct dynamic dynamic;
    void *found[5];
    static const char *const names[5] = {"dlopen", "dlsym", "dlvsym", "dlclose", "dlerror"};

    for (const char *at = map->l_name; *at != '\0'; at++) {
        if (*at == '/')
            base = at + 1;
    }
    if (!equal(base, "libc.so.6") && !equal(base, "libdl.so.2"))
        return false;
    dynamic = read_dynamic(map->l_addr, map->l_ld);
    for (int i = 0; i < 5; i++) {
        found[i] = find_defined(map->l_addr, &dynamic, names[i]);
        if (found[i] == NULL)
            return false;
    }
    loader_real_dlopen = (void *(*)(const char *, int))found[0];
    loader_real_dlsym = (void *(*)(void *, const char *))found[1];
    real_dlclose = (int (*)(void *))found[3];
    real_dlerror = (char *(*)(void))found[4];
    __atomic_store_n(&loader_real_dlvsym, (void *(*)(void *, const char *, const char *))found[2], __ATOMIC_RELEASE);
    return true;
}

/* The loader's list of objects, which the program's dynamic section leads to (DT_DEBUG). Not through dl_iterate_phdr(), before which another
 * object may stand; nor _r_debug, for which the loader itself would have to be linked. NULL where ld.so was called as a program. */
static const struct link_map *first_object(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const ElfW(Dyn) *entry = NULL;
    uintptr_t base = 0;

    for (size_t i = 0; headers != NULL && i < getauxval(AT_PHNUM); i++) {
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    }
    for (size_t i = 0; headers != NULL && i < getauxval(AT_PHNUM); i++) {
        if (headers[i].p_type == PT_DYNAMIC)
            entry = (const ElfW(Dyn) *)(base + headers[i].p_vaddr);
    }
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_DEBUG && entry->d_un.d_ptr != 0)
            return ((const struct r_debug *)entry->d_un.d_ptr)->r_map;
    }
    return NULL;
}

static int note_loader(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct link_map map = {.l_addr = info->dlpi_addr, .l_name = (char *)(uintptr_t)info->dlpi_name};

    (void)size;
    (void)arg;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            map.l_ld = (ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    }
    return take_loader(&map);
}

void loader_ready(void)
{
    const struct link_map *map;

    if (__atomic_load_n(&loader_real_dlvsym, __ATOMIC_ACQUIRE) != NULL)
        return;
    for (map = first_object(); map != NULL && !take_loader(map);)
        map = map->l_next;
    if (map == NULL && dl_iterate_phdr(note_loader, NULL) == 0) {
        static const char message[] = "pinshim: dlsym was found neither in libc.so.6 nor in libdl.so.2\n";

        (void)syscall(SYS_write, STDERR_FILENO, message, sizeof(message) - 1);
        abort();
    }
}

struct listing {
    struct loaded *out;
    size_t room;
    size_t count;
    const char *mark;
    uintptr_t only; /* the address whose object alone is wanted; 0: all that are marked */
};

static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct listing *listing = arg;
    struct loaded object = {info->dlpi_name, UINTPTR_MAX, 0, false};
    const ElfW(Dyn) *entry = NULL;
    struct dynamic dynamic;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_DYNAMIC)
            entry = (const ElfW(Dyn) *)(info->dlpi_addr + header->p_vaddr);
        if (header->p_type != PT_LOAD)
            continue;
        if (info->dlpi_addr + header->p_vaddr < object.start)
            object.start = info->dlpi_addr + header->p_vaddr;
        if (info->dlpi_addr + header->p_vaddr + header->p_memsz > object.end)
            object.end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    if (listing->only != 0 && (listing->only < object.start || listing->only >= object.end))
        return 0;
    dynamic = read_dynamic(info->dlpi_addr, entry);
    object.marked = find_defined(info->dlpi_addr, &dynamic, listing->mark) != NULL;
    if (listing->only == 0 && !object.marked)
        return 0;
    if (listing->count == listing->room)
        return 1;
    listing->out[listing->count++] = object;
    return listing->only != 0;
}

bool loader_find(const void *address, const char *mark, struct loaded *out)
{
    struct loaded found = {NULL, 0, 0, false};
    struct listing listing = {&found, 1, 0, mark, (uintptr_t)address};

    if (address != NULL)
        (void)dl_iterate_phdr(note_object, &listing);
    *out = found;
    return listing.count == 1;
}

size_t loader_list(const char *mark, struct loaded *out, size_t room)
{
    struct listing listing = {out, room, 0, mark, 0};

    (void)dl_iterate_phdr(note_object, &listing);
    return listing.count;
}

void *loader_hold(const struct loaded *object)
{
    void *handle;

    loader_ready();
    /* By name, not by struct link_map *: as a handle, that crashes for objects loaded at start-up. */
    handle = loader_real_dlopen(object->name[0] == '\0' ? NULL : object->name, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL)
        (void)real_dlerror(); /* the program must not see this one */
    return handle;
}

void *loader_symbol(void *handle, const char *name)
{
    void *found = handle != NULL ? loader_real_dlsym(handle, name) : NULL;

    if (handle != NULL && found == NULL)
        (void)real_dlerror();
    return found != NULL && loader_is_own(found) ? loader_next(name) : found;
}

void loader_let_go(void *handle)
{
    if (handle != NULL)
        (void)real_dlclose(handle);
}

void *loader_for_caller(const void *caller, const char *name)
{
    struct loaded object;
    void *found = NULL;

    if (loader_find(caller, name, &object)) {
        void *handle = loader_hold(&object);

        found = loader_symbol(handle, name);
        loader_let_go(handle);
    }
    return found != NULL ? found : loader_next(name);
}

void *loader_next(const char *name)
{
    void *found;

    loader_ready();
    found = loader_real_dlsym(RTLD_NEXT, name);
    /* Not a tail call: the return address tells glibc after which object to look. */
    if (found == NULL)
        (void)real_dlerror();
    return found;
}
