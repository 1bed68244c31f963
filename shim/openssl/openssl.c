#include "openssl.h"

#include "arrival.h"
#include "evaluation.h"
#include "ossl.h"

static bool prepare(void)
{
    struct loaded found[OSSL_MAX];
    size_t count = loader_list(OSSL_MARK, found, OSSL_MAX);

    for (size_t i = 0; i < count; i++) {
        const struct ossl *ossl = ossl_at((const void *)found[i].start);

        if (ossl != NULL && ossl->kind == OSSL_USABLE)
            pinstore_release(evaluation_pins(&ossl->tls));
    }
    if (count > 0)
        evaluation_free(evaluation_new());
    return count > 0;
}

static bool explain(const void *caller, struct text *out)
{
    const struct ossl *ossl = ossl_at(caller);

    if (ossl == NULL || (ossl->kind == OSSL_FOREIGN && ossl->OpenSSL_version != NULL))
        return false;
    if (ossl->OpenSSL_version != NULL)
        ossl->tls.print_name(&ossl->tls, out);
    else
        text_add_string(out, "an OpenSSL");
    if (ossl->lacks != NULL)
        text_add(out, " within the program, too old or incomplete (without %s)", ossl->lacks);
    else
        text_add_string(out, " within the program, in a way that could not be followed (used before, or a security and an info callback of its own)");
    return true;
}

/* Its objects tell. */
static bool owns(const void *address, const void **library)
{
    (void)library;
    return ossl_is_at(address);
}

const struct backend openssl_backend = {.part = "SSL_", .mark = OSSL_MARK, .owns = owns, .explain = explain, .look = arrival_look, .look_next = arrival_look_next, .look_in = arrival_look_in, .prepare = prepare};
