#include "path.h"

#include <string.h>

#define POOL 48 /* certificates that a path is looked for among; a peer that sends more has the rest ignored */
#define DEPTH 10

/* Certificates that may be issuers: those that the peer sent, those of ca-files, and what the system's store has for them. */
struct pool {
    X509 *certificates[POOL]; /* references */
    size_t count;
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
    if (certificate != NULL && pool->count < POOL)
        pool->certificates[pool->count++] = certificate;
    else if (certificate != NULL)
        ossl->X509_free(certificate);
}

static void empty(const struct ossl *ossl, struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        ossl->X509_free(pool->certificates[i]);
}

/* The system's trust store, opened once for each libcrypto and kept. */
static X509_STORE *system_store(const struct ossl *ossl)
{
    _Atomic(X509_STORE *) *place = &((struct ossl *)(uintptr_t)ossl)->system_store;
    X509_STORE *store = atomic_load(place);
    X509_STORE *opened;

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

/* The first in the pool is the leaf. */
static void gather(const struct evidence *evidence, const struct pins *pins, struct pool *pool)
{
    const struct ossl *ossl = evidence->ossl;
    int sent = evidence->chain != NULL ? ossl->OPENSSL_sk_num(evidence->chain) : 0;
    const uint8_t *der;
    size_t length;

    pool->count = 0;
    if (evidence->leaf == NULL)
        return;
    if (ossl->X509_up_ref(evidence->leaf) == 1)
        add(ossl, pool, evidence->leaf);
    for (int i = 0; i < sent; i++) {
        X509 *certificate = ossl->OPENSSL_sk_value(evidence->chain, i);

        if (certificate != NULL && ossl->X509_up_ref(certificate) == 1)
            add(ossl, pool, certificate);
    }
    for (size_t i = 0; (der = pins_issuer(pins, i, &length)) != NULL; i++)
        add(ossl, pool, ossl->d2i_X509(NULL, &der, (long)length));
    add_system_issuers(ossl, pool);
}

/* The leaf must be valid for the name, as RFC 6125 has it, or for the address. */
static bool set_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, const struct host *host)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool v4 = memcmp(host->address, mapped, sizeof(mapped)) == 0;

    ossl->X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (host->kind == HOST_ADDRESS)
        return ossl->X509_VERIFY_PARAM_set1_ip(param, v4 ? host->address + 12 : host->address, v4 ? 4 : 16) == 1;
    return host->kind == HOST_NAME && host->name[0] != '\0' && ossl->X509_VERIFY_PARAM_set1_host(param, host->name, strlen(host->name)) == 1;
}

/* Verify that a path leads from the leaf to a certificate of `store` through the pool, without what is revoked. `flags` are
 * X509_V_FLAG_*. */
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
    verified = verified && ossl->X509_STORE_CTX_init(ctx, store, evidence->leaf, between) == 1;
    if (verified) {
        X509_VERIFY_PARAM *param = ossl->X509_STORE_CTX_get0_param(ctx);

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

static const struct pin *pin_of_issuer(const struct evidence *evidence, const struct pins *pins, const struct rule *rule, X509 *issuer)
{
    uint8_t digest[DIGEST_MAX];

    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        if (pin->kind == PIN_CA && (pin->expires == 0 || evidence->peer.today < pin->expires)
            && peer_hash_certificate(evidence->ossl, issuer, PIN_CA, (enum digest)pin->digest, digest)
            && memcmp(digest, pins_digest(pins, pin), digest_size((enum digest)pin->digest)) == 0)
            return pin;
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
    const struct pin *found = NULL;
    const struct pin *which;
    struct pool pool;

    *problem = "no certificate of a pinned issuer";
    gather(evidence, pins, &pool);
    for (size_t i = 1; found == NULL && i < pool.count; i++) {
        const struct pin *pin = pin_of_issuer(evidence, pins, rule, pool.certificates[i]);
        X509_STORE *store;

        if (pin == NULL || is_revoked(ossl, pins, pool.certificates[i], &which))
            continue;
        store = ossl->X509_STORE_new();
        if (store != NULL && ossl->X509_STORE_add_cert(store, pool.certificates[i]) == 1
            && verify(evidence, pins, &pool, store, X509_V_FLAG_PARTIAL_CHAIN, host, problem))
            found = pin;
        if (store != NULL)
            ossl->X509_STORE_free(store);
    }
    empty(ossl, &pool);
    return found;
}

static bool trusted(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    X509_STORE *store = system_store(evidence->ossl);
    struct pool pool;
    bool verified = false;

    *problem = "no trust store";
    gather(evidence, pins, &pool);
    if (store != NULL && pool.count > 0)
        verified = verify(evidence, pins, &pool, store, 0, host, problem);
    empty(evidence->ossl, &pool);
    return verified;
}

/* Return true if a path leads up from `at` that meets nothing revoked: to where no issuer is known. Issuers count by signature: a name
 * can be written by anybody. */
static bool escapes(const struct ossl *ossl, const struct pins *pins, const struct pool *pool, X509 *at, int depth, const struct pin **which)
{
    bool any = false;

    if (is_revoked(ossl, pins, at, which))
        return false;
    for (size_t i = 1; i < pool->count && depth < DEPTH; i++) {
        X509 *issuer = pool->certificates[i];
        EVP_PKEY *key;

        if (issuer == at || ossl->X509_check_issued(issuer, at) != X509_V_OK)
            continue;
        key = ossl->X509_get0_pubkey(issuer);
        if (key == NULL || ossl->X509_verify(at, key) != 1)
            continue;
        any = true;
        if (escapes(ossl, pins, pool, issuer, depth + 1, which))
            return true;
    }
    return !any;
}

static const struct pin *revoked(const struct peer *peer, const struct pins *pins)
{
    const struct evidence *evidence = peer_evidence(peer);
    const struct pin *which = NULL;
    struct pool pool;
    bool free_of_it;

    gather(evidence, pins, &pool);
    free_of_it = pool.count == 0 || escapes(evidence->ossl, pins, &pool, pool.certificates[0], 0, &which);
    empty(evidence->ossl, &pool);
    return free_of_it ? NULL : which;
}

const struct peer_path path_of_peer = {authority, trusted, revoked};
