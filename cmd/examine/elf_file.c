#include "elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copy `size` bytes at `offset`; false if the file is shorter. */
static bool take(const struct elf *elf, size_t offset, void *out, size_t size)
{
    if (offset > elf->size || size > elf->size - offset)
        return false;
    memcpy(out, elf->bytes + offset, size);
    return true;
}

/* Return the string at `offset` of the file, with its end before `limit`. */
static const char *string_at(const struct elf *elf, size_t offset, size_t limit)
{
    if (limit > elf->size)
        limit = elf->size;
    if (offset >= limit || memchr(elf->bytes + offset, '\0', limit - offset) == NULL)
        return NULL;
    return (const char *)elf->bytes + offset;
}

static const char *dynamic_string(const struct elf *elf, size_t offset)
{
    if (elf->strings == NULL || offset >= elf->strings_size)
        return NULL;
    if (memchr(elf->strings + offset, '\0', elf->strings_size - offset) == NULL)
        return NULL;
    return elf->strings + offset;
}

static bool segment(const struct elf *elf, size_t index, Elf64_Phdr *out)
{
    Elf64_Ehdr header;

    if (!take(elf, 0, &header, sizeof(header)) || index >= header.e_phnum || header.e_phentsize != sizeof(*out))
        return false;
    return header.e_phoff < elf->size && take(elf, header.e_phoff + index * sizeof(*out), out, sizeof(*out));
}

/* Return where the address lies in the file, or its size. */
static size_t offset_of(const struct elf *elf, uint64_t address)
{
    Elf64_Phdr part;

    for (size_t i = 0; segment(elf, i, &part); i++) {
        if (part.p_type == PT_LOAD && address >= part.p_vaddr && address - part.p_vaddr < part.p_filesz && part.p_offset < elf->size
            && address - part.p_vaddr < elf->size - part.p_offset)
            return part.p_offset + (address - part.p_vaddr);
    }
    return elf->size;
}

static bool dynamic_entry(const struct elf *elf, size_t index, Elf64_Dyn *out)
{
    return index < elf->dynamic_count && take(elf, elf->dynamic_at + index * sizeof(*out), out, sizeof(*out)) && out->d_tag != DT_NULL;
}

static bool dynamic_value(const struct elf *elf, int64_t tag, uint64_t *value)
{
    Elf64_Dyn entry;

    for (size_t i = 0; dynamic_entry(elf, i, &entry); i++) {
        if (entry.d_tag == tag) {
            *value = entry.d_un.d_val;
            return true;
        }
    }
    return false;
}

static const char *dynamic_text(const struct elf *elf, int64_t tag)
{
    uint64_t offset;

    return dynamic_value(elf, tag, &offset) ? dynamic_string(elf, offset) : NULL;
}

/* The hash tables alone tell how many symbols there are. GNU's is read to the end of the chain that begins last. */
static size_t count_symbols(const struct elf *elf)
{
    uint64_t address;
    uint32_t words[4]; /* DT_HASH: buckets, chains. DT_GNU_HASH: buckets, first symbol, words of the filter, shift */
    uint32_t last = 0;
    size_t at;
    size_t buckets;
    size_t chains;

    if (dynamic_value(elf, DT_HASH, &address))
        return take(elf, offset_of(elf, address), words, 8) ? words[1] : 0;
    if (!dynamic_value(elf, DT_GNU_HASH, &address))
        return 0;
    at = offset_of(elf, address);
    if (!take(elf, at, words, sizeof(words)))
        return 0;
    buckets = at + sizeof(words) + (size_t)words[2] * 8;
    chains = buckets + (size_t)words[0] * 4;
    for (uint32_t i = 0; i < words[0]; i++) {
        uint32_t start;

        if (!take(elf, buckets + (size_t)i * 4, &start, sizeof(start)))
            return 0;
        last = start > last ? start : last;
    }
    if (last < words[1])
        return words[1];
    for (;; last++) {
        uint32_t hash;

        if (!take(elf, chains + (size_t)(last - words[1]) * 4, &hash, sizeof(hash)))
            return 0;
        if ((hash & 1) != 0)
            return (size_t)last + 1;
    }
}

static void read_dynamic(struct elf *elf)
{
    uint64_t value;
    uint64_t size;

    if (dynamic_value(elf, DT_STRTAB, &value) && dynamic_value(elf, DT_STRSZ, &size)) {
        size_t at = offset_of(elf, value);

        elf->strings = (const char *)elf->bytes + at;
        elf->strings_size = size < elf->size - at ? size : elf->size - at;
    }
    elf->soname = dynamic_text(elf, DT_SONAME);
    elf->rpath = dynamic_text(elf, DT_RPATH);
    elf->runpath = dynamic_text(elf, DT_RUNPATH);
    (void)dynamic_value(elf, DT_FLAGS_1, &elf->flags_1);
    if (dynamic_value(elf, DT_SYMTAB, &value)) {
        elf->symbols_at = offset_of(elf, value);
        elf->symbols_count = count_symbols(elf);
    }
}

static void read_segments(struct elf *elf)
{
    Elf64_Phdr part;

    for (size_t i = 0; segment(elf, i, &part); i++) {
        if (part.p_offset > elf->size || part.p_filesz > elf->size - part.p_offset)
            continue;
        if (part.p_type == PT_INTERP)
            elf->interpreter = string_at(elf, part.p_offset, part.p_offset + part.p_filesz);
        if (part.p_type == PT_DYNAMIC) {
            elf->dynamic = true;
            elf->dynamic_at = part.p_offset;
            elf->dynamic_count = part.p_filesz / sizeof(Elf64_Dyn);
        }
    }
    if (elf->dynamic)
        read_dynamic(elf);
}

/* Of a file for another processor only that processor's name is needed; the byte order may differ. */
static bool read_header(struct elf *elf)
{
    uint8_t ident[EI_NIDENT];
    uint8_t halves[4];
    bool big;

    if (!take(elf, 0, ident, sizeof(ident)) || memcmp(ident, ELFMAG, SELFMAG) != 0 || !take(elf, EI_NIDENT, halves, sizeof(halves)))
        return false;
    big = ident[EI_DATA] == ELFDATA2MSB;
    elf->class = ident[EI_CLASS];
    elf->type = (uint16_t)(halves[big ? 1 : 0] | halves[big ? 0 : 1] << 8);
    elf->machine = (uint16_t)(halves[big ? 3 : 2] | halves[big ? 2 : 3] << 8);
    elf->whole = elf->class == ELFCLASS64 && !big;
    return true;
}

enum elf_state elf_open(const char *path, struct elf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    void *bytes;

    memset(out, 0, sizeof(*out));
    if (fd < 0)
        return ELF_UNREADABLE;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        (void)close(fd);
        return ELF_OTHER;
    }
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (bytes == MAP_FAILED)
        return ELF_UNREADABLE;
    out->bytes = bytes;
    out->size = (size_t)status.st_size;
    if (!read_header(out)) {
        elf_close(out);
        return ELF_OTHER;
    }
    if (out->whole)
        read_segments(out);
    return ELF_READ;
}

void elf_close(struct elf *elf)
{
    if (elf->bytes != NULL)
        (void)munmap((void *)(uintptr_t)elf->bytes, elf->size);
    memset(elf, 0, sizeof(*elf));
}

bool elf_alike(const struct elf *a, const struct elf *b)
{
    return a->class == b->class && a->machine == b->machine && a->whole == b->whole;
}

void elf_print_machine(const struct elf *elf, struct text *out)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_386, "x86"}, {EM_ARM, "ARM"}, {EM_RISCV, "RISC-V"}, {EM_PPC64, "POWER"},
        {EM_S390, "S/390"}, {EM_MIPS, "MIPS"}};

    if (elf->class == ELFCLASS32)
        text_add(out, "32-bit ");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].machine == elf->machine) {
            text_add(out, "%s", names[i].name);
            return;
        }
    }
    text_add(out, "machine %u", (unsigned)elf->machine);
}

const char *elf_needed(const struct elf *elf, size_t index)
{
    Elf64_Dyn entry;

    for (size_t i = 0; dynamic_entry(elf, i, &entry); i++) {
        if (entry.d_tag == DT_NEEDED && index-- == 0)
            return dynamic_string(elf, entry.d_un.d_val);
    }
    return NULL;
}

static bool has_symbol(const struct elf *elf, const char *name, bool defined)
{
    for (size_t i = 0; i < elf->symbols_count; i++) {
        Elf64_Sym symbol;
        const char *found;

        if (!take(elf, elf->symbols_at + i * sizeof(symbol), &symbol, sizeof(symbol)))
            return false;
        if ((symbol.st_shndx != SHN_UNDEF) != defined)
            continue;
        found = dynamic_string(elf, symbol.st_name);
        if (found != NULL && strcmp(found, name) == 0)
            return true;
    }
    return false;
}

bool elf_defines(const struct elf *elf, const char *symbol)
{
    return has_symbol(elf, symbol, true);
}

bool elf_imports(const struct elf *elf, const char *symbol)
{
    return has_symbol(elf, symbol, false);
}

bool elf_needs_version(const struct elf *elf, size_t index, const char **file, const char **version)
{
    uint64_t address;
    uint64_t count = 0;
    size_t at;
    Elf64_Verneed need;

    if (!dynamic_value(elf, DT_VERNEED, &address) || !dynamic_value(elf, DT_VERNEEDNUM, &count))
        return false;
    at = offset_of(elf, address);
    for (uint64_t i = 0; i < count && take(elf, at, &need, sizeof(need)); i++, at += need.vn_next) {
        size_t one = at + need.vn_aux;
        Elf64_Vernaux aux;

        for (unsigned k = 0; k < need.vn_cnt && take(elf, one, &aux, sizeof(aux)); k++, one += aux.vna_next) {
            if (index-- != 0)
                continue;
            *file = dynamic_string(elf, need.vn_file);
            *version = dynamic_string(elf, aux.vna_name);
            return *file != NULL && *version != NULL;
        }
        if (need.vn_next == 0)
            break;
    }
    return false;
}

bool elf_has_version(const struct elf *elf, const char *version)
{
    uint64_t address;
    uint64_t count = 0;
    size_t at;
    Elf64_Verdef definition;

    if (!dynamic_value(elf, DT_VERDEF, &address) || !dynamic_value(elf, DT_VERDEFNUM, &count))
        return false;
    at = offset_of(elf, address);
    for (uint64_t i = 0; i < count && take(elf, at, &definition, sizeof(definition)); i++, at += definition.vd_next) {
        Elf64_Verdaux aux;
        const char *name = take(elf, at + definition.vd_aux, &aux, sizeof(aux)) ? dynamic_string(elf, aux.vda_name) : NULL;

        if (name != NULL && strcmp(name, version) == 0)
            return true;
        if (definition.vd_next == 0)
            break;
    }
    return false;
}

const uint8_t *elf_section(const struct elf *elf, const char *name, size_t *size)
{
    Elf64_Ehdr header;
    Elf64_Shdr names;
    Elf64_Shdr section;

    if (!elf->whole || !take(elf, 0, &header, sizeof(header)) || header.e_shentsize != sizeof(section) || header.e_shoff >= elf->size
        || !take(elf, header.e_shoff + header.e_shstrndx * sizeof(names), &names, sizeof(names)) || names.sh_offset >= elf->size)
        return NULL;
    for (size_t i = 0; i < header.e_shnum && take(elf, header.e_shoff + i * sizeof(section), &section, sizeof(section)); i++) {
        const char *found = string_at(elf, names.sh_offset + section.sh_name, elf->size);

        if (found == NULL || strcmp(found, name) != 0 || section.sh_offset > elf->size || section.sh_size > elf->size - section.sh_offset)
            continue;
        *size = section.sh_size;
        return elf->bytes + section.sh_offset;
    }
    return NULL;
}

const char *elf_find(const struct elf *elf, char first, const char *rest, const char *after)
{
    const char *at = after != NULL ? after + 2 : (const char *)elf->bytes; /* `rest` begins one later */
    const char *end = (const char *)elf->bytes + elf->size;

    while (at < end) {
        const char *found = memmem(at, (size_t)(end - at), rest, strlen(rest));

        if (found == NULL)
            return NULL;
        if (found > (const char *)elf->bytes && found[-1] == first)
            return found - 1;
        at = found + 1;
    }
    return NULL;
}
