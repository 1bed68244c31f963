/* Makes a key and a self-signed certificate that no honest CA would issue.
 *
 * usage: certificate NAME [STEP...]     writes NAME.pem and NAME.key
 * many=N (so many that differ in their serial number, in the one file)
 * key=rsa|ec|ed25519|CURVE  days=N (negative: expired)  padding=BYTES (an extension of that size)
 * utf8=HEX printable=HEX bmp=HEX t61=HEX (a common name of that type and these bytes; times=N before it: repeated) */

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "certificate: %s\n", what);
    exit(2);
}

static EVP_PKEY *make_key(const char *type)
{
    int id = strcmp(type, "rsa") == 0 ? EVP_PKEY_RSA : strcmp(type, "ed25519") == 0 ? EVP_PKEY_ED25519 : EVP_PKEY_EC;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(id, NULL);
    EVP_PKEY *key = NULL;
    int curve = strcmp(type, "ec") == 0 ? NID_X9_62_prime256v1 : OBJ_sn2nid(type);

    if (context == NULL || EVP_PKEY_keygen_init(context) != 1)
        die("no key of this type");
    if (id == EVP_PKEY_EC && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, curve) != 1)
        die("no such curve");
    if (id == EVP_PKEY_RSA && EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) != 1)
        die("no such size");
    if (EVP_PKEY_keygen(context, &key) != 1)
        die("no key");
    EVP_PKEY_CTX_free(context);
    return key;
}

/* Put the bytes into the name as they are: X509_NAME_add_entry_by_txt would check and convert them. */
static void add_name(X509 *certificate, int type, const char *hex, int times)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
    long length = 0;
    unsigned char *bytes = OPENSSL_hexstr2buf(hex, &length);
    unsigned char *all = malloc((size_t)length * (size_t)times + 1);
    X509_NAME_ENTRY *entry;

    if (bytes == NULL || name == NULL || all == NULL)
        die("no name");
    for (int i = 0; i < times; i++)
        memcpy(all + (size_t)length * (size_t)i, bytes, (size_t)length);
    entry = X509_NAME_ENTRY_create_by_NID(NULL, NID_commonName, type, all, (int)length * times);
    if (entry == NULL || X509_NAME_add_entry(name, entry, -1, 0) != 1 || X509_set_subject_name(certificate, name) != 1
        || X509_set_issuer_name(certificate, name) != 1)
        die("no name");
}

static void add_padding(X509 *certificate, int size)
{
    unsigned char *bytes = calloc(1, (size_t)size);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *object = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
    X509_EXTENSION *extension;

    if (bytes == NULL || value == NULL || object == NULL || ASN1_OCTET_STRING_set(value, bytes, size) != 1)
        die("no padding");
    extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value);
    if (extension == NULL || X509_add_ext(certificate, extension, -1) != 1)
        die("no padding");
}

static FILE *create(const char *name, const char *suffix)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s.%s", name, suffix);
    file = fopen(path, "w");
    if (file == NULL)
        die(path);
    return file;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *step;
        int type;
    } types[] = {{"utf8=", V_ASN1_UTF8STRING}, {"printable=", V_ASN1_PRINTABLESTRING}, {"bmp=", V_ASN1_BMPSTRING},
        {"t61=", V_ASN1_T61STRING}};
    X509 *certificate = X509_new();
    const char *key_type = "ec";
    long days = 30;
    int times = 1;
    int many = 1;
    EVP_PKEY *key;
    FILE *file;

    if (argc < 2 || certificate == NULL)
        return 2;
    X509_set_version(certificate, 2);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "key=", 4) == 0)
            key_type = argv[i] + 4;
        else if (strncmp(argv[i], "days=", 5) == 0)
            days = atol(argv[i] + 5);
        else if (strncmp(argv[i], "times=", 6) == 0)
            times = atoi(argv[i] + 6);
        else if (strncmp(argv[i], "many=", 5) == 0)
            many = atoi(argv[i] + 5);
        else if (strncmp(argv[i], "padding=", 8) == 0)
            add_padding(certificate, atoi(argv[i] + 8));
        for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
            if (strncmp(argv[i], types[k].step, strlen(types[k].step)) == 0)
                add_name(certificate, types[k].type, argv[i] + strlen(types[k].step), times);
        }
    }
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400L * 90);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * days);
    key = make_key(key_type);
    X509_set_pubkey(certificate, key);
    file = create(argv[1], "pem");
    for (int number = 1; number <= many; number++) {
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), number);
        if (X509_sign(certificate, key, strcmp(key_type, "ed25519") == 0 ? NULL : EVP_sha256()) <= 0)
            die("cannot sign");
        if (PEM_write_X509(file, certificate) != 1)
            die("cannot write the certificate");
    }
    if (fclose(file) != 0)
        die("cannot write the certificate");
    file = create(argv[1], "key");
    if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
        die("cannot write the key");
    return 0;
}
