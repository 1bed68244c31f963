/* own_iterate HOST PORT [tls1.2]: a client that itself interposes dl_iterate_phdr, and looks for the real one by dlsym. */

#include "paths.h"
#include <dlfcn.h>
#include <link.h>

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    static int (*real)(int (*)(struct dl_phdr_info *, size_t, void *), void *);

    if (real == NULL)
        real = (int (*)(int (*)(struct dl_phdr_info *, size_t, void *), void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    return real(callback, data);
}

int main(int argc, char **argv)
{
    SSL *ssl;

    if (argc < 3)
        return 2;
    ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
