#include "certs.h"
#include "command.h"

#include <dlfcn.h>

const struct tls *linked_tls(void)
{
    static struct ossl linked;

    if (linked.kind == OSSL_USABLE)
        return &linked.tls;
#define NEEDED(name, result, parameters) linked.name = (result(*) parameters)dlsym(RTLD_DEFAULT, #name);
#define OPTIONAL NEEDED
#include "ossl_symbols.h"
#undef NEEDED
#undef OPTIONAL
    certs_bind(&linked);
    linked.kind = OSSL_USABLE;
    return &linked.tls;
}
