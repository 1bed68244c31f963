/* The subcommands of pinshim: one file each, one function each. */
#ifndef PINSHIM_COMMAND_H
#define PINSHIM_COMMAND_H

#include "tls.h"

/* Each takes the arguments from its own name on and returns the exit status. */
int run_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int prove_main(int argc, char **argv);
int learn_main(int argc, char **argv);
int pin_main(int argc, char **argv);
int lint_main(int argc, char **argv);
int check_main(int argc, char **argv);

/* Return the OpenSSL that the command is linked to, as the shim's core calls it. */
const struct tls *linked_tls(void);

#endif
