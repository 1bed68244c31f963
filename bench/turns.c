/* turns time|value|memory ROUNDS [NAME=VALUE...] COMMAND [ARGUMENT...] [-- [NAME=VALUE...] COMMAND [ARGUMENT...]]...
 * Runs the commands in turn, every second round in the opposite order, each with its own additions to the environment. Prints a line per round
 * with a column for each: its nanoseconds, the number that it printed, or its maximum resident memory in kilobytes. */

#include "clock.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS 8

extern char **environ;

struct command {
    char **environment;
    char **words;
};

enum wanted { TIME, VALUE, MEMORY };

static struct command read_command(char **words)
{
    struct command command = {NULL, words};
    size_t own = 0;
    size_t count = 0;

    while (command.words[0] != NULL && strchr(command.words[0], '=') != NULL) {
        command.words++;
        own++;
    }
    if (command.words[0] == NULL)
        die("a command is missing");
    while (environ[count] != NULL)
        count++;
    command.environment = calloc(own + count + 1, sizeof(char *));
    if (command.environment == NULL)
        die("out of memory");
    memcpy(command.environment, words, own * sizeof(char *));
    memcpy(command.environment + own, environ, count * sizeof(char *));
    return command;
}

static double run(const struct command *command, enum wanted wanted)
{
    posix_spawn_file_actions_t actions;
    char text[64] = "";
    struct rusage usage;
    double start = now();
    int ends[2] = {-1, -1};
    pid_t pid;
    int status;

    posix_spawn_file_actions_init(&actions);
    if (wanted == VALUE) {
        if (pipe2(ends, O_CLOEXEC) != 0)
            die("pipe2");
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (posix_spawnp(&pid, command->words[0], &actions, NULL, command->words, command->environment) != 0)
        die(command->words[0]);
    posix_spawn_file_actions_destroy(&actions);
    if (wanted == VALUE) {
        close(ends[1]);
        if (read(ends[0], text, sizeof(text) - 1) <= 0)
            die("no number was printed");
        close(ends[0]);
    }
    if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die(command->words[0]);
    return wanted == TIME ? now() - start : wanted == VALUE ? strtod(text, NULL) : (double)usage.ru_maxrss;
}

int main(int argc, char **argv)
{
    struct command commands[COMMANDS];
    double results[COMMANDS];
    enum wanted wanted = TIME;
    int count = 0;
    long rounds;

    if (argc < 4)
        die("usage: turns time|value|memory ROUNDS COMMAND... [-- COMMAND...]");
    if (strcmp(argv[1], "time") != 0)
        wanted = strcmp(argv[1], "value") == 0 ? VALUE : MEMORY;
    rounds = atol(argv[2]);
    for (int i = 3; i < argc; i++) {
        int first = i;

        while (i < argc && strcmp(argv[i], "--") != 0)
            i++;
        argv[i] = NULL;
        if (count == COMMANDS)
            die("too many commands");
        commands[count++] = read_command(argv + first);
    }
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            int which = round % 2 == 0 ? i : count - 1 - i;

            results[which] = run(&commands[which], wanted);
        }
        for (int i = 0; i < count; i++)
            printf("%.1f%c", results[i], i + 1 < count ? ' ' : '\n');
    }
    return 0;
}
