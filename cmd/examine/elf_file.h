/* ELF files, read without running them. Nothing in a file is trusted: what would lie outside of it counts as absent. */
#ifndef PINSHIM_ELF_FILE_H
#define PINSHIM_ELF_FILE_H

#include "text.h"

struct elf {
    const uint8_t *bytes; /* of the whole file */
    size_t size;
    uint8_t class; /* ELFCLASS32, ELFCLASS64 */
    uint16_t type; /* ET_EXEC, ET_DYN, ... */
    uint16_t machine; /* EM_X86_64, ... */
    bool whole; /* 64 bits, little endian: the rest was read as well */
    bool dynamic; /* it has a dynamic section */
    const char *interpreter; /* NULL: none */
    const char *soname; /* NULL: none; likewise below */
    const char *rpath;
    const char *runpath;
    uint64_t flags_1; /* DF_1_... */
    size_t dynamic_at;
    size_t dynamic_count;
    const char *strings;
    size_t strings_size;
    size_t symbols_at;
    size_t symbols_count;
};

enum elf_state { ELF_UNREADABLE = 0, /* see errno */ ELF_OTHER, /* another kind of file */ ELF_READ };

/* Read the file at `path`. After ELF_READ call elf_close; the strings of `out` live until then. */
MUST_CHECK enum elf_state elf_open(const char *path, struct elf *out);
void elf_close(struct elf *elf);

/* Return true if both are for the same processor in the same mode. */
MUST_CHECK bool elf_alike(const struct elf *a, const struct elf *b);

/* Append what it is for: "x86-64", "32-bit x86". */
void elf_print_machine(const struct elf *elf, struct text *out);

/* Return the `index`th name of DT_NEEDED; NULL after the last. */
const char *elf_needed(const struct elf *elf, size_t index);

/* Return true if the dynamic symbol is defined there, or only used. */
MUST_CHECK bool elf_defines(const struct elf *elf, const char *symbol);
MUST_CHECK bool elf_imports(const struct elf *elf, const char *symbol);

/* Find the `index`th version of a symbol that the file needs, and of which file; false after the last. */
MUST_CHECK bool elf_needs_version(const struct elf *elf, size_t index, const char **file, const char **version);

/* Return true if the file has that version of symbols (as libc.so.6 has GLIBC_2.31). */
MUST_CHECK bool elf_has_version(const struct elf *elf, const char *version);

/* Return the section's bytes, NULL where it is absent. */
const uint8_t *elf_section(const struct elf *elf, const char *name, size_t *size);

/* Return where the text `first` + `rest` stands in the file for the first time after `after` (NULL: from the start); NULL: nowhere. The two
 * are apart so that what is looked for does not stand in the command itself. */
const char *elf_find(const struct elf *elf, char first, const char *rest, const char *after);

#endif
