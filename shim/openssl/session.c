#include "session.h"

#include "certs.h"
#include "context.h"
#include "digest.h"
#include "proven.h"
#include "sha2.h"
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOLD 64 /* names of a leaf; with more, its sessions are not resumed */

struct told {
    struct told *next;
    size_t length;
    char name[];
};

/* The mark of a certificate. */
struct mark {
    struct attached attached;
    _Atomic bool peers; /* see session_presented */
    _Atomic bool spoilt;
    _Atomic(struct told *) told; /* other threads may use the same leaf: names are only added */
    bool digested;
    struct peer_digests digests;
};

static void release(const void *library, void *attached)
{
    struct told *told = atomic_load(&((struct mark *)attached)->told);

    (void)library;
    while (told != NULL) {
        struct told *next = told->next;

        free(told);
        told = next;
    }
    free(attached);
}

/* A certificate is marked if a mark is kept for its address and its ex_data points to the same mark. That pointer is only compared, never followed:
 * it shows that this is still the same certificate. A later one at this address, or one that was parsed anew into the same object, does not have it.
 * */
static struct mark *mark_of(const struct ossl *ossl, const X509 *leaf)
{
    struct mark *mark = leaf != NULL ? state_of(leaf) : NULL;

    return mark != NULL && ossl->X509_get_ex_data(leaf, ossl->leaf_index) == mark ? mark : NULL;
}

void session_mark(const struct ossl *ossl, X509 *leaf, const struct peer_digests *digests)
{
    struct mark *mark;

    if (leaf == NULL || mark_of(ossl, leaf) != NULL || (mark = calloc(1, sizeof(*mark))) == NULL)
        return;
    mark->attached.release = release;
    mark->digested = digests != NULL;
    if (digests != NULL)
        mark->digests = *digests;
    if (!state_keep(ossl, leaf, &mark->attached))
        free(mark);
    else
        (void)ossl->X509_set_ex_data(leaf, ossl->leaf_index, mark);
}

void session_remember(const struct ossl *ossl, const SSL *ssl, X509 *leaf)
{
    struct context *context = context_of(ossl, ossl->SSL_get_SSL_CTX(ssl));
    const struct mark *mark = mark_of(ossl, leaf);
    X509 *before;

    if (context == NULL || mark == NULL || !mark->digested || ossl->X509_up_ref(leaf) != 1)
        return;
    before = atomic_exchange(&context->last_leaf, leaf);
    if (before != NULL)
        ossl->X509_free(before);
}

/* The thread that has taken the certificate is the only one that uses this reference. Two that compare equal have the same signed part, which has the
 * key; what is outside of it, the signature, counts for PIN_CERT alone. */
bool session_recall(const struct ossl *ossl, const SSL *ssl, X509 *leaf, struct peer_digests *out)
{
    struct context *context = context_of(ossl, ossl->SSL_get_SSL_CTX(ssl));
    X509 *last = context != NULL && leaf != NULL ? atomic_exchange(&context->last_leaf, NULL) : NULL;
    const struct mark *mark = last != NULL && ossl->X509_cmp(last, leaf) == 0 ? mark_of(ossl, last) : NULL;
    bool same = mark != NULL && mark->digested;
    X509 *none = NULL;

    if (same) {
        memset(out->known, 0, sizeof(out->known));
        memcpy(out->known[PIN_SPKI], mark->digests.known[PIN_SPKI], sizeof(out->known[PIN_SPKI]));
        memcpy(out->bytes[PIN_SPKI], mark->digests.bytes[PIN_SPKI], sizeof(out->bytes[PIN_SPKI]));
    }
    if (last != NULL && !atomic_compare_exchange_strong(&context->last_leaf, &none, last))
        ossl->X509_free(last);
    return same;
}

void session_presented(const struct ossl *ossl, X509 *leaf)
{
    struct mark *mark = mark_of(ossl, leaf);

    if (mark != NULL)
        atomic_store(&mark->peers, true);
}

bool session_is_peers(const struct ossl *ossl, const X509 *leaf)
{
    struct mark *mark = mark_of(ossl, leaf);

    return mark != NULL && atomic_load(&mark->peers);
}

void session_was_told(const struct ossl *ossl, const X509 *leaf, const char *name, size_t length)
{
    struct mark *mark = mark_of(ossl, leaf);
    struct told *told;
    int count = 0;

    if (mark == NULL)
        return;
    for (told = atomic_load(&mark->told); told != NULL; told = told->next, count++) {
        if (told->length == length && memcmp(told->name, name, length) == 0)
            return;
    }
    told = count < MOST_TOLD ? malloc(sizeof(*told) + length) : NULL;
    if (told == NULL) {
        atomic_store(&mark->spoilt, true);
        return;
    }
    told->length = length;
    memcpy(told->name, name, length);
    told->next = atomic_load(&mark->told);
    while (!atomic_compare_exchange_weak(&mark->told, &told->next, told)) {}
}

bool session_next_told(const struct ossl *ossl, SSL_SESSION *session, const void **cursor, const char **name, size_t *length)
{
    struct mark *mark = *cursor == NULL ? mark_of(ossl, ossl->SSL_SESSION_get0_peer(session)) : NULL;
    const struct told *told = *cursor != NULL ? ((const struct told *)*cursor)->next : mark != NULL ? atomic_load(&mark->told) : NULL;

    if (told == NULL)
        return false;
    *cursor = told;
    *name = told->name;
    *length = told->length;
    return true;
}

void session_spoil(const struct ossl *ossl, X509 *leaf)
{
    struct mark *mark = mark_of(ossl, leaf);

    if (mark != NULL)
        atomic_store(&mark->spoilt, true);
}

const struct peer_digests *session_digests(const struct ossl *ossl, SSL_SESSION *session)
{
    const struct mark *mark = mark_of(ossl, ossl->SSL_SESSION_get0_peer(session));

    return mark != NULL && mark->digested ? &mark->digests : NULL;
}

bool session_is_proven(const struct ossl *ossl, const SSL_SESSION *session)
{
    struct mark *mark = mark_of(ossl, ossl->SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session));

    return mark != NULL && !atomic_load(&mark->spoilt) && ossl->SSL_SESSION_get_master_key(session, NULL, 0) > 0;
}

/* Digest secret and certificate: a resumption trusts these two. */
static bool digest_of(const struct ossl *ossl, const SSL_SESSION *session, uint64_t out[static PROVEN_WORDS])
{
    unsigned char bytes[PROVEN_WORDS * sizeof(uint64_t) + SSL_MAX_MASTER_KEY_LENGTH + 64];
    unsigned char *secret = bytes + PROVEN_WORDS * sizeof(uint64_t);
    size_t length = ossl->SSL_SESSION_get_master_key(session, secret, sizeof(bytes) - PROVEN_WORDS * sizeof(uint64_t));
    X509 *leaf = ossl->SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
    int saved = errno;
    bool digested;

    (void)ossl->ERR_set_mark();
    digested = leaf != NULL && length > 0 && digest_certificate(&ossl->tls, certs_from(leaf), PIN_CERT, DIGEST_SHA256, bytes);
    if (digested)
        sha2(DIGEST_SHA256, bytes, (size_t)(secret - bytes) + length, (uint8_t *)out);
    (void)ossl->ERR_pop_to_mark();
    memset(bytes, 0, sizeof(bytes));
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* the secret must not stay in memory */
    errno = saved;
    return digested;
}

void session_written(const struct ossl *ossl, const SSL_SESSION *session)
{
    uint64_t digest[PROVEN_WORDS];

    if (ossl->kind == OSSL_USABLE && session != NULL && session_is_proven(ossl, session) && digest_of(ossl, session, digest))
        proven_remember(digest);
}

void session_was_read(const struct ossl *ossl, SSL_SESSION *session)
{
    uint64_t digest[PROVEN_WORDS];

    if (ossl->kind != OSSL_USABLE || session == NULL)
        return;
    if (digest_of(ossl, session, digest) && proven_knows(digest))
        session_mark(ossl, ossl->SSL_SESSION_get0_peer(session), NULL);
}
