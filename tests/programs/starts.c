/* starts WAY PROGRAM ARGUMENT...: starts PROGRAM with an environment of PATH and KEPT alone, each way that libc has. "N+WAY": with N variables more. "loading+WAY":
 * in each of 100 processes, while another of its threads loads and unloads a library; prints how many of them a signal ended, of themselves or of what they started. */

#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__GLIBC__) || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 34)
#define execveat(...) syscall(SYS_execveat, __VA_ARGS__)
#endif

extern char **environ;

static char joined[8192];

static const char *join(char **argv)
{
    char *end = joined;

    for (; *argv != NULL; argv++)
        end += sprintf(end, "'%s' ", *argv);
    return joined;
}

static int wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        err(1, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int start(const char *way, char *path, char **argv, char **environment)
{
    pid_t pid = -1;

    if (strcmp(way, "execve") == 0)
        execve(path, argv, environment);
    else if (strcmp(way, "execv") == 0)
        execv(path, argv);
    else if (strcmp(way, "execvp") == 0)
        execvp(argv[0], argv);
    else if (strcmp(way, "execvpe") == 0)
        execvpe(argv[0], argv, environment);
    else if (strcmp(way, "fexecve") == 0)
        fexecve(open(path, O_RDONLY), argv, environment);
    else if (strcmp(way, "execveat") == 0)
        execveat(AT_FDCWD, path, argv, environment, 0);
    else if (strcmp(way, "syscall") == 0)
        syscall(SYS_execve, path, argv, environment);
    else if (strcmp(way, "execl") == 0)
        execl(path, argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL);
    else if (strcmp(way, "execlp") == 0)
        execlp(argv[0], argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL);
    else if (strcmp(way, "execle") == 0)
        execle(path, argv[0], argv[1], argv[2], argv[3], argv[4], argv[5], (char *)NULL, environment);
    else if (strcmp(way, "vfork") == 0) {
        pid = vfork();
        if (pid == 0) {
            execve(path, argv, environment);
            _exit(127);
        }
        return wait_for(pid);
    } else if (strcmp(way, "posix_spawn") == 0 || strcmp(way, "posix_spawnp") == 0) {
        int error = way[11] == 'p' ? posix_spawnp(&pid, argv[0], NULL, NULL, argv, environment) : posix_spawn(&pid, path, NULL, NULL, argv, environment);

        if (error != 0)
            errx(1, "%s: %s", way, strerror(error));
        return wait_for(pid);
    } else if (strcmp(way, "system") == 0) {
        int status = system(join(argv));

        return WEXITSTATUS(status);
    } else if (strcmp(way, "popen") == 0) {
        FILE *stream = popen(join(argv), "r");
        int c;

        while (stream != NULL && (c = getc(stream)) != EOF)
            putchar(c);
        fflush(stdout);
        return stream != NULL ? WEXITSTATUS(pclose(stream)) : 1;
    } else
        errx(2, "no way %s", way);
    err(1, "%s", way);
}

struct starting {
    const char *way;
    char *path, **argv, **environment;
    int result;
};

static void *start_in_thread(void *arg)
{
    struct starting *starting = arg;

    starting->result = start(starting->way, starting->path, starting->argv, starting->environment);
    return NULL;
}

static void *load_and_unload(void *arg)
{
    for (;;) {
        void *handle = dlopen(arg, RTLD_NOW);

        if (handle != NULL)
            dlclose(handle);
    }
    return NULL;
}

static int start_loading(const char *way, char *path, char **argv, char **environment)
{
    int ended = 0;

    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            pthread_t thread;

            if (pthread_create(&thread, NULL, load_and_unload, "libresolv.so.2") != 0)
                _exit(1);
            usleep((useconds_t)(1000 + i * 17));
            _exit(start(way, path, argv, environment));
        }
        ended += wait_for(pid) > 128;
    }
    printf("%d ended\n", ended);
    return 0;
}

int main(int argc, char **argv)
{
    const char *way = argc > 2 ? argv[1] : "";
    unsigned long more = strtoul(way, NULL, 10);
    char **environment = calloc(more + 3, sizeof(*environment));
    char path[4096];
    size_t count = 0;

    if (strchr(way, '+') != NULL)
        way = strchr(way, '+') + 1;
    snprintf(path, sizeof(path), "/usr/bin/%s", argv[2]);
    environment[count++] = "PATH=/usr/bin:/bin";
    environment[count++] = "KEPT=as it's";
    for (unsigned long i = 0; i < more; i++) {
        environment[count] = malloc(30);
        sprintf(environment[count++], "V%lu=", i);
    }
    environ = environment;
    if (getenv("KEPT") == NULL)
        return 2;
    if (strncmp(argv[1], "loading+", 8) == 0)
        return start_loading(way, path, argv + 2, environment);
    {
        struct starting starting = {way, path, argv + 2, environment, 1};
        pthread_attr_t attributes;
        pthread_t thread;

        /* A small stack, as some programs have. */
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 128 << 10);
        if (pthread_create(&thread, &attributes, start_in_thread, &starting) != 0)
            errx(1, "pthread_create");
        pthread_join(thread, NULL);
        return starting.result;
    }
}
