/* Preloaded beside the shim: lets an allocation fail. STARVE=shim counts those that the shim makes, itself or through what it calls, STARVE=own those that
 * it makes itself, STARVE=realloc what makes a block larger of those of "shim", STARVE=all all of the process. From the STARVE_FROMth on, STARVE_COUNT of them
 * fail, or one. Makes the file STARVE_TOLD when the first one does. A crash is told on standard error, with the object whose code it is. */

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEEPEST 9 /* frames */
#define OWN 4

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static uintptr_t shim_start;
static uintptr_t shim_end;
static bool shim_only;
static bool own_only;
static bool larger_only;
static bool ready;
static long from;
static long count;
static const char *told;
static atomic_long seen;
static __thread bool within;

static int find_shim(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (strstr(info->dlpi_name, "libpinshim.so") == NULL)
        return 0;
    shim_start = info->dlpi_addr;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD)
            shim_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

/* The first object beyond libc, which raises what abort() does. */
static void tell_crash(int number)
{
    void *frames[30];
    int depth;
    Dl_info info;

    ready = false;
    depth = backtrace(frames, 30);
    for (int i = 1; i < depth; i++) {
        if (dladdr(frames[i], &info) == 0 || strstr(info.dli_fname, "/libc.so") != NULL || strstr(info.dli_fname, "starve.so") != NULL)
            continue;
        dprintf(2, "starve: signal %d in %s\n", number, strrchr(info.dli_fname, '/') != NULL ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname);
        break;
    }
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void begin(void)
{
    const char *who = getenv("STARVE");
    const char *first = getenv("STARVE_FROM");
    const char *many = getenv("STARVE_COUNT");
    void *frames[2];

    (void)dl_iterate_phdr(find_shim, NULL);
    (void)backtrace(frames, 2); /* the first call allocates */
    larger_only = who != NULL && strcmp(who, "realloc") == 0;
    own_only = who != NULL && strcmp(who, "own") == 0;
    shim_only = own_only || larger_only || (who != NULL && strcmp(who, "shim") == 0);
    from = first != NULL ? atol(first) : 0;
    count = many != NULL ? atol(many) : 1;
    told = getenv("STARVE_TOLD");
    signal(SIGSEGV, tell_crash);
    signal(SIGBUS, tell_crash);
    signal(SIGABRT, tell_crash);
    ready = who != NULL && from > 0 && (!shim_only || shim_start != 0);
}

/* Of the program's own calls, those through a wrapper of the shim have it among their frames, too. */
static bool is_of_shim(void)
{
    void *frames[DEEPEST];
    int depth = backtrace(frames, DEEPEST);

    /* Itself: also by a function of libc, such as strdup. Before it are this function, fails() and malloc(), which may be one. */
    if (own_only && depth > OWN)
        depth = OWN;
    for (int i = 0; i < depth; i++) {
        if ((uintptr_t)frames[i] >= shim_start && (uintptr_t)frames[i] < shim_end)
            return true;
    }
    return false;
}

static bool fails(void)
{
    long number;
    int fd;

    if (!ready || within)
        return false;
    within = true;
    number = !shim_only || is_of_shim() ? atomic_fetch_add(&seen, 1) + 1 : 0;
    if (number == from && told != NULL && (fd = open(told, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) >= 0)
        (void)close(fd);
    within = false;
    if (number < from || number >= from + count)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return !larger_only && fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    return !larger_only && fails() ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
