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

/* Where its libssl asks another object to verify, the verify hook sees every handshake, by whatever functions it is driven. */
static bool sends(const void *caller)
{
    struct loaded found[OSSL_MAX];
    struct loaded object;
    size_t count = loader_find(caller, OSSL_MARK, &object) ? loader_list(OSSL_MARK, found, OSSL_MAX) : 0;

    for (size_t i = 0; i < count; i++) {
        const struct ossl *ossl = ossl_at((const void *)found[i].start);
        uintptr_t crypto;

        if (ossl == NULL || ossl->kind != OSSL_USABLE)
            continue;
        crypto = (uintptr_t)ossl->X509_free;
        if (crypto - object.start < object.end - object.start && crypto - ossl->start >= ossl->end - ossl->start)
            return true;
    }
    return false;
}

const struct backend openssl_backend = {.part = "SSL_", .mark = OSSL_MARK, .owns = ossl_is_at, .sends = sends, .look = arrival_look, .prepare = prepare};
