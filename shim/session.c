#include "session.h"

#include "peer.h"

#include <errno.h>
#include <string.h>

#define DIGEST_WORDS 4 /* SHA-256 */
#define REMEMBERED 4096 /* sessions written; the oldest are forgotten, and lead to a full handshake */

static const char mark;
static _Atomic uint64_t remembered[REMEMBERED][DIGEST_WORDS];
static _Atomic uint32_t next_place;

void session_mark(const struct ossl *ossl, SSL_SESSION *session)
{
    if (session != NULL)
        (void)ossl->SSL_SESSION_set_ex_data(session, ossl->session_index, (void *)(uintptr_t)&mark);
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
        peer_hash(ossl, DIGEST_SHA256, bytes, (size_t)(secret - bytes) + length, (uint8_t *)out);
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
        session_mark(ossl, session);
}
