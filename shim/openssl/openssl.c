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

const struct backend openssl_backend = {.part = "SSL_", .mark = OSSL_MARK, .owns = ossl_is_at, .look = arrival_look, .look_in = arrival_look_in, .prepare = prepare};
