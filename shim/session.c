#include "session.h"

#include "sha2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_WORDS 4 /* SHA-256 */
#define REMEMBERED 4096 /* sessions written; the oldest are forgotten, and lead to a full handshake */

static const char mark;
static _Atomic uint64_t remembered[REMEMBERED][DIGEST_WORDS];
static _Atomic uint32_t next_place;

/* The certificate that a session was marked for. Shared by the session and its copies, and never changed. */
struct judged {
    _Atomic unsigned holders;
    X509 *leaf; /* a reference: while it is held, no other certificate stands at this address */
    struct peer_digests digests;
};

static void let_go(const struct ossl *ossl, struct judged *judged)
{
    if (judged == NULL || atomic_fetch_sub(&judged->holders, 1) != 1)
        return;
    ossl->X509_free(judged->leaf);
    free(judged);
}

static void release_judged(void *parent, void *state, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    let_go(argp, state);
}

static int share_judged(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **state, int index, long argl, void *argp)
{
    struct judged *judged = *state;

    (void)to;
    (void)from;
    (void)index;
    (void)argl;
    (void)argp;
    if (judged != NULL)
        atomic_fetch_add(&judged->holders, 1);
    return 1;
}

/* Return where it hangs on a session; 0: nowhere. Where two threads ask at once, one index is left unused. */
static int index_of_judged(const struct ossl *ossl)
{
    _Atomic int *place = &((struct ossl *)(uintptr_t)ossl)->digests_index;
    int index = atomic_load(place);
    int made;

    if (index != 0)
        return index;
    made = ossl->CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_SESSION, 0, (struct ossl *)(uintptr_t)ossl, NULL, share_judged,
        release_judged);
    if (made <= 0)
        return 0;
    return atomic_compare_exchange_strong(place, &index, made) ? made : index;
}

/* Once it hangs there it stays: other threads may be reading it. It says nothing of another peer that the session may get. */
static void hang(const struct ossl *ossl, SSL_SESSION *session, struct judged *judged)
{
    int index = index_of_judged(ossl);

    if (index == 0 || ossl->SSL_SESSION_get_ex_data(session, index) != NULL || ossl->SSL_SESSION_set_ex_data(session, index, judged) != 1)
        let_go(ossl, judged);
}

void session_mark(const struct ossl *ossl, SSL_SESSION *session, X509 *leaf, const struct peer_digests *digests)
{
    struct judged *judged;

    if (session == NULL)
        return;
    (void)ossl->SSL_SESSION_set_ex_data(session, ossl->session_index, (void *)(uintptr_t)&mark);
    judged = leaf != NULL ? malloc(sizeof(*judged)) : NULL;
    if (judged == NULL)
        return;
    if (ossl->X509_up_ref(leaf) != 1) {
        free(judged);
        return;
    }
    atomic_init(&judged->holders, 1);
    judged->leaf = leaf;
    judged->digests = *digests;
    hang(ossl, session, judged);
}

/* What was judged need not have been the session's peer: a program can verify any certificate beside an SSL. */
const struct peer_digests *session_digests(const struct ossl *ossl, SSL_SESSION *session)
{
    int index = index_of_judged(ossl);
    const struct judged *judged = index != 0 ? ossl->SSL_SESSION_get_ex_data(session, index) : NULL;

    return judged != NULL && judged->leaf == ossl->SSL_SESSION_get0_peer(session) ? &judged->digests : NULL;
}

bool session_is_proven(const struct ossl *ossl, const SSL_SESSION *session)
{
    return ossl->SSL_SESSION_get_ex_data(session, ossl->session_index) == &mark
        && ossl->SSL_SESSION_get_master_key(session, NULL, 0) > 0;
}

/* Digest secret and certificate: together they are what a resumption trusts. */
static bool digest_of(const struct ossl *ossl, const SSL_SESSION *session, uint64_t out[static DIGEST_WORDS])
{
    unsigned char bytes[DIGEST_WORDS * sizeof(uint64_t) + SSL_MAX_MASTER_KEY_LENGTH + 64];
    unsigned char *secret = bytes + DIGEST_WORDS * sizeof(uint64_t);
    size_t length = ossl->SSL_SESSION_get_master_key(session, secret, sizeof(bytes) - DIGEST_WORDS * sizeof(uint64_t));
    X509 *leaf = ossl->SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
    int saved = errno;
    bool digested;

    (void)ossl->ERR_set_mark();
    digested = leaf != NULL && length > 0 && peer_hash_certificate(ossl, leaf, PIN_CERT, DIGEST_SHA256, bytes);
    if (digested)
        sha2(DIGEST_SHA256, bytes, (size_t)(secret - bytes) + length, (uint8_t *)out);
    (void)ossl->ERR_pop_to_mark();
    memset(bytes, 0, sizeof(bytes));
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* the secret is not to stay behind */
    errno = saved;
    return digested;
}

static bool is_remembered(const uint64_t digest[static DIGEST_WORDS])
{
    for (int i = 0; i < REMEMBERED; i++) {
        int same = 0;

        while (same < DIGEST_WORDS && atomic_load_explicit(&remembered[i][same], memory_order_relaxed) == digest[same])
            same++;
        if (same == DIGEST_WORDS)
            return true;
    }
    return false;
}

void session_written(const struct ossl *ossl, const SSL_SESSION *session)
{
    uint64_t digest[DIGEST_WORDS];
    uint32_t place;

    if (ossl->kind != OSSL_USABLE || session == NULL || !session_is_proven(ossl, session) || !digest_of(ossl, session, digest)
        || is_remembered(digest))
        return;
    place = atomic_fetch_add(&next_place, 1) % REMEMBERED;
    for (int i = 0; i < DIGEST_WORDS; i++)
        atomic_store_explicit(&remembered[place][i], digest[i], memory_order_relaxed);
}

void session_was_read(const struct ossl *ossl, SSL_SESSION *session)
{
    uint64_t digest[DIGEST_WORDS];

    if (ossl->kind != OSSL_USABLE || session == NULL)
        return;
    /* It may have been read into a session that carried the mark. */
    (void)ossl->SSL_SESSION_set_ex_data(session, ossl->session_index, NULL);
    if (digest_of(ossl, session, digest) && is_remembered(digest))
        session_mark(ossl, session, NULL, NULL);
}
