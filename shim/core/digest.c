#include "digest.h"

#include "sha2.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 8
#define MOST_KEPT 560 /* bytes; the key of an RSA certificate with 4096 bits has 550 */

/* The last keys, and their digests: clients connect to the same servers again. No thread waits: what another one has claimed, or has left claimed in a
 * fork, is computed. */
static struct kept {
    _Atomic bool claimed;
    enum digest digest;
    size_t length; /* 0: nothing */
    uint8_t bytes[MOST_KEPT];
    uint8_t out[DIGEST_MAX];
} kept[KEPT];

static void digest_key(enum digest digest, struct bytes key, uint8_t *out)
{
    struct kept *place = &kept[key.length > 0 ? key.at[key.length - 1] % KEPT : 0];
    bool claimed = key.length > 0 && key.length <= MOST_KEPT && !atomic_exchange_explicit(&place->claimed, true, memory_order_acquire);

    if (claimed && place->length == key.length && place->digest == digest && memcmp(place->bytes, key.at, key.length) == 0) {
        memcpy(out, place->out, digest_size(digest));
    } else {
        sha2(digest, key.at, key.length, out);
        if (claimed) {
            place->digest = digest;
            place->length = key.length;
            memcpy(place->bytes, key.at, key.length);
            memcpy(place->out, out, digest_size(digest));
        }
    }
    if (claimed)
        atomic_store_explicit(&place->claimed, false, memory_order_release);
}

uint64_t digest_short(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t hash = UINT64_C(14695981039346656037) ^ length;
    uint64_t word = 0;

    for (; length > 0; at += sizeof(word), length -= sizeof(word)) {
        if (length < sizeof(word)) {
            word = 0;
            memcpy(&word, at, length);
            length = sizeof(word);
        } else {
            memcpy(&word, at, sizeof(word));
        }
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash | 1;
}

bool digest_bytes(struct bytes certificate, enum pin_kind kind, enum digest digest, uint8_t *out)
{
    struct bytes part = kind == PIN_CERT ? certificate : der_spki_of_certificate(certificate);

    if (part.at != NULL)
        sha2(digest, part.at, part.length, out);
    return part.at != NULL;
}

bool digest_certificate(const struct tls *tls, const struct certificate *certificate, enum pin_kind kind, enum digest digest, uint8_t *out)
{
    void *memory;
    bool digested = digest_bytes(tls->encode(tls, certificate, &memory), kind, digest, out);

    free(memory);
    return digested;
}

/* The parts of a certificate, or of a raw public key, that are hashed. */
struct encoded {
    void *memory; /* to be freed */
    bool done;
    struct bytes parts[PIN_CERT + 1];
};

/* A part that cannot be encoded is missing. */
static void encode_peer(const struct tls *tls, const struct presented *presented, struct encoded *out)
{
    out->done = true;
    if (presented->leaf != NULL) {
        out->parts[PIN_CERT] = tls->encode(tls, presented->leaf, &out->memory);
        out->parts[PIN_SPKI] = der_spki_of_certificate(out->parts[PIN_CERT]);
    } else if (presented->raw_key != NULL) {
        out->parts[PIN_SPKI] = tls->encode_key(tls, presented->raw_key, &out->memory);
    }
}

void digest_peer(const struct tls *tls, const bool wanted[PIN_KINDS][DIGESTS], const struct presented *presented, struct peer *out)
{
    struct encoded encoded = {.memory = NULL};

    for (int kind = 0; kind <= PIN_CERT; kind++) {
        for (int digest = 0; digest < DIGESTS; digest++) {
            if (!wanted[kind][digest] || out->known[kind][digest])
                continue;
            if (!encoded.done)
                encode_peer(tls, presented, &encoded);
            if (encoded.parts[kind].at == NULL)
                break;
            if (kind == PIN_SPKI)
                digest_key((enum digest)digest, encoded.parts[kind], out->digests[kind][digest]);
            else
                sha2((enum digest)digest, encoded.parts[kind].at, encoded.parts[kind].length, out->digests[kind][digest]);
            out->known[kind][digest] = true;
        }
    }
    free(encoded.memory);
}
