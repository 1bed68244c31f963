#include "context.h"

#include <stdlib.h>

static void release(const void *library, void *attached)
{
    struct context *context = attached;
    X509 *leaf = atomic_load(&context->last_leaf);

    (void)library;
    if (leaf != NULL)
        context->verification.ossl->X509_free(leaf);
    free(context);
}

struct context *context_of(const struct ossl *ossl, const SSL_CTX *ctx)
{
    (void)ossl;
    return ctx != NULL ? state_of(ctx) : NULL;
}

struct context *context_make(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_of(ossl, ctx);

    if (context != NULL)
        return context;
    context = calloc(1, sizeof(*context));
    if (context == NULL)
        return NULL;
    context->attached.release = release;
    context->verification.ossl = ossl;
    if (!state_keep(ossl, ctx, &context->attached)) {
        free(context);
        return NULL;
    }
    return context;
}

void context_see(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_make(ossl, ctx);

    /* Threads make connections with one SSL_CTX at once: only the first of them writes. */
    if (context != NULL && !atomic_load_explicit(&context->seen, memory_order_relaxed))
        atomic_store_explicit(&context->seen, true, memory_order_relaxed);
}

bool context_is_unseen(const struct ossl *ossl, const SSL *ssl)
{
    const struct context *context = context_of(ossl, ossl->SSL_get_SSL_CTX(ssl));

    return context == NULL || !atomic_load_explicit(&context->seen, memory_order_relaxed);
}

bool callbacks_are_empty(const struct callbacks *callbacks)
{
    return callbacks->psk == NULL && callbacks->psk_session == NULL && callbacks->security == NULL && callbacks->secret == NULL && callbacks->cert == NULL
        && !callbacks->post_handshake_auth && !callbacks->engine;
}

const struct callbacks *context_callbacks(const struct ossl *ossl, const SSL_CTX *ctx)
{
    const struct context *context = context_of(ossl, ctx);

    return context != NULL && !callbacks_are_empty(&context->callbacks) ? &context->callbacks : NULL;
}

struct verification *context_verification(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct context *context = context_make(ossl, ctx);

    return context != NULL ? &context->verification : NULL;
}

/* The program's callbacks in which this thread is, the innermost last, and the frames that have called them. Of more, the last is forgotten. */
#define CALLS 16
#define NESTED 8
static _Thread_local struct {
    const void *object;
    uintptr_t frame;
} calls[CALLS];
static _Thread_local unsigned call_count;

bool callbacks_enter(const void *object, unsigned *before)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    unsigned alike = 0;

    /* The stack grows downwards: this one is not called by those. On a stack of another coroutine the comparison means nothing, and ends nothing but the count. */
    while (call_count > 0 && calls[call_count - 1].frame <= frame)
        call_count--;
    for (unsigned i = 0; i < call_count; i++)
        alike += calls[i].object == object;
    if (alike == NESTED)
        return false;
    if (call_count == CALLS)
        call_count--;
    *before = call_count;
    calls[call_count].object = object;
    calls[call_count++].frame = frame;
    return true;
}

void callbacks_leave(unsigned before)
{
    call_count = before;
}
