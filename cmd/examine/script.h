/* The commands that a shell script runs, as far as its text shows them. */
#ifndef PINSHIM_SCRIPT_H
#define PINSHIM_SCRIPT_H

#include <stddef.h>

/* Give each command of the script's text, whose words are `argv`, which ends with NULL, to `take`, with its line: a word that is only known when the script runs
 * has a "$" in it. The shell's own words and functions are left out. */
void script_commands(const char *text, void (*take)(void *to, unsigned line, char *const *argv), void *to);

#endif
