#include "libraries.h"

#include "basename.h"
#include "file.h"
#include "memory.h"
#include "output.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARIES_MAX 4096

const char *library_name(const struct library *library)
{
    const char *slash = strrchr(library->path, '/');

    return slash != NULL ? slash + 1 : library->path;
}

const struct library *libraries_find(const struct libraries *libraries, const char *prefix)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        if (strncmp(library_name(library), prefix, strlen(prefix)) == 0)
            return library;
    }
    return NULL;
}

/* Map the file that is to be found at `at`, and is to be called `path`, if it is for the program's processor; the loader skips others. Takes
 * `path`. */
static struct library *map_at(const struct libraries *libraries, const char *at, char *path)
{
    struct library *library;
    struct elf elf;

    if (elf_open(at, &elf) != ELF_READ) {
        free(path);
        return NULL;
    }
    if (libraries->first != NULL && !elf_alike(&elf, &libraries->first->elf)) {
        elf_close(&elf);
        free(path);
        return NULL;
    }
    library = output_allocate(NULL, sizeof(*library));
    memset(library, 0, sizeof(*library));
    library->path = path;
    library->elf = elf;
    return library;
}

static struct library *map(const struct libraries *libraries, char *path)
{
    return map_at(libraries, path, path);
}

static char *join(const char *directory, size_t length, const char *name)
{
    size_t rest = strlen(name);
    char *path = output_allocate(NULL, length + rest + 2);

    memcpy(path, directory, length);
    path[length] = '/';
    memcpy(path + length + 1, name, rest + 1);
    return path;
}

/* Return one directory of a DT_RPATH with $ORIGIN, $LIB and $PLATFORM replaced, as the loader does; `lib` is the value of $LIB. */
static char *expand(const char *entry, size_t length, const struct library *owner, const char *lib)
{
    const struct {
        const char *token;
        const char *value;
        size_t value_length;
    } tokens[] = {
        {"ORIGIN", owner->path, (size_t)(library_name(owner) - owner->path) - 1}, /* paths are absolute */
        {"LIB", lib, strlen(lib)},
        {"PLATFORM", "x86_64", strlen("x86_64")},
    };
    char *out = output_allocate(NULL, length * (strlen(owner->path) + 64) + 1);
    size_t used = 0;

    for (size_t i = 0; i < length;) {
        size_t taken = 1;

        out[used] = entry[i];
        for (size_t k = 0; entry[i] == '$' && k < sizeof(tokens) / sizeof(tokens[0]); k++) {
            size_t name = strlen(tokens[k].token);
            size_t braces = i + 1 < length && entry[i + 1] == '{';

            if (i + 1 + braces + name + braces > length || strncmp(entry + i + 1 + braces, tokens[k].token, name) != 0)
                continue;
            memcpy(out + used, tokens[k].value, tokens[k].value_length);
            used += tokens[k].value_length - 1;
            taken = 1 + name + 2 * braces;
            break;
        }
        used++;
        i += taken;
    }
    out[used] = '\0';
    return out;
}

/* Look for `name` in each of the directories of `list`, that of `owner`. */
static struct library *in_list(const struct libraries *libraries, const char *list, const char *separators, const struct library *owner,
    const char *name)
{
    static const char *const lib[] = {"lib/x86_64-linux-gnu", "lib64", "lib/aarch64-linux-gnu", "lib"};

    if (list == NULL)
        return NULL;
    for (const char *at = list; at != NULL; at = *at != '\0' ? at + 1 : NULL) {
        size_t length = strcspn(at, separators);
        bool of_lib = memmem(at, length, "LIB", 3) != NULL;

        for (size_t i = 0; i < (of_lib ? sizeof(lib) / sizeof(lib[0]) : 1); i++) {
            char *directory = expand(length > 0 ? at : ".", length > 0 ? length : 1, owner, lib[i]);
            struct library *found = map(libraries, join(directory, strlen(directory), name));

            free(directory);
            if (found != NULL)
                return found;
        }
        at += length;
    }
    return NULL;
}

/* /etc/ld.so.cache as ldconfig of glibc 2.2 and later writes it, alone or after an older table. */
struct cache_header {
    char magic[20];
    uint32_t count;
    uint32_t strings;
    uint32_t unused[5];
};

struct cache_entry {
    int32_t flags;
    uint32_t key;
    uint32_t value;
    uint32_t os_version;
    uint64_t hwcap;
};

static const char *cache_string(const char *cache, size_t size, size_t offset)
{
    return offset < size && memchr(cache + offset, '\0', size - offset) != NULL ? cache + offset : NULL;
}

static struct library *in_cache(const struct libraries *libraries, const char *name)
{
    static const char magic[] = "glibc-ld.so.cache1.1";
    static char *whole;
    static size_t whole_size;
    struct file_identity identity;
    char problem[200];
    struct text text = text_over(problem, sizeof(problem));
    struct cache_header header;
    const char *cache;
    size_t size;

    if (whole == NULL)
        whole = file_read("/etc/ld.so.cache", "cache", (size_t)64 << 20, &identity, &whole_size, &text);
    if (whole == NULL || whole_size < sizeof(header))
        return NULL;
    cache = memmem(whole, whole_size, magic, sizeof(magic) - 1);
    if (cache == NULL)
        return NULL;
    size = whole_size - (size_t)(cache - whole);
    if (size < sizeof(header))
        return NULL;
    memcpy(&header, cache, sizeof(header));
    for (size_t i = 0; i < header.count && (i + 1) * sizeof(struct cache_entry) <= size - sizeof(header); i++) {
        struct cache_entry entry;
        const char *key;
        const char *value;
        struct library *found;

        memcpy(&entry, cache + sizeof(header) + i * sizeof(entry), sizeof(entry));
        key = cache_string(cache, size, entry.key);
        value = cache_string(cache, size, entry.value);
        if (key == NULL || value == NULL || strcmp(key, name) != 0)
            continue;
        found = map(libraries, output_copy(value));
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* Return true if the loader is musl, whatever it is called: it holds libc, too. */
static bool is_musl(const char *interpreter)
{
    struct elf elf;
    bool is = interpreter != NULL && strncmp(program_base(interpreter), "ld-musl-", 8) == 0;

    if (!is && interpreter != NULL && elf_open(interpreter, &elf) == ELF_READ) {
        is = elf_defines(&elf, "__libc_start_main") && elf_defines(&elf, "dlopen");
        elf_close(&elf);
    }
    return is;
}

/* Look in the directories of `list`. Unlike glibc, musl skips empty entries, and knows $ORIGIN alone, in the list of an `owner`. */
static struct library *in_musl_list(const struct libraries *libraries, const char *list, const struct library *owner, const char *name)
{
    struct library *found = NULL;

    while (list != NULL && found == NULL && list[strspn(list, ":\n")] != '\0') {
        size_t length = strcspn(list += strspn(list, ":\n"), ":\n");
        char *directory = owner != NULL ? expand(list, length, owner, "$LIB") : output_copy(list);

        found = map(libraries, join(directory, owner != NULL ? strlen(directory) : length, name));
        free(directory);
        list += length;
    }
    return found;
}

/* Return what musl's list of directories says, for the caller to free: /etc/ld-musl-ARCH.path, below where /lib/ld-musl-ARCH.so.1 is. */
static char *musl_directories(const struct libraries *libraries)
{
    const char *name = program_base(libraries->musl);
    const char *architecture = libraries->first->elf.machine == EM_AARCH64 ? "aarch64" : "x86_64";
    char path[PATH_MAX];
    struct text text = text_over(path, sizeof(path));
    char problem[200];
    struct text unwanted = text_over(problem, sizeof(problem));
    struct file_identity identity;
    size_t prefix = (size_t)(name - libraries->musl);
    size_t length = 0;
    char *list;
    char *copy;

    /* Without the last slash, and without the directory before it. */
    for (prefix -= prefix > 0; prefix > 0 && libraries->musl[prefix - 1] != '/';)
        prefix--;
    text_add(&text, "%.*s/etc/ld-musl-%s.path", prefix > 0 ? (int)prefix - 1 : 0, libraries->musl, architecture);
    list = file_read(path, "list", (size_t)1 << 20, &identity, &length, &unwanted);
    if (list == NULL)
        return output_copy(access(path, F_OK) == 0 ? "" : "/lib:/usr/local/lib:/usr/lib");
    copy = strndup(list, length);
    memory_let_go(list);
    return copy != NULL ? copy : output_copy("");
}

/* As musl searches: its own libraries are in the loader; LD_LIBRARY_PATH goes first; a DT_RUNPATH, or else a DT_RPATH, is handed down. */
static struct library *search_as_musl(const struct libraries *libraries, const struct library *by, const char *name)
{
    static const char *const own[] = {"libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."};
    struct library *found;
    char *directories;

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return map(libraries, output_copy(libraries->musl));
    }
    if (strchr(name, '/') != NULL)
        return map(libraries, output_copy(name));
    found = in_musl_list(libraries, getenv("LD_LIBRARY_PATH"), NULL, name);
    while (found == NULL && by != NULL) {
        found = in_musl_list(libraries, by->elf.runpath != NULL ? by->elf.runpath : by->elf.rpath, by, name);
        by = by == libraries->first ? libraries->program : by->by;
    }
    if (found != NULL)
        return found;
    directories = musl_directories(libraries);
    found = in_musl_list(libraries, directories, NULL, name);
    free(directories);
    return found;
}

static struct library *search(const struct libraries *libraries, const struct library *by, const char *name)
{
    static const char *const standard[] = {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"};
    struct library *found = NULL;

    if (libraries->musl != NULL)
        return search_as_musl(libraries, by, name);
    if (strchr(name, '/') != NULL)
        return map(libraries, output_copy(name));
    /* A DT_RPATH is handed down to what the object needs; a DT_RUNPATH is not, and switches the object's DT_RPATH off. */
    for (const struct library *owner = by; found == NULL && by->elf.runpath == NULL && owner != NULL; owner = owner->by)
        found = owner->elf.runpath == NULL ? in_list(libraries, owner->elf.rpath, ":", owner, name) : NULL;
    if (found == NULL)
        found = in_list(libraries, getenv("LD_LIBRARY_PATH"), ":;", libraries->first, name);
    if (found == NULL)
        found = in_list(libraries, by->elf.runpath, ":", by, name);
    if (found == NULL && (by->elf.flags_1 & DF_1_NODEFLIB) == 0)
        found = in_cache(libraries, name);
    for (size_t i = 0; found == NULL && i < sizeof(standard) / sizeof(standard[0]) && (by->elf.flags_1 & DF_1_NODEFLIB) == 0; i++)
        found = map(libraries, join(standard[i], strlen(standard[i]), name));
    return found;
}

static bool is_called(const struct library *library, const char *name)
{
    return strcmp(library_name(library), name) == 0 || (library->elf.soname != NULL && strcmp(library->elf.soname, name) == 0)
        || strcmp(library->path, name) == 0;
}

static bool is_there(const struct libraries *libraries, const char *name)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        if (is_called(library, name))
            return true;
    }
    return false;
}

static void append(struct libraries *libraries, struct library *found, const struct library *by)
{
    found->by = by;
    found->depth = by->depth + 1;
    libraries->last->next = found;
    libraries->last = found;
}

static void library_free(struct library *library)
{
    elf_close(&library->elf);
    free(library->path);
    free(library);
}

struct libraries *libraries_of(const char *path, const struct libraries *program)
{
    struct libraries *libraries = output_allocate(NULL, sizeof(*libraries));
    size_t count = 1;

    memset(libraries, 0, sizeof(*libraries));
    libraries->first = map(libraries, output_copy(path));
    if (libraries->first == NULL) {
        free(libraries);
        return NULL;
    }
    libraries->last = libraries->first;
    libraries->program = program != NULL ? program->first : NULL;
    if (program == NULL ? is_musl(libraries->first->elf.interpreter) : program->musl != NULL)
        libraries->musl = output_copy(program == NULL ? libraries->first->elf.interpreter : program->musl);
    for (const struct library *by = libraries->first; by != NULL && count < LIBRARIES_MAX; by = by->next) {
        const char *name;

        for (size_t i = 0; (name = elf_needed(&by->elf, i)) != NULL; i++) {
            struct library *found;

            if (is_there(libraries, name))
                continue;
            found = search(libraries, by, name);
            if (found == NULL) {
                if (libraries->missing == NULL) {
                    libraries->missing = output_copy(name);
                    libraries->missing_by = by;
                }
                continue;
            }
            /* musl has many names. */
            if (is_there(libraries, found->path)) {
                library_free(found);
                continue;
            }
            append(libraries, found, by);
            count++;
        }
    }
    return libraries;
}

/* Read one line of /proc/PID/maps: "START-END PERMISSIONS OFFSET DEVICE INODE   PATH". Return the path of code, within the line; NULL where it is
 * none of a file. If the file was replaced or removed, the mapping itself, which leads to it, goes to `mapping`. */
static char *read_mapping(pid_t pid, char *line, struct text *mapping)
{
    static const char deleted[] = " (deleted)";
    const char *execute = strchr(line, ' ');
    char *path = strchr(line, '/');
    size_t length = strcspn(line, " ");

    line[strcspn(line, "\n")] = '\0';
    if (path == NULL || execute == NULL || strlen(execute) < 5 || execute[3] != 'x' || strncmp(path, "/dev/", 5) == 0
        || strncmp(path, "/memfd:", 7) == 0)
        return NULL;
    if (strlen(path) > strlen(deleted) && strcmp(path + strlen(path) - strlen(deleted), deleted) == 0) {
        path[strlen(path) - strlen(deleted)] = '\0';
        text_add(mapping, "/proc/%d/map_files/%.*s", (int)pid, (int)length, line);
    }
    return path;
}

/* Open what is mapped. To follow a mapping takes root's rights; without them, what the file was replaced by is taken in its place. Return false if it
 * cannot be read. */
static bool open_mapped(const struct libraries *libraries, pid_t pid, const char *path, const char *mapping, struct library **out)
{
    char at[PATH_MAX + 64];
    struct text text = text_over(at, sizeof(at));

    *out = mapping[0] != '\0' ? map_at(libraries, mapping, output_copy(path)) : NULL;
    if (*out != NULL)
        return true;
    text_add(&text, "/proc/%d/root%s", (int)pid, path);
    *out = map_at(libraries, at, output_copy(path));
    return *out != NULL || access(at, R_OK) == 0 || (mapping[0] != '\0' && access(mapping, R_OK) == 0);
}

/* Take the first library out of the list that is called `name`; NULL: whatever it is called. */
static struct library *take_library(struct library **list, const char *name)
{
    for (; *list != NULL; list = &(*list)->next) {
        struct library *library = *list;

        if (name != NULL && !is_called(library, name))
            continue;
        *list = library->next;
        library->next = NULL;
        return library;
    }
    return NULL;
}

/* Put what is mapped into the loader's order. */
static void put_in_order(struct libraries *libraries, struct library *mapped)
{
    struct library *found;

    for (const struct library *by = libraries->first; by != NULL; by = by->next) {
        const char *name;

        for (size_t i = 0; (name = elf_needed(&by->elf, i)) != NULL; i++) {
            while ((found = take_library(&mapped, name)) != NULL)
                append(libraries, found, by);
        }
        if (by->next == NULL && (found = take_library(&mapped, NULL)) != NULL)
            append(libraries, found, libraries->first);
    }
}

/* Return the program of the process; NULL with errno set. */
static struct library *map_program(const struct libraries *libraries, pid_t pid)
{
    char link[64];
    char path[PATH_MAX];
    struct text text = text_over(link, sizeof(link));
    ssize_t length;
    struct library *program;

    text_add(&text, "/proc/%d/exe", (int)pid);
    length = readlink(link, path, sizeof(path) - 1);
    if (length < 0)
        return NULL;
    path[length] = '\0';
    errno = ENOEXEC;
    program = map_at(libraries, link, output_copy(path));
    return program;
}

struct libraries *libraries_mapped(pid_t pid, const char *name, char **object)
{
    struct libraries *libraries = output_allocate(NULL, sizeof(*libraries));
    struct library *mapped = NULL;
    char path[64];
    struct text text = text_over(path, sizeof(path));
    char *line = NULL;
    size_t size = 0;
    FILE *maps;

    *object = NULL;
    memset(libraries, 0, sizeof(*libraries));
    text_add(&text, "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    if (maps != NULL)
        libraries->first = libraries->last = map_program(libraries, pid);
    if (libraries->first == NULL) {
        int error = errno;

        if (maps != NULL)
            (void)fclose(maps);
        free(libraries);
        errno = error;
        return NULL;
    }
    while (getline(&line, &size, maps) > 0) {
        char buffer[128];
        struct text mapping = text_over(buffer, sizeof(buffer));
        const char *found = read_mapping(pid, line, &mapping);
        struct library *library;

        if (found == NULL || strcmp(found, libraries->first->path) == 0 || (*object != NULL && strcmp(found, *object) == 0))
            continue;
        if (*object == NULL && strcmp(program_base(found), name) == 0) {
            *object = output_copy(found);
            continue;
        }
        if (!open_mapped(libraries, pid, found, buffer, &library) && libraries->missing == NULL)
            libraries->missing = output_copy(found);
        if (library == NULL)
            continue;
        library->next = mapped;
        mapped = library;
    }
    free(line);
    (void)fclose(maps);
    put_in_order(libraries, mapped);
    return libraries;
}

void libraries_free(struct libraries *libraries)
{
    struct library *next;

    if (libraries == NULL)
        return;
    for (struct library *library = libraries->first; library != NULL; library = next) {
        next = library->next;
        library_free(library);
    }
    free(libraries->musl);
    free(libraries->missing);
    free(libraries);
}
