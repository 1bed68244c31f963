/* What the loader would map for a program before it starts, found without running anything. */
#ifndef PINSHIM_LIBRARIES_H
#define PINSHIM_LIBRARIES_H

#include "elf_file.h"

#include <sys/types.h>

struct library {
    char *path;
    struct elf elf;
    const struct library *by; /* the first that needs it; NULL: the program itself */
    unsigned depth; /* 0: the program */
    struct library *next; /* in the loader's order, breadth first */
};

struct libraries {
    struct library *first; /* the program */
    struct library *last;
    char *musl; /* the loader, where that is musl, which is libc in one with it; NULL: it is another */
    const struct library *program; /* that loads it, if the first is no program itself; NULL: none */
    char *missing; /* the first library that was not found or cannot be read, NULL: none */
    const struct library *missing_by;
};

/* Find what the ELF file at `path` needs, and what that needs, as ld.so(8) says: DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH, /etc/ld.so.cache, the
 * standard directories; or as musl does. `program` is what loads it, NULL if it is one. Return it, to be freed with libraries_free before those of the program;
 * NULL if the file cannot be read as ELF. */
struct libraries *libraries_of(const char *path, const struct libraries *program);

/* The same for what is mapped into the process `pid` now; what nothing needs, it has loaded by itself. `*object` is the path of the file called
 * `name` among that, which is left out, for the caller to free, or NULL. What cannot be read is missing. Return NULL with errno set if the process cannot be looked at. */
struct libraries *libraries_mapped(pid_t pid, const char *name, char **object);
void libraries_free(struct libraries *libraries);

/* Return the last part of the library's path. */
const char *library_name(const struct library *library);

/* Find a library by the beginning of its name; NULL: none. */
const struct library *libraries_find(const struct libraries *libraries, const char *prefix);

#endif
