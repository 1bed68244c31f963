/* The two TLS libraries, linked to the harness: OpenSSL as the command has it (linked_tls). */
#ifndef PINSHIM_FUZZ_LIBRARIES_H
#define PINSHIM_FUZZ_LIBRARIES_H

#include "certs.h"
#include "command.h"
#include "../../shim/gnutls/certs.h"

#include <dlfcn.h>

static inline const struct tls *fuzz_gnutls(void)
{
    static struct gtls gtls;

    if (gtls.usable)
        return &gtls.tls;
#define NEEDED(name, result, parameters) gtls.name = (result(*) parameters)dlsym(RTLD_DEFAULT, #name);
#define OPTIONAL NEEDED
#include "gtls_symbols.h"
#undef NEEDED
#undef OPTIONAL
    gtls.malloc = &gnutls_malloc;
    gtls.free = &gnutls_free;
    gtls_certs_bind(&gtls);
    gtls.usable = true;
    return &gtls.tls;
}

#endif
