/* Libraries are met before they make their first SSL_CTX, whoever calls for it: the program whose calls of them cannot be interposed, because they are
 * within it, in a namespace of their own, or found by dlsym(RTLD_NEXT). */
#ifndef PINSHIM_ARRIVAL_H
#define PINSHIM_ARRIVAL_H

#include "ossl.h"

/* Look at the libraries that are loaded, but for those whose every SSL_CTX is made through the shim. Those that were not met yet will be when they are next
 * used; those for which that is not certain are met at once. No lock is held, errno is preserved. */
void arrival_look(void);

/* The same for all of them: something looks for the functions behind the shim's. */
void arrival_look_next(void);

/* Meet the libraries in the namespace of an open handle, if that is another one than the program's. */
void arrival_look_in(void *handle);

#endif
