#include "script.h"

#include "output.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 64
#define DEEPEST 20 /* substitutions within substitutions */

/* Where the reader is. */
struct reader {
    const char *at;
    unsigned line;
    unsigned depth;
    void (*take)(void *to, unsigned line, char *const *argv);
    void *to;
    char heredoc[64]; /* the word that ends the text after this line; empty: none */
};

/* The words of one command, as they are read. */
struct command {
    char *words[MOST_WORDS + 1];
    size_t count;
    unsigned line;
};

static bool is_among(const char *word, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(word, *list) == 0)
            return true;
    }
    return false;
}

/* After these a command follows. */
static bool precedes(const char *word)
{
    static const char *const words[] = {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command", "builtin", "eval", "coproc", NULL};

    return is_among(word, words);
}

static bool is_own(const char *word)
{
    static const char *const words[] = {"[", "[[", "]]", "test", "echo", "printf", "cd", "set", "unset", "export", "readonly", "local", "declare", "typeset", "return", "exit",
        "shift", "read", "true", "false", ":", ".", "source", "umask", "wait", "kill", "break", "continue", "getopts", "type", "hash", "ulimit", "alias", "pwd", "pushd", "popd",
        "let", "mapfile", "shopt", "trap", "fi", "done", "esac", "}", "for", "select", "case", "in", "function", "jobs", "bg", "fg", "times", NULL};

    return is_among(word, words);
}

static void read_commands(struct reader *reader, char end);

/* Read a word as a script. */
static void read_text(struct reader *reader, const char *word, unsigned line)
{
    struct reader inner = {.at = word, .line = line, .depth = reader->depth + 1, .take = reader->take, .to = reader->to};

    if (inner.depth < DEEPEST && strcmp(word, "-") != 0)
        read_commands(&inner, '\0');
}

static void forget(struct command *command)
{
    for (size_t i = 0; i < command->count; i++)
        free(command->words[i]);
    command->count = 0;
}

/* The command is complete: skip what is before it, and give it away. */
static void finish(struct reader *reader, struct command *command)
{
    size_t first = 0;

    command->words[command->count] = NULL;
    while (first < command->count) {
        const char *word = command->words[first];
        size_t name = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

        if (!precedes(word) && !(name > 0 && (word[name] == '=' || strncmp(word + name, "+=", 2) == 0))
            && !(first > 0 && word[0] == '-' && precedes(command->words[first - 1])))
            break;
        first++;
    }
    /* Their words are commands themselves. */
    if (first + 1 < command->count && strcmp(command->words[first], "trap") == 0)
        read_text(reader, command->words[first + 1], command->line);
    else if (first + 1 == command->count && first > 0 && strcmp(command->words[first - 1], "eval") == 0)
        read_text(reader, command->words[first], command->line);
    else if (first < command->count && !is_own(command->words[first]) && command->words[first][0] != '\0')
        reader->take(reader->to, command->line, command->words + first);
    forget(command);
}

/* $(...), `...`, <(...): what is within are commands, and the word is not known. */
static void substitute(struct reader *reader, char end)
{
    char heredoc[sizeof(reader->heredoc)];

    memcpy(heredoc, reader->heredoc, sizeof(heredoc));
    if (reader->depth < DEEPEST) {
        reader->depth++;
        read_commands(reader, end);
        reader->depth--;
    }
    memcpy(reader->heredoc, heredoc, sizeof(heredoc));
}

/* Skip ${...} and $((...)). */
static void skip_nested(struct reader *reader, char open, char close)
{
    unsigned depth = 0;

    for (; *reader->at != '\0'; reader->at++) {
        reader->line += *reader->at == '\n';
        depth += *reader->at == open;
        if (*reader->at == close && --depth == 0) {
            reader->at++;
            return;
        }
    }
}

static void read_dollar(struct reader *reader, struct text *word)
{
    text_add(word, "$");
    reader->at++;
    if (strncmp(reader->at, "((", 2) == 0) {
        skip_nested(reader, '(', ')');
    } else if (*reader->at == '(') {
        reader->at++;
        substitute(reader, ')');
    } else if (*reader->at == '{') {
        skip_nested(reader, '{', '}');
    }
}

/* Read a word. Return it, to be freed. */
static char *read_word(struct reader *reader)
{
    char buffer[2048];
    struct text word = text_over(buffer, sizeof(buffer));

    while (*reader->at != '\0' && strchr(" \t\r\n;&|()<>", *reader->at) == NULL) {
        char quote = *reader->at;

        if (quote == '\'') {
            for (reader->at++; *reader->at != '\0' && *reader->at != '\''; reader->at++) {
                reader->line += *reader->at == '\n';
                text_add(&word, "%c", *reader->at);
            }
            reader->at += *reader->at != '\0';
        } else if (quote == '"') {
            for (reader->at++; *reader->at != '\0' && *reader->at != '"';) {
                reader->line += *reader->at == '\n';
                if (*reader->at == '$') {
                    read_dollar(reader, &word);
                    continue;
                }
                if (*reader->at == '`') {
                    reader->at++;
                    text_add(&word, "$");
                    substitute(reader, '`');
                    continue;
                }
                reader->at += *reader->at == '\\' && reader->at[1] != '\0';
                text_add(&word, "%c", *reader->at++);
            }
            reader->at += *reader->at != '\0';
        } else if (quote == '$') {
            read_dollar(reader, &word);
        } else if (quote == '`') {
            reader->at++;
            if (reader->depth > 0)
                break;
            text_add(&word, "$");
            substitute(reader, '`');
        } else if (quote == '\\' && reader->at[1] != '\0') {
            if (reader->at[1] == '\n')
                reader->line++;
            else
                text_add(&word, "%c", reader->at[1]);
            reader->at += 2;
        } else {
            text_add(&word, "%c", *reader->at++);
        }
    }
    return output_copy(buffer);
}

/* At the end of a line the text of a here-document follows. */
static void skip_heredoc(struct reader *reader)
{
    size_t size = strlen(reader->heredoc);

    while (size > 0 && *reader->at != '\0') {
        const char *line = reader->at + strspn(reader->at, "\t");
        size_t length = strcspn(line, "\n");

        reader->at = line + length + (line[length] == '\n');
        reader->line++;
        if (length == size && strncmp(line, reader->heredoc, size) == 0)
            break;
    }
    reader->heredoc[0] = '\0';
}

static void read_redirection(struct reader *reader)
{
    bool heredoc = strncmp(reader->at, "<<", 2) == 0 && reader->at[2] != '<';
    char *word;

    if ((reader->at[0] == '<' || reader->at[0] == '>') && reader->at[1] == '(') {
        reader->at += 2;
        substitute(reader, ')');
        return;
    }
    reader->at += strspn(reader->at, "<>&|-");
    reader->at += strspn(reader->at, " \t");
    word = read_word(reader);
    if (heredoc)
        (void)snprintf(reader->heredoc, sizeof(reader->heredoc), "%s", word);
    free(word);
}

/* Patterns of case, up to the parenthesis. */
static void skip_pattern(struct reader *reader)
{
    while (*reader->at != '\0' && *reader->at != ')') {
        if (strncmp(reader->at, "esac", 4) == 0)
            return;
        reader->line += *reader->at++ == '\n';
    }
    reader->at += *reader->at == ')';
}

static void add_word(struct reader *reader, struct command *command)
{
    unsigned line = reader->line;
    char *word = read_word(reader);

    if (command->count == 0)
        command->line = line;
    if (command->count == MOST_WORDS || (word[0] == '\0' && command->count == 0)) {
        free(word);
        return;
    }
    command->words[command->count++] = word;
    /* for NAME in ...; case WORD in PATTERN) */
    if (strcmp(word, "in") == 0 && command->count >= 3 && strcmp(command->words[command->count - 3], "case") == 0) {
        forget(command);
        skip_pattern(reader);
    }
}

/* Read up to the character `end`, or to the end of the text. */
static void read_commands(struct reader *reader, char end)
{
    struct command command = {.count = 0};

    while (*reader->at != '\0') {
        char c = *reader->at;

        if (c == end && end != '\0') {
            reader->at++;
            break;
        }
        if (c == '#' ) {
            reader->at += strcspn(reader->at, "\n");
        } else if (c == '\n') {
            reader->at++;
            finish(reader, &command);
            reader->line++;
            skip_heredoc(reader);
        } else if (strncmp(reader->at, ";;", 2) == 0) {
            finish(reader, &command);
            reader->at += 2;
            skip_pattern(reader);
        } else if (c == '&' && reader->at[1] == '>') {
            reader->at++;
            read_redirection(reader);
        } else if (strchr(";&|(){", c) != NULL && (c != '{' || command.count == 0)) {
            /* name () { ... } */
            if (c == '(' && reader->at[1] == ')') {
                forget(&command);
                reader->at++;
            }
            finish(reader, &command);
            reader->at++;
        } else if (c == '<' || c == '>') {
            read_redirection(reader);
        } else if (strchr(" \t\r", c) != NULL || (strchr("0123456789", c) != NULL && (reader->at[1] == '>' || reader->at[1] == '<'))) {
            reader->at++;
        } else {
            const char *before = reader->at;

            add_word(reader, &command);
            reader->at += reader->at == before;
        }
    }
    finish(reader, &command);
}

void script_commands(const char *text, void (*take)(void *to, unsigned line, char *const *argv), void *to)
{
    struct reader reader = {.at = text, .line = 1, .take = take, .to = to};

    read_commands(&reader, '\0');
}
