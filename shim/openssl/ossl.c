#include "ossl.h"

#include "certs.h"
#include "loader.h"
#include "verify_param.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Atomic(struct ossl *) ossl_known[OSSL_MAX];
USED_AT_START _Atomic(void (*)(const struct ossl *, SSL_CTX *)) ossl_context_made;

/* In place of a libssl for which there is no memory or no room: it has no functions, so every call fails. */
static struct ossl unusable = {.kind = OSSL_UNUSABLE};

/* Called when libssl makes an SSL; or when another libssl does that uses the same libcrypto. */
static void note_made(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl, void *argp)
{
    (void)data;
    (void)all;
    (void)index;
    (void)argl;
    ossl_watch.made(argp, parent);
}

/* Called when libssl makes an SSL_CTX, which has its certificates and callbacks by then (1.1.1 to 4.0). One of another libssl with the same libcrypto
 * may be laid out differently. */
static void note_context_made(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl, void *argp)
{
    void (*made)(const struct ossl *, SSL_CTX *) = atomic_load(&ossl_context_made);

    (void)data;
    (void)all;
    (void)index;
    (void)argl;
    if (made != NULL && ossl_has_made(argp, parent))
        made(argp, parent);
}

/* Called when libssl copies an SSL. Data that a program has set at this index without asking for it is not copied, as if the index were unused. */
static int copy_nothing(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int index, long argl, void *argp)
{
    (void)to;
    (void)from;
    (void)index;
    (void)argl;
    (void)argp;
    *data = NULL;
    return 1;
}

/* Called when any object of the kind is freed, whatever is set on it. */
static void note_freed(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl, void *argp)
{
    (void)data;
    (void)all;
    (void)index;
    (void)argl;
    ossl_watch.freed(argp, parent);
}

/* Have libcrypto call back when objects are made and freed. Nothing is set on an SSL, an SSL_CTX or an SSL_SESSION: a program may use an index that
 * it did not ask for, next to its own (Qt 6); and once anything is set, libcrypto calls every copy function of the program, even for data that was
 * never set (stunnel). Certificates carry a pointer, after two indexes that are left empty; libcrypto never copies their ex_data. */
static bool watch(struct ossl *ossl)
{
    if (ossl->CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, ossl, note_made, copy_nothing, note_freed) < 0
        || ossl->CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, ossl, note_context_made, NULL, note_freed) < 0)
        return false;
    for (int spare = 0; spare < 2; spare++) {
        if (ossl->CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509, 0, NULL, NULL, NULL, NULL) < 0)
            return false;
    }
    ossl->leaf_index = ossl->CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509, 0, ossl, NULL, NULL, note_freed);
    return ossl->leaf_index >= 0;
}

static enum ossl_kind kind_of(void *handle, bool complete)
{
    const char *(*version)(int) = (const char *(*)(int))loader_symbol(handle, "OpenSSL_version");

    if (handle == NULL)
        return OSSL_UNUSABLE;
    if (version == NULL)
        version = (const char *(*)(int))loader_symbol(handle, "SSLeay_version"); /* before 1.1.0 */
    if (version == NULL || strncmp(version(OPENSSL_VERSION), "OpenSSL ", 8) != 0)
        return OSSL_FOREIGN;
    return complete ? OSSL_USABLE : OSSL_UNUSABLE;
}

/* Another thread was first, or there is no room. A record that libcrypto's callbacks refer to is never freed. */
static void discard(struct ossl *ossl)
{
    static _Atomic(struct ossl *) discarded;

    if (!ossl->watched) {
        free(ossl);
        return;
    }
    ossl->next_discarded = atomic_load(&discarded);
    while (!atomic_compare_exchange_weak(&discarded, &ossl->next_discarded, ossl))
        ;
}

/* Publish without a lock, so that a fork in another thread leaves nothing locked. Return the record in use afterwards. */
static struct ossl *publish(struct ossl *ossl)
{
    for (int i = 0; i < OSSL_MAX; i++) {
        struct ossl *there = NULL;

        if (atomic_compare_exchange_strong(&ossl_known[i], &there, ossl))
            return ossl;
        if (there->start == ossl->start) {
            discard(ossl);
            return there;
        }
    }
    discard(ossl);
    return &unusable;
}

struct ossl *ossl_known_at(uintptr_t address)
{
    for (int i = 0; i < OSSL_MAX; i++) {
        struct ossl *ossl = atomic_load_explicit(&ossl_known[i], memory_order_acquire);

        if (ossl == NULL)
            break;
        if (address - ossl->start < ossl->end - ossl->start)
            return ossl;
    }
    return NULL;
}

/* The objects that have the functions of one library. */
struct parts {
    void *handle; /* NULL: it was unloaded */
    struct loaded ssl;
    struct loaded crypto; /* may be the same */
    bool mixed; /* libssl was linked to another libcrypto, and uses that one for what this one lacks */
    bool within; /* both are the program: what it lacks, another library's functions cannot replace */
};

/* Find the libcrypto whose functions the libssl uses. It may differ from the one that it was linked to: a program, or an earlier object,
 * may contain another one and export (parts of) it. Every libssl takes the address of this function (1.1.1 to 4.0), so
 * that it was bound when libssl was loaded. */
static void find_crypto(struct parts *parts)
{
    void *linked = loader_symbol(parts->handle, "X509_free");
    void *bound = loader_bound(&parts->ssl, "X509_free");

    parts->mixed = bound != NULL && bound != linked;
    if (!loader_find_near(&parts->ssl, bound != NULL ? bound : linked, OSSL_MARK, &parts->crypto))
        parts->crypto = parts->ssl;
}

/* A program calls what it contains: nothing is bound to another object. */
static bool is_within(const struct loaded *object)
{
    return object->name[0] == '\0' && loader_defined(object, object, "X509_free") != NULL;
}

void ossl_find_crypto(const struct loaded *ssl, struct loaded *crypto)
{
    void *bound = is_within(ssl) ? NULL : loader_bound(ssl, "X509_free");

    if (bound == NULL || !loader_find_near(ssl, bound, OSSL_MARK, crypto))
        *crypto = *ssl;
}

/* Return the function with that name, from one of the library's two objects. If neither has it although every release should (`needed`),
 * ask the loader. */
static void *find(const void *how, const char *name, bool needed)
{
    const struct parts *parts = how;
    void *found = parts->handle != NULL ? loader_defined(&parts->ssl, &parts->crypto, name) : NULL;

    return found == NULL && !parts->within && (needed || parts->mixed) ? loader_symbol(parts->handle, name) : found;
}

/* The functions in the order of the list, and where they belong in a struct ossl. */
static const char names[] =
#define NEEDED(name, result, parameters) #name "\0"
#define OPTIONAL NEEDED
#include "ossl_symbols.h"
#undef NEEDED
#undef OPTIONAL
    ;
static const struct listed places[] = {
#define NEEDED(name, result, parameters) {offsetof(struct ossl, name), true},
#define OPTIONAL(name, result, parameters) {offsetof(struct ossl, name), false},
#include "ossl_symbols.h"
#undef NEEDED
#undef OPTIONAL
};

/* Return the library that `object` is, or NULL if it is not a libssl. */
struct ossl *ossl_meet(const struct loaded *object)
{
    struct ossl *ossl = ossl_known_at(object->start);
    struct parts parts = {.ssl = *object};
    bool complete;

    if (ossl != NULL || !object->marked)
        return ossl;
    ossl = calloc(1, sizeof(*ossl));
    if (ossl == NULL)
        return &unusable;
    ossl->start = object->start;
    ossl->end = object->end;
    /* It stays loaded from now on. */
    parts.handle = loader_hold(object);
    parts.within = is_within(object);
    if (parts.within)
        parts.crypto = parts.ssl;
    else
        find_crypto(&parts);
    if (!parts.mixed && parts.crypto.name != NULL && parts.crypto.name[0] != '\0') {
        ossl->crypto_start = parts.crypto.start;
        ossl->crypto_end = parts.crypto.end;
    }
    ossl->lacks = loader_fill(ossl, names, places, sizeof(places) / sizeof(places[0]), find, &parts);
    complete = ossl->lacks == NULL;
    complete &= ossl->SSL_get1_peer_certificate != NULL || ossl->SSL_get_peer_certificate != NULL;
    complete &= ossl->ERR_put_error != NULL || (ossl->ERR_new != NULL && ossl->ERR_set_debug != NULL && ossl->ERR_set_error != NULL);
    ossl->kind = kind_of(parts.handle, complete);
    certs_bind(ossl);
    if (ossl->kind == OSSL_USABLE && !param_is_readable(ossl))
        ossl->kind = OSSL_UNUSABLE;
    ossl->watched = ossl->kind == OSSL_USABLE;
    if (ossl->watched && !watch(ossl))
        ossl->kind = OSSL_UNUSABLE;
    return publish(ossl);
}

bool ossl_is_at(const void *address)
{
    struct ossl *ossl = ossl_known_at((uintptr_t)address);
    int saved = errno;
    struct loaded object;
    bool is = ossl != NULL && ossl->kind != OSSL_FOREIGN;

    if (ossl == NULL)
        is = loader_find(address, OSSL_MARK, &object) && object.marked && kind_of(loader_hold(&object), true) != OSSL_FOREIGN;
    errno = saved;
    return is;
}

struct ossl *ossl_at(const void *address)
{
    struct ossl *ossl = ossl_known_at((uintptr_t)address);
    int saved = errno;
    struct loaded object;

    if (ossl == NULL && loader_find(address, OSSL_MARK, &object))
        ossl = ossl_meet(&object);
    errno = saved;
    return ossl;
}

static struct ossl *discover(const void *object)
{
    void *const *words = object;
    struct ossl *ossl = NULL;

    for (int k = 0; k < 4 && ossl == NULL; k++)
        ossl = ossl_at(words[k]);
    return ossl;
}

struct ossl *ossl_of(const void *object)
{
    if (object == NULL)
        return NULL;
    for (int i = 0; i < OSSL_MAX; i++) {
        struct ossl *ossl = atomic_load_explicit(&ossl_known[i], memory_order_acquire);

        if (ossl == NULL)
            break;
        if (ossl_has_made(ossl, object))
            return ossl;
    }
    return discover(object);
}

static struct ossl *known_verifier(int (*real)(X509_STORE_CTX *))
{
    for (int i = 0; i < OSSL_MAX; i++) {
        struct ossl *ossl = atomic_load_explicit(&ossl_known[i], memory_order_acquire);

        if (ossl == NULL)
            break;
        if (ossl->X509_verify_cert == real)
            return ossl;
    }
    return NULL;
}

_Thread_local const struct ossl *ossl_verifying;

struct ossl *ossl_of_verifier(const void *caller, int (**real)(X509_STORE_CTX *))
{
    struct ossl *ossl = loader_is_own(caller) ? (struct ossl *)(uintptr_t)ossl_verifying : ossl_known_at((uintptr_t)caller);
    int saved = errno;
    struct loaded objects[OSSL_MAX];
    struct loaded object;
    size_t count;

    if (ossl == NULL && loader_find(caller, OSSL_MARK, &object))
        ossl = ossl_meet(&object);
    if (ossl != NULL) {
        *real = ossl->X509_verify_cert;
        errno = saved;
        return ossl;
    }
    /* The program itself or one of its libraries verifies: its libssl is the one with the same libcrypto. */
    *real = (int (*)(X509_STORE_CTX *))loader_for_caller(caller, "X509_verify_cert");
    ossl = known_verifier(*real);
    if (ossl == NULL) {
        count = loader_list(OSSL_MARK, objects, sizeof(objects) / sizeof(objects[0]));
        for (size_t i = 0; i < count; i++)
            (void)ossl_meet(&objects[i]);
        ossl = known_verifier(*real);
        /* As in ossl_of_caller. */
        if (*real == NULL && count == 1 && (ossl = ossl_meet(&objects[0])) != NULL)
            *real = ossl->X509_verify_cert;
    }
    errno = saved;
    return ossl;
}

struct ossl *ossl_of_checker(const void *caller, bool *own)
{
    int (*verifier)(X509_STORE_CTX *);

    *own = true;
    for (int i = 0; i < OSSL_MAX; i++) {
        struct ossl *ossl = atomic_load_explicit(&ossl_known[i], memory_order_acquire);

        if (ossl == NULL)
            break;
        if ((uintptr_t)caller - ossl->crypto_start < ossl->crypto_end - ossl->crypto_start)
            return ossl;
    }
    *own = false;
    return ossl_of_verifier(caller, &verifier);
}

struct ossl *ossl_of_caller(const void *caller)
{
    struct ossl *ossl = ossl_known_at((uintptr_t)caller);
    struct loaded objects[OSSL_MAX];
    int saved = errno;
    struct loaded object;

    if (ossl == NULL && loader_find(caller, OSSL_MARK, &object)) {
        void *handle = loader_hold(&object);

        ossl = ossl_at(loader_symbol(handle, "SSL_new"));
        loader_let_go(handle);
        /* libcrypto calls functions of its libssl (PEM), but is not linked to it. */
        for (int i = 0; ossl == NULL && i < OSSL_MAX; i++) {
            struct ossl *known = atomic_load_explicit(&ossl_known[i], memory_order_acquire);

            if (known == NULL)
                break;
            if ((uintptr_t)known->X509_free - object.start < object.end - object.start)
                ossl = known;
        }
    }
    if (ossl == NULL)
        ossl = ossl_at(loader_next("SSL_new"));
    /* A program that found its functions by dlsym has no libssl in its scope: if only one is loaded, it is that one. */
    if (ossl == NULL && loader_list(OSSL_MARK, objects, OSSL_MAX) == 1)
        ossl = ossl_meet(&objects[0]);
    errno = saved;
    return ossl;
}
