/* What dlsym and dlvsym return. */
#ifndef PINSHIM_DLSYM_H
#define PINSHIM_DLSYM_H

/* Return the function to be given instead of libc's `found`; NULL: none. */
void *dlsym_instead(const char *name, const void *found);

#endif
