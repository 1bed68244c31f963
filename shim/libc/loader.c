#include "loader.h"

#include "kernel.h"
#include "musl.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *no_dlopen(const char *name, int mode)
{
    (void)name;
    (void)mode;
    return NULL;
}

static void *no_dlmopen(long space, const char *name, int mode)
{
    (void)space;
    return no_dlopen(name, mode);
}

static void *no_dlsym(void *handle, const char *name)
{
    (void)handle;
    (void)name;
    return NULL;
}

static void *no_dlvsym(void *handle, const char *name, const char *version)
{
    (void)handle;
    (void)name;
    (void)version;
    return NULL;
}

static int no_dlclose(void *handle)
{
    (void)handle;
    return -1;
}

/* This object interposes these itself (dlsym_entry.S, dlsym.c), so a plain reference would lead back to it. */
void *(*loader_real_dlopen)(const char *, int) = no_dlopen;
void *(*loader_real_dlmopen)(long, const char *, int) = no_dlmopen;
void *(*loader_real_dlsym)(void *, const char *) = no_dlsym;
void *(*loader_real_dlvsym)(void *, const char *, const char *) = no_dlvsym;
int (*loader_real_dlclose)(void *) = no_dlclose;
static char *(*real_dlerror)(void);
static int (*real_dlinfo)(void *, int, void *);
static _Atomic bool real_known;
/* Its dlopen returns a struct link_map * as the handle, and nothing is ever unloaded. */
static _Atomic bool is_musl;

/* libc's own dlopen, with which it loads name services; only if the others are in libdl.so.2. */
static void *(*_Atomic libc_dlopen)(const char *, int);
#define RTLD_FROM_PROGRAM ((int)0x80000000) /* without it, dlopen returns no handle that dlsym accepts */

static bool is_table(const ElfW(Dyn) *entry)
{
    return entry->d_tag == DT_STRTAB || entry->d_tag == DT_SYMTAB || entry->d_tag == DT_GNU_HASH || entry->d_tag == DT_HASH;
}

/* glibc has made these addresses absolute, but not those of the kernel's vDSO; musl makes none. Return what must be added: 0 or the base. The right one
 * brings the first table closer to the dynamic section: an object that was linked for a high address may be loaded below it, so that its base is in effect
 * negative. But a base that is smaller than the object (valgrind loads programs at 0x108000) says nothing that way: then an address below it is no
 * absolute one. */
static uintptr_t missing_base(uintptr_t base, const ElfW(Dyn) *dynamic)
{
    uintptr_t first = UINTPTR_MAX;
    uintptr_t as_it_is;
    uintptr_t moved;

    for (const ElfW(Dyn) *entry = dynamic; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (is_table(entry) && entry->d_un.d_ptr < first)
            first = entry->d_un.d_ptr;
    }
    if (base <= UINT32_MAX)
        return first < base ? base : 0;
    as_it_is = first - (uintptr_t)dynamic;
    moved = as_it_is + base;
    as_it_is = as_it_is > UINTPTR_MAX / 2 ? -as_it_is : as_it_is;
    moved = moved > UINTPTR_MAX / 2 ? -moved : moved;
    return moved < as_it_is ? base : 0;
}

static const void *at(uintptr_t missing, const ElfW(Dyn) *entry)
{
    return (const void *)(missing + entry->d_un.d_ptr);
}

/* The relocations by which an object refers to a function of another one. */
#ifdef __aarch64__
#define GLOBAL_REFERENCE R_AARCH64_GLOB_DAT
#define CALL_REFERENCE R_AARCH64_JUMP_SLOT
#else
#define GLOBAL_REFERENCE R_X86_64_GLOB_DAT
#define CALL_REFERENCE R_X86_64_JUMP_SLOT
#endif

static struct tables read_tables(uintptr_t base, const ElfW(Dyn) *entry)
{
    const uintptr_t missing = missing_base(base, entry);
    struct tables out = {.base = base};

    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_STRTAB: out.strings = at(missing, entry); break;
        case DT_SYMTAB: out.symbols = at(missing, entry); break;
        case DT_GNU_HASH: out.gnu_hash = at(missing, entry); break;
        case DT_HASH: out.old_hash = at(missing, entry); break;
        case DT_VERSYM: out.versions = at(missing, entry); break;
        case DT_RELA: out.references[0].at = at(missing, entry); break;
        case DT_RELASZ: out.references[0].size = entry->d_un.d_val; break;
        case DT_JMPREL: out.references[1].at = at(missing, entry); break;
        case DT_PLTRELSZ: out.references[1].size = entry->d_un.d_val; break;
        default: break;
        }
    }
    return out;
}

/* Not strcmp(): before the first dlsym, nothing may be called that another object could interpose and look up by dlsym. */
static bool equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool begins(const char *name, const char *part)
{
    while (*part != '\0' && *name == *part) {
        name++;
        part++;
    }
    return *part == '\0';
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 5381;

    for (; *name != '\0'; name++)
        hash = hash * 33 + (uint8_t)*name;
    return hash;
}

/* Return true if this is the version that a name without a version means. The others are for programs that were linked long ago. */
static bool is_default(const struct tables *tables, uint32_t at)
{
    return tables->versions == NULL || (tables->versions[at] & 0x8000) == 0;
}

/* Return true if the symbol at that place is a definition of `name`. */
static bool is_definition(const struct tables *tables, uint32_t at, const char *name)
{
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)tables->symbols + at;

    return symbol->st_shndx != SHN_UNDEF && is_default(tables, at) && equal(tables->strings + symbol->st_name, name);
}

static bool is_reference(const struct tables *tables, uint32_t at, const char *name)
{
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)tables->symbols + at;

    return symbol->st_shndx == SHN_UNDEF && equal(tables->strings + symbol->st_name, name);
}

/* Look `name` up in the hash table of the System V ABI: buckets, symbols, the first of each bucket, the next of each symbol. Without this,
 * a libssl that has no other table would not be recognized, and its clients would not be judged. */
static const ElfW(Sym) *find_by_old_hash(const struct tables *tables, const char *name)
{
    const uint32_t *header = tables->old_hash;
    uint32_t hash = 0;

    if (header == NULL || header[0] == 0)
        return NULL;
    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash << 4) + (uint8_t)*c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    for (uint32_t at = header[2 + hash % header[0]]; at != STN_UNDEF; at = header[2 + header[0] + at]) {
        if (is_definition(tables, at, name))
            return (const ElfW(Sym) *)tables->symbols + at;
    }
    return NULL;
}

/* Look `name` up in the GNU hash table: header (buckets, first symbol, words of the Bloom filter, shift), filter, buckets, chains. With `undefined`,
 * look for a function of another object that the program takes the address of: the table has those, too. */
static inline __attribute__((always_inline)) const ElfW(Sym) *find_entry(const struct tables *tables, const char *name, uint32_t hash, bool undefined)
{
    const uint32_t *header = tables->gnu_hash;
    const ElfW(Addr) *filter;
    const uint32_t *buckets;
    const uint32_t *chains;
    const unsigned bits = sizeof(*filter) * 8;
    uint32_t at;
    ElfW(Addr) word;

    if (tables->symbols == NULL || tables->strings == NULL)
        return NULL;
    if (header == NULL)
        return undefined ? NULL : find_by_old_hash(tables, name);
    if (header[0] == 0 || header[2] == 0)
        return NULL;
    filter = (const ElfW(Addr) *)(const void *)(header + 4);
    word = filter[hash / bits % header[2]];
    if ((word >> hash % bits & word >> (hash >> header[3]) % bits & 1) == 0)
        return NULL;
    buckets = (const uint32_t *)(const void *)(filter + header[2]);
    chains = buckets + header[0];
    at = buckets[hash % header[0]];
    if (at < header[1])
        return NULL;
    for (;; at++) {
        uint32_t link = chains[at - header[1]];

        if ((link | 1) == (hash | 1) && (undefined ? is_reference(tables, at, name) : is_definition(tables, at, name)))
            return (const ElfW(Sym) *)tables->symbols + at;
        if ((link & 1) != 0)
            return NULL;
    }
}

static const ElfW(Sym) *find_symbol(const struct tables *tables, const char *name, uint32_t hash)
{
    return find_entry(tables, name, hash, false);
}

/* A symbol that has to be called to get the address (STT_GNU_IFUNC) is left to dlsym. */
static void *find_function(const struct tables *tables, const char *name, uint32_t hash)
{
    const ElfW(Sym) *symbol = find_symbol(tables, name, hash);

    return symbol != NULL && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC ? (void *)(tables->base + symbol->st_value) : NULL;
}

/* libc's own, once it is found: who interposes it may look for it by dlsym only now (the sanitizers do), and must not be called before. */
static int (*_Atomic iterate)(int (*each)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);
/* libc itself. What is in the list before it was there when the program started, and is never unloaded: up to here it may be read without a lock. */
static _Atomic(const struct link_map *) libc;

static __typeof__(&dl_iterate_phdr) real_iterate(void)
{
    __typeof__(&dl_iterate_phdr) own = atomic_load_explicit(&iterate, memory_order_relaxed);

    return own != NULL ? own : dl_iterate_phdr;
}

static void take_libc(const struct link_map *map, const struct tables *tables)
{
    void *found = find_function(tables, "dl_iterate_phdr", hash_of("dl_iterate_phdr"));

    if (found == NULL)
        return;
    atomic_store_explicit(&iterate, (int (*)(int (*)(struct dl_phdr_info *, size_t, void *), void *))found, memory_order_relaxed);
    atomic_store_explicit(&libc, map, memory_order_relaxed);
}

/* Take the functions of musl, which is loader and libc in one. Its name says nothing: it is that by which the program calls for it, or by which it was
 * run as a program itself. It is what this object's calls lead to. Symbols have no versions there, and dlvsym is dlsym. */
static bool take_musl(const struct link_map *map)
{
    struct tables tables = read_tables(map->l_addr, map->l_ld);
    void *found[4];
    static const char *const names[4] = {"dlopen", "dlsym", "dlclose", "dlerror"};

    if (find_function(&tables, "__errno_location", hash_of("__errno_location")) != (void *)__errno_location
        || find_symbol(&tables, "dlvsym", hash_of("dlvsym")) != NULL)
        return false;
    for (int i = 0; i < 4; i++) {
        found[i] = find_function(&tables, names[i], hash_of(names[i]));
        if (found[i] == NULL)
            return false;
    }
    loader_real_dlopen = (void *(*)(const char *, int))found[0];
    loader_real_dlsym = (void *(*)(void *, const char *))found[1];
    loader_real_dlvsym = (void *(*)(void *, const char *, const char *))found[1];
    loader_real_dlclose = (int (*)(void *))found[2];
    real_dlerror = (char *(*)(void))found[3];
    take_libc(map, &tables);
    atomic_store(&is_musl, true);
    atomic_store_explicit(&real_known, true, memory_order_release);
    return true;
}

/* The same of glibc. dlopen and the like are in libc.so.6 from 2.34 on, in libdl.so.2 before. */
static bool take_glibc(const struct link_map *map)
{
    const char *base = map->l_name;
    struct tables tables;
    void *inner;
    void *found[7];
    static const char *const names[7] = {"dlopen", "dlsym", "dlvsym", "dlclose", "dlerror", "dlmopen", "dlinfo"};

    for (const char *at = map->l_name; *at != '\0'; at++) {
        if (*at == '/')
            base = at + 1;
    }
    if (!equal(base, "libc.so.6") && !equal(base, "libdl.so.2"))
        return false;
    tables = read_tables(map->l_addr, map->l_ld);
    inner = find_function(&tables, "__libc_dlopen_mode", hash_of("__libc_dlopen_mode"));
    if (inner != NULL)
        atomic_store(&libc_dlopen, (void *(*)(const char *, int))inner);
    take_libc(map, &tables);
    for (int i = 0; i < 7; i++) {
        found[i] = find_function(&tables, names[i], hash_of(names[i]));
        if (found[i] == NULL)
            return false;
    }
    loader_real_dlopen = (void *(*)(const char *, int))found[0];
    loader_real_dlsym = (void *(*)(void *, const char *))found[1];
    loader_real_dlvsym = (void *(*)(void *, const char *, const char *))found[2];
    loader_real_dlclose = (int (*)(void *))found[3];
    real_dlerror = (char *(*)(void))found[4];
    loader_real_dlmopen = (void *(*)(long, const char *, int))found[5];
    real_dlinfo = (int (*)(void *, int, void *))found[6];
    atomic_store_explicit(&real_known, true, memory_order_release);
    return true;
}

bool loader_is_musl(void)
{
    return atomic_load_explicit(&is_musl, memory_order_relaxed);
}

/* The loader's record for debuggers, to which an object's dynamic section leads (DT_DEBUG). */
static const struct r_debug *record_of(const ElfW(Dyn) *entry)
{
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_DEBUG)
            return (const struct r_debug *)entry->d_un.d_ptr;
    }
    return NULL;
}

/* The program, as dl_iterate_phdr tells of it. But where musl was run as a program, these headers are musl's own: then there is no PT_INTERP. */
static bool read_program(struct dl_phdr_info *out, const ElfW(Dyn) **dynamic)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = headers != NULL ? getauxval(AT_PHNUM) : 0;
    uintptr_t at = 0;
    bool program = false;

    *out = (struct dl_phdr_info) {.dlpi_name = "", .dlpi_phdr = headers, .dlpi_phnum = (ElfW(Half))count};
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR)
            out->dlpi_addr = (uintptr_t)headers - headers[i].p_vaddr;
        else if (headers[i].p_type == PT_DYNAMIC)
            at = headers[i].p_vaddr;
        program |= headers[i].p_type == PT_INTERP;
    }
    *dynamic = at != 0 ? (const ElfW(Dyn) *)(out->dlpi_addr + at) : NULL;
    return program;
}

static int note_record(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            *(const struct r_debug **)arg = record_of((const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    }
    return 1;
}

/* Not through dl_iterate_phdr(), which another object may interpose; nor through _r_debug, for which the loader itself would have to be linked. */
static const struct r_debug *find_record(void)
{
    const struct r_debug *record = NULL;
    struct dl_phdr_info program;
    const ElfW(Dyn) *dynamic;

    if (read_program(&program, &dynamic))
        return record_of(dynamic);
    (void)real_iterate()(note_record, &record);
    return record;
}

static const struct link_map *first_object(void)
{
    const struct r_debug *record = find_record();

    return record != NULL ? record->r_map : NULL;
}

/* What dl_iterate_phdr tells of an object is in its file's headers as well, which are mapped with its first part. */
static bool is_listed(const struct link_map *map, struct dl_phdr_info *out)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)map->l_addr;

    /* The vDSO stands in the list of the program's namespace alone; the loader itself is in each, but not as it is mapped. */
    if (map->l_addr == 0 || map->l_name == NULL || map->l_name[0] == '\0' || map->l_ld == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    *out = (struct dl_phdr_info) {.dlpi_addr = map->l_addr, .dlpi_name = map->l_name,
        .dlpi_phdr = (const ElfW(Phdr) *)(map->l_addr + header->e_phoff), .dlpi_phnum = header->e_phnum};
    return true;
}

/* dl_iterate_phdr for where nothing can be loaded or unloaded any more. The list may have been left in the middle of a change: an object that is being
 * unloaded is not there any more. */
static void iterate_unlocked(int (*each)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
    const struct link_map *map = first_object();
    struct dl_phdr_info object;
    const ElfW(Dyn) *dynamic;

    if (map == NULL || !read_program(&object, &dynamic) || each(&object, sizeof(object), arg) != 0)
        return;
    while ((map = map->l_next) != NULL) {
        if (kernel_readable((const void *)map->l_addr, sizeof(ElfW(Ehdr))) == sizeof(ElfW(Ehdr)) && is_listed(map, &object)
            && each(&object, sizeof(object), arg) != 0)
            return;
    }
}

/* glibc's locks for its list of objects. In a child they stay as another thread held them at the fork, for ever, but for one of them (seen in 2.36): who
 * asks for the list by dl_iterate_phdr then, hangs. Nothing but their form tells where they are. */
typedef struct {
    int lock;
    unsigned count;
    int owner;
    unsigned users;
    int kind;
    int spins;
    void *list[2];
} lock_data; /* as glibc's pthread_mutex_t, which cannot be named where this is compiled for musl */
#define LOCKS 8
static _Atomic(lock_data *) locks[LOCKS];
static _Atomic bool locks_sought;

static bool is_lock(const lock_data *data)
{
    return data->kind == PTHREAD_MUTEX_RECURSIVE && (unsigned)data->lock <= 2 && data->count < 1000 && data->users <= 1 && data->list[0] == NULL && data->list[1] == NULL;
}

static void find_locks(void)
{
    const struct r_debug *record = find_record();
    const ElfW(Ehdr) *header = record != NULL ? (const ElfW(Ehdr) *)record->r_ldbase : NULL;
    const ElfW(Phdr) *parts = header != NULL ? (const ElfW(Phdr) *)(record->r_ldbase + header->e_phoff) : NULL;
    struct tables tables = {0};
    const ElfW(Sym) *global;
    size_t count = 0;

    for (size_t i = 0; header != NULL && i < header->e_phnum; i++) {
        if (parts[i].p_type == PT_DYNAMIC)
            tables = read_tables(record->r_ldbase, (const ElfW(Dyn) *)(record->r_ldbase + parts[i].p_vaddr));
    }
    global = find_symbol(&tables, "_rtld_global", hash_of("_rtld_global"));
    for (size_t at = 0; global != NULL && count < LOCKS && at + sizeof(lock_data) <= global->st_size; at += sizeof(void *)) {
        lock_data *data = (lock_data *)(tables.base + global->st_value + at);

        if (is_lock(data))
            atomic_store_explicit(&locks[count++], data, memory_order_relaxed);
    }
    atomic_store_explicit(&locks_sought, true, memory_order_release);
}

#define PATIENCE 2000 /* milliseconds */

/* Return true if whoever holds the lock is no thread of this process. Between taking it and writing that down, and the other way round, nobody is known: a thread
 * that is there, and was stopped just then, goes on before long. Where one is not there, it is waited for once. */
static bool is_left_behind(const lock_data *data)
{
    static const struct timespec soon = {0, 1000000};
    static _Atomic(const lock_data *) left;
    int waited = 0;

    while (__atomic_load_n(&data->lock, __ATOMIC_RELAXED) != 0) {
        int owner = __atomic_load_n(&data->owner, __ATOMIC_RELAXED);

        if (!is_lock(data) || (owner != 0 && (kernel_call(SYS_tgkill, kernel_call(SYS_getpid), owner, 0) == 0 || errno != ESRCH)))
            return false;
        if (owner != 0) {
            if (__atomic_load_n(&data->owner, __ATOMIC_RELAXED) == owner)
                return true;
        } else if (atomic_load_explicit(&left, memory_order_relaxed) == data || waited++ == PATIENCE) {
            atomic_store_explicit(&left, data, memory_order_relaxed);
            return true;
        } else {
            (void)kernel_call(SYS_nanosleep, &soon, NULL);
        }
    }
    return false;
}

/* Return true if no thread can take the loader's locks: so none can change the list, either. */
static bool is_list_locked_for_ever(void)
{
    int saved = errno;
    bool is = false;

    if (!atomic_load_explicit(&locks_sought, memory_order_acquire))
        find_locks();
    for (int i = 0; i < LOCKS && !is; i++) {
        const lock_data *data = atomic_load_explicit(&locks[i], memory_order_relaxed);

        is = data != NULL && __atomic_load_n(&data->lock, __ATOMIC_RELAXED) != 0 && is_left_behind(data);
    }
    errno = saved;
    return is;
}

static void iterate_objects(int (*each)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
    if (is_list_locked_for_ever())
        iterate_unlocked(each, arg);
    else
        (void)real_iterate()(each, arg);
}

/* Find the functions without loading anything, once: later, other threads may change the list of objects. */
static void look(void)
{
    const struct link_map *map;
    bool taken = false;

    if (atomic_load_explicit(&real_known, memory_order_acquire) || atomic_load(&libc_dlopen) != NULL)
        return;
    for (map = first_object(); map != NULL && !(taken && atomic_load_explicit(&iterate, memory_order_relaxed) != NULL); map = map->l_next)
        taken |= take_glibc(map);
    if (atomic_load(&real_known) || atomic_load(&libc_dlopen) != NULL)
        return;
    for (map = first_object(); map != NULL && !take_musl(map);)
        map = map->l_next;
}

static void complain(void)
{
    static const char message[] = "pinshim: dlsym was found neither in glibc nor in musl\n";
    static _Atomic bool said;
    struct timespec at_once = {0, 0}; /* which the kernel writes to */
    struct pollfd ready = {STDERR_FILENO, POLLOUT, 0};

    if (!atomic_exchange(&said, true) && kernel_call(SYS_ppoll, &ready, 1, &at_once, NULL, 0) == 1 && ready.revents == POLLOUT)
        (void)kernel_call(SYS_write, STDERR_FILENO, message, sizeof(message) - 1);
}

void loader_ready(void)
{
    int saved = errno;

    if (atomic_load_explicit(&real_known, memory_order_acquire))
        return;
    look();
    /* A glibc before 2.34, in a program that started without libdl.so.2: load it, or find it if it was loaded since. */
    if (!atomic_load(&real_known) && atomic_load(&libc_dlopen) != NULL) {
        const struct link_map *map = atomic_load(&libc_dlopen)("libdl.so.2", RTLD_LAZY | RTLD_FROM_PROGRAM);

        if (map != NULL)
            (void)take_glibc(map);
    }
    if (!atomic_load(&real_known))
        complain();
    errno = saved;
}

struct listing {
    struct loaded *out;
    size_t room;
    size_t count;
    size_t seen;
    const char *mark;
    uintptr_t only; /* only the object with this address is wanted; 0: all marked ones */
    uint32_t hash; /* of the mark */
};

static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct listing *listing = arg;
    struct loaded object = {.name = info->dlpi_name, .start = UINTPTR_MAX};
    const ElfW(Dyn) *entry = NULL;

    (void)size;
    /* The program comes first. musl calls it by argv[0]. */
    if (listing->seen++ == 0)
        object.name = "";
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
    object.tables = read_tables(info->dlpi_addr, entry);
    object.marked = find_symbol(&object.tables, listing->mark, listing->hash) != NULL;
    if (listing->only == 0 && !object.marked)
        return 0;
    if (listing->count == listing->room)
        return 1;
    listing->out[listing->count++] = object;
    return listing->only != 0;
}

bool loader_find(const void *address, const char *mark, struct loaded *out)
{
    struct loaded found = {.name = NULL};
    struct listing listing = {&found, 1, 0, 0, mark, (uintptr_t)address, hash_of(mark)};

    if (address != NULL)
        iterate_objects(note_object, &listing);
    *out = found;
    return listing.count == 1;
}

size_t loader_list(const char *mark, struct loaded *out, size_t room)
{
    struct listing listing = {out, room, 0, 0, mark, 0, hash_of(mark)};

    iterate_objects(note_object, &listing);
    return listing.count;
}

/* The program must not see an error from these look-ups. */
static void forget_error(void)
{
    if (atomic_load(&real_known))
        (void)real_dlerror();
}

/* musl would open the file of that name, and compare it with what is loaded: a file that was replaced, or is outside of a new root directory, would not
 * be found. What is in its list before a loaded object never changes. */
static void *hold_in_musl(const struct loaded *object)
{
    const struct link_map *map = loader_real_dlopen(NULL, RTLD_LAZY); /* the first of the list */

    while (map != NULL && map->l_addr != object->tables.base)
        map = map->l_next;
    return (void *)(uintptr_t)map;
}

void *loader_hold(const struct loaded *object)
{
    void *handle;

    loader_ready();
    if (loader_is_musl())
        return hold_in_musl(object);
    if (object->list != NULL)
        return loader_real_dlmopen(object->space, object->name, RTLD_LAZY | RTLD_NOLOAD);
    /* By name. A struct link_map * used as a handle crashes for objects loaded at start-up. */
    handle = loader_real_dlopen(object->name[0] == '\0' ? NULL : object->name, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL)
        forget_error();
    /* It was unloaded, and another one has its name, or was given the memory of it. */
    if (handle != NULL && ((const struct link_map *)handle)->l_addr != object->tables.base) {
        loader_let_go(handle);
        return NULL;
    }
    return handle;
}

void *loader_renew(void *handle)
{
    const struct link_map *map = handle;
    char name[4096];
    struct loaded object = {.name = name, .tables = {.base = map->l_addr}};
    size_t length = strlen(map->l_name);

    if (length >= sizeof(name))
        return handle;
    memcpy(name, map->l_name, length + 1);
    loader_let_go(handle);
    return loader_hold(&object);
}

void *loader_symbol(void *handle, const char *name)
{
    void *found = handle != NULL ? loader_real_dlsym(handle, name) : NULL;

    if (handle != NULL && found == NULL)
        forget_error();
    return found != NULL && loader_is_own(found) ? loader_next(name) : found;
}

void *loader_defined(const struct loaded *object, const struct loaded *other, const char *name)
{
    uint32_t hash = hash_of(name);
    void *found = find_function(&object->tables, name, hash);

    return found != NULL ? found : find_function(&other->tables, name, hash);
}

void *loader_bound(const struct loaded *object, const char *name)
{
    const struct tables *tables = &object->tables;

    for (int k = 0; k < 2; k++) {
        const ElfW(Rela) *reference = tables->references[k].at;

        for (size_t left = tables->references[k].size / sizeof(*reference); reference != NULL && left > 0; left--, reference++) {
            const ElfW(Sym) *symbol = (const ElfW(Sym) *)tables->symbols + ELF64_R_SYM(reference->r_info);
            uint32_t type = ELF64_R_TYPE(reference->r_info);
            uintptr_t bound;

            if ((type != GLOBAL_REFERENCE && type != CALL_REFERENCE) || ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT
                || !begins(tables->strings + symbol->st_name, name))
                continue;
            bound = *(const uintptr_t *)(tables->base + reference->r_offset);
            /* A function that has not been called yet is bound to a stub in the object itself. */
            if (bound != 0 && bound - object->start >= object->end - object->start && !loader_is_own((const void *)bound))
                return (void *)bound;
        }
    }
    return NULL;
}

const char *loader_fill(void *base, const char *names, const struct listed *places, size_t count, void *(*find)(const void *how, const char *name, bool needed),
    const void *how)
{
    const char *lacks = NULL;

    for (size_t i = 0; i < count; i++, names += strlen(names) + 1) {
        void *found = find(how, names, places[i].needed);

        memcpy((char *)base + places[i].at, &found, sizeof(found));
        if (found == NULL && places[i].needed && lacks == NULL)
            lacks = names;
    }
    return lacks;
}

bool loader_refers(const struct loaded *object, const char *name)
{
    const struct tables *tables = &object->tables;
    /* The GNU hash table has the last symbols. */
    uint32_t count = tables->gnu_hash != NULL ? tables->gnu_hash[1] : tables->old_hash != NULL ? tables->old_hash[1] : 0;

    for (uint32_t i = 1; tables->symbols != NULL && tables->strings != NULL && i < count; i++) {
        if (is_reference(tables, i, name))
            return true;
    }
    return find_entry(tables, name, hash_of(name), true) != NULL;
}

void loader_let_go(void *handle)
{
    if (handle != NULL)
        (void)loader_real_dlclose(handle);
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
    /* Not a tail call: glibc uses the return address to find the object after which to search. */
    if (found == NULL)
        forget_error();
    return found;
}

/* Take those of the sought symbols that the object defines; return how many. */
static size_t take_sought(const struct link_map *map, const struct tables *tables, struct sought *list, size_t count)
{
    size_t taken = 0;

    for (size_t i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = list[i].found == NULL ? find_symbol(tables, list[i].name, list[i].hash) : NULL;

        if (symbol == NULL)
            continue;
        /* As in find_function. */
        list[i].found = ELF64_ST_TYPE(symbol->st_info) == STT_FUNC ? (void *)(map->l_addr + symbol->st_value) : loader_next(list[i].name);
        taken++;
    }
    return taken;
}

_Atomic unsigned loader_opened;

void loader_opens(void)
{
    atomic_fetch_add(&loader_opened, 1);
    loader_ready();
}

static _Atomic bool has_spaces;

void loader_enters(long space)
{
    if (space != LM_ID_BASE)
        atomic_store(&has_spaces, true);
    loader_opens();
}

/* A search in another namespace. The loader's list of objects is read in a callback of dl_iterate_phdr, while nothing can be loaded or unloaded. */
struct elsewhere {
    const struct link_map *list;
    long space;
    struct listing listing;
};

static int search_elsewhere(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct elsewhere *elsewhere = arg;
    struct listing *listing = &elsewhere->listing;
    struct dl_phdr_info object;

    (void)info;
    listing->seen = 1;
    for (const struct link_map *map = elsewhere->list; map != NULL; map = map->l_next) {
        size_t before = listing->count;

        if (is_listed(map, &object) && note_object(&object, size, listing) != 0 && listing->count == before)
            break;
        for (size_t i = before; i < listing->count; i++) {
            listing->out[i].list = elsewhere->list;
            listing->out[i].space = elsewhere->space;
        }
    }
    return 1;
}

bool loader_find_near(const struct loaded *near, const void *address, const char *mark, struct loaded *out)
{
    struct loaded found = {.name = NULL};
    struct elsewhere elsewhere = {near->list, near->space, {&found, 1, 0, 0, mark, (uintptr_t)address, hash_of(mark)}};

    if (near->list == NULL)
        return loader_find(address, mark, out);
    if (address != NULL)
        iterate_objects(search_elsewhere, &elsewhere);
    *out = found;
    return elsewhere.listing.count == 1;
}

size_t loader_list_space(void *handle, const char *mark, struct loaded *out, size_t room)
{
    struct elsewhere elsewhere = {.listing = {out, room, 0, 0, mark, 0, hash_of(mark)}};
    struct link_map *map = NULL;

    if (!atomic_load_explicit(&has_spaces, memory_order_relaxed) || real_dlinfo == NULL || handle == NULL || handle == RTLD_NEXT
        || real_dlinfo(handle, RTLD_DI_LMID, &elsewhere.space) != 0 || elsewhere.space == LM_ID_BASE || real_dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return 0;
    while (map != NULL && map->l_prev != NULL)
        map = map->l_prev;
    elsewhere.list = map;
    iterate_objects(search_elsewhere, &elsewhere);
    return elsewhere.listing.count;
}

static void set_hashes(struct sought *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].hash = hash_of(list[i].name);
}

/* How many of the first objects loader_next_at_start or loader_find_new has looked at. */
static size_t looked_at;

const char *loader_own_path;

void loader_next_at_start(struct sought *list, size_t count, struct sought *marks, size_t mark_count)
{
    const struct link_map *end;
    size_t left = count;
    size_t objects = 0;
    bool after = false;

    look();
    end = atomic_load_explicit(&libc, memory_order_relaxed);
    set_hashes(list, count);
    set_hashes(marks, mark_count);
    for (const struct link_map *map = first_object(); map != NULL && (left > 0 || mark_count > 0); map = map->l_next) {
        struct tables tables;

        objects++;
        if (map->l_ld == _DYNAMIC) {
            after = true;
            loader_own_path = map->l_name;
            continue;
        }
        if ((!after || left == 0) && mark_count == 0)
            continue;
        tables = read_tables(map->l_addr, map->l_ld);
        if (after && left > 0)
            left -= take_sought(map, &tables, list, count);
        if (after && map == end)
            left = 0;
        for (size_t i = 0; i < mark_count; i++) {
            if (marks[i].found == NULL && find_symbol(&tables, marks[i].name, marks[i].hash) != NULL)
                marks[i].found = (void *)map->l_ld;
        }
    }
    if (mark_count > 0)
        looked_at = objects;
}

bool loader_is_of_libc(const char *name, const void *function)
{
    const struct link_map *end = atomic_load_explicit(&libc, memory_order_relaxed);
    uint32_t hash = hash_of(name);

    for (const struct link_map *map = end != NULL ? first_object() : NULL; map != NULL; map = map != end ? map->l_next : NULL) {
        struct tables tables = read_tables(map->l_addr, map->l_ld);

        if (find_function(&tables, name, hash) == function)
            return map == end || find_symbol(&tables, "pthread_create", hash_of("pthread_create")) != NULL;
    }
    return false;
}

struct news {
    uint64_t changes; /* objects that were loaded and unloaded */
    size_t known; /* the first objects, which were looked at before */
    size_t at;
    struct sought *marks;
    size_t mark_count;
};

static int note_new(struct dl_phdr_info *info, size_t size, void *arg)
{
    static uint64_t changes; /* of the last look; the loader calls this for one thread at a time */
    static uint64_t unloaded;
    struct news *news = arg;
    struct tables tables = {0};

    (void)size;
    if (news->at == 0) {
        if (changes == info->dlpi_adds + info->dlpi_subs)
            return 1;
        changes = info->dlpi_adds + info->dlpi_subs;
        news->known = unloaded == info->dlpi_subs ? looked_at : 0;
        unloaded = info->dlpi_subs;
    }
    if (news->at++ < news->known)
        return 0;
    looked_at = news->at;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            tables = read_tables(info->dlpi_addr, (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    }
    for (size_t i = 0; i < news->mark_count; i++) {
        if (find_symbol(&tables, news->marks[i].name, news->marks[i].hash) != NULL)
            news->marks[i].found = (void *)info->dlpi_phdr;
    }
    return 0;
}

void loader_find_new(struct sought *marks, size_t count)
{
    struct news news = {.marks = marks, .mark_count = count};

    set_hashes(marks, count);
    iterate_objects(note_new, &news);
}

bool loader_has_looked(void)
{
    return looked_at > 0;
}

void *loader_own(const char *name)
{
    struct tables tables = read_tables((uintptr_t)__ehdr_start, _DYNAMIC);

    return find_function(&tables, name, hash_of(name));
}
