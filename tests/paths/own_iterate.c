/* own_iterate HOST PORT [tls1.2]: a client that itself interposes dl_iterate_phdr, and looks for the real one by dlsym: when it is called, or ($EARLY) as the
 * sanitizers do, which look for others before, and must not be called until they have found it. */

#include "paths.h"
#include <dlfcn.h>
#include <link.h>

static int (*real)(int (*)(struct dl_phdr_info *, size_t, void *), void *);

static void find_real(void)
{
    real = (int (*)(int (*)(struct dl_phdr_info *, size_t, void *), void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
}

__attribute__((constructor)) static void find_early(void)
{
    if (dlsym(RTLD_DEFAULT, "strdup") != NULL)
        find_real();
}

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    if (real == NULL && getenv("EARLY") == NULL)
        find_real();
    return real(callback, data);
}

int main(int argc, char **argv)
{
    return argc >= 3 && fetch_at(argv) ? 0 : 1;
}
