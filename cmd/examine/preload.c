#include "preload.h"

#include "elf_file.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "libpinshim.so"
#define SAID_MAX ((size_t)1 << 20)
#define SECONDS 20

static bool examine_object(const char *path, struct text *problem)
{
    struct stat status;
    struct elf elf;
    bool complete;

    /* The loader splits LD_PRELOAD at blanks and colons, which cannot be escaped. */
    if (strpbrk(path, " :") != NULL) {
        text_add(problem, "%s has a blank or a colon in its path, which is not possible in LD_PRELOAD", path);
        return false;
    }
    if (stat(path, &status) != 0 || elf_open(path, &elf) != ELF_READ) {
        text_add(problem, "%s is not a shared object", path);
        return false;
    }
    complete = elf_defines(&elf, "X509_verify_cert") && elf_defines(&elf, "SSL_connect");
    elf_close(&elf);
    if (!complete)
        text_add(problem, "%s is not the shim: it interposes no function of OpenSSL", path);
    else if ((status.st_mode & S_IWOTH) != 0)
        text_add(problem, "%s is world-writable", path);
    return complete && (status.st_mode & S_IWOTH) == 0;
}

char *preload_find(struct text *problem)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - sizeof(NAME));
    char *slash;
    const char *path = PINSHIM_LIBDIR "/" NAME;

    if (length > 0) {
        self[length] = '\0';
        slash = strrchr(self, '/');
        strcpy(slash + 1, NAME); /* fits: room was left above */
        if (access(self, F_OK) == 0)
            path = self;
    }
    if (access(path, F_OK) != 0) {
        text_add(problem, "%s does not exist", path);
        return NULL;
    }
    return examine_object(path, problem) ? output_copy(path) : NULL;
}

char *preload_value(const char *object)
{
    const char *before = getenv("LD_PRELOAD");
    size_t length = strlen(object);
    char *value;
    struct text text;

    if (before == NULL || before[0] == '\0')
        return output_copy(object);
    if (strncmp(before, object, length) == 0 && strchr(" :", before[length]) != NULL) /* also at its end */
        return output_copy(before);
    value = output_allocate(NULL, length + strlen(before) + 2);
    text = text_over(value, length + strlen(before) + 2);
    text_add(&text, "%s:%s", object, before);
    return value;
}

static void list(const char *loader, const char *program, const char *object, int out)
{
    static const char *const trouble[] = {"LD_DEBUG", "LD_BIND_NOW", "LD_WARN", "LD_VERBOSE", "LD_TRACE_LOADED_OBJECTS", "LD_AUDIT"};
    int null = open("/dev/null", O_RDONLY);
    char *value = object != NULL ? preload_value(object) : NULL;

    for (size_t i = 0; i < sizeof(trouble) / sizeof(trouble[0]); i++)
        (void)unsetenv(trouble[i]);
    if (value != NULL && setenv("LD_PRELOAD", value, 1) != 0)
        _exit(126);
    if ( setenv("LC_ALL", "C", 1) != 0 || dup2(null, STDIN_FILENO) < 0
        || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(126);
    (void)alarm(SECONDS);
    (void)execl(loader, loader, "--list", program, (char *)NULL);
    _exit(127);
}

/* Return what the child wrote, as a string, for the caller to free. */
static char *gather(int in)
{
    char *said = output_allocate(NULL, SAID_MAX + 1);
    size_t length = 0;

    while (length < SAID_MAX) {
        ssize_t got = read(in, said + length, SAID_MAX - length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    said[length] = '\0';
    return said;
}

/* A line of glibc's list is "\tPATH (0x...)" for what has a slash in its name, else "\tNAME => PATH (0x...)"; of musl's it is always the latter. */
static bool is_listed(const char *said, const char *object)
{
    size_t length = strlen(object);

    for (const char *line = said; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n\t");
        if (strncmp(line, object, length) == 0 && strncmp(line + length, " => ", 4) == 0)
            line += length + 4;
        if (strncmp(line, object, length) == 0 && strncmp(line + length, " (0x", 4) == 0)
            return true;
    }
    return false;
}

static void add_line_with(const char *said, const char *word, struct text *problem)
{
    const char *at = strstr(said, word);

    while (at != NULL && at > said && at[-1] != '\n')
        at--;
    if (at == NULL)
        at = said;
    at += strspn(at, " \t\n");
    text_add(problem, "%.*s", (int)strcspn(at, "\n"), at);
}

/* Have the loader list what it maps; with `object` NULL as the program is. Return what it said, for the caller to free; NULL where it could not
 * be started. */
static char *ask(const char *loader, const char *program, const char *object, bool *good)
{
    int ends[2];
    int status = -1;
    char *said;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    child = fork();
    if (child == 0)
        list(loader, program, object, ends[1]);
    (void)close(ends[1]);
    said = child > 0 ? gather(ends[0]) : NULL;
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    *good = child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return said;
}

enum preload_result preload_try(const char *loader, const char *program, const char *object, struct text *problem)
{
    bool good = false;
    bool without = false;
    char *said = ask(loader, program, object, &good);
    char *otherwise;

    if (said == NULL) {
        text_add(problem, "the loader cannot be started: %m");
        return PRELOAD_FAILED;
    }
    if (good && is_listed(said, object)) {
        free(said);
        return PRELOAD_MAPPED;
    }
    otherwise = ask(loader, program, NULL, &without);
    if (said[0] != '\0')
        /* musl lists what it has, and then says what was wrong. */
        add_line_with(said, strstr(said, "\nError ") != NULL ? "Error " : NAME, problem);
    else
        text_add(problem, "%s --list printed nothing", loader);
    free(said);
    free(otherwise);
    return good || without ? PRELOAD_FAILED : PRELOAD_INCOMPLETE;
}
