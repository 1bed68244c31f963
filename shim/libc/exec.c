#include "exec.h"

#include "config.h"
#include "kernel.h"
#include "log.h"
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* glibc 2.34; musl has none. */
int execveat(int directory, const char *path, char *const argv[], char *const environment[], int flags);
/* glibc 2.39 */
int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[],
    char *const environment[]);
int pidfd_spawnp(int *pidfd, const char *name, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[],
    char *const environment[]);

#define EXEC_FUNCTIONS(each) \
    each(execve) each(execvpe) each(fexecve) each(execveat) each(posix_spawn) each(posix_spawnp) each(pidfd_spawn) each(pidfd_spawnp) each(system) \
    each(popen)

enum {
#define INDEX(name) AT_##name,
    EXEC_FUNCTIONS(INDEX)
#undef INDEX
    COUNT
};

static _Atomic(void *) real[COUNT];
static _Atomic bool all_sought;

/* A program calls this in a signal handler, or in a child that shares its memory (vfork): it takes no lock, and what it writes is the same each time. */
static void *find(int index)
{
#define SOUGHT(name) {#name, NULL, 0},
    struct sought list[COUNT] = {EXEC_FUNCTIONS(SOUGHT)};
#undef SOUGHT

    if (!atomic_load_explicit(&all_sought, memory_order_acquire)) {
        loader_next_at_start(list, COUNT, NULL, 0);
        for (int i = 0; i < COUNT; i++)
            atomic_store_explicit(&real[i], list[i].found, memory_order_relaxed);
        atomic_store_explicit(&all_sought, true, memory_order_release);
    }
    return atomic_load_explicit(&real[index], memory_order_relaxed);
}
#define REAL(name) ((__typeof__(&name))find(AT_##name))

#define VARIABLES 16

/* What is put back: copies, because programs write over their environment to change their title. */
static struct {
    bool force;
    const char *entry; /* of LD_PRELOAD, for this object; NULL: the loader takes it from elsewhere */
    const char *file; /* the name after the last slash of it */
    const char *variables[VARIABLES]; /* PINSHIM_... */
    size_t count;
    char object[PATH_MAX]; /* this object's path */
    char text[4 * PATH_MAX];
} kept;

static const char *keep(const char *string, size_t length)
{
    static size_t used;
    char *copy = kept.text + used;

    if (length >= sizeof(kept.text) - used)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = '\0';
    used += length + 1;
    return copy;
}

/* The loader parts the list at blanks and colons. */
static size_t entry_length(const char *list)
{
    return strcspn(list, " :");
}

static const char *last_part(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] != '/')
        length--;
    return path + length;
}

static bool is_text(const char *string, const char *entry, size_t length)
{
    return string != NULL && strlen(string) == length && memcmp(string, entry, length) == 0;
}

/* Return true if the entry may lead to a file. A bare name, or one with $LIB or the like, is searched by the loader alone. */
static bool leads(const char *entry, size_t length)
{
    char path[PATH_MAX];
    int saved = errno;
    bool is;

    if (memchr(entry, '/', length) == NULL || memchr(entry, '$', length) != NULL || is_text(kept.object, entry, length) || is_text(kept.entry, entry, length))
        return true;
    if (length >= sizeof(path))
        return false;
    memcpy(path, entry, length);
    path[length] = '\0';
    is = kernel_call(SYS_faccessat, AT_FDCWD, path, R_OK) == 0 || errno == EPERM;
    errno = saved;
    return is;
}

/* Find the entry of the list whose file has the object's name. One that leads nowhere (a path from before an upgrade) is not the object. */
static const char *find_entry(const char *list, size_t *length)
{
    for (; *list != '\0'; list += *length + (list[*length] != '\0')) {
        const char *last;

        *length = entry_length(list);
        last = last_part(list, *length);
        if (is_text(kept.file, last, (size_t)(list + *length - last)) && leads(list, *length))
            return list;
    }
    return NULL;
}

static bool is_ours(const char *variable)
{
    return strncmp(variable, "PINSHIM_", 8) == 0;
}

/* Return true if the object reads the variable. */
static bool is_read(const char *variable)
{
    size_t length = strcspn(variable, "=");
    bool is = false;

    for (int i = 0; variable[length] == '=' && config_variables[i] != NULL; i++)
        is |= strlen(config_variables[i]) == length && memcmp(config_variables[i], variable, length) == 0;
    return is;
}

static const char *preload_of(const char *variable)
{
    return strncmp(variable, "LD_PRELOAD=", 11) == 0 ? variable + 11 : NULL;
}

void exec_start(void)
{
    size_t length;

    if (!config_get()->inherits || loader_own_path == NULL || strlen(loader_own_path) >= sizeof(kept.object))
        return;
    strcpy(kept.object, loader_own_path); /* fits: just compared */
    kept.file = last_part(kept.object, strlen(kept.object));
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        const char *list = preload_of(*at);
        const char *entry = list != NULL ? find_entry(list, &length) : NULL;

        if (entry != NULL)
            kept.entry = keep(entry, length);
        if (is_ours(*at) && is_read(*at) && kept.count < VARIABLES) {
            const char *copy = keep(*at, strlen(*at));

            if (copy != NULL)
                kept.variables[kept.count++] = copy;
        }
    }
    kept.force = true;
}

static bool is_same_variable(const char *a, const char *b)
{
    size_t length = strcspn(a, "=");

    return strncmp(a, b, length + 1) == 0;
}

/* What an environment lacks. */
struct lacking {
    size_t count; /* of its variables */
    const char *preload; /* its LD_PRELOAD, without this object; NULL: none */
    bool object; /* this object has to be put into its LD_PRELOAD */
    uint32_t variables; /* a bit for each of kept.variables */
};

/* Return true if something is lacking. */
static bool find_lacking(char *const *environment, struct lacking *out)
{
    bool any = false;
    size_t length;

    out->count = 0;
    out->preload = NULL;
    out->object = false;
    out->variables = (1U << kept.count) - 1;
    for (; environment != NULL && environment[out->count] != NULL; out->count++) {
        const char *variable = environment[out->count];
        const char *list = preload_of(variable);

        /* Of several, glibc's loader takes the last, and musl's the first. */
        if (list != NULL && kept.entry != NULL) {
            any = true;
            if (find_entry(list, &length) == NULL) {
                out->object = true;
                out->preload = list;
            }
        }
        for (size_t i = 0; is_ours(variable) && i < kept.count; i++) {
            if (is_same_variable(kept.variables[i], variable))
                out->variables &= ~(1U << i);
        }
    }
    out->object |= kept.entry != NULL && !any;
    return out->object || out->variables != 0;
}

/* Return the size of the memory that put_back needs. */
static size_t room_for(const struct lacking *lacking)
{
    return (lacking->count + kept.count + 2) * sizeof(char *) + (kept.entry != NULL ? strlen(kept.entry) : 0)
        + (lacking->preload != NULL ? strlen(lacking->preload) : 0) + sizeof("LD_PRELOAD=:");
}

/* The runtime of a sanitizer ends the program unless it is the first. */
static bool must_be_first(const char *list)
{
    static const char *const names[] = {"libasan.so", "libtsan.so", "liblsan.so", "libhwasan.so", "libclang_rt."};
    const char *last = last_part(list, entry_length(list));
    bool must = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        must |= strncmp(last, names[i], strlen(names[i])) == 0;
    return must;
}

static void write_preload(char *out, const char *before)
{
    char *end = stpcpy(out, "LD_PRELOAD=");

    if (before != NULL && must_be_first(before)) {
        size_t first = entry_length(before);

        end = mempcpy(end, before, first);
        *end++ = ':';
        before = before[first] != '\0' ? before + first + 1 : NULL;
    }
    end = stpcpy(end, kept.entry);
    if (before != NULL && before[0] != '\0') {
        *end++ = ':';
        strcpy(end, before); /* room_for has counted it */
    }
}

/* Write to `memory` an environment that has what was lacking. */
static char *const *put_back(char *const *environment, const struct lacking *lacking, void *memory)
{
    char **out = memory;
    char *preload = (char *)(out + lacking->count + kept.count + 2);
    size_t count = 0;

    for (size_t i = 0; i < lacking->count; i++) {
        if (!lacking->object || preload_of(environment[i]) == NULL)
            out[count++] = environment[i];
    }
    if (lacking->object) {
        write_preload(preload, lacking->preload);
        out[count++] = preload;
    }
    for (size_t i = 0; i < kept.count; i++) {
        if ((lacking->variables >> i & 1) != 0)
            out[count++] = (char *)(uintptr_t)kept.variables[i];
    }
    out[count] = NULL;
    return out;
}

/* What is said once of programs that run without the object. */
static void say_without(const char *object, const char *reason)
{
    static _Atomic bool said;
    char line[PATH_MAX + 200];
    struct text text = text_over(line, sizeof(line));
    const struct event event = {.verdict = EVENT_NOTICE, .reason = line};

    if (atomic_exchange(&said, true))
        return;
    text_add_escaped(&text, object, strlen(object), 500);
    text_add(&text, " %s: they run without pinshim", reason);
    log_event(&event);
}

/* Make one of the calls that say who the process is, and compare the result. False if it may not be made. */
static __attribute__((noinline)) bool is_other(long call, long than)
{
    long own = kernel_call(call);

    return own >= 0 && than >= 0 && own != than;
}

static __attribute__((noinline)) bool find_file(const char *path, struct stat *out)
{
    return kernel_call(SYS_newfstatat, AT_FDCWD, path, out, 0) == 0;
}

/* The loader takes a program that is started so for a set-user-ID one, and ignores LD_PRELOAD: Squid starts its workers with the effective user "proxy". */
static bool starts_as_another(void)
{
    return is_other(SYS_getuid, kernel_call(SYS_geteuid)) || is_other(SYS_getgid, kernel_call(SYS_getegid));
}

/* Return true if a program with this environment is to have the object by it. */
static bool is_to_have(char *const *environment)
{
    bool is = kept.entry != NULL;

    for (; !is && !kept.force && environment != NULL && *environment != NULL; environment++)
        is = preload_of(*environment) != NULL && strstr(*environment, "pinshim") != NULL;
    return is;
}

/* The program may have changed its root: the loader would warn, and start the program without the object. */
static void look_for_object(char *const *environment)
{
    char reason[200];
    struct text text = text_over(reason, sizeof(reason));
    int saved = errno;

    if (is_to_have(environment)) {
        if (starts_as_another())
            say_without("LD_PRELOAD", "is ignored for programs that this one starts with another effective user or group than its own");
        else if (kept.entry != NULL && kernel_call(SYS_faccessat, AT_FDCWD, kept.object, R_OK) != 0 && errno != EPERM) {
            text_add(&text, "is not there for the programs that this one starts (%s)", strerror(errno));
            say_without(kept.object, reason);
        }
    }
    errno = saved;
}

/* Return true if the loader ignores LD_PRELOAD in a program of this file. */
static bool gains_rights(const struct stat *file)
{
    bool gains = ((file->st_mode & S_ISUID) != 0 && is_other(SYS_getuid, file->st_uid)) || ((file->st_mode & S_ISGID) != 0 && is_other(SYS_getgid, file->st_gid));

    return gains && kernel_call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0) == 0;
}

/* Root has started Exim with the object. It delivers what it receives by starting itself again, by another user, which is set-user-ID then. */
static void look_at_own_file(const char *path, char *const *environment)
{
    struct stat file;
    struct stat own;
    int saved = errno;

    if (is_to_have(environment) && find_file(path, &file) && gains_rights(&file) && find_file("/proc/self/exe", &own)
        && own.st_ino == file.st_ino && own.st_dev == file.st_dev)
        say_without(path, "is set-user-ID or set-group-ID, so that LD_PRELOAD is ignored where this program starts it again");
    errno = saved;
}

#define ON_STACK 65536

/* Memory for a very large environment. It is lost if the program is then not started by a child that shares its memory. */
static void *take_pages(size_t size)
{
    void *pages = (void *)kernel_call(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages != MAP_FAILED ? pages : NULL;
}

/* Return the size of the memory that is needed to put back what the environment lacks; 0: nothing is lacking. */
static size_t look_at(char *const *environment, struct lacking *lacking)
{
    look_for_object(environment);
    if (!kept.force)
        return 0;
    return find_lacking(environment, lacking) ? room_for(lacking) : 0;
}

/* Begin a function with the environment `given`: `fixed` is the one to use, on the stack of that function. If there is no memory for it, the function
 * returns the result `failed`. */
#define FIX_ENVIRONMENT(given, failed) \
    char *const *fixed = (given); \
    struct lacking lacking; \
    size_t room = look_at(fixed, &lacking); \
    void *memory = room == 0 ? NULL : room <= ON_STACK ? __builtin_alloca(room) : take_pages(room); \
\
    if (room != 0 && memory == NULL) { \
        errno = ENOMEM; \
        return (failed); \
    } \
    if (room != 0) \
        fixed = put_back(fixed, &lacking, memory);

static int missing(void)
{
    errno = ENOSYS;
    return -1;
}

EXPORT int execve(const char *path, char *const argv[], char *const environment[])
{
    FIX_ENVIRONMENT(environment, -1)
    look_at_own_file(path, environment);
    return REAL(execve) != NULL ? REAL(execve)(path, argv, fixed) : missing();
}

EXPORT int execv(const char *path, char *const argv[])
{
    return execve(path, argv, environ);
}

EXPORT int execvpe(const char *name, char *const argv[], char *const environment[])
{
    FIX_ENVIRONMENT(environment, -1)
    return REAL(execvpe) != NULL ? REAL(execvpe)(name, argv, fixed) : missing();
}

EXPORT int execvp(const char *name, char *const argv[])
{
    return execvpe(name, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const environment[])
{
    FIX_ENVIRONMENT(environment, -1)
    return REAL(fexecve) != NULL ? REAL(fexecve)(fd, argv, fixed) : missing();
}

EXPORT int execveat(int directory, const char *path, char *const argv[], char *const environment[], int flags)
{
    FIX_ENVIRONMENT(environment, -1)
    return REAL(execveat) != NULL ? REAL(execveat)(directory, path, argv, fixed, flags) : missing();
}

/* Define a function whose arguments are a list that ends with NULL (`rest`: what follows it). */
#define EXECL(name, rest, started) \
    EXPORT int name(const char *path, const char *first, ...) \
    { \
        size_t count = 1; \
        char **argv; \
        va_list args; \
\
        va_start(args, first); \
        for (const char *at = first; at != NULL; at = va_arg(args, const char *)) \
            count++; \
        va_end(args); \
        argv = __builtin_alloca(count * sizeof(*argv)); \
        argv[0] = (char *)(uintptr_t)first; \
        va_start(args, first); \
        for (size_t i = 1; i < count; i++) \
            argv[i] = va_arg(args, char *); \
        rest; \
        va_end(args); \
        return started; \
    }
EXECL(execl, , execve(path, argv, environ))
EXECL(execlp, , execvpe(path, argv, environ))
EXECL(execle, char *const *environment = va_arg(args, char *const *), execve(path, argv, environment))

typedef int spawn_function(void *started, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[],
    char *const environment[]);

static int spawn(spawn_function *function, void *started, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
    char *const argv[], char *const environment[])
{
    int saved = errno;
    int result = ENOSYS;
    FIX_ENVIRONMENT(environment, ENOMEM)

    errno = saved;
    if (function != NULL)
        result = function(started, path, actions, attributes, argv, fixed);
    saved = errno;
    if (room > ON_STACK)
        (void)kernel_call(SYS_munmap, memory, room);
    errno = saved;
    return result;
}

#define SPAWN(name, id) \
    EXPORT int name(id, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, char *const argv[], \
        char *const environment[]) \
    { \
        return spawn((spawn_function *)find(AT_##name), started, path, actions, attributes, argv, environment); \
    }
SPAWN(posix_spawn, pid_t *started)
SPAWN(posix_spawnp, pid_t *started)
SPAWN(pidfd_spawn, int *started)
SPAWN(pidfd_spawnp, int *started)

long exec_call(const long call[static 7], long (*pass)(const long call[static 7]))
{
    int at = call[0] == SYS_execve ? 3 : 4;
    long changed[7];
    FIX_ENVIRONMENT((char *const *)call[at], -1)

    memcpy(changed, call, sizeof(changed));
    changed[at] = (long)fixed;
    return pass(changed);
}

/* Append a variable as a shell is told it. */
static char *add_variable(char *end, const char *variable)
{
    size_t name = strcspn(variable, "=");

    *end++ = ' ';
    end = stpcpy(mempcpy(end, variable, name), "='");
    for (const char *at = variable + name + 1; *at != '\0'; at++) {
        if (*at == '\'')
            end = stpcpy(end, "'\\'");
        *end++ = *at;
    }
    return stpcpy(end, "'");
}

/* The shell gets the environment of this process, which other threads may be reading: so it is told what is lacking before the command. Return the
 * whole, for free(); NULL when memory ran out. */
static char *with_exports(const char *command, const struct lacking *lacking)
{
    size_t preload_room = room_for(lacking);
    char *preload = malloc(preload_room);
    char *whole = malloc(4 * (preload_room + sizeof(kept.text)) + strlen(command));
    char *end = whole;

    if (preload != NULL && whole != NULL) {
        end = stpcpy(end, "export");
        if (lacking->object) {
            write_preload(preload, lacking->preload);
            end = add_variable(end, preload);
        }
        for (size_t i = 0; i < kept.count; i++) {
            if ((lacking->variables >> i & 1) != 0)
                end = add_variable(end, kept.variables[i]);
        }
        strcpy(stpcpy(end, "; "), command); /* at most four times the length of each, by the quotes */
    } else {
        free(whole);
        whole = NULL;
    }
    free(preload);
    return whole;
}

/* Return the command to give to a shell, for free(), in `*changed`, or NULL if it needs no change. Return false when memory ran out. */
static bool change_command(const char *command, char **changed)
{
    struct lacking lacking;

    *changed = NULL;
    if (command == NULL || look_at(environ, &lacking) == 0)
        return true;
    *changed = with_exports(command, &lacking);
    return *changed != NULL;
}

EXPORT int system(const char *command)
{
    char *changed;
    int result = -1;

    if (REAL(system) == NULL || !change_command(command, &changed))
        return -1;
    /* A thread that is cancelled in there loses the changed command: what would free it then needs glibc 2.34. */
    result = REAL(system)(changed != NULL ? changed : command);
    if (changed != NULL) {
        int saved = errno;

        free(changed);
        errno = saved;
    }
    return result;
}

EXPORT FILE *popen(const char *command, const char *type)
{
    FILE *stream = NULL;
    char *changed;
    int saved;

    if (REAL(popen) == NULL || !change_command(command, &changed))
        return NULL;
    stream = REAL(popen)(changed != NULL ? changed : command, type);
    saved = errno;
    free(changed);
    errno = saved;
    return stream;
}
