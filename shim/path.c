#include "path.h"

#include "file.h"

#include <stdlib.h>
#include <string.h>

#define MOST 256 /* certificates that a path is looked for among */
#define MOST_SENT 64 /* of them from the peer; the rest is ignored, and what is revoked may be among it */

/* Certificates that may be issuers: those that the peer sent, those that the program's verification used, and what ca-files and the
 * system's store have for them. The first is the leaf. */
struct pool {
    X509 *certificates[MOST]; /* references */
    size_t count;
    bool incomplete;
};

static bool is_revoked(const struct ossl *ossl, const struct pins *pins, X509 *certificate, const struct pin **which)
{
    const struct rule *revoked = pins_revoked(pins);
    uint8_t digest[DIGEST_MAX];

    if (revoked == NULL)
        return false;
    for (const struct pin *pin = pins_next_pin(pins, revoked, NULL); pin != NULL; pin = pins_next_pin(pins, revoked, pin)) {
        /* What cannot be told is revoked. */
        if (!peer_hash_certificate(ossl, certificate, (enum pin_kind)pin->kind, (enum digest)pin->digest, digest)
            || memcmp(digest, pins_digest(pins, pin), digest_size((enum digest)pin->digest)) == 0) {
            *which = pin;
            return true;
        }
    }
    return false;
}

/* Add the certificate, unless it is there. The pool takes the reference in either case. */
static void add(const struct ossl *ossl, struct pool *pool, X509 *certificate)
{
    for (size_t i = 0; certificate != NULL && i < pool->count; i++) {
        if (ossl->X509_cmp(pool->certificates[i], certificate) == 0) {
            ossl->X509_free(certificate);
            return;
        }
    }
    if (certificate != NULL && pool->count < MOST) {
        pool->certificates[pool->count++] = certificate;
    } else if (certificate != NULL) {
        pool->incomplete = true;
        ossl->X509_free(certificate);
    }
}

static void add_stack(const struct ossl *ossl, struct pool *pool, const void *stack, int most)
{
    int count = stack != NULL ? ossl->OPENSSL_sk_num(stack) : 0;

    pool->incomplete |= count > most;
    for (int i = 0; i < count && i < most; i++) {
        X509 *certificate = ossl->OPENSSL_sk_value(stack, i);

        if (certificate != NULL && ossl->X509_up_ref(certificate) == 1)
            add(ossl, pool, certificate);
    }
}

/* Add those of the ca-files that may have issued something in the pool: a bundle is not to fill it. */
static void add_file_issuers(const struct ossl *ossl, struct pool *pool, const struct pins *pins)
{
    const uint8_t *der;
    size_t length;

    for (size_t i = 0; i < pool->count; i++) {
        for (size_t k = 0; (der = pins_issuer(pins, k, &length)) != NULL; k++) {
            X509 *issuer = ossl->d2i_X509(NULL, &der, (long)length);

            if (issuer != NULL && ossl->X509_check_issued(issuer, pool->certificates[i]) == X509_V_OK)
                add(ossl, pool, issuer);
            else if (issuer != NULL)
                ossl->X509_free(issuer);
        }
    }
}

static void discard(const struct ossl *ossl, struct pool *pool)
{
    for (size_t i = 0; pool != NULL && i < pool->count; i++)
        ossl->X509_free(pool->certificates[i]);
    free(pool);
}

/* The system's trust store, opened once for each libcrypto and kept. */
static X509_STORE *system_store(const struct ossl *ossl)
{
    _Atomic(X509_STORE *) *place = &((struct ossl *)(uintptr_t)ossl)->system_store;
    X509_STORE *store = atomic_load(place);
    X509_STORE *opened;

    /* It opens a file for each name that it is asked for. */
    if (!file_may_read())
        return NULL;
    if (store != NULL)
        return store;
    opened = ossl->X509_STORE_new();
    if (opened == NULL || ossl->X509_STORE_set_default_paths(opened) != 1 || !atomic_compare_exchange_strong(place, &store, opened)) {
        if (opened != NULL)
            ossl->X509_STORE_free(opened);
        return store;
    }
    return opened;
}

/* Add the issuers that the system's store has for what is in the pool, and for those again. */
static void add_system_issuers(const struct ossl *ossl, struct pool *pool)
{
    X509_STORE *store = system_store(ossl);
    X509_STORE_CTX *ctx = store != NULL ? ossl->X509_STORE_CTX_new() : NULL;

    pool->incomplete |= ctx == NULL;
    if (ctx != NULL && ossl->X509_STORE_CTX_init(ctx, store, NULL, NULL) == 1) {
        for (size_t i = 0; i < pool->count; i++) {
            void *found = ossl->X509_STORE_CTX_get1_certs(ctx, ossl->X509_get_issuer_name(pool->certificates[i]));
            int count = found != NULL ? ossl->OPENSSL_sk_num(found) : 0;

            for (int k = 0; k < count; k++)
                add(ossl, pool, ossl->OPENSSL_sk_value(found, k));
            if (found != NULL)
                ossl->OPENSSL_sk_free(found);
        }
    }
    if (ctx != NULL)
        ossl->X509_STORE_CTX_free(ctx);
}

/* Return a new pool, or NULL when memory ran out. Not on the stack: OpenSSL's own fibres have little. */
static struct pool *gather(const struct evidence *evidence, const struct pins *pins)
{
    const struct ossl *ossl = evidence->ossl;
    struct pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL || evidence->shown.leaf == NULL || ossl->X509_up_ref(evidence->shown.leaf) != 1) {
        free(pool);
        return NULL;
    }
    add(ossl, pool, evidence->shown.leaf);
    add_stack(ossl, pool, evidence->shown.verified, MOST_SENT);
    add_stack(ossl, pool, evidence->shown.chain, MOST_SENT);
    add_file_issuers(ossl, pool, pins);
    add_system_issuers(ossl, pool);
    /* Once more, for those. */
    add_file_issuers(ossl, pool, pins);
    return pool;
}

/* The leaf must be valid for the name, as RFC 6125 has it, or for the address. */
static bool set_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, const struct host *host)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool v4;

    ossl->X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (host == NULL)
        return true;
    v4 = memcmp(host->address, mapped, sizeof(mapped)) == 0;
    if (host->kind == HOST_ADDRESS)
        return ossl->X509_VERIFY_PARAM_set1_ip(param, v4 ? host->address + 12 : host->address, v4 ? 4 : 16) == 1;
    return host->kind == HOST_NAME && host->name[0] != '\0' && ossl->X509_VERIFY_PARAM_set1_host(param, host->name, strlen(host->name)) == 1;
}

/* Verify that a path leads from the leaf to a certificate of `store` through the pool, without what is revoked; for `host`, or NULL: for
 * whichever. `flags` are X509_V_FLAG_*. */
static bool verify(const struct evidence *evidence, const struct pins *pins, const struct pool *pool, X509_STORE *store, unsigned long flags,
    const struct host *host, const char **problem)
{
    const struct ossl *ossl = evidence->ossl;
    void *between = ossl->OPENSSL_sk_new_null();
    X509_STORE_CTX *ctx = ossl->X509_STORE_CTX_new();
    const struct pin *which;
    bool verified = between != NULL && ctx != NULL;

    for (size_t i = 1; verified && i < pool->count; i++) {
        if (!is_revoked(ossl, pins, pool->certificates[i], &which))
            verified = ossl->OPENSSL_sk_push(between, pool->certificates[i]) > 0;
    }
    verified = verified && ossl->X509_STORE_CTX_init(ctx, store, evidence->shown.leaf, between) == 1;
    if (verified) {
        X509_VERIFY_PARAM *param = ossl->X509_STORE_CTX_get0_param(ctx);

        /* As libssl's own default: no SHA-1, no RSA below 1024 bits. */
        ossl->X509_VERIFY_PARAM_set_auth_level(param, 1);
        verified = ossl->X509_VERIFY_PARAM_set_flags(param, flags | X509_V_FLAG_TRUSTED_FIRST) == 1
            && ossl->X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 && set_host(ossl, param, host)
            && ossl->X509_verify_cert(ctx) == 1;
        if (!verified)
            *problem = ossl->X509_verify_cert_error_string(ossl->X509_STORE_CTX_get_error(ctx));
    }
    /* The store may hold what is revoked. */
    if (verified && pins_revoked(pins) != NULL) {
        const void *chain = ossl->X509_STORE_CTX_get0_chain(ctx);

        for (int i = 0; i < ossl->OPENSSL_sk_num(chain); i++)
            verified &= !is_revoked(ossl, pins, ossl->OPENSSL_sk_value(chain, i), &which);
        if (!verified)
            *problem = "an issuer is revoked";
    }
    if (ctx != NULL)
        ossl->X509_STORE_CTX_free(ctx);
    if (between != NULL)
        ossl->OPENSSL_sk_free(between);
    return verified;
}

static const struct pin *pin_of_issuer(const struct evidence *evidence, const struct pins *pins, const struct rule *rule, X509 *issuer,
    const char **problem)
{
    uint8_t digest[DIGEST_MAX];

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind != PIN_CA || !peer_hash_certificate(evidence->ossl, issuer, PIN_CA, (enum digest)pin->digest, digest)
            || memcmp(digest, pins_digest(pins, pin), digest_size((enum digest)pin->digest)) != 0)
            continue;
        if (pin->expires == 0 || evidence->peer.today < pin->expires)
            return pin;
        *problem = "the pin of its issuer has expired";
    }
    return NULL;
}

/* Each certificate with a pinned key is tried as the only trust anchor: any path that holds the pin is enough, whatever others lead
 * elsewhere. Not the leaf: it is no issuer. */
static const struct pin *authority(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
    const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    const struct ossl *ossl = evidence->ossl;
    struct pool *pool = gather(evidence, pins);
    const struct pin *found = NULL;
    const struct pin *which;

    *problem = "no certificate of a pinned issuer";
    for (size_t i = 1; pool != NULL && found == NULL && i < pool->count; i++) {
        const struct pin *pin = pin_of_issuer(evidence, pins, rule, pool->certificates[i], problem);
        X509_STORE *store;

        if (pin == NULL || is_revoked(ossl, pins, pool->certificates[i], &which))
            continue;
        store = ossl->X509_STORE_new();
        if (store != NULL && ossl->X509_STORE_add_cert(store, pool->certificates[i]) == 1
            && verify(evidence, pins, pool, store, X509_V_FLAG_PARTIAL_CHAIN, host, problem))
            found = pin;
        if (store != NULL)
            ossl->X509_STORE_free(store);
    }
    discard(ossl, pool);
    return found;
}

static bool trusted(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    X509_STORE *store = system_store(evidence->ossl);
    struct pool *pool = gather(evidence, pins);
    bool verified = false;

    *problem = "no trust store";
    if (store != NULL && pool != NULL)
        verified = verify(evidence, pins, pool, store, 0, host, problem);
    discard(evidence->ossl, pool);
    return verified;
}

/* Find what is revoked among the issuers of the leaf, theirs, and so on. An issuer counts by its signature: a name can be written by
 * anybody. Each is looked at once. */
static const struct pin *revoked_issuer(const struct ossl *ossl, const struct pins *pins, const struct pool *pool)
{
    const struct pin *which = NULL;
    bool reached[MOST] = {true};
    size_t queue[MOST] = {0};
    size_t queued = 1;

    for (size_t at = 0; at < queued; at++) {
        X509 *issued = pool->certificates[queue[at]];

        if (is_revoked(ossl, pins, issued, &which))
            return which;
        for (size_t i = 1; i < pool->count; i++) {
            EVP_PKEY *key;

            if (reached[i] || ossl->X509_check_issued(pool->certificates[i], issued) != X509_V_OK)
                continue;
            key = ossl->X509_get0_pubkey(pool->certificates[i]);
            if (key == NULL || ossl->X509_verify(issued, key) != 1)
                continue;
            reached[i] = true;
            queue[queued++] = i;
        }
    }
    return NULL;
}

/* A revoked issuer is a veto, unless a path to the system's trust store does without it. If more was sent than is looked at, it may
 * have been hidden there. */
static const struct pin *revoked(const struct peer *peer, const struct pins *pins)
{
    const struct evidence *evidence = peer_evidence(peer);
    const struct ossl *ossl = evidence->ossl;
    X509_STORE *store = system_store(ossl);
    struct pool *pool = gather(evidence, pins);
    const struct pin *which = NULL;
    const char *problem;

    if (evidence->shown.leaf == NULL)
        return NULL;
    if (pool == NULL || pool->incomplete)
        which = pins_next_pin(pins, pins_revoked(pins), NULL);
    else
        which = revoked_issuer(ossl, pins, pool);
    if (which != NULL && pool != NULL && store != NULL && verify(evidence, pins, pool, store, 0, NULL, &problem))
        which = NULL;
    discard(ossl, pool);
    return which;
}

const struct peer_path path_of_peer = {authority, trusted, revoked};
