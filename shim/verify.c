#include "verify.h"

#include "conn.h"

#include <stdlib.h>

/* A program's verification callback with its argument. libssl holds the two apart; published as one pointer they cannot be mixed
 * up while another thread verifies. Pairs are kept for good: a program has few, or swaps the same ones. */
struct callback {
    const struct ossl *ossl;
    int (*function)(X509_STORE_CTX *, void *); /* NULL: X509_verify_cert */
    void *arg;
    struct callback *next;
};

#define CALLBACK_BUCKETS 1024
static _Atomic(struct callback *) callbacks[CALLBACK_BUCKETS];

static int call_back(X509_STORE_CTX *ctx, void *arg)
{
    const struct callback *callback = arg;
    struct door door;
    int result;

    /* libssl sets function and argument one after the other: another thread may see this function before its argument. */
    if (callback == NULL)
        return 0;
    conn_door_open(callback->ossl, ctx, true, &door);
    /* libssl always has an SSL there. */
    if (door.ssl == NULL)
        return 0;
    result = callback->function != NULL ? callback->function(ctx, callback->arg) : callback->ossl->X509_verify_cert(ctx);
    if (callback->function == NULL && result < 0)
        result = 0; /* as libssl does without a callback */
    return conn_door_judge(callback->ossl, ctx, &door, result);
}

/* Stands in where the program's callback cannot be stood before. */
static int refuse_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, int (*function)(X509_STORE_CTX *, void *), void *arg)
{
    uintptr_t hash = ((uintptr_t)function >> 4) ^ ((uintptr_t)arg >> 4) ^ ((uintptr_t)arg >> 12);
    _Atomic(struct callback *) *bucket = &callbacks[hash % CALLBACK_BUCKETS];
    struct callback *head = atomic_load(bucket);
    struct callback *callback = NULL;

    for (callback = head; callback != NULL; callback = callback->next) {
        if (callback->ossl == ossl && callback->function == function && callback->arg == arg)
            break;
    }
    if (callback == NULL && (callback = malloc(sizeof(*callback))) != NULL) {
        *callback = (struct callback) {ossl, function, arg, head};
        while (!atomic_compare_exchange_weak(bucket, &callback->next, callback))
            ;
    }
    /* NULL, "the library's own", is a pair as well: a context that is switched to and fro must not show one with the argument of the
     * other to a thread that verifies meanwhile. */
    ossl->SSL_CTX_set_cert_verify_callback(ctx, callback != NULL ? call_back : refuse_all, callback);
}
