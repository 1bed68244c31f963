#include "peer.h"

#include "path.h"

#include <string.h>

void peer_read(const struct tls *tls, const struct pins *pins, const struct presented *presented, struct evidence *out)
{
    memset(out, 0, sizeof(*out));
    out->tls = tls;
    out->presented = presented;
    out->peer.path = &path_of_peer;
    out->peer.today = text_today();
    out->peer.has[PIN_CERT] = presented->leaf != NULL;
    out->peer.has[PIN_SPKI] = presented->leaf != NULL || presented->raw_key != NULL;
    if (presented->digests != NULL) {
        memcpy(out->peer.known, presented->digests->known, sizeof(presented->digests->known));
        memcpy(out->peer.digests, presented->digests->bytes, sizeof(presented->digests->bytes));
    }
    if (out->peer.has[PIN_SPKI])
        digest_peer(tls, pins_uses(pins), presented, &out->peer);
}

void peer_forget(struct evidence *evidence)
{
    path_free(evidence->tls, evidence->paths);
    evidence->paths = NULL;
}

void peer_keep(const struct peer *peer, struct peer_digests *out)
{
    memcpy(out->known, peer->known, sizeof(out->known));
    memcpy(out->bytes, peer->digests, sizeof(out->bytes));
}

void peer_show(const struct tls *tls, const struct presented *presented, struct peer_text *out)
{
    static const bool sha256_of_both[PIN_KINDS][DIGESTS] = {{true, false, false}, {true, false, false}, {false, false, false}};
    struct peer peer;
    struct text text;

    memset(out, 0, sizeof(*out));
    memset(&peer, 0, sizeof(peer));
    if (presented->leaf == NULL && presented->raw_key == NULL)
        return;
    digest_peer(tls, sha256_of_both, presented, &peer);
    text = text_over(out->spki, sizeof(out->spki));
    if (peer.known[PIN_SPKI][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_SPKI][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    text = text_over(out->cert, sizeof(out->cert));
    if (peer.known[PIN_CERT][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_CERT][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    if (presented->leaf != NULL)
        tls->describe(tls, presented->leaf, &out->leaf);
}

static const struct certificate *issuer_among(const struct tls *tls, const struct certificates *list, const struct certificate *leaf,
    struct path_budget *budget)
{
    size_t count = tls->count(tls, list);

    /* The first is the leaf, even if it is its own issuer. */
    for (size_t i = 1; i < count; i++) {
        const struct certificate *issuer = tls->at(tls, list, i);

        if (budget->left > 0 && path_is_signed(tls, leaf, issuer, budget))
            return issuer;
    }
    return NULL;
}

void peer_show_issuer(const struct tls *tls, const struct presented *presented, struct peer_text *out)
{
    struct text text = text_over(out->issuer_spki, sizeof(out->issuer_spki));
    struct path_budget budget = {PATH_BUDGET / 4};
    const struct certificate *issuer;
    uint8_t digest[DIGEST_MAX];

    if (presented->leaf == NULL)
        return;
    issuer = issuer_among(tls, presented->sent, presented->leaf, &budget);
    if (issuer == NULL)
        issuer = issuer_among(tls, presented->verified, presented->leaf, &budget);
    if (issuer != NULL && digest_certificate(tls, issuer, PIN_SPKI, DIGEST_SHA256, digest))
        text_add_base64(&text, digest, digest_size(DIGEST_SHA256));
}
