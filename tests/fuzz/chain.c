/* The certificates that a peer presents, judged by a pin of a CA with both libraries: the first byte chooses what is pinned and revoked, the rest are
 * certificates in DER, the leaf first. A path is accepted only if the signature of the leaf is that of a certificate that was sent. */

#include "fuzz.h"
#include "libraries.h"
#include "peer.h"

#include <openssl/x509.h>

#define MOST 8 /* certificates */

static void refuse(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    fprintf(stderr, "%u:%u: %s\n", line, column, message);
    abort();
}

static bool add_pin(struct text *rules, const char *field, struct bytes der)
{
    struct bytes spki = der_spki_of_certificate(der);
    uint8_t digest[32];

    if (spki.at == NULL)
        return false;
    (void)SHA256(spki.at, spki.length, digest);
    text_add(rules, "%s:", field);
    text_add_base64(rules, digest, sizeof(digest));
    return true;
}

static enum verdict judge(const struct tls *tls, const struct pins *pins, const struct presented *presented)
{
    struct target target = {.named = true};
    struct evidence evidence;
    struct peer_text shown;
    struct judgement judgement;
    struct host host;

    require(host_parse("localhost", 9, &host) == HOST_NAME && target_add(&target, &host));
    peer_read(tls, pins, presented, &evidence);
    judgement = fuzz_judge(pins, &target, &evidence.peer);
    peer_show(tls, presented, &shown);
    peer_show_issuer(tls, presented, &shown);
    peer_forget(&evidence);
    return judgement.verdict;
}

/* The library's own opinion. */
static bool is_signed_by_one(STACK_OF(X509) *sent)
{
    bool is_signed = false;

    for (int i = 0; i < sk_X509_num(sent); i++) {
        EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(sent, i));

        is_signed |= key != NULL && X509_verify(sk_X509_value(sent, 0), key) == 1;
    }
    return is_signed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest;
    gnutls_datum_t datums[MOST];
    STACK_OF(X509) *stack = sk_X509_new_null();
    struct certificates list = {.sent = datums};
    struct certificate leaf = {.owners = 1};
    struct presented presented[2];
    char buffer[1000];
    struct text text = text_over(buffer, sizeof(buffer));
    struct pins *pins;
    bool fine = size > 0;

    memset(presented, 0, sizeof(presented));
    rest = (struct bytes) {data + fine, size - fine};
    while (fine && rest.length > 0 && list.sent_count < MOST) {
        const struct bytes der = der_take(&rest, DER_SEQUENCE);
        const uint8_t *at = der.at;
        X509 *certificate = at != NULL ? d2i_X509(NULL, &at, (long)der.length) : NULL;

        if (certificate == NULL)
            break;
        datums[list.sent_count++] = (gnutls_datum_t) {(unsigned char *)(uintptr_t)der.at, (unsigned)der.length};
        sk_X509_push(stack, certificate);
    }
    if (list.sent_count > 0) {
        const gnutls_datum_t *pinned = &datums[data[0] % list.sent_count];
        const gnutls_datum_t *revoked = &datums[data[0] / 16 % list.sent_count];

        text_add(&text, "localhost ");
        fine = add_pin(&text, "ca-sha256", (struct bytes) {pinned->data, pinned->size});
        text_add(&text, data[0] & 8 ? "\n@revoked " : "\n#");
        fine = fine && add_pin(&text, "spki-sha256", (struct bytes) {revoked->data, revoked->size});
        text_add(&text, "\n");
        pins = fine ? fuzz_parse(buffer, text.length, refuse, NULL) : NULL;
    } else {
        pins = NULL;
    }
    if (pins != NULL) {
        leaf.der = (struct bytes) {datums[0].data, datums[0].size};
        presented[0] = (struct presented) {.leaf = certs_from(sk_X509_value(stack, 0)), .sent = (const void *)stack};
        presented[1] = (struct presented) {.leaf = &leaf, .sent = &list};
        if (judge(linked_tls(), pins, &presented[0]) == VERDICT_ACCEPT)
            require(is_signed_by_one(stack));
        if (judge(fuzz_gnutls(), pins, &presented[1]) == VERDICT_ACCEPT)
            require(is_signed_by_one(stack));
        gtls_certs_forget(gtls_certs_library(fuzz_gnutls()), &list);
        gtls_certs_forget_one(gtls_certs_library(fuzz_gnutls()), &leaf);
    }
    pins_free(pins);
    sk_X509_pop_free(stack, X509_free);
    ERR_clear_error();
    return 0;
}
