#include "digest.h"

#include "sha2.h"

#include <stdlib.h>

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
            sha2((enum digest)digest, encoded.parts[kind].at, encoded.parts[kind].length, out->digests[kind][digest]);
            out->known[kind][digest] = true;
        }
    }
    free(encoded.memory);
}
