/* Changes to a pins file that programs may be reading: the new one takes its place only once it is whole and without error. */
#ifndef PINSHIM_INTO_H
#define PINSHIM_INTO_H

/* Add the lines at `printed` to the pins file, which need not exist, but for those that it has already; comments that no line follows are left out. With
 * `old` (a pin as in a pins file, or a certificate, request or key in a file) the pin of these lines, which must be one, takes the place of that one wherever it
 * stands. Say what was done. Return the exit status. */
int into_write(const char *path, const char *printed, const char *old);

#endif
