#include "program.h"

#include "output.h"
#include "wrapper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 256 /* what Linux reads of a script's first line (BINPRM_BUF_SIZE) */
#define STEPS 6 /* scripts that run scripts; Linux follows five */

void seen_add(struct seen **list, const char *what, const char *format, ...)
{
    char buffer[2 * PATH_MAX];
    struct text text = text_over(buffer, sizeof(buffer));
    struct seen *seen = output_allocate(NULL, sizeof(*seen));
    va_list args;

    va_start(args, format);
    text_add_va(&text, format, args);
    va_end(args);
    seen->what = what;
    seen->text = output_copy(buffer);
    seen->next = NULL;
    while (*list != NULL)
        list = &(*list)->next;
    *list = seen;
}

void seen_free(struct seen *list)
{
    while (list != NULL) {
        struct seen *next = list->next;

        free(list->text);
        free(list);
        list = next;
    }
}

/* Arguments that grow. They are copies. */
struct words {
    char **at;
    size_t count;
};

static void add_word(struct words *words, const char *word)
{
    words->at = output_allocate(words->at, (words->count + 2) * sizeof(*words->at));
    words->at[words->count++] = output_copy(word);
    words->at[words->count] = NULL;
}

static void free_words(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->at[i]);
    free(words->at);
    *words = (struct words) {NULL, 0};
}

static int can_run(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    if (!S_ISREG(status.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return EACCES;
    return 0;
}

/* Find `name` as execvp does. Return it for the caller to free; NULL with the error. */
static char *find(const char *name, const char *path, int *error)
{
    int worst = ENOENT;

    if (strchr(name, '/') != NULL || name[0] == '\0') {
        *error = name[0] == '\0' ? ENOENT : can_run(name);
        return *error == 0 ? output_copy(name) : NULL;
    }
    for (const char *at = path != NULL ? path : "/bin:/usr/bin"; at != NULL; at = *at != '\0' ? at + 1 : NULL) {
        size_t length = strcspn(at, ":");
        char candidate[PATH_MAX];
        struct text text = text_over(candidate, sizeof(candidate));

        text_add(&text, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? at : ".", name);
        *error = text.cut ? ENAMETOOLONG : can_run(candidate);
        if (*error == 0)
            return output_copy(candidate);
        if (*error == EACCES || *error == EISDIR)
            worst = EACCES; /* as execvp */
        at += length;
    }
    *error = worst;
    return NULL;
}

/* The same below another root directory; where it is not there, or that is not known, as here. */
static char *find_below(const char *root, const char *name, const char *path, int *error)
{
    char *found = find(name, path, error);
    char below[PATH_MAX];
    struct text text = text_over(below, sizeof(below));

    if (root == NULL || root[0] == '\0')
        return found;
    text_add(&text, "%s%s", root, found != NULL ? found : name);
    if (text.cut || can_run(below) != 0)
        return found;
    free(found);
    *error = 0;
    return output_copy(below);
}

/* Split the operand of env -S at blanks that are not quoted; ${NAME} is a variable. */
static void split(const char *string, struct words *out)
{
    size_t size = strlen(string) + 1;
    char *buffer = output_allocate(NULL, size + 8192);
    struct text word = text_over(buffer, size + 8192);
    char quote = '\0';
    bool begun = false;

    for (const char *at = string;; at++) {
        size_t name = strncmp(at, "${", 2) == 0 ? strcspn(at, "}") : 0;

        if (*at == '\0' || (quote == '\0' && strchr(" \t\n\v\f\r", *at) != NULL)) {
            if (begun)
                add_word(out, buffer);
            if (*at == '\0')
                break;
            word = text_over(buffer, size + 8192);
            begun = false;
        } else if (*at == quote || (quote == '\0' && (*at == '"' || *at == '\''))) {
            quote = *at == quote ? '\0' : *at;
            begun = true;
        } else if (quote != '\'' && name > 2 && at[name] == '}') {
            char *variable = strndup(at + 2, name - 2);
            const char *value = variable != NULL ? getenv(variable) : NULL;

            text_add(&word, "%s", value != NULL ? value : "");
            free(variable);
            at += name;
            begun = true;
        } else {
            if (*at == '\\' && at[1] != '\0' && quote != '\'')
                at++;
            text_add(&word, "%c", *at);
            begun = true;
        }
    }
    free(buffer);
}

/* What env does before it starts its program. */
struct env {
    struct words command;
    char *path; /* for PATH; NULL: as it is */
    bool no_path;
    char *directory;
};

static bool ours(const char *name, size_t length)
{
    return (length == 10 && strncmp(name, "LD_PRELOAD", length) == 0) || (length >= 8 && strncmp(name, "PINSHIM_", 8) == 0);
}

/* Under pinshim run the shim itself restores what env removes (PINSHIM_INHERIT). */
static bool is_put_back(void)
{
    const char *inherit = getenv("PINSHIM_INHERIT");

    return inherit == NULL || strcmp(inherit, "keep") != 0;
}

static void set(char **to, char *value)
{
    free(*to);
    *to = value;
}

static void hinder(struct program *program, const char *what, bool put_back)
{
    char buffer[300];
    struct text text = text_over(buffer, sizeof(buffer));

    if (program->obstacle != NULL || put_back)
        return;
    text_add(&text, "env %.200s removes or changes the variables that the shim needs", what);
    program->obstacle = output_copy(buffer);
    program->obstacle_next = output_copy("put \"pinshim run\" after it: env ... pinshim run -- COMMAND");
    program->obstacle_code = "environment";
}

static void assign(struct program *program, struct env *env, const char *word)
{
    size_t name = strcspn(word, "=");

    if (ours(word, name))
        hinder(program, word, word[0] == 'L' && is_put_back());
    if (name == 4 && strncmp(word, "PATH", name) == 0) {
        free(env->path);
        env->path = output_copy(word + name + 1);
    }
    if (name == 15 && strncmp(word, "LD_LIBRARY_PATH", name) == 0) {
        free(program->library_path);
        program->library_path = output_copy(word + name + 1);
    }
}

/* Read one option of env at `words->at[*i]`. The operand of -S replaces it. */
static void read_option(struct program *program, struct env *env, struct words *words, size_t *i)
{
    static const struct {
        const char *name;
        char letter;
    } names[] = {{"--ignore-environment", 'i'}, {"--unset", 'u'}, {"--chdir", 'C'}, {"--split-string", 'S'}, {"--argv0", 'a'}};
    const char *word = words->at[*i];
    const char *operand = NULL;
    const char *letters = word + 1;
    char letter[2] = "v";

    if (strncmp(word, "--", 2) == 0) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            size_t length = strcspn(word, "=");

            if (length > 2 && strncmp(names[k].name, word, length) == 0) {
                letter[0] = names[k].letter;
                operand = word[length] == '=' ? word + length + 1 : NULL;
            }
        }
        letters = letter;
    }
    for (; *letters != '\0'; letters++) {
        if (*letters == 'i') {
            hinder(program, word, is_put_back());
            env->no_path = true;
        }
        if (strchr("uCSa", *letters) == NULL)
            continue;
        if (operand == NULL && letters != letter && letters[1] != '\0')
            operand = letters + 1;
        if (operand == NULL && *i + 1 < words->count)
            operand = words->at[++*i];
        if (operand == NULL)
            return;
        if (*letters == 'u' && ours(operand, strlen(operand)))
            hinder(program, "-u", is_put_back());
        if (*letters == 'C') {
            free(env->directory);
            env->directory = output_copy(operand);
        }
        if (*letters == 'S') {
            struct words with = {NULL, 0};

            for (size_t k = 0; k <= *i; k++)
                add_word(&with, words->at[k]);
            split(operand, &with);
            for (size_t k = *i + 1; k < words->count; k++)
                add_word(&with, words->at[k]);
            free_words(words);
            *words = with;
        }
        return;
    }
}

/* Read the arguments of env. Its command is empty where env only prints. */
static void read_env(struct program *program, const struct words *arguments, struct env *out)
{
    struct words words = {NULL, 0};
    size_t i = 1;

    memset(out, 0, sizeof(*out));
    for (size_t k = 0; k < arguments->count; k++)
        add_word(&words, arguments->at[k]);
    for (; i < words.count && words.at[i][0] == '-'; i++) {
        if (strcmp(words.at[i], "--") == 0) {
            i++;
            break;
        }
        if (words.at[i][1] == '\0') {
            hinder(program, "-", is_put_back());
            out->no_path = true;
            continue;
        }
        read_option(program, out, &words, &i);
    }
    for (; i < words.count && strchr(words.at[i], '=') != NULL; i++)
        assign(program, out, words.at[i]);
    for (; i < words.count; i++)
        add_word(&out->command, words.at[i]);
    free_words(&words);
}

/* Read the interpreter and its argument from a script's first line. Return 0, or ENOEXEC where the file is no script. */
static int read_script(const char *path, char interpreter[static HEAD], char argument[static HEAD])
{
    char head[HEAD];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t length;
    char *at;
    char *end;

    interpreter[0] = argument[0] = '\0';
    if (fd < 0)
        return errno;
    length = read(fd, head, sizeof(head) - 1);
    (void)close(fd);
    if (length < 0)
        return errno;
    head[length] = '\0';
    if (strncmp(head, "#!", 2) != 0) {
        /* As execvp does. A shell does not run a file that contains a zero byte. */
        if (strlen(head) != (size_t)length)
            return ENOEXEC;
        strcpy(interpreter, "/bin/sh"); /* fits */
        return 0;
    }
    end = strchr(head, '\n');
    if (end != NULL)
        *end = '\0';
    end = head + strlen(head);
    while (end > head && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    at = head + 2 + strspn(head + 2, " \t");
    if (*at == '\0')
        return ENOEXEC;
    end = at + strcspn(at, " \t");
    if (*end != '\0') {
        *end++ = '\0';
        strcpy(argument, end + strspn(end, " \t")); /* fits: a part of head; likewise below */
    }
    strcpy(interpreter, at);
    return 0;
}

static bool is_elf(const char *path)
{
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is = fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) && memcmp(magic, "\177ELF", sizeof(magic)) == 0;

    if (fd >= 0)
        (void)close(fd);
    return is;
}

static void set_line(struct program *program, const char *interpreter, const char *argument)
{
    char buffer[2 * HEAD + 4];
    struct text text = text_over(buffer, sizeof(buffer));

    text_add(&text, "#!%s%s%s", interpreter, argument[0] != '\0' ? " " : "", argument);
    set(&program->first_line, output_copy(buffer));
}

/* Go from env to what it starts. Return false where it starts nothing. */
static bool through_env(struct program *program, struct words *words, char **path, struct seen **seen)
{
    struct env env;

    read_env(program, words, &env);
    if (env.command.count == 0) {
        free(env.path);
        free(env.directory);
        return false;
    }
    if (env.path != NULL || env.no_path)
        set(path, env.path);
    if (env.directory != NULL && env.command.at[0][0] != '/' && strchr(env.command.at[0], '/') != NULL) {
        char buffer[PATH_MAX];
        struct text text = text_over(buffer, sizeof(buffer));

        text_add(&text, "%s/%s", env.directory, env.command.at[0]);
        set(&env.command.at[0], output_copy(buffer));
    }
    seen_add(seen, "env", "starts %s", env.command.at[0]);
    free(env.directory);
    free_words(words);
    *words = env.command;
    return true;
}

/* The command line with "pinshim run" where it has to be. */
static char *with_run(const struct words *words, const struct wrapped *wrapped)
{
    struct words with = {NULL, 0};
    char buffer[4096];
    struct text text = text_over(buffer, sizeof(buffer));

    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->at[i];

        if (i == wrapped->command && wrapped->kind == WRAPPER_SHELL) {
            const char *value = strncmp(word, "--command=", 10) == 0 ? word + 10 : word;
            char changed[4096];
            struct text to = text_over(changed, sizeof(changed));

            text_add(&to, "%.*spinshim run -- %s", (int)(value - word), word, value);
            add_word(&with, changed);
            continue;
        }
        if (i == wrapped->command && i > 0) {
            add_word(&with, "pinshim");
            add_word(&with, "run");
            add_word(&with, "--");
        }
        add_word(&with, word);
    }
    program_print(with.at, &text);
    free_words(&with);
    return output_copy(buffer);
}

static void set_obstacle(struct program *program, const char *code, const struct words *words, const struct wrapped *wrapped, const char *reason)
{
    char buffer[8192];
    struct text text = text_over(buffer, sizeof(buffer));
    char *line = with_run(words, wrapped);

    if (program->obstacle == NULL) {
        program->obstacle = output_copy(reason);
        program->obstacle_code = code;
        if (wrapped->next != NULL)
            text_add(&text, "%s", wrapped->next);
        else if (wrapped->command == 0)
            text_add(&text, "put \"pinshim run\" before the program that it starts");
        else
            text_add(&text, "put \"pinshim run\" before the command itself: %s", line);
        program->obstacle_next = output_copy(buffer);
    }
    free(line);
}

/* Whether the loader ignores LD_PRELOAD for this user: root that runs what belongs to root gains nothing. */
static bool gains_rights(const char *path, const char **how)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return false;
    *how = (status.st_mode & S_ISUID) != 0 ? "set-user-ID" : "set-group-ID";
    return ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) || ((status.st_mode & S_ISGID) != 0 && status.st_gid != getgid());
}

/* Go from a wrapper to its command. Return false where it starts none. */
static bool through_wrapper(struct program *program, struct words *words, const char *found, struct seen **seen)
{
    struct words next = {NULL, 0};
    struct wrapped wrapped;
    char reason[1000];
    struct text text = text_over(reason, sizeof(reason));
    const char *how;

    if (!wrapper_read(found, words->at, words->count, &wrapped))
        return false;
    if (gains_rights(found, &how)) {
        text_add(&text, "%s is %s, and the loader ignores LD_PRELOAD in such programs", wrapped.name, how);
        set_obstacle(program, "set-user-id", words, &wrapped, reason);
    }
    if (wrapped.kind == WRAPPER_ELSEWHERE)
        set_obstacle(program, "elsewhere", words, &wrapped, wrapped.reason);
    if (wrapped.kind == WRAPPER_ROOT) {
        set(&program->root, output_copy(wrapped.root != NULL ? wrapped.root : ""));
        seen_add(seen, "root", "%s changes the root directory%s%s", wrapped.name, wrapped.root != NULL ? " to " : "", wrapped.root != NULL ? wrapped.root : "");
    }
    if (wrapped.kind == WRAPPER_SHELL || wrapped.command == 0) {
        seen_add(seen, wrapped.name, "starts %s", wrapped.kind == WRAPPER_SHELL ? "a shell" : "something else");
        return false;
    }
    seen_add(seen, wrapped.name, "starts %s", words->at[wrapped.command]);
    add_word(&next, words->at[wrapped.command]);
    /* Of start-stop-daemon the arguments are behind "--". */
    for (size_t i = wrapped.command + 1; strcmp(wrapped.name, "start-stop-daemon") != 0 && i < words->count; i++)
        add_word(&next, words->at[i]);
    free_words(words);
    *words = next;
    return true;
}

/* Go from a script to its interpreter. Return 0 or an error. */
static int through_script(struct program *program, struct words *words, const char *found, struct seen **seen)
{
    char interpreter[HEAD];
    char argument[HEAD];
    char path[HEAD + 2];
    struct text text = text_over(path, sizeof(path));
    int error = read_script(found, interpreter, argument);
    struct words next = {NULL, 0};

    if (error != 0)
        return error;
    seen_add(seen, "script", "%s is run by %s%s%s", found, interpreter, argument[0] != '\0' ? " " : "", argument);
    program->script = true;
    set(&program->subject, output_copy(found));
    set_line(program, interpreter, argument);
    /* Always a path: the kernel does not search PATH. */
    text_add(&text, "%s%s", strchr(interpreter, '/') == NULL ? "./" : "", interpreter);
    add_word(&next, path);
    if (argument[0] != '\0')
        add_word(&next, argument);
    add_word(&next, found);
    for (size_t i = 1; i < words->count; i++)
        add_word(&next, words->at[i]);
    free_words(words);
    *words = next;
    return 0;
}

/* Programs that give those that they start an environment of their own. */
static void look_for_cleaner(struct program *program)
{
    static const char *const names[] = {"mptcpize", "postfix", "master", "cron", "crond", "atd", "sshd", "sudo", "su", "doas", "runuser", "inetd", "xinetd"};
    char buffer[300];
    struct text text = text_over(buffer, sizeof(buffer));

    for (size_t i = 0; program->obstacle == NULL && !is_put_back() && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(program_base(program->cleaner), names[i]) != 0)
            continue;
        text_add(&text, "%s cleans the environment of what it starts, and PINSHIM_INHERIT=keep leaves that so", names[i]);
        program->obstacle = output_copy(buffer);
        program->obstacle_next = output_copy("unset PINSHIM_INHERIT, or set it to force");
        program->obstacle_code = "environment";
    }
}

void program_follow(char *const *argv, struct program *out, struct seen **seen)
{
    const char *now = getenv("PATH");
    char *path = now != NULL ? output_copy(now) : NULL;
    struct words words = {NULL, 0};

    memset(out, 0, sizeof(*out));
    add_word(&words, argv[0] != NULL ? argv[0] : "");
    for (size_t i = 1; argv[0] != NULL && argv[i] != NULL; i++)
        add_word(&words, argv[i]);
    for (int scripts = 0;;) {
        char *found = scripts < STEPS ? find_below(out->root, words.at[0], path, &out->error) : NULL;

        set(&out->called, output_copy(words.at[0]));
        if (!out->script)
            set(&out->named, output_copy(words.at[0]));
        if (scripts == STEPS)
            out->error = ELOOP;
        if (found == NULL)
            break;
        if (out->first == NULL)
            out->first = output_copy(found);
        out->cleaner = found;
        look_for_cleaner(out);
        if (!is_elf(found)) {
            out->error = through_script(out, &words, found, seen);
            scripts++;
        } else if (!(strcmp(program_base(found), "env") == 0 && through_env(out, &words, &path, seen))
            && !through_wrapper(out, &words, found, seen)) {
            out->path = realpath(found, NULL);
            out->error = out->path == NULL ? errno : 0;
        }
        free(found);
        if (out->error != 0 || out->path != NULL)
            break;
    }
    free_words(&words);
    free(path);
}

void program_print(char *const *argv, struct text *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";

    for (size_t i = 0; argv[i] != NULL; i++) {
        const char *word = argv[i];
        bool quoted = word[0] == '\0' || word[strspn(word, plain)] != '\0';

        text_add(out, "%s%s", i > 0 ? " " : "", quoted ? "'" : "");
        for (; *word != '\0'; word++)
            text_add(out, *word == '\'' ? "'\\''" : "%c", *word);
        text_add(out, "%s", quoted ? "'" : "");
    }
    if (out->cut && out->length > 3)
        strcpy(out->at + out->length - 3, "..."); /* in place of its end */
}

void program_free(struct program *program)
{
    free(program->first);
    free(program->path);
    free(program->called);
    free(program->named);
    free(program->first_line);
    free(program->obstacle);
    free(program->obstacle_next);
    free(program->root);
    free(program->library_path);
    free(program->subject);
    memset(program, 0, sizeof(*program));
}
