/* What dlsym and dlvsym answer. */
#ifndef PINSHIM_DLSYM_H
#define PINSHIM_DLSYM_H

/* Return what is given in the place of libc's `found`; NULL: nothing. */
void *dlsym_instead(const char *name, const void *found);

#endif
