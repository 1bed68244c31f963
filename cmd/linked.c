#include "command.h"

#include <dlfcn.h>

const struct ossl *linked_ossl(void)
{
    static struct ossl linked;

    if (linked.kind == OSSL_USABLE)
        return &linked;
#define NEEDED(name, result, parameters) linked.name = (result(*) parameters)dlsym(RTLD_DEFAULT, #name);
#define OPTIONAL NEEDED
#include "ossl_symbols.h"
#undef NEEDED
#undef OPTIONAL
    linked.kind = OSSL_USABLE;
    return &linked;
}
