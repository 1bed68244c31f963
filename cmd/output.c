#include "output.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NARROWEST 24 /* columns of a terminal that a folded last column needs */
#define WIDEST 40 /* columns to which one long cell may widen its column, but for the last */
#define BELOW 4 /* where a cell begins that does not fit in its line */

void *output_allocate(void *old, size_t size)
{
    void *new = realloc(old, size > 0 ? size : 1);

    if (new == NULL) {
        (void)fputs("pinshim: out of memory\n", stderr);
        exit(1);
    }
    return new;
}

char *output_copy(const char *string)
{
    size_t size = strlen(string) + 1;

    return memcpy(output_allocate(NULL, size), string, size);
}

/* C0, DEL and, in UTF-8, C1: characters that control a terminal. */
static bool has_control(const char *string)
{
    for (const unsigned char *at = (const unsigned char *)string; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
            return true;
    }
    return false;
}

char *output_printable(const char *string)
{
    size_t length = strlen(string);
    size_t bad;
    char *copy;
    struct text text;

    if (text_utf8(string, length, &bad) && !has_control(string))
        return output_copy(string);
    copy = output_allocate(NULL, length * 4 + 1);
    text = text_over(copy, length * 4 + 1);
    for (size_t i = 0; i < length; i++) {
        /* Byte by byte: quotes and backslashes are not escaped. */
        if (string[i] == '"' || string[i] == '\\')
            text_add(&text, "%c", string[i]);
        else
            text_add_escaped(&text, string + i, 1, 4);
    }
    return copy;
}

static void print_message(const char *format, va_list args) PRINTF_LIKE(1, 0);

static void print_message(const char *format, va_list args)
{
    char buffer[4096];
    struct text message = text_over(buffer, sizeof(buffer));
    char *shown;

    text_add_va(&message, format, args);
    shown = output_printable(buffer);
    output_progress(NULL);
    (void)fprintf(stderr, "pinshim: %s\n", shown);
    free(shown);
}

void output_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message(format, args);
    va_end(args);
}

int output_bad_usage(const char *command, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message(format, args);
    va_end(args);
    (void)fprintf(stderr, "pinshim: see \"pinshim %s --help\"\n", command);
    return 2;
}

int output_bad_option(const char *command, int answer, char *const *argv)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    const char *option = optopt > 0 && optopt < 256 ? letter : argv[optind - 1];

    if (answer == ':')
        return output_bad_usage(command, "the option %s needs a value", option);
    if (optopt >= 256)
        return output_bad_usage(command, "the option %.*s takes no value", (int)strcspn(option, "="), option);
    return output_bad_usage(command, "\"%s\" is not an option of \"pinshim %s\"", option, command);
}

bool output_flush(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return true;
    output_error("cannot write to standard output: %m");
    return false;
}

static bool is_terminal(FILE *out)
{
    const char *term = getenv("TERM");

    return isatty(fileno(out)) == 1 && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool output_is_coloured(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");

    return (no_color == NULL || no_color[0] == '\0') && is_terminal(out);
}

const char *output_tone(FILE *out, enum tone tone)
{
    static const char *const sequences[] = {"\033[0m", "\033[32m", "\033[33m", "\033[31m", "\033[1m"};

    return output_is_coloured(out) ? sequences[tone] : "";
}

void output_progress(const char *format, ...)
{
    static bool shown;
    va_list args;

    if (!is_terminal(stderr) || (format == NULL && !shown))
        return;
    (void)fputs("\r\033[K", stderr);
    shown = format != NULL;
    if (format != NULL) {
        va_start(args, format);
        (void)vfprintf(stderr, format, args);
        va_end(args);
    }
    (void)fflush(stderr);
}

static bool write_all(int fd, const char *at, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, at, length);

        if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

bool output_file(const char *path, const void *bytes, size_t length, mode_t mode, bool replace)
{
    size_t size = strlen(path) + sizeof(".XXXXXX");
    char *temporary = output_allocate(NULL, size);
    struct text text = text_over(temporary, size);
    bool placed;
    int saved;
    int fd;

    text_add(&text, "%s.XXXXXX", path);
    fd = mkstemp(temporary);
    placed = fd >= 0 && write_all(fd, bytes, length) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    /* link() fails if the name has been taken meanwhile. */
    placed = placed && (replace ? rename(temporary, path) : link(temporary, path)) == 0;
    saved = errno;
    if (fd >= 0) {
        (void)close(fd);
        if (!placed || !replace)
            (void)unlink(temporary);
    }
    free(temporary);
    errno = saved;
    return placed;
}

struct output_table {
    size_t columns;
    size_t toned;
    size_t rows; /* the headings are the first */
    char **cells;
    enum tone *tones; /* one for each cell */
};

/* The columns that the string takes on a terminal, or nearly: a character of double width counts as one. */
static size_t width_of(const char *string, size_t length)
{
    size_t width = 0;

    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)string[i] & 0xc0) != 0x80;
    return width;
}

struct output_table *output_table_new(size_t columns, const char *const *headings, size_t toned)
{
    struct output_table *table = output_allocate(NULL, sizeof(*table));

    *table = (struct output_table) {columns, toned, 0, NULL, NULL};
    output_table_add(table, TONE_STRONG, headings);
    for (size_t i = 0; i < columns; i++)
        output_table_tone(table, i, TONE_STRONG);
    return table;
}

void output_table_add(struct output_table *table, enum tone tone, const char *const *cells)
{
    size_t at = table->rows * table->columns;

    table->cells = output_allocate(table->cells, (at + table->columns) * sizeof(*table->cells));
    table->tones = output_allocate(table->tones, (at + table->columns) * sizeof(*table->tones));
    for (size_t i = 0; i < table->columns; i++) {
        table->cells[at + i] = output_printable(cells[i] != NULL && cells[i][0] != '\0' ? cells[i] : "-");
        table->tones[at + i] = i == table->toned ? tone : TONE_PLAIN;
    }
    table->rows++;
}

void output_table_tone(struct output_table *table, size_t column, enum tone tone)
{
    table->tones[(table->rows - 1) * table->columns + column] = tone;
}

static void indent(FILE *out, size_t columns)
{
    (void)fprintf(out, "%*s", (int)columns, "");
}

/* Return how many bytes of the cell fit into `room` columns: up to a blank, or a part of a word that is too long by itself. */
static size_t fitting(const char *cell, size_t room)
{
    size_t blank = 0;
    size_t part = 1;

    for (size_t i = 1; cell[i] != '\0' && width_of(cell, i) <= room; i++) {
        if (cell[i] == ' ')
            blank = i;
        if (((unsigned char)cell[i] & 0xc0) != 0x80)
            part = i;
    }
    return blank != 0 ? blank : part;
}

/* Print a cell that begins at column `start`. `width`: the terminal's; 0: do not fold. Return the column where it ends. */
static size_t print_cell(FILE *out, const char *cell, size_t start, size_t width)
{
    while (width != 0 && width_of(cell, strlen(cell)) > width - start) {
        size_t fits = fitting(cell, width - start);

        (void)fprintf(out, "%.*s\n", (int)fits, cell);
        indent(out, start);
        cell += fits + (cell[fits] == ' ');
    }
    (void)fputs(cell, out);
    return start + width_of(cell, strlen(cell));
}

/* Return the columns that the cell needs in its line: the last one can be folded, but not within its words. */
static size_t needed(const char *cell, bool last)
{
    size_t whole = width_of(cell, strlen(cell));
    size_t most = whole < NARROWEST ? whole : NARROWEST;

    if (!last)
        return whole;
    for (const char *word = cell; *word != '\0'; word += word[0] == ' ') {
        size_t length = strcspn(word, " ");

        if (width_of(word, length) > most)
            most = width_of(word, length);
        word += length;
    }
    return most;
}

/* Go from column `at` of a row to where the next cell begins: at its column `start`, or below where that has no room. */
static size_t go_to(FILE *out, size_t at, size_t start, size_t room, size_t width)
{
    bool below = width != 0 && start + room > width;

    if (start == 0)
        return 0;
    if (below || (width != 0 && at + 2 > start)) {
        (void)fputc('\n', out);
        at = 0;
        start = below ? BELOW : start;
    } else if (at + 2 > start) {
        start = at + 2;
    }
    indent(out, start - at);
    return start;
}

static void print_row(const struct output_table *table, size_t row, const size_t *widths, size_t width, FILE *out)
{
    size_t start = 0;
    size_t at = 0;

    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = table->cells[row * table->columns + i];
        enum tone tone = table->tones[row * table->columns + i];

        at = go_to(out, at, start, needed(cell, i + 1 == table->columns), width);
        (void)fputs(tone != TONE_PLAIN ? output_tone(out, tone) : "", out);
        at = print_cell(out, cell, at, width);
        (void)fputs(tone != TONE_PLAIN ? output_tone(out, TONE_PLAIN) : "", out);
        start += widths[i] + 2;
    }
    (void)fputc('\n', out);
}

void output_table_print(const struct output_table *table, FILE *out)
{
    struct winsize size;
    size_t width = isatty(fileno(out)) == 1 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    size_t widths[OUTPUT_COLUMNS] = {0};

    if (width < NARROWEST + BELOW)
        width = 0;
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t cell = width_of(table->cells[i], strlen(table->cells[i]));

        if (cell > widths[i % table->columns] && cell <= WIDEST)
            widths[i % table->columns] = cell;
    }
    output_progress(NULL);
    for (size_t row = 0; row < table->rows; row++)
        print_row(table, row, widths, width, out);
}

void output_table_free(struct output_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->tones);
    free(table);
}

static void put_string(FILE *out, const char *string)
{
    size_t size = strlen(string) * 6 + 3;
    char *buffer = output_allocate(NULL, size);
    struct text text = text_over(buffer, size);

    text_add_json(&text, string);
    (void)fputs(buffer, out);
    free(buffer);
}

static void put_name(struct output_json *json, const char *name)
{
    if (json->comma)
        (void)fputc(',', json->out);
    json->comma = true;
    if (name == NULL)
        return;
    put_string(json->out, name);
    (void)fputc(':', json->out);
}

void output_json_open(struct output_json *json, const char *name, char bracket)
{
    put_name(json, name);
    (void)fputc(bracket, json->out);
    json->comma = false;
}

void output_json_close(struct output_json *json, char bracket)
{
    (void)fputc(bracket, json->out);
    json->comma = true;
}

void output_json_string(struct output_json *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    put_name(json, name);
    put_string(json->out, value);
}

void output_json_number(struct output_json *json, const char *name, long long value)
{
    put_name(json, name);
    (void)fprintf(json->out, "%lld", value);
}

void output_json_null(struct output_json *json, const char *name)
{
    put_name(json, name);
    (void)fputs("null", json->out);
}

void output_json_bool(struct output_json *json, const char *name, bool value)
{
    put_name(json, name);
    (void)fputs(value ? "true" : "false", json->out);
}

void output_json_end(struct output_json *json)
{
    (void)fputc('\n', json->out);
    json->comma = false;
}
