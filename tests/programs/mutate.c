/* Shows a client thousands of broken forms of one certificate, each on the wire exactly as it was broken.
 *
 * usage: mutate cert|spki GOOD OTHER SEED COUNT      (GOOD.pem, GOOD.key, OTHER.pem)
 * The pins file names GOOD by a digest of its certificate or of its key. In TLS 1.2 a certificate crosses the wire in the
 * clear: there the server's is exchanged for the mutant, and the client's verdict is read from its verify result. Every mutant that
 * OpenSSL can read and a server can have with GOOD's key is also shown over TLS 1.3, where the handshake of one that is accepted
 * can be finished. Exits with 0 if exactly the mutants that are GOOD's certificate (or have GOOD's key) were accepted. */

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 65536
#define NAME "www.pinned.example"

struct bytes {
    uint8_t at[ROOM];
    size_t length;
};

struct tlv {
    size_t at; /* of the tag */
    size_t body;
    size_t end;
};

struct tree {
    struct tlv nodes[1024];
    size_t count;
};

enum outcome { UNREADABLE = 0, REFUSED, ACCEPTED, BROKEN };

static const char *const names[] = {"not read", "refused", "accepted", "broken"};
static uint64_t state;
static SSL_CTX *client_ctx;
static SSL_CTX *server_ctx;
static EVP_PKEY *good_key;
static X509 *good;
static struct bytes good_der;
static struct bytes good_spki;
static struct bytes other_der;
static struct tree good_tree;
static struct tree other_tree;

static void die(const char *what)
{
    fprintf(stderr, "mutate: %s\n", what);
    exit(2);
}

/* xorshift64* */
static uint32_t below(size_t limit)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return limit == 0 ? 0 : (uint32_t)((state * 2685821657736338717ULL) >> 33) % (uint32_t)limit;
}

/* List every element from `at` to `end`, those within others as well. The certificates are well formed, and shorter than 65536. */
static void walk(const struct bytes *der, size_t at, size_t end, struct tree *tree)
{
    while (at < end && tree->count < sizeof(tree->nodes) / sizeof(tree->nodes[0])) {
        struct tlv *node = &tree->nodes[tree->count++];
        const uint8_t *length = &der->at[at + 1];

        node->at = at;
        node->body = at + (length[0] < 0x80 ? 2 : length[0] == 0x81 ? 3 : 4);
        node->end = node->body
            + (length[0] < 0x80 ? length[0] : length[0] == 0x81 ? length[1] : (size_t)length[1] << 8 | length[2]);
        at = node->end;
        if ((der->at[node->at] & 0x20) != 0)
            walk(der, node->body, node->end, tree);
    }
}

/* Replace `removed` bytes at `at` and fix the lengths of the elements around, as far as their form allows. */
static void splice(struct bytes *der, const struct tree *tree, size_t at, size_t removed, const uint8_t *with, size_t length)
{
    if (der->length - removed + length > ROOM)
        return;
    for (size_t i = 0; i < tree->count; i++) {
        const struct tlv *node = &tree->nodes[i];
        size_t now = node->end - node->body - removed + length;
        uint8_t *form = &der->at[node->at + 1];

        if (node->body > at || node->end < at + removed)
            continue;
        if (form[0] == 0x82) {
            form[1] = (uint8_t)(now >> 8);
            form[2] = (uint8_t)now;
        } else {
            form[form[0] == 0x81] = (uint8_t)now;
        }
    }
    memmove(der->at + at + length, der->at + at + removed, der->length - at - removed);
    memcpy(der->at + at, with, length);
    der->length = der->length - removed + length;
}

/* Break the certificate once. `der` has good_tree's form. */
static void break_element(struct bytes *der)
{
    const struct tree *tree = &good_tree;
    const struct tlv *one = &tree->nodes[below(tree->count)];
    const struct tlv *two = &tree->nodes[below(tree->count)];
    size_t index = below(tree->count < other_tree.count ? tree->count : other_tree.count);
    const struct tlv *same = &tree->nodes[index];
    const struct tlv *foreign = &other_tree.nodes[index];
    uint8_t bytes[512];
    size_t length = below(300);

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)below(256);
    switch (below(7)) {
    case 0: /* one element in place of another */
        splice(der, tree, one->at, one->end - one->at, good_der.at + two->at, two->end - two->at);
        break;
    case 1: /* the other certificate's element at the same place: its key, its name, its signature */
        splice(der, tree, same->at, same->end - same->at, other_der.at + foreign->at, foreign->end - foreign->at);
        break;
    case 2:
        splice(der, tree, one->at, one->end - one->at, NULL, 0);
        break;
    case 3: /* twice */
        splice(der, tree, one->at, 0, good_der.at + one->at, one->end - one->at);
        break;
    case 4: /* other contents */
        splice(der, tree, one->body, one->end - one->body, bytes, length);
        break;
    case 5: /* a length in four bytes, which is not DER */
        length = one->end - one->body;
        memcpy(bytes, (uint8_t[]) {0x84, 0, 0, (uint8_t)(length >> 8), (uint8_t)length}, 5);
        splice(der, tree, one->at + 1, one->body - one->at - 1, bytes, 5);
        break;
    default: /* another tag, or another length */
        der->at[one->at + below(one->body - one->at)] = (uint8_t)below(256);
    }
}

static void mutate(struct bytes *der)
{
    uint32_t way = below(20);

    *der = good_der;
    if (way == 0)
        return; /* as it is */
    if (way > 6)
        break_element(der);
    if (way <= 3 || way == 19) {
        for (uint32_t i = below(8) + 1; i > 0; i--)
            der->at[below(der->length)] ^= (uint8_t)(1U << below(8));
    } else if (way == 4) {
        der->length = below(der->length);
    } else if (way <= 6 || way == 18) {
        for (uint32_t i = below(64) + 1; i > 0; i--)
            der->at[der->length++] = (uint8_t)below(256);
    }
}

/* A handshake record with the message `certificate` whose list is the mutant alone (RFC 5246, section 7.4.2). */
static void put_certificate(BIO *to, const struct bytes *der)
{
    size_t n = der->length;
    uint8_t head[15] = {22, 3, 3, (uint8_t)((n + 10) >> 8), (uint8_t)(n + 10), 11, 0, (uint8_t)((n + 6) >> 8), (uint8_t)(n + 6), 0,
        (uint8_t)((n + 3) >> 8), (uint8_t)(n + 3), 0, (uint8_t)(n >> 8), (uint8_t)n};

    BIO_write(to, head, sizeof(head));
    BIO_write(to, der->at, (int)n);
}

/* Carry whole records; a certificate in the clear is exchanged for `der`. */
static bool carry(BIO *from, BIO *to, const struct bytes *der)
{
    static uint8_t record[65536 + 5];
    bool any = false;

    while (BIO_read(from, record, 5) == 5) {
        int length = record[3] << 8 | record[4];

        if (BIO_read(from, record + 5, length) != length)
            die("half a record");
        any = true;
        if (der != NULL && record[0] == 22 && record[5] == 11)
            put_certificate(to, der);
        else
            BIO_write(to, record, length + 5);
    }
    return any;
}

/* What becomes of the client. `der`: what the server's certificate is exchanged for. */
static enum outcome meet(SSL_CTX *shown, int version, const struct bytes *der)
{
    SSL *client = SSL_new(client_ctx);
    SSL *server = SSL_new(shown);
    BIO *ends[4] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    char got[8] = "";
    bool moved = true;
    bool wrote = false;
    int shaken = 0;
    long result;

    if (client == NULL || server == NULL || ends[3] == NULL)
        die("out of memory");
    SSL_set_bio(client, ends[0], ends[1]);
    SSL_set_bio(server, ends[2], ends[3]);
    SSL_set_min_proto_version(client, version);
    SSL_set_max_proto_version(client, version);
    SSL_set_tlsext_host_name(client, NAME);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    while (moved) {
        shaken = SSL_do_handshake(client);
        if (shaken == 1 && !wrote)
            wrote = SSL_write(client, "secret", 6) == 6;
        moved = carry(ends[1], ends[2], NULL);
        if (SSL_do_handshake(server) == 1 && got[0] == '\0')
            (void)SSL_read(server, got, 6);
        moved |= carry(ends[3], ends[0], der);
    }
    result = SSL_get_verify_result(client);
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
    if ((shaken == 1) != (strcmp(got, "secret") == 0) || (shaken == 1 && result == X509_V_ERR_CERT_REJECTED))
        return BROKEN;
    /* No CA is loaded: once a certificate was looked at, its result is an error. */
    return result == X509_V_ERR_CERT_REJECTED ? REFUSED : result != X509_V_OK ? ACCEPTED : UNREADABLE;
}

static bool is(const struct bytes *bytes, int length, const uint8_t *der)
{
    return length > 0 && bytes->length == (size_t)length && memcmp(bytes->at, der, bytes->length) == 0;
}

/* Whether the pin holds. OpenSSL keeps no outer bytes of what it read, so a form that it writes back as GOOD is GOOD. A key holds only in the
 * very encoding that was pinned, though OpenSSL would read it in others. */
static bool is_pinned(X509 *mutant, bool by_key)
{
    uint8_t *der = NULL;
    int length = by_key ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(mutant), &der) : i2d_X509(mutant, &der);
    bool same = is(by_key ? &good_spki : &good_der, length, der);

    OPENSSL_free(der);
    der = NULL;
    length = i2d_X509(mutant, &der);
    if (by_key && (length <= 0 || memmem(der, (size_t)length, good_spki.at, good_spki.length) == NULL))
        same = false;
    OPENSSL_free(der);
    if (same && (X509_get0_pubkey(mutant) == NULL || EVP_PKEY_cmp(X509_get0_pubkey(mutant), good_key) != 1))
        die("an encoding of the same key that is another key");
    return same;
}

/* Over TLS 1.3, if a server can be given this certificate. */
static enum outcome meet_newer(X509 *mutant)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    enum outcome outcome = UNREADABLE;

    SSL_CTX_set_security_level(ctx, 0);
    if (SSL_CTX_use_certificate(ctx, mutant) == 1 && SSL_CTX_use_PrivateKey(ctx, good_key) == 1)
        outcome = meet(ctx, TLS1_3_VERSION, NULL);
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return outcome;
}

static void read_der(const char *name, struct bytes *out, struct tree *tree, X509 **certificate)
{
    char path[4096];
    uint8_t *at = out->at;
    FILE *file;
    int length;

    snprintf(path, sizeof(path), "%s.pem", name);
    file = fopen(path, "r");
    if (file == NULL || (*certificate = PEM_read_X509(file, NULL, NULL, NULL)) == NULL)
        die(path);
    fclose(file);
    length = i2d_X509(*certificate, &at);
    out->length = (size_t)length;
    walk(out, 0, out->length, tree);
}

int main(int argc, char **argv)
{
    static struct bytes mutant;
    long count = argc > 5 ? atol(argv[5]) : 0;
    bool by_key = argc > 1 && strcmp(argv[1], "spki") == 0;
    long outcomes[2][4] = {{0}};
    long same = 0;
    long reencoded = 0;
    uint8_t *at = good_spki.at;
    char path[4096];
    X509 *other;

    if (argc < 6)
        die("usage: mutate cert|spki GOOD OTHER SEED COUNT");
    client_ctx = SSL_CTX_new(TLS_client_method());
    server_ctx = SSL_CTX_new(TLS_server_method());
    read_der(argv[2], &good_der, &good_tree, &good);
    read_der(argv[3], &other_der, &other_tree, &other);
    good_spki.length = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(good), &at);
    snprintf(path, sizeof(path), "%s.key", argv[2]);
    if (SSL_CTX_use_certificate(server_ctx, good) != 1 || SSL_CTX_use_PrivateKey_file(server_ctx, path, SSL_FILETYPE_PEM) != 1)
        die(path);
    good_key = SSL_CTX_get0_privatekey(server_ctx);
    state = strtoull(argv[4], NULL, 0) * 2 + 1;
    for (long i = 0; i < count; i++) {
        const uint8_t *in = mutant.at;
        bool pinned = false;
        enum outcome older;
        enum outcome newer;
        X509 *read;

        mutate(&mutant);
        read = d2i_X509(NULL, &in, (long)mutant.length);
        if (read != NULL && in == mutant.at + mutant.length)
            pinned = is_pinned(read, by_key);
        older = meet(server_ctx, TLS1_2_VERSION, &mutant);
        newer = read != NULL && in == mutant.at + mutant.length ? meet_newer(read) : UNREADABLE;
        X509_free(read);
        ERR_clear_error();
        outcomes[0][older]++;
        outcomes[1][newer]++;
        same += is(&good_der, (int)mutant.length, mutant.at);
        reencoded += pinned && !by_key && !is(&good_der, (int)mutant.length, mutant.at);
        if ((older == ACCEPTED) != pinned || older == BROKEN || newer == BROKEN
            || (newer != UNREADABLE && (newer == ACCEPTED) != pinned)) {
            printf("mutant %ld of seed %s: %spinned, but %s over TLS 1.2 and %s over TLS 1.3:\n", i, argv[4], pinned ? "" : "not ",
                names[older], names[newer]);
            for (size_t k = 0; k < mutant.length; k++)
                printf("%02x", mutant.at[k]);
            printf("\n");
            return 1;
        }
    }
    printf("%ld mutants, %ld unchanged, %ld the same in another encoding\n", count, same, reencoded);
    for (int i = 0; i < 2; i++)
        printf("TLS 1.%d: %ld accepted, %ld refused, %ld not read or not shown\n", i + 2, outcomes[i][ACCEPTED],
            outcomes[i][REFUSED], outcomes[i][UNREADABLE]);
    return outcomes[0][ACCEPTED] > 0 && outcomes[0][REFUSED] > 0 && outcomes[1][ACCEPTED] > 0 ? 0 : 1;
}
