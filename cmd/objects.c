#include "objects.h"

#include "certs.h"
#include "command.h"
#include "digest.h"
#include "output.h"
#include "pem.h"
#include "sha2.h"
#include "targets.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT (4 << 20) /* bytes, as for files in rules (spki-file, ...) */

/* What was found while reading. */
struct reading {
    struct objects *out;
    bool encrypted; /* a key */
    bool bag; /* PKCS #12 */
};

static bool keep(struct reading *reading, enum object_kind kind, void *object)
{
    struct objects *out = reading->out;
    struct object *place;

    if (object == NULL)
        return false;
    out->at = output_allocate(out->at, (out->count + 1) * sizeof(*out->at));
    place = &out->at[out->count++];
    *place = (struct object) {kind, NULL, NULL, NULL};
    if (kind == OBJECT_CERTIFICATE)
        place->certificate = object;
    else if (kind == OBJECT_REQUEST)
        place->request = object;
    else
        place->key = object;
    return true;
}

static bool ends(const char *string, const char *suffix)
{
    size_t length = strlen(string);

    return length >= strlen(suffix) && strcmp(string + length - strlen(suffix), suffix) == 0;
}

/* Take one object of PEM. Objects without a public key (parameters, revocation lists) are skipped. Return false if it cannot be read. */
static bool take_pem(void *to, const char *label, bool encrypted, struct bytes der)
{
    struct reading *reading = to;
    const long length = (long)der.length;

    if (ends(label, "CERTIFICATE REQUEST"))
        return keep(reading, OBJECT_REQUEST, d2i_X509_REQ(NULL, &der.at, length));
    if (ends(label, "CERTIFICATE"))
        return keep(reading, OBJECT_CERTIFICATE, d2i_X509(NULL, &der.at, length));
    if (strcmp(label, "PUBLIC KEY") == 0)
        return keep(reading, OBJECT_KEY, d2i_PUBKEY(NULL, &der.at, length));
    if (!ends(label, "PRIVATE KEY"))
        return true;
    if (encrypted || strcmp(label, "ENCRYPTED PRIVATE KEY") == 0) {
        reading->encrypted = true;
        return true;
    }
    return keep(reading, OBJECT_KEY, d2i_AutoPrivateKey(NULL, &der.at, length));
}

static bool read_der(struct reading *reading, struct bytes bytes)
{
    const unsigned char *at = bytes.at;
    const long length = (long)bytes.length;
    X509_SIG *sealed;
    PKCS12 *bag;

    if (keep(reading, OBJECT_CERTIFICATE, d2i_X509(NULL, &at, length)))
        return true;
    at = bytes.at;
    if (keep(reading, OBJECT_REQUEST, d2i_X509_REQ(NULL, &at, length)))
        return true;
    at = bytes.at;
    if (keep(reading, OBJECT_KEY, d2i_PUBKEY(NULL, &at, length)))
        return true;
    /* Before private keys: their decoder would ask for a passphrase. */
    at = bytes.at;
    sealed = d2i_X509_SIG(NULL, &at, length);
    reading->encrypted = sealed != NULL;
    X509_SIG_free(sealed);
    at = bytes.at;
    bag = d2i_PKCS12(NULL, &at, length);
    reading->bag = bag != NULL;
    PKCS12_free(bag);
    at = bytes.at;
    return reading->encrypted || reading->bag || keep(reading, OBJECT_KEY, d2i_AutoPrivateKey(NULL, &at, length));
}

/* Return the file's bytes, for the caller to free, with a NUL after them; NULL with what is wrong. */
static char *read_whole(const char *path, size_t *length, struct text *problem)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *bytes = file != NULL ? output_allocate(NULL, LIMIT + 1) : NULL;

    if (file == NULL) {
        text_add(problem, "cannot open it: %m; is the path right?");
        return NULL;
    }
    *length = fread(bytes, 1, LIMIT, file);
    bytes[*length] = '\0';
    if (ferror(file) != 0)
        text_add(problem, "cannot read it: %m");
    else if (*length == 0)
        text_add(problem, "it is empty");
    else if (*length == LIMIT)
        text_add(problem, "it is too large for a file of certificates and keys");
    if (file != stdin)
        (void)fclose(file);
    if (problem->length == 0)
        return bytes;
    free(bytes);
    return NULL;
}

bool objects_read(const char *path, struct objects *out, struct text *problem)
{
    struct reading reading = {out, false, false};
    struct bytes whole;
    size_t length;
    char *bytes;
    bool fine;

    *out = (struct objects) {NULL, 0};
    bytes = read_whole(path, &length, problem);
    if (bytes == NULL)
        return false;
    whole = (struct bytes) {(const uint8_t *)bytes, length};
    fine = pem_is(whole) ? pem_read(whole, take_pem, &reading) : read_der(&reading, whole);
    ERR_clear_error();
    explicit_bzero(bytes, length);
    free(bytes);
    if (fine && out->count > 0)
        return true;
    if (fine && reading.encrypted)
        text_add(problem, "its key is encrypted, and pinshim asks for no passphrase; give its certificate or request, or its public key "
            "(\"openssl pkey -in KEY -pubout\" prints it)");
    else if (fine && reading.bag)
        text_add(problem, "it is PKCS #12, which is encrypted; extract the certificates first (\"openssl pkcs12 -nokeys -in FILE\" "
            "prints them)");
    else if (fine)
        text_add(problem, "it contains no certificate, request or key");
    else
        text_add(problem, "it contains an object that cannot be read; expected certificates, requests or keys in PEM, or one of them in DER");
    objects_free(out);
    return false;
}

void objects_free(struct objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        X509_free(objects->at[i].certificate);
        X509_REQ_free(objects->at[i].request);
        EVP_PKEY_free(objects->at[i].key);
    }
    free(objects->at);
    *objects = (struct objects) {NULL, 0};
}

const struct object *objects_find(const struct objects *objects, enum object_kind kind)
{
    const struct object *found = NULL;

    for (size_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->at[i];

        if (object->kind != kind)
            continue;
        if (kind != OBJECT_CERTIFICATE || X509_check_ca(object->certificate) == 0)
            return object;
        if (found == NULL)
            found = object;
    }
    return found;
}

bool objects_spki(const struct object *object, uint8_t out[static 32])
{
    unsigned char *der = NULL;
    int length;

    if (object->kind == OBJECT_CERTIFICATE)
        return digest_certificate(linked_tls(), certs_from(object->certificate), PIN_SPKI, DIGEST_SHA256, out);
    length = object->kind == OBJECT_REQUEST ? i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(object->request), &der)
                                            : i2d_PUBKEY(object->key, &der);
    if (length > 0)
        sha2(DIGEST_SHA256, der, (size_t)length, out);
    OPENSSL_free(der);
    return length > 0;
}

/* Give the string to `take` if a pins file reads it as the one host, or the names with one more label, that a certificate means by it; what it reads as
 * something else (*, **.SUFFIX, @unknown, a port), and what it does not read at all, to `odd`. */
static void take_string(const ASN1_STRING *string, struct objects_takers takers)
{
    const char *bytes = string != NULL ? (const char *)ASN1_STRING_get0_data(string) : "";
    size_t length = string != NULL ? (size_t)ASN1_STRING_length(string) : 0;
    size_t stars = length > 2 && bytes[0] == '*' && bytes[1] == '.' ? 2 : 0;
    char buffer[HOST_NAME_MAX_LENGTH * 4 + 1];
    struct text text = text_over(buffer, sizeof(buffer));
    struct host host;
    enum host_kind kind = host_parse(bytes + stars, length - stars, &host);
    bool good;

    /* What is escaped is no name. */
    text_add_escaped(&text, bytes, length, HOST_NAME_MAX_LENGTH);
    good = memchr(bytes, ':', length) == NULL && (kind == HOST_NAME || (kind == HOST_ADDRESS && stars == 0)) && targets_valid(buffer);
    if (good && takers.take != NULL)
        takers.take(takers.to, buffer);
    else if (!good && takers.odd != NULL)
        takers.odd(takers.to, buffer);
}

static void take_address(const ASN1_OCTET_STRING *bytes, struct objects_takers takers)
{
    char buffer[64];
    struct text text = text_over(buffer, sizeof(buffer));
    int length = ASN1_STRING_length(bytes);
    struct host host;

    if (takers.take == NULL || (length != 4 && length != 16) || !host_from_bytes(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), &host))
        return;
    host_print(&host, &text);
    takers.take(takers.to, buffer);
}

void objects_names(const struct object *object, struct objects_takers takers)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    GENERAL_NAMES *names = NULL;
    const X509_NAME *subject = NULL;
    int common = -1;

    if (object->kind == OBJECT_CERTIFICATE) {
        names = X509_get_ext_d2i(object->certificate, NID_subject_alt_name, NULL, NULL);
        subject = X509_get_subject_name(object->certificate);
    } else if (object->kind == OBJECT_REQUEST) {
        extensions = X509_REQ_get_extensions(object->request);
        names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
        subject = X509_REQ_get_subject_name(object->request);
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            take_string(name->d.dNSName, takers);
        else if (name->type == GEN_IPADD)
            take_address(name->d.iPAddress, takers);
    }
    /* If there are no other names, a client may use this one. */
    if (names == NULL && subject != NULL)
        common = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)subject, NID_commonName, -1);
    if (common >= 0)
        take_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry((X509_NAME *)(uintptr_t)subject, common)), takers);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ERR_clear_error();
}
