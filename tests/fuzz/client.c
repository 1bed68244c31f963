/* Client certificates of rules, in PEM, with their keys, as both libraries decode them: what one accepts is complete, and both take
 * the same leaf from it (OpenSSL writes as DER what came in another encoding). */

#include "der.h"
#include "fuzz.h"
#include "libraries.h"
#include "pem.h"

static bool read_by(const struct tls *tls, struct bytes file, struct client_cert *out)
{
    const struct client_source source = {.certificate = file};
    enum client_file faulty = CLIENT_PASS;
    char buffer[300];
    struct text problem = text_over(buffer, sizeof(buffer));
    bool fine = tls->read_client(tls, &source, out, &faulty, &problem);

    fuzz_require_plain(&problem);
    require(faulty == CLIENT_CERT);
    if (fine)
        require(out->chain_length > 0 && out->key_length > 0);
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes file = {data, size};
    struct client_cert by[2];
    struct bytes leaf[2];
    bool read[2];

    /* Others would be decrypted, as slowly as they say. */
    if (size == 0 || !pem_is(file) || memmem(data, size, "ENCRYPTED", 9) != NULL)
        return 0;
    memset(by, 0, sizeof(by));
    read[0] = read_by(linked_tls(), file, &by[0]);
    read[1] = read_by(fuzz_gnutls(), file, &by[1]);
    for (int i = 0; i < 2; i++) {
        struct bytes chain = {by[i].chain, by[i].chain_length};

        leaf[i] = der_spki_of_certificate(der_take(&chain, DER_SEQUENCE));
    }
    if (read[0] && read[1])
        require(leaf[0].at != NULL && leaf[0].length == leaf[1].length && memcmp(leaf[0].at, leaf[1].at, leaf[0].length) == 0);
    ERR_clear_error();
    pins_clear_client(&by[0]);
    pins_clear_client(&by[1]);
    return 0;
}
