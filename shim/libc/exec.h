/* Programs that this one starts: under PINSHIM_INHERIT=force they get this object and PINSHIM_*, even where the program removes them. */
#ifndef PINSHIM_EXEC_H
#define PINSHIM_EXEC_H

#include <stdbool.h>

/* Keep a copy of what must be inherited, if it must be. When the object is loaded. */
void exec_start(void);

/* Make a system call execve or execveat (`call`: the number and its arguments) as `pass` does, with such an environment. */
long exec_call(const long call[static 7], long (*pass)(const long call[static 7]));

#endif
