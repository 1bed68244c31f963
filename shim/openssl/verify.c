#include "verify.h"

#include "conn.h"
#include "offer.h"

#define BUSY UINT64_MAX /* a place that is written to */
#define TRIES 1000

/* Write a callback with its argument where nobody reads, and only then say that it is the one in force: so the two are never mixed up by a
 * thread that verifies meanwhile, nobody waits for a thread that a fork has left behind, and no memory is taken, however many there are. Return
 * false where other threads are at all places all the time. */
static bool publish(struct verification *verification, verify_callback *function, void *arg)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t ticket = atomic_fetch_add(&verification->tickets, 1) + 1;
        struct verify_place *place = &verification->places[ticket % VERIFY_PLACES];
        uint64_t there = atomic_load(&place->ticket);
        uint64_t current = atomic_load(&verification->current);

        if (there == BUSY || (current != 0 && there == current) || !atomic_compare_exchange_strong(&place->ticket, &there, BUSY))
            continue;
        atomic_store(&place->function, function);
        atomic_store(&place->arg, arg);
        atomic_store(&place->ticket, ticket);
        while (current < ticket && !atomic_compare_exchange_weak(&verification->current, &current, ticket))
            ;
        return true;
    }
    return false;
}

/* Read the one in force. Return false where it was replaced again and again meanwhile. */
static bool read_pair(struct verification *verification, verify_callback **function, void **arg)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t current = atomic_load(&verification->current);
        struct verify_place *place = &verification->places[current % VERIFY_PLACES];

        if (current == 0 || atomic_load(&place->ticket) != current)
            continue;
        *function = atomic_load(&place->function);
        *arg = atomic_load(&place->arg);
        if (atomic_load(&place->ticket) == current)
            return true;
    }
    return false;
}

/* It belongs to the SSL_CTX, which libssl's caller holds, but perhaps not when the program's function returns. */
static int call_back(X509_STORE_CTX *ctx, void *arg)
{
    struct verification *verification = arg;
    const struct ossl *ossl;
    verify_callback *function;
    struct door door;
    int result;

    /* libssl sets function and argument one after the other: another thread may see this function before its argument. */
    if (verification == NULL || !read_pair(verification, &function, &arg))
        return 0;
    ossl = verification->ossl;
    conn_door_open(ossl, ctx, true, &door);
    /* libssl always has an SSL there. */
    if (door.ssl == NULL)
        return 0;
    result = function != NULL ? function(ctx, arg) : ossl->X509_verify_cert(ctx);
    if (function == NULL && result < 0)
        result = 0; /* as libssl does without a callback */
    return conn_door_judge(ossl, ctx, &door, result);
}

/* Stands in where the program's callback cannot be stood before. */
static int refuse_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_callback *function, void *arg)
{
    struct verification *verification = offer_verification(ossl, ctx);

    /* NULL, "the library's own", is a pair as well: a context that is switched to and fro must not show one with the argument of the
     * other to a thread that verifies meanwhile. */
    if (verification != NULL && publish(verification, function, arg))
        ossl->SSL_CTX_set_cert_verify_callback(ctx, call_back, verification);
    else
        ossl->SSL_CTX_set_cert_verify_callback(ctx, refuse_all, NULL);
}
