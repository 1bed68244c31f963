/* Streams of stdio over sockets. */
#ifndef PINSHIM_STDIO_STREAMS_H
#define PINSHIM_STDIO_STREAMS_H

/* `copy` is another descriptor of what `fd` is: if it is that of a standard stream, that stream may be over a socket now. */
void stdio_copied(int fd, int copy);

/* The standard stream `fd` was over a socket when the process began, whose output must be looked at. */
void stdio_inherited(int fd);

#endif
