/* ELF files as `pinshim doctor` reads them: whatever the bytes, each question ends, with an answer from within the file. */

#include "../../cmd/examine/elf_file.c"
#include "../../cmd/examine/libraries.c"
#include "../../cmd/output.c"
#include "../../cmd/examine/tls_library.c"

static void read_text(const char *text)
{
    volatile size_t length = text != NULL ? strlen(text) : 0;

    (void)length;
}

static void ask(const struct elf *elf)
{
    const char *file;
    const char *version;
    size_t size;
    const uint8_t *section = elf_section(elf, ".go.buildinfo", &size);

    read_text(elf->interpreter);
    read_text(elf->soname);
    read_text(elf->rpath);
    read_text(elf->runpath);
    for (size_t i = 0; elf_needed(elf, i) != NULL; i++)
        read_text(elf_needed(elf, i));
    for (size_t i = 0; i < 100 && elf_needs_version(elf, i, &file, &version); i++) {
        read_text(file);
        read_text(version);
    }
    if (elf_defines(elf, "SSL_connect") && elf_imports(elf, "SSL_connect") && elf_has_version(elf, "GLIBC_2.31"))
        read_text(elf_find(elf, 'l', "ibssl", NULL));
    if (section != NULL && size > 0 && (section < elf->bytes || section + size > elf->bytes + elf->size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char path[64];
    static int fd = -1;
    struct elf elf;
    struct libraries *libraries;

    if (fd < 0) {
        fd = memfd_create("elf", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
        abort();
    if (elf_open(path, &elf) == ELF_READ) {
        ask(&elf);
        elf_close(&elf);
    }
    libraries = libraries_of(path, NULL);
    if (libraries != NULL) {
        struct tls tls = tls_of(libraries, libraries->first, true);

        read_text(tls.version);
        libraries_free(libraries);
    }
    return 0;
}
