#include "path.h"

#include "der.h"

#include <stdlib.h>
#include <string.h>

#define MOST 256 /* certificates from which a path is built */
#define MOST_SENT 64 /* of them sent by the peer; the rest is ignored, and may contain something revoked */
#define MOST_EDGES 128
#define MOST_STEPS 4096 /* of the search for a path */
#define LONGEST 32 /* certificates in a path, and levels of recursion */

static const char exhausted[] = "its certificates are too many, or cost too much to verify";

/* A certificate that may be an issuer: the peer sent it, the program's verification used it, or a ca-file or the system's store has it as the issuer
 * of another one. The first is the leaf. */
struct node {
    X509 *certificate; /* a reference */
    uint64_t subject; /* der_names */
    uint64_t issuer;
    unsigned cost; /* of checking a signature with its key */
    size_t length; /* of its DER */
    bool constrains; /* it has name constraints (RFC 5280, section 4.2.1.10) */
    bool system; /* it is in the system's store */
    bool reached; /* signatures lead to it from the leaf */
    bool expanded; /* its own issuers were searched */
    bool known[PIN_CERT + 1][DIGESTS];
    uint8_t digests[PIN_CERT + 1][DIGESTS][DIGEST_MAX];
    enum { REVOKED_UNKNOWN = 0, REVOKED_NOT, REVOKED } revoked;
    enum { UNTRIED = 0, TRIED, VERIFIED } anchor[2]; /* a path that ends here: trusted by a pin (0), by the system's store (1) */
    const char *problem[2];
};

/* `from` was issued by `to`: see find_issuers. */
struct edge {
    uint16_t from;
    uint16_t to;
};

/* Everything known of one peer's issuers. Not on the stack: OpenSSL's own fibres have little. */
struct paths {
    struct node nodes[MOST];
    size_t count;
    struct edge edges[MOST_EDGES];
    size_t edge_count;
    struct path_budget budget;
    bool incomplete; /* not all that was sent could be examined */
    const struct pin *revoked; /* the first pin of @revoked that matches a certificate reached */
    uint16_t way[LONGEST]; /* the path that is being built, the leaf first */
    bool leads[MOST]; /* to the trust anchor that is being tried */
    unsigned steps;
};

static bool spend(struct path_budget *budget, size_t cost)
{
    if (budget->left <= cost)
        budget->left = 0;
    else
        budget->left -= (unsigned)cost;
    return budget->left > 0;
}

static unsigned squared(unsigned number)
{
    return number * number;
}

static unsigned bytes_of(struct bytes number)
{
    return number.length < 1U << 16 ? (unsigned)number.length : 1U << 16;
}

/* The cost of checking a signature with the key, in units of about 10 microseconds (OpenSSL 3.0 on a processor of 2022), by its
 * SubjectPublicKeyInfo. */
static unsigned cost_of_key(struct bytes spki)
{
    static const struct {
        size_t length;
        const char *oids; /* of the algorithm, then of the curve */
        unsigned cost;
    } kinds[] = {
        {15, "\x2a\x86\x48\xce\x3d\x02\x01\x2a\x86\x48\xce\x3d\x03\x01\x07", 8}, /* P-256 */
        {12, "\x2a\x86\x48\xce\x3d\x02\x01\x2b\x81\x04\x00\x22", 80}, /* P-384 */
        {12, "\x2a\x86\x48\xce\x3d\x02\x01\x2b\x81\x04\x00\x23", 80}, /* P-521 */
        {3, "\x2b\x65\x70", 12}, /* Ed25519 */
        {3, "\x2b\x65\x71", 30}, /* Ed448 */
    };
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01}; /* rsaEncryption and RSA-PSS are below it */
    struct bytes key = der_take_content(&spki, DER_SEQUENCE);
    struct bytes algorithm = der_take_content(&key, DER_SEQUENCE);
    struct bytes bits = der_take_content(&key, DER_BIT_STRING);
    struct bytes part;
    char oids[64];
    size_t length = 0;

    while ((part = der_take_content(&algorithm, DER_OBJECT_IDENTIFIER)).at != NULL && part.length <= sizeof(oids) - length) {
        memcpy(oids + length, part.at, part.length);
        length += part.length;
    }
    if (length == sizeof(rsa) + 1 && memcmp(oids, rsa, sizeof(rsa)) == 0 && bits.length > 1) {
        struct bytes rest = {bits.at + 1, bits.length - 1};
        struct bytes numbers = der_take_content(&rest, DER_SEQUENCE);
        struct bytes modulus = der_take_content(&numbers, DER_INTEGER);
        struct bytes exponent = der_take_content(&numbers, DER_INTEGER);

        if (exponent.at != NULL)
            return (squared(bytes_of(modulus) / 64 + 1) / 8 + 1) * (bytes_of(exponent) <= 4 ? 1 : bytes_of(exponent) / 2);
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (length == kinds[i].length && memcmp(oids, kinds[i].oids, length) == 0)
            return kinds[i].cost;
    }
    return PATH_COST_UNKNOWN;
}

/* Read the node's certificate. Return false if it cannot be read. */
static bool read_node(const struct ossl *ossl, X509 *certificate, struct node *out)
{
    static const char constraints[] = "\x06\x03\x55\x1d\x1e";
    unsigned char *der = NULL;
    int length = ossl->i2d_X509(certificate, &der);
    struct bytes bytes = {der, length > 0 ? (size_t)length : 0};
    struct der_names names;
    bool read = length > 0 && der_read_names(bytes, &names);

    if (read) {
        memset(out, 0, sizeof(*out));
        out->certificate = certificate;
        out->subject = names.subject;
        out->issuer = names.issuer;
        out->length = bytes.length;
        out->cost = cost_of_key(der_spki_of_certificate(bytes));
        out->constrains = memmem(der, bytes.length, constraints, sizeof(constraints) - 1) != NULL;
    }
    if (der != NULL)
        ossl->CRYPTO_free(der, "", 0);
    return read;
}

/* The cost of the signature, and of hashing the certificate. */
static size_t cost_of_check(const struct node *issued, const struct node *issuer)
{
    return issuer->cost + issued->length / 4096;
}

/* Each name constraint is compared with each name below it. */
static size_t cost_of_names(const struct node *issuer, size_t below)
{
    return issuer->constrains ? issuer->length / 12 * (below / 12) / 1000 : 0;
}

static bool is_signed(const struct ossl *ossl, X509 *certificate, X509 *issuer, size_t cost, struct path_budget *budget)
{
    EVP_PKEY *key = ossl->X509_get0_pubkey(issuer);

    return spend(budget, cost) && key != NULL && ossl->X509_verify(certificate, key) == 1;
}

bool path_is_signed(const struct ossl *ossl, X509 *certificate, X509 *issuer, struct path_budget *budget)
{
    struct node issued;
    struct node by;

    return read_node(ossl, certificate, &issued) && read_node(ossl, issuer, &by) && ossl->X509_check_issued(issuer, certificate) == X509_V_OK
        && is_signed(ossl, certificate, issuer, cost_of_check(&issued, &by), budget);
}

/* Return the certificate's node, appended if it is new. The nodes own the reference in either case. NULL: it cannot be
 * read, or there is no room. */
static struct node *add(const struct ossl *ossl, struct paths *paths, X509 *certificate)
{
    struct node *node = paths->count < MOST ? &paths->nodes[paths->count] : NULL;

    for (size_t i = 0; i < paths->count; i++) {
        if (ossl->X509_cmp(paths->nodes[i].certificate, certificate) == 0) {
            ossl->X509_free(certificate);
            return &paths->nodes[i];
        }
    }
    if (node == NULL)
        paths->budget.left = 0;
    if (node == NULL || !read_node(ossl, certificate, node)) {
        ossl->X509_free(certificate);
        return NULL;
    }
    paths->count++;
    /* The cost of encoding, hashing and parsing it. */
    (void)!spend(&paths->budget, node->length / 8192);
    return node;
}

static void add_stack(const struct ossl *ossl, struct paths *paths, const void *stack)
{
    int count = stack != NULL ? ossl->OPENSSL_sk_num(stack) : 0;

    paths->incomplete |= count > MOST_SENT;
    for (int i = 0; i < count && i < MOST_SENT && paths->budget.left > 0; i++) {
        X509 *certificate = ossl->OPENSSL_sk_value(stack, i);

        if (certificate == NULL || ossl->X509_up_ref(certificate) != 1 || add(ossl, paths, certificate) == NULL)
            paths->incomplete = true;
    }
}

/* Add the certificates with that subject from ca-files and the system's store. */
static void add_known(const struct ossl *ossl, struct paths *paths, const struct pins *pins, uint64_t subject)
{
    const uint8_t *der;
    struct root root;
    X509 *certificate;
    size_t cursor = 0;
    size_t length;

    while ((der = pins_next_issuer(pins, subject, &cursor, &length)) != NULL && spend(&paths->budget, 4)) {
        certificate = ossl->d2i_X509(NULL, &der, (long)length);
        if (certificate == NULL || add(ossl, paths, certificate) == NULL)
            paths->incomplete = true;
    }
    cursor = 0;
    while (roots_next(pins_roots(pins), subject, &cursor, &root) && spend(&paths->budget, 4)) {
        struct node *node;

        certificate = ossl->d2i_X509_AUX(NULL, &root.der, (long)root.length);
        if (certificate != NULL && root.hashed && ossl->X509_subject_name_hash(certificate) != root.hash) {
            ossl->X509_free(certificate);
            continue;
        }
        node = certificate != NULL && ossl->X509_up_ref(certificate) == 1 ? add(ossl, paths, certificate) : NULL;
        if (node == NULL) {
            paths->incomplete = true;
            if (certificate != NULL)
                ossl->X509_free(certificate);
            continue;
        }
        /* Keep the store's own copy: it may say what it is trusted for. */
        node->system = true;
        ossl->X509_free(node->certificate);
        node->certificate = certificate;
    }
}

static bool may_have_issued(const struct ossl *ossl, const struct paths *paths, size_t issuer, size_t from)
{
    const struct node *by = &paths->nodes[issuer];
    const struct node *issued = &paths->nodes[from];

    return issuer != from && by->subject == issued->issuer && ossl->X509_check_issued(by->certificate, issued->certificate) == X509_V_OK;
}

/* Find the issuers of `paths->nodes[from]`, by signature: anybody can write a name. If only one certificate has the name
 * and nothing is revoked, the signature is left to libcrypto, which verifies the path. */
static void find_issuers(const struct ossl *ossl, struct paths *paths, const struct pins *pins, uint16_t from)
{
    const struct node *issued = &paths->nodes[from];
    size_t candidates = 0;

    add_known(ossl, paths, pins, issued->issuer);
    for (size_t i = 1; i < paths->count; i++)
        candidates += may_have_issued(ossl, paths, i, from);
    for (size_t i = 1; i < paths->count; i++) {
        struct node *issuer = &paths->nodes[i];

        if (!may_have_issued(ossl, paths, i, from))
            continue;
        if (paths->edge_count == MOST_EDGES)
            paths->budget.left = 0;
        if (paths->budget.left == 0)
            return;
        if ((candidates > 1 || pins_revoked(pins) != NULL)
            && !is_signed(ossl, issued->certificate, issuer->certificate, cost_of_check(issued, issuer), &paths->budget))
            continue;
        issuer->reached = true;
        paths->edges[paths->edge_count++] = (struct edge) {from, (uint16_t)i};
    }
}

static bool is_revoked(const struct ossl *ossl, struct paths *paths, const struct pins *pins, size_t at)
{
    const struct rule *revoked = pins_revoked(pins);
    struct node *node = &paths->nodes[at];

    if (revoked == NULL || node->revoked != REVOKED_UNKNOWN)
        return node->revoked == REVOKED;
    node->revoked = REVOKED_NOT;
    for (const struct pin *pin = pins_next_pin(pins, revoked, NULL); pin != NULL; pin = pins_next_pin(pins, revoked, pin)) {
        enum pin_kind kind = pin->kind == PIN_CERT ? PIN_CERT : PIN_SPKI;
        bool *known = &node->known[kind][pin->digest];

        if (!*known)
            *known = digest_certificate(ossl, node->certificate, kind, (enum digest)pin->digest, node->digests[kind][pin->digest]);
        /* What cannot be determined counts as revoked. */
        if (*known && memcmp(node->digests[kind][pin->digest], pins_digest(pins, pin), digest_size((enum digest)pin->digest)) != 0)
            continue;
        node->revoked = REVOKED;
        if (paths->revoked == NULL)
            paths->revoked = pin;
        return true;
    }
    return false;
}

/* Find the issuers of the leaf, their issuers, and so on: once for each peer. NULL when memory ran out. */
static struct paths *paths_of(const struct peer *peer, const struct pins *pins)
{
    struct evidence *evidence = (struct evidence *)(uintptr_t)peer_evidence(peer);
    const struct ossl *ossl = evidence->ossl;
    struct paths *paths = evidence->paths;

    if (paths != NULL || evidence->presented.leaf == NULL)
        return paths;
    paths = calloc(1, sizeof(*paths));
    if (paths == NULL || ossl->X509_up_ref(evidence->presented.leaf) != 1) {
        free(paths);
        return NULL;
    }
    evidence->paths = paths;
    paths->budget.left = PATH_BUDGET;
    if (add(ossl, paths, evidence->presented.leaf) == NULL) {
        paths->budget.left = 0;
        return paths;
    }
    add_stack(ossl, paths, evidence->presented.verified);
    add_stack(ossl, paths, evidence->presented.elsewhere);
    add_stack(ossl, paths, evidence->presented.chain);
    /* The leaf may be in the system's store itself. */
    add_known(ossl, paths, pins, paths->nodes[0].subject);
    paths->nodes[0].reached = true;
    for (size_t at = 0; at < paths->count && paths->budget.left > 0;) {
        struct node *node = &paths->nodes[at++];

        if (!node->reached || node->expanded)
            continue;
        node->expanded = true;
        (void)is_revoked(ossl, paths, pins, at - 1);
        find_issuers(ossl, paths, pins, (uint16_t)(at - 1));
        at = 0; /* nodes before this one may have been reached now */
    }
    return paths;
}

void path_free(const struct ossl *ossl, struct paths *paths)
{
    for (size_t i = 0; paths != NULL && i < paths->count; i++)
        ossl->X509_free(paths->nodes[i].certificate);
    free(paths);
}

/* The path that is being verified in this thread, for take_next. */
static _Thread_local struct way {
    X509 *const *at;
    size_t length;
    const struct ossl *ossl;
} verifying;

/* Make libcrypto follow the path as it was built: of several certificates with one name it would take the first, and not try the next. */
static int take_next(X509_STORE_CTX *ctx, X509 *certificate, X509 *issuer)
{
    (void)ctx;
    for (size_t i = 0; i + 1 < verifying.length; i++) {
        if (verifying.at[i] == certificate)
            return verifying.at[i + 1] == issuer && verifying.ossl->X509_check_issued(issuer, certificate) == X509_V_OK;
    }
    return verifying.ossl->X509_check_issued(issuer, certificate) == X509_V_OK;
}

/* Let libcrypto verify exactly the path of `length` certificates in `at`; the last one is the trust anchor. */
static bool verify(const struct ossl *ossl, X509 *const *at, size_t length, unsigned long flags, const char **problem)
{
    void *between = ossl->OPENSSL_sk_new_null();
    X509_STORE *store = ossl->X509_STORE_new();
    X509_STORE_CTX *ctx = ossl->X509_STORE_CTX_new();
    const struct way outer = verifying;
    bool verified = between != NULL && store != NULL && ctx != NULL && ossl->X509_STORE_add_cert(store, at[length - 1]) == 1;

    for (size_t i = 1; verified && i + 1 < length; i++)
        verified = ossl->OPENSSL_sk_push(between, at[i]) > 0;
    if (verified) {
        ossl->X509_STORE_set_check_issued(store, take_next);
        verified = ossl->X509_STORE_CTX_init(ctx, store, at[0], between) == 1;
    }
    if (verified) {
        X509_VERIFY_PARAM *param = ossl->X509_STORE_CTX_get0_param(ctx);

        verifying = (struct way) {at, length, ossl};
        /* libssl's default: no SHA-1, no RSA below 1024 bits. */
        ossl->X509_VERIFY_PARAM_set_auth_level(param, 1);
        verified = ossl->X509_VERIFY_PARAM_set_flags(param, flags) == 1
            && ossl->X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 && ossl->X509_verify_cert(ctx) == 1;
        if (!verified)
            *problem = ossl->X509_verify_cert_error_string(ossl->X509_STORE_CTX_get_error(ctx));
        verifying = outer;
    }
    if (ctx != NULL)
        ossl->X509_STORE_CTX_free(ctx);
    if (store != NULL)
        ossl->X509_STORE_free(store);
    if (between != NULL)
        ossl->OPENSSL_sk_free(between);
    return verified;
}

/* The path to be found. */
struct search {
    const struct ossl *ossl;
    struct paths *paths;
    const struct pins *pins;
    uint16_t end;
    unsigned long flags;
    const char **problem;
};

static bool verify_way(const struct search *search, size_t length)
{
    struct paths *paths = search->paths;
    X509 *at[LONGEST];
    size_t cost = 10;
    size_t below = 0;

    for (size_t i = 0; i < length; i++) {
        const struct node *node = &paths->nodes[paths->way[i]];

        at[i] = node->certificate;
        cost += cost_of_names(node, below) + (i > 0 ? cost_of_check(&paths->nodes[paths->way[i - 1]], node) : 0);
        below += node->length;
    }
    return spend(&paths->budget, cost) && verify(search->ossl, at, length, search->flags, search->problem);
}

/* Try every continuation of the path, which has `length` certificates now; never through a revoked one. */
static bool go_on(const struct search *search, size_t length)
{
    struct paths *paths = search->paths;
    uint16_t at = paths->way[length - 1];

    if (++paths->steps > MOST_STEPS)
        paths->budget.left = 0;
    if (at == search->end)
        return verify_way(search, length);
    if (length == LONGEST)
        paths->budget.left = 0;
    for (size_t i = 0; i < paths->edge_count && paths->budget.left > 0; i++) {
        uint16_t to = paths->edges[i].to;
        bool taken = paths->edges[i].from != at || !paths->leads[to];

        for (size_t k = 0; k < length && !taken; k++)
            taken = paths->way[k] == to;
        if (taken)
            continue;
        paths->way[length] = to;
        if (go_on(search, length + 1))
            return true;
    }
    return false;
}

/* Return true if a path from the leaf to the trust anchor `end` is verified. Each anchor is tried once. */
static bool leads_to(const struct evidence *evidence, struct paths *paths, const struct pins *pins, uint16_t end, bool system, const char **problem)
{
    struct node *node = &paths->nodes[end];
    struct search search = {evidence->ossl, paths, pins, end, system ? 0 : X509_V_FLAG_PARTIAL_CHAIN, &node->problem[system]};
    bool more = true;

    if (node->anchor[system] == UNTRIED) {
        node->anchor[system] = TRIED;
        memset(paths->leads, 0, sizeof(paths->leads));
        paths->leads[end] = !is_revoked(evidence->ossl, paths, pins, end) && !is_revoked(evidence->ossl, paths, pins, 0);
        while (more) {
            more = false;
            for (size_t i = 0; i < paths->edge_count; i++) {
                const struct edge *edge = &paths->edges[i];

                if (paths->leads[edge->from] || !paths->leads[edge->to] || is_revoked(evidence->ossl, paths, pins, edge->from))
                    continue;
                paths->leads[edge->from] = more = true;
            }
        }
        paths->way[0] = 0;
        if (paths->leads[0] && go_on(&search, 1))
            node->anchor[system] = VERIFIED;
    }
    if (node->anchor[system] != VERIFIED && node->problem[system] != NULL)
        *problem = node->problem[system];
    return node->anchor[system] == VERIFIED;
}

/* Return true if the leaf is valid for the name (RFC 6125) or for the address. */
static bool is_for(const struct evidence *evidence, struct paths *paths, const struct host *host, const char **problem)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const struct ossl *ossl = evidence->ossl;
    X509 *leaf = evidence->presented.leaf;
    bool v4 = memcmp(host->address, mapped, sizeof(mapped)) == 0;
    bool valid = false;

    if (!spend(&paths->budget, 1 + paths->nodes[0].length / 2048))
        return false;
    if (host->kind == HOST_ADDRESS)
        valid = ossl->X509_check_ip(leaf, v4 ? host->address + 12 : host->address, v4 ? 4 : 16, 0) == 1;
    else if (host->kind == HOST_NAME && host->name[0] != '\0')
        valid = ossl->X509_check_host(leaf, host->name, strlen(host->name), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
    if (!valid)
        *problem = ossl->X509_verify_cert_error_string(host->kind == HOST_ADDRESS ? X509_V_ERR_IP_ADDRESS_MISMATCH : X509_V_ERR_HOSTNAME_MISMATCH);
    return valid;
}

static const struct pin *pin_of_issuer(const struct evidence *evidence, const struct pins *pins, const struct rule *rule, struct node *issuer,
    const char **problem)
{
    for (const struct pin *pin = pins_next_pin(pins, rule, NULL); pin != NULL; pin = pins_next_pin(pins, rule, pin)) {
        bool *known = &issuer->known[PIN_SPKI][pin->digest];
        uint8_t *digest = issuer->digests[PIN_SPKI][pin->digest];

        if (pin->kind != PIN_CA)
            continue;
        if (!*known)
            *known = digest_certificate(evidence->ossl, issuer->certificate, PIN_SPKI, (enum digest)pin->digest, digest);
        if (!*known || memcmp(digest, pins_digest(pins, pin), digest_size((enum digest)pin->digest)) != 0)
            continue;
        if (pin->expires == 0 || evidence->peer.today < pin->expires)
            return pin;
        *problem = "the pin of its issuer has expired";
    }
    return NULL;
}

/* Each issuer with a pinned key is tried as the only trust anchor: one verified path through it is enough, whatever other paths there
 * are. Not the leaf: it is not an issuer. */
static const struct pin *authority(const struct peer *peer, const struct pins *pins, const struct rule *rule, const struct host *host,
    const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    struct paths *paths = paths_of(peer, pins);
    const struct pin *found = NULL;

    *problem = "no certificate of a pinned issuer";
    for (size_t i = 1; paths != NULL && found == NULL && i < paths->count && paths->budget.left > 0; i++) {
        const struct pin *pin = paths->nodes[i].reached ? pin_of_issuer(evidence, pins, rule, &paths->nodes[i], problem) : NULL;

        if (pin != NULL && leads_to(evidence, paths, pins, (uint16_t)i, false, problem) && is_for(evidence, paths, host, problem))
            found = pin;
    }
    if (found == NULL && paths != NULL && paths->budget.left == 0)
        *problem = exhausted;
    return found;
}

static bool leads_to_system(const struct evidence *evidence, struct paths *paths, const struct pins *pins, const char **problem)
{
    bool found = false;

    for (size_t i = 0; !found && i < paths->count && paths->budget.left > 0; i++)
        found = paths->nodes[i].reached && paths->nodes[i].system && leads_to(evidence, paths, pins, (uint16_t)i, true, problem);
    return found;
}

static bool trusted(const struct peer *peer, const struct pins *pins, const struct host *host, const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    struct paths *paths = paths_of(peer, pins);
    bool found = false;

    *problem = pins_roots(pins) == NULL || roots_count(pins_roots(pins)) == 0 ? "no trust store"
                                                                             : "no path to the system's trust store";
    if (paths != NULL)
        found = leads_to_system(evidence, paths, pins, problem) && is_for(evidence, paths, host, problem);
    if (!found && paths != NULL && paths->budget.left == 0)
        *problem = exhausted;
    return found;
}

/* A revoked issuer is a veto, unless a path to the system's trust store avoids it. If more was sent than is examined, a revoked issuer may
 * be hidden in the rest. */
static const struct pin *revoked(const struct peer *peer, const struct pins *pins, const char **problem)
{
    const struct evidence *evidence = peer_evidence(peer);
    struct paths *paths = paths_of(peer, pins);
    const char *unwanted = NULL;

    if (evidence->presented.leaf == NULL)
        return NULL;
    if (paths != NULL && paths->budget.left > 0 && ((paths->revoked == NULL && !paths->incomplete) || leads_to_system(evidence, paths, pins, &unwanted)))
        return NULL;
    if (paths == NULL || paths->revoked == NULL || paths->budget.left == 0)
        *problem = exhausted;
    return paths != NULL && paths->revoked != NULL ? paths->revoked : pins_next_pin(pins, pins_revoked(pins), NULL);
}

const struct peer_path path_of_peer = {authority, trusted, revoked};
