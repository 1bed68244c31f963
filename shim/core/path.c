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
    struct certificate *certificate; /* a reference */
    struct bytes der;
    void *memory; /* of the DER; NULL: the pins' */
    uint64_t subject; /* der_names */
    uint64_t issuer;
    unsigned cost; /* of checking a signature with its key */
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

/* Read the node's DER. Return false if it cannot be read. */
static bool read_node(struct bytes der, struct node *out)
{
    static const char constraints[] = "\x06\x03\x55\x1d\x1e";
    struct der_names names;

    if (der.at == NULL || !der_read_names(der, &names))
        return false;
    memset(out, 0, sizeof(*out));
    out->der = der;
    out->subject = names.subject;
    out->issuer = names.issuer;
    out->cost = cost_of_key(der_spki_of_certificate(der));
    out->constrains = memmem(der.at, der.length, constraints, sizeof(constraints) - 1) != NULL;
    return true;
}

/* The cost of the signature, and of hashing the certificate. */
static size_t cost_of_check(const struct node *issued, const struct node *issuer)
{
    return issuer->cost + issued->der.length / 4096;
}

/* Each name constraint is compared with each name below it. */
static size_t cost_of_names(const struct node *issuer, size_t below)
{
    return issuer->constrains ? issuer->der.length / 12 * (below / 12) / 1000 : 0;
}

bool path_is_signed(const struct tls *tls, const struct certificate *certificate, const struct certificate *issuer, struct path_budget *budget)
{
    void *memory[2] = {NULL, NULL};
    struct node issued;
    struct node by;
    bool is_signed = read_node(tls->encode(tls, certificate, &memory[0]), &issued) && read_node(tls->encode(tls, issuer, &memory[1]), &by)
        && tls->may_issue(tls, issuer, certificate) && spend(budget, cost_of_check(&issued, &by)) && tls->has_signed(tls, issuer, certificate);

    free(memory[0]);
    free(memory[1]);
    return is_signed;
}

/* Return the node with that DER, NULL if there is none. */
static struct node *node_of(struct paths *paths, struct bytes der)
{
    for (size_t i = 0; i < paths->count; i++) {
        const struct bytes known = paths->nodes[i].der;

        if (known.length == der.length && memcmp(known.at, der.at, der.length) == 0)
            return &paths->nodes[i];
    }
    return NULL;
}

/* Return the next node, with that DER, for a certificate to be put into it. NULL: it cannot be read, or there is no room. */
static struct node *next_node(struct paths *paths, struct bytes der)
{
    struct node *node = paths->count < MOST ? &paths->nodes[paths->count] : NULL;

    if (node == NULL)
        paths->budget.left = 0;
    return node != NULL && read_node(der, node) ? node : NULL;
}

static void append(struct paths *paths, const struct node *node)
{
    paths->count++;
    /* The cost of encoding, hashing and parsing it. */
    (void)!spend(&paths->budget, node->der.length / 8192);
}

/* Append a certificate that the library has, if it is new. Return false if it cannot be read, or there is no room. */
static bool add(const struct tls *tls, struct paths *paths, const struct certificate *certificate)
{
    struct node *node;
    struct bytes der;
    void *memory;

    for (size_t i = 0; i < paths->count; i++) {
        if (paths->nodes[i].certificate == certificate)
            return true;
    }
    der = tls->encode(tls, certificate, &memory);
    if (der.at != NULL && node_of(paths, der) != NULL) {
        free(memory);
        return true;
    }
    node = next_node(paths, der);
    if (node == NULL || (node->certificate = tls->hold(tls, certificate)) == NULL) {
        free(memory);
        return false;
    }
    node->memory = memory;
    append(paths, node);
    return true;
}

static void add_list(const struct tls *tls, struct paths *paths, const struct certificates *list)
{
    size_t count = tls->count(tls, list);

    paths->incomplete |= count > MOST_SENT;
    for (size_t i = 0; i < count && i < MOST_SENT && paths->budget.left > 0; i++) {
        const struct certificate *certificate = tls->at(tls, list, i);

        if (certificate == NULL || !add(tls, paths, certificate))
            paths->incomplete = true;
    }
}

/* Append a certificate of a ca-file, if it is new. */
static bool add_issuer(const struct tls *tls, struct paths *paths, struct bytes der)
{
    struct node *node;

    if (node_of(paths, der) != NULL)
        return true;
    node = next_node(paths, der);
    if (node == NULL || (node->certificate = tls->parse(tls, der)) == NULL)
        return false;
    append(paths, node);
    return true;
}

/* Append a certificate of the system's store, or mark the one that is there. */
static bool add_root(const struct tls *tls, struct paths *paths, const struct root *root)
{
    struct bytes rest = {root->der, root->length};
    struct bytes der = der_take(&rest, DER_SEQUENCE);
    struct node *node = der.at != NULL ? node_of(paths, der) : NULL;
    struct certificate *certificate;
    bool hidden = false;

    if (node != NULL && node->system)
        return true;
    certificate = tls->parse_root(tls, root, &hidden);
    if (hidden)
        return true;
    if (certificate == NULL)
        return false;
    if (node != NULL) {
        /* Keep the store's own copy: it may say what it is trusted for. */
        tls->release(tls, node->certificate);
    } else if ((node = next_node(paths, der)) != NULL) {
        append(paths, node);
    } else {
        tls->release(tls, certificate);
        return false;
    }
    node->certificate = certificate;
    node->system = true;
    return true;
}

/* Add the certificates with that subject from ca-files and the system's store. */
static void add_known(const struct tls *tls, struct paths *paths, const struct pins *pins, uint64_t subject)
{
    struct bytes der;
    struct root root;
    size_t cursor = 0;

    while ((der.at = pins_next_issuer(pins, subject, &cursor, &der.length)) != NULL && spend(&paths->budget, 4))
        paths->incomplete |= !add_issuer(tls, paths, der);
    cursor = 0;
    while (roots_next(pins_roots(pins), subject, &cursor, &root) && spend(&paths->budget, 4))
        paths->incomplete |= !add_root(tls, paths, &root);
}

static bool may_have_issued(const struct tls *tls, const struct paths *paths, size_t issuer, size_t from)
{
    const struct node *by = &paths->nodes[issuer];
    const struct node *issued = &paths->nodes[from];

    return issuer != from && by->subject == issued->issuer && tls->may_issue(tls, by->certificate, issued->certificate);
}

/* Find the issuers of `paths->nodes[from]`, by signature: anybody can write a name. If only one certificate has the name
 * and nothing is revoked, the signature is left to the library, which verifies the path. */
static void find_issuers(const struct tls *tls, struct paths *paths, const struct pins *pins, uint16_t from)
{
    const struct node *issued = &paths->nodes[from];
    size_t candidates = 0;

    add_known(tls, paths, pins, issued->issuer);
    for (size_t i = 1; i < paths->count; i++)
        candidates += may_have_issued(tls, paths, i, from);
    for (size_t i = 1; i < paths->count; i++) {
        struct node *issuer = &paths->nodes[i];

        if (!may_have_issued(tls, paths, i, from))
            continue;
        if (paths->edge_count == MOST_EDGES)
            paths->budget.left = 0;
        if (paths->budget.left == 0)
            return;
        if ((candidates > 1 || pins_revoked(pins) != NULL)
            && (!spend(&paths->budget, cost_of_check(issued, issuer)) || !tls->has_signed(tls, issuer->certificate, issued->certificate)))
            continue;
        issuer->reached = true;
        paths->edges[paths->edge_count++] = (struct edge) {from, (uint16_t)i};
    }
}

static bool is_revoked(struct paths *paths, const struct pins *pins, size_t at)
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
            *known = digest_bytes(node->der, kind, (enum digest)pin->digest, node->digests[kind][pin->digest]);
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
    const struct tls *tls = evidence->tls;
    struct paths *paths = evidence->paths;

    if (paths != NULL || evidence->presented->leaf == NULL)
        return paths;
    paths = calloc(1, sizeof(*paths));
    if (paths == NULL)
        return NULL;
    evidence->paths = paths;
    paths->budget.left = PATH_BUDGET;
    if (!add(tls, paths, evidence->presented->leaf)) {
        paths->budget.left = 0;
        return paths;
    }
    add_list(tls, paths, evidence->presented->verified);
    add_list(tls, paths, evidence->presented->elsewhere);
    add_list(tls, paths, evidence->presented->sent);
    /* The leaf may be in the system's store itself. */
    add_known(tls, paths, pins, paths->nodes[0].subject);
    paths->nodes[0].reached = true;
    for (size_t at = 0; at < paths->count && paths->budget.left > 0;) {
        struct node *node = &paths->nodes[at++];

        if (!node->reached || node->expanded)
            continue;
        node->expanded = true;
        (void)is_revoked(paths, pins, at - 1);
        find_issuers(tls, paths, pins, (uint16_t)(at - 1));
        at = 0; /* nodes before this one may have been reached now */
    }
    return paths;
}

void path_free(const struct tls *tls, struct paths *paths)
{
    for (size_t i = 0; paths != NULL && i < paths->count; i++) {
        tls->release(tls, paths->nodes[i].certificate);
        free(paths->nodes[i].memory);
    }
    free(paths);
}

/* The path to be found. */
struct search {
    const struct tls *tls;
    struct paths *paths;
    uint16_t end;
    bool system; /* the anchor is tried as one of the system's store */
    const char **problem;
};

static bool verify_way(const struct search *search, size_t length)
{
    struct paths *paths = search->paths;
    struct certificate *at[LONGEST];
    const struct path path = {at, length, search->system};
    size_t cost = 10;
    size_t below = 0;

    for (size_t i = 0; i < length; i++) {
        const struct node *node = &paths->nodes[paths->way[i]];

        at[i] = node->certificate;
        cost += cost_of_names(node, below) + (i > 0 ? cost_of_check(&paths->nodes[paths->way[i - 1]], node) : 0);
        below += node->der.length;
    }
    return spend(&paths->budget, cost) && search->tls->verify(search->tls, &path, search->problem);
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
    struct search search = {evidence->tls, paths, end, system, &node->problem[system]};
    bool more = true;

    if (node->anchor[system] == UNTRIED) {
        node->anchor[system] = TRIED;
        memset(paths->leads, 0, sizeof(paths->leads));
        paths->leads[end] = !is_revoked(paths, pins, end) && !is_revoked(paths, pins, 0);
        while (more) {
            more = false;
            for (size_t i = 0; i < paths->edge_count; i++) {
                const struct edge *edge = &paths->edges[i];

                if (paths->leads[edge->from] || !paths->leads[edge->to] || is_revoked(paths, pins, edge->from))
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

static bool is_for(const struct evidence *evidence, struct paths *paths, const struct host *host, const char **problem)
{
    return spend(&paths->budget, 1 + paths->nodes[0].der.length / 2048)
        && evidence->tls->is_for(evidence->tls, evidence->presented->leaf, host, problem);
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
            *known = digest_bytes(issuer->der, PIN_SPKI, (enum digest)pin->digest, digest);
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

    if (evidence->presented->leaf == NULL)
        return NULL;
    if (paths != NULL && paths->budget.left > 0 && ((paths->revoked == NULL && !paths->incomplete) || leads_to_system(evidence, paths, pins, &unwanted)))
        return NULL;
    if (paths == NULL || paths->revoked == NULL || paths->budget.left == 0)
        *problem = exhausted;
    return paths != NULL && paths->revoked != NULL ? paths->revoked : pins_next_pin(pins, pins_revoked(pins), NULL);
}

const struct peer_path path_of_peer = {authority, trusted, revoked};
