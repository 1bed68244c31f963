/* The subcommands of pinshim: one file each, one function each. */
#ifndef PINSHIM_COMMAND_H
#define PINSHIM_COMMAND_H

/* Each takes the arguments from its own name on and returns the exit status. */
int lint_main(int argc, char **argv);

#endif
