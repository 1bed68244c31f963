/* System calls that send or connect. */
#ifndef PINSHIM_SEND_H
#define PINSHIM_SEND_H

/* A system call: its number and its arguments. */
typedef long send_passing(const long call[static 7]);

/* Carry out a system call by `pass`, for the code at `caller`, and look at what it sends, or connects, as if libc's function of that name had been called. */
long send_call(const long call[static 7], send_passing *pass, const void *caller);

#endif
