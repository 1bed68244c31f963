/* How every subcommand speaks: messages, aligned tables, colour, progress, and JSON. */
#ifndef PINSHIM_OUTPUT_H
#define PINSHIM_OUTPUT_H

#include "text.h"

#include <stdio.h>
#include <sys/types.h>

enum tone { TONE_PLAIN = 0, TONE_GOOD, TONE_DOUBT, TONE_BAD, TONE_STRONG };

/* Write "pinshim: ..." to standard error, as one line that no control byte can break. Say what is wrong and what to do next. */
void output_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* After getopt_long answered '?' or ':' (its options begin with ":" or "+:", and a long option's value is above 255 unless it has a letter
 * as well): say which option of the subcommand is wrong, and return the status to exit with, 2. */
int output_bad_option(const char *command, int answer, char *const *argv);

/* The same where the arguments are wrong: print the message, and where help is to be had. */
int output_bad_usage(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* Flush standard output. Return false, after a message, if it did not take everything (a full disk). */
MUST_CHECK bool output_flush(void);

/* Return true if colour is wanted there: a terminal that is not dumb, and no NO_COLOR (see no-color.org). */
bool output_is_coloured(FILE *out);

/* Return the sequence that begins the tone on `out`, or that ends it (TONE_PLAIN); "" where colour is not wanted. */
const char *output_tone(FILE *out, enum tone tone);

/* Show how far a long job is, on one line of standard error that the next call replaces; nothing where that is no terminal. NULL takes
 * the line away: call it so before anything else is printed. */
void output_progress(const char *format, ...) PRINTF_LIKE(1, 2);

/* Return the string as it may be printed to a terminal, for the caller to free: as it is, if it is UTF-8 without control characters; else
 * with every byte that is not printable ASCII as \xNN. */
char *output_printable(const char *string);

/* Do as malloc, realloc and strdup do, but end the command with a message where memory runs out. */
void *output_allocate(void *old, size_t size) __attribute__((returns_nonnull));
char *output_copy(const char *string) __attribute__((returns_nonnull));

/* Write a file whole or not at all: beside it first, then in its place; without `replace`, only where there is none. Return false with errno set
 * where that failed. */
MUST_CHECK bool output_file(const char *path, const void *bytes, size_t length, mode_t mode, bool replace);

/* A table is put together and then printed whole, for its columns to be aligned. */
#define OUTPUT_COLUMNS 8
struct output_table;

/* Return a new table with `columns` headings, at most OUTPUT_COLUMNS; the cells of column `toned` get the tone that comes with
 * their row. */
struct output_table *output_table_new(size_t columns, const char *const *headings, size_t toned);

/* Add a row. The cells are copied; one that is NULL or empty is shown as "-". */
void output_table_add(struct output_table *table, enum tone tone, const char *const *cells);

/* Give another cell of the row that was added last a tone. */
void output_table_tone(struct output_table *table, size_t column, enum tone tone);

/* Print the table. On a terminal what is too long is folded, at blanks where there are any; elsewhere a row is a line, in which what follows
 * a very long cell is not aligned. */
void output_table_print(const struct output_table *table, FILE *out);

/* Free the table. NULL does nothing. */
void output_table_free(struct output_table *table);

/* JSON, written as it goes. `name` is NULL in an array and for the outermost value; a string that is NULL is left out. */
struct output_json {
    FILE *out;
    bool comma; /* one goes before the next value */
};

void output_json_open(struct output_json *json, const char *name, char bracket); /* { or [ */
void output_json_close(struct output_json *json, char bracket); /* } or ] */
void output_json_string(struct output_json *json, const char *name, const char *value);
void output_json_number(struct output_json *json, const char *name, long long value);
void output_json_null(struct output_json *json, const char *name);
void output_json_bool(struct output_json *json, const char *name, bool value);
/* End the outermost value with a newline. */
void output_json_end(struct output_json *json);

#endif
