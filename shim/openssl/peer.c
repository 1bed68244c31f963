#include "peer.h"

#include "path.h"

#include <string.h>
#include <time.h>

#define NAME_LIMIT 256 /* characters of a name in the log, whatever its length in the certificate */

void peer_read(const struct ossl *ossl, const struct pins *pins, const struct presented *presented, struct evidence *out)
{
    bool wanted[PIN_KINDS][DIGESTS];
    struct timespec now;

    memset(out, 0, sizeof(*out));
    out->ossl = ossl;
    out->presented = *presented;
    out->peer.path = &path_of_peer;
    /* Without a clock, every pin with an expiry date has expired. */
    out->peer.today = clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec >= 0 && now.tv_sec / 86400 < UINT16_MAX
        ? (uint16_t)(now.tv_sec / 86400)
        : UINT16_MAX;
    out->peer.has[PIN_CERT] = presented->leaf != NULL;
    out->peer.has[PIN_SPKI] = presented->leaf != NULL || presented->raw_key != NULL;
    for (int kind = 0; kind < PIN_KINDS; kind++) {
        for (int digest = 0; digest < DIGESTS; digest++)
            wanted[kind][digest] = pins_use(pins, (enum pin_kind)kind, (enum digest)digest);
    }
    if (presented->digests != NULL) {
        memcpy(out->peer.known, presented->digests->known, sizeof(presented->digests->known));
        memcpy(out->peer.digests, presented->digests->bytes, sizeof(presented->digests->bytes));
    }
    if (out->peer.has[PIN_SPKI])
        digest_peer(ossl, (const bool(*)[DIGESTS])wanted, presented->leaf, presented->raw_key, &out->peer);
}

void peer_forget(struct evidence *evidence)
{
    path_free(evidence->ossl, evidence->paths);
    evidence->paths = NULL;
}

void peer_keep(const struct peer *peer, struct peer_digests *out)
{
    memcpy(out->known, peer->known, sizeof(out->known));
    memcpy(out->bytes, peer->digests, sizeof(out->bytes));
}

static void show_name(const struct ossl *ossl, const X509_NAME *name, char *out, size_t size)
{
    struct text text = text_over(out, size);
    BIO *bio = ossl->BIO_new(ossl->BIO_s_mem());
    char *bytes = NULL;

    if (bio == NULL)
        return;
    if (name != NULL && ossl->X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        long length = ossl->BIO_ctrl(bio, BIO_CTRL_INFO, 0, &bytes);

        if (length > 0 && bytes != NULL)
            text_add_escaped(&text, bytes, (size_t)length, NAME_LIMIT);
    }
    (void)ossl->BIO_free(bio);
}

void peer_show_subject(const struct ossl *ossl, const X509 *certificate, char *out, size_t size)
{
    out[0] = '\0';
    show_name(ossl, ossl->X509_get_subject_name(certificate), out, size);
}

void peer_show(const struct ossl *ossl, const struct presented *presented, struct peer_text *out)
{
    X509 *leaf = presented->leaf;
    static const bool sha256_of_both[PIN_KINDS][DIGESTS] = {{true, false, false}, {true, false, false}, {false, false, false}};
    struct peer peer;
    struct text text;
    struct tm utc;

    memset(out, 0, sizeof(*out));
    memset(&peer, 0, sizeof(peer));
    if (leaf == NULL && presented->raw_key == NULL)
        return;
    digest_peer(ossl, sha256_of_both, leaf, presented->raw_key, &peer);
    text = text_over(out->spki, sizeof(out->spki));
    if (peer.known[PIN_SPKI][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_SPKI][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    text = text_over(out->cert, sizeof(out->cert));
    if (peer.known[PIN_CERT][DIGEST_SHA256])
        text_add_base64(&text, peer.digests[PIN_CERT][DIGEST_SHA256], digest_size(DIGEST_SHA256));
    if (leaf == NULL)
        return;
    show_name(ossl, ossl->X509_get_subject_name(leaf), out->subject, sizeof(out->subject));
    show_name(ossl, ossl->X509_get_issuer_name(leaf), out->issuer, sizeof(out->issuer));
    text = text_over(out->not_after, sizeof(out->not_after));
    if (ossl->ASN1_TIME_to_tm(ossl->X509_get0_notAfter(leaf), &utc) == 1)
        text_add(&text, "%04d-%02d-%02dT%02d:%02d:%02dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
            utc.tm_sec);
}

static X509 *issuer_among(const struct ossl *ossl, const void *stack, X509 *leaf, struct path_budget *budget)
{
    /* The first is the leaf, even if it is its own issuer. */
    for (int i = 1; stack != NULL && i < ossl->OPENSSL_sk_num(stack); i++) {
        X509 *issuer = ossl->OPENSSL_sk_value(stack, i);

        if (budget->left > 0 && path_is_signed(ossl, leaf, issuer, budget))
            return issuer;
    }
    return NULL;
}

void peer_show_issuer(const struct ossl *ossl, const struct presented *presented, struct peer_text *out)
{
    struct text text = text_over(out->issuer_spki, sizeof(out->issuer_spki));
    struct path_budget budget = {PATH_BUDGET / 4};
    uint8_t digest[DIGEST_MAX];
    X509 *issuer;

    if (presented->leaf == NULL)
        return;
    (void)ossl->ERR_set_mark();
    issuer = issuer_among(ossl, presented->chain, presented->leaf, &budget);
    if (issuer == NULL)
        issuer = issuer_among(ossl, presented->verified, presented->leaf, &budget);
    if (issuer != NULL && digest_certificate(ossl, issuer, PIN_SPKI, DIGEST_SHA256, digest))
        text_add_base64(&text, digest, digest_size(DIGEST_SHA256));
    (void)ossl->ERR_pop_to_mark();
}
