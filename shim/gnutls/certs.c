#include "certs.h"

#include "client_decode.h"
#include "kernel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_LIMIT 256 /* characters of a name in the log, whatever its length in the certificate */
#define LONGEST_PATH 64 /* core makes none that is longer */
#define MOST_TRUSTED 32 /* issuers that are taken from the program's credentials */

static void print_name(const struct tls *tls, struct text *out)
{
    const char *version = gtls_certs_library(tls)->gnutls_check_version(NULL);

    text_add(out, "gnutls ");
    if (version != NULL)
        text_add_escaped(out, version, strlen(version), 20);
}

static gnutls_x509_crt_t import(const struct gtls *gtls, struct bytes der)
{
    const gnutls_datum_t bytes = {(unsigned char *)(uintptr_t)der.at, (unsigned)der.length};
    gnutls_x509_crt_t crt;

    if (der.at == NULL || der.length > UINT32_MAX / 2 || gtls->gnutls_x509_crt_init(&crt) < 0)
        return NULL;
    if (gtls->gnutls_x509_crt_import(crt, &bytes, GNUTLS_X509_FMT_DER) >= 0)
        return crt;
    gtls->gnutls_x509_crt_deinit(crt);
    return NULL;
}

/* Return GnuTLS's object; NULL if the certificate cannot be read. */
static gnutls_x509_crt_t crt_of(const struct gtls *gtls, const struct certificate *certificate)
{
    struct certificate *own = (struct certificate *)(uintptr_t)certificate;

    if (own->crt == NULL && !own->unreadable)
        own->crt = import(gtls, own->der);
    own->unreadable = own->crt == NULL;
    return own->crt;
}

void gtls_certs_forget_one(const struct gtls *gtls, struct certificate *certificate)
{
    if (certificate->crt != NULL)
        gtls->gnutls_x509_crt_deinit(certificate->crt);
    certificate->crt = NULL;
}

void gtls_certs_forget(const struct gtls *gtls, struct certificates *list)
{
    for (size_t i = 0; i < list->count; i++) {
        /* Those of the program's credentials have their DER here. */
        if (list->trusted != NULL && i > 0)
            (*gtls->free)((void *)(uintptr_t)list->at[i].der.at);
        gtls_certs_forget_one(gtls, &list->at[i]);
    }
    free(list->at);
    list->at = NULL;
    list->count = 0;
    list->read = false;
}

static bool append(struct certificates *list, struct bytes der)
{
    list->at[list->count++] = (struct certificate) {.owners = 1, .der = der};
    return true;
}

/* Append the issuers of a certificate, their issuers, and so on, as the program's credentials have them. */
static void append_trusted(const struct gtls *gtls, struct certificates *list, const struct certificate *issued)
{
    while (list->count < MOST_TRUSTED) {
        gnutls_x509_crt_t crt = crt_of(gtls, issued);
        gnutls_x509_crt_t issuer = NULL;
        gnutls_datum_t der = {NULL, 0};
        bool exported;

        /* A copy: other threads use the same credentials. */
        if (crt == NULL || gtls->gnutls_certificate_get_issuer(list->trusted, crt, &issuer, GNUTLS_TL_GET_COPY) < 0)
            return;
        exported = gtls->gnutls_x509_crt_export2(issuer, GNUTLS_X509_FMT_DER, &der) >= 0;
        gtls->gnutls_x509_crt_deinit(issuer);
        if (!exported)
            return;
        for (size_t i = 0; i < list->count; i++) {
            if (list->at[i].der.length == der.size && memcmp(list->at[i].der.at, der.data, der.size) == 0) {
                (*gtls->free)(der.data);
                return;
            }
        }
        append(list, (struct bytes) {der.data, der.size});
        issued = &list->at[list->count - 1];
    }
}

static void read_list(const struct gtls *gtls, struct certificates *list)
{
    unsigned room = list->trusted != NULL ? MOST_TRUSTED : list->sent_count;

    list->read = true;
    if (list->sent == NULL || list->sent_count == 0 || (list->at = calloc(room, sizeof(*list->at))) == NULL)
        return;
    for (unsigned i = 0; i < (list->trusted != NULL ? 1 : list->sent_count); i++)
        append(list, (struct bytes) {list->sent[i].data, list->sent[i].size});
    for (unsigned i = 0; list->trusted != NULL && i < list->sent_count && i < MOST_TRUSTED; i++) {
        struct certificate sent = {.owners = 1, .der = {list->sent[i].data, list->sent[i].size}};

        append_trusted(gtls, list, &sent);
        gtls_certs_forget_one(gtls, &sent);
    }
}

static struct bytes encode(const struct tls *tls, const struct certificate *certificate, void **memory)
{
    (void)tls;
    *memory = NULL;
    return certificate->der;
}

static struct bytes encode_key(const struct tls *tls, const struct public_key *key, void **memory)
{
    (void)tls;
    *memory = NULL;
    return key->spki;
}

static size_t count(const struct tls *tls, const struct certificates *list)
{
    if (list != NULL && !list->read)
        read_list(gtls_certs_library(tls), (struct certificates *)(uintptr_t)list);
    return list != NULL ? list->count : 0;
}

static const struct certificate *at(const struct tls *tls, const struct certificates *list, size_t index)
{
    (void)tls;
    return &list->at[index];
}

static struct certificate *parse(const struct tls *tls, struct bytes der)
{
    struct certificate *certificate = calloc(1, sizeof(*certificate));
    struct bytes rest = der;

    if (certificate == NULL)
        return NULL;
    certificate->owners = 1;
    certificate->der = der_take(&rest, DER_SEQUENCE);
    if (crt_of(gtls_certs_library(tls), certificate) != NULL)
        return certificate;
    free(certificate);
    return NULL;
}

/* What follows a certificate says what OpenSSL trusts it for; GnuTLS does not read such a file. */
static struct certificate *parse_root(const struct tls *tls, const struct root *root, bool *hidden)
{
    struct bytes rest = {root->der, root->length};
    struct bytes der = der_take(&rest, DER_SEQUENCE);

    *hidden = der.at != NULL && rest.length > 0;
    return *hidden ? NULL : parse(tls, der);
}

static struct certificate *hold(const struct tls *tls, const struct certificate *certificate)
{
    struct certificate *held = (struct certificate *)(uintptr_t)certificate;

    (void)tls;
    held->owners++;
    return held;
}

static void release(const struct tls *tls, struct certificate *certificate)
{
    if (--certificate->owners > 0)
        return;
    gtls_certs_forget_one(gtls_certs_library(tls), certificate);
    free(certificate);
}

static bool may_issue(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate)
{
    const struct gtls *gtls = gtls_certs_library(tls);
    gnutls_x509_crt_t by = crt_of(gtls, issuer);
    gnutls_x509_crt_t issued = crt_of(gtls, certificate);
    unsigned usage;
    int known;

    if (by == NULL || issued == NULL || gtls->gnutls_x509_crt_check_issuer(issued, by) == 0)
        return false;
    known = gtls->gnutls_x509_crt_get_key_usage(by, &usage, NULL);
    return known == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE || (known >= 0 && (usage & GNUTLS_KEY_KEY_CERT_SIGN) != 0);
}

static bool has_signed(const struct tls *tls, const struct certificate *issuer, const struct certificate *certificate)
{
    /* Whatever else is wrong with them. */
    const unsigned flags = GNUTLS_VERIFY_DISABLE_CA_SIGN | GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS
        | GNUTLS_VERIFY_ALLOW_BROKEN | GNUTLS_VERIFY_IGNORE_UNKNOWN_CRIT_EXTENSIONS | GNUTLS_VERIFY_DO_NOT_ALLOW_SAME;
    const struct gtls *gtls = gtls_certs_library(tls);
    gnutls_x509_crt_t by = crt_of(gtls, issuer);
    gnutls_x509_crt_t issued = crt_of(gtls, certificate);
    unsigned status = GNUTLS_CERT_INVALID;

    return by != NULL && issued != NULL && gtls->gnutls_x509_crt_list_verify(&issued, 1, &by, 1, NULL, 0, flags, &status) >= 0
        && (status & (GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND)) == 0 && status != GNUTLS_CERT_INVALID;
}

/* The words are those that OpenSSL has for the same. */
static const char *problem_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *problem;
    } problems[] = {
        {GNUTLS_CERT_SIGNATURE_FAILURE, "certificate signature failure"},
        {GNUTLS_CERT_EXPIRED, "certificate has expired"},
        {GNUTLS_CERT_NOT_ACTIVATED, "certificate is not yet valid"},
        {GNUTLS_CERT_INSECURE_ALGORITHM, "a key or signature algorithm is too weak"},
        {GNUTLS_CERT_SIGNER_NOT_CA, "invalid CA certificate"},
        {GNUTLS_CERT_PURPOSE_MISMATCH, "unsuitable certificate purpose"},
        {GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, "a constraint of an issuer is violated"},
        {GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, "unhandled critical extension"},
        {GNUTLS_CERT_SIGNER_NOT_FOUND, "unable to get issuer certificate"},
    };

    for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++) {
        if ((status & problems[i].status) != 0)
            return problems[i].problem;
    }
    return "its path cannot be verified";
}

/* GnuTLS does not search: it takes each certificate for the issuer of the one before. */
static bool verify(const struct tls *tls, const struct path *path, const char **problem)
{
    /* The profile: no RSA below 1024 bits; signatures by SHA-1 are refused anyway. */
    const unsigned flags = GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_LOW);
    const struct gtls *gtls = gtls_certs_library(tls);
    size_t between = path->length > 1 ? path->length - 1 : 1;
    gnutls_x509_crt_t crts[LONGEST_PATH];
    unsigned status = GNUTLS_CERT_INVALID;
    bool verified = path->length <= LONGEST_PATH;

    for (size_t i = 0; verified && i < path->length; i++) {
        crts[i] = crt_of(gtls, path->at[i]);
        verified = crts[i] != NULL;
    }
    verified = verified && gtls->gnutls_x509_crt_list_verify(crts, (unsigned)between, &crts[path->length - 1], 1, NULL, 0, flags, &status) >= 0
        && status == 0;
    for (size_t i = 0; verified && i < between; i++) {
        verified = gtls->gnutls_x509_crt_check_key_purpose(crts[i], GNUTLS_KP_TLS_WWW_SERVER, 0) != 0;
        status |= verified ? 0 : GNUTLS_CERT_PURPOSE_MISMATCH;
    }
    if (!verified)
        *problem = problem_of(status);
    return verified;
}

/* GnuTLS takes "*oo.example.com" for a wildcard; so does no other library here. A wildcard stands for the whole of a name's first part. */
static bool is_for_name(const struct gtls *gtls, gnutls_x509_crt_t leaf, const char *name)
{
    const unsigned flags = GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS | GNUTLS_VERIFY_DO_NOT_ALLOW_IP_MATCHES;
    char wildcard[HOST_NAME_MAX_LENGTH + 3] = "*";
    const char *rest = strchr(name, '.');

    if (name[0] == '\0')
        return false;
    if (gtls->gnutls_x509_crt_check_hostname2(leaf, name, flags) != 0)
        return true;
    if (rest == NULL || rest == name || strchr(rest + 1, '.') == NULL)
        return false;
    (void)stpcpy(wildcard + 1, rest);
    return gtls->gnutls_x509_crt_check_hostname2(leaf, wildcard, flags) != 0;
}

static bool is_for(const struct tls *tls, const struct certificate *certificate, const struct host *host, const char **problem)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const struct gtls *gtls = gtls_certs_library(tls);
    gnutls_x509_crt_t leaf = crt_of(gtls, certificate);
    bool v4 = memcmp(host->address, mapped, sizeof(mapped)) == 0;
    bool valid = false;

    if (leaf != NULL && host->kind == HOST_ADDRESS)
        valid = gtls->gnutls_x509_crt_check_ip(leaf, v4 ? host->address + 12 : host->address, v4 ? 4 : 16, 0) != 0;
    else if (leaf != NULL && host->kind == HOST_NAME)
        valid = is_for_name(gtls, leaf, host->name);
    if (!valid)
        *problem = host->kind == HOST_ADDRESS ? "IP address mismatch" : "hostname mismatch";
    return valid;
}

static void describe_name(const struct gtls *gtls, gnutls_x509_crt_t crt, int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned), char *out, size_t size)
{
    struct text text = text_over(out, size);
    gnutls_datum_t name = {NULL, 0};

    if (crt == NULL || get(crt, &name, 0) < 0)
        return;
    text_add_escaped(&text, (const char *)name.data, name.size, NAME_LIMIT);
    (*gtls->free)(name.data);
}

static void describe(const struct tls *tls, const struct certificate *certificate, struct certificate_text *out)
{
    const struct gtls *gtls = gtls_certs_library(tls);
    gnutls_x509_crt_t crt = crt_of(gtls, certificate);
    struct text text = text_over(out->not_after, sizeof(out->not_after));
    time_t after = crt != NULL ? gtls->gnutls_x509_crt_get_expiration_time(crt) : -1;

    describe_name(gtls, crt, gtls->gnutls_x509_crt_get_dn3, out->subject, sizeof(out->subject));
    describe_name(gtls, crt, gtls->gnutls_x509_crt_get_issuer_dn3, out->issuer, sizeof(out->issuer));
    if (after >= 0) {
        text_add_time(&text, (uint64_t)after);
        text_add_string(&text, "Z");
    }
}

/* GnuTLS does not say where the system's trust store is that it was built for: Debian's, Fedora's, SUSE's, Alpine's. The variables are OpenSSL's: a
 * process may have both libraries, and has one store. */
static void trust_store(const struct tls *tls, const char **file, const char **directories)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"};
    const char *own_file = secure_getenv("SSL_CERT_FILE");
    const char *own_directories = secure_getenv("SSL_CERT_DIR");

    (void)tls;
    *file = own_file != NULL ? own_file : "/etc/ssl/cert.pem";
    *directories = own_directories != NULL ? own_directories : "/etc/ssl/certs";
    for (size_t i = 0; own_file == NULL && own_directories == NULL && i < sizeof(bundles) / sizeof(bundles[0]); i++) {
        if (kernel_call(SYS_faccessat, AT_FDCWD, bundles[i], R_OK) != 0)
            continue;
        *file = bundles[i];
        *directories = "";
        break;
    }
}

/* By assignments: a table of functions would be relocated at the start of each process. */
void gtls_certs_bind(struct gtls *gtls)
{
    gtls->tls = (struct tls) {
        .print_name = print_name,
        .encode = encode,
        .encode_key = encode_key,
        .count = count,
        .at = at,
        .parse = parse,
        .parse_root = parse_root,
        .hold = hold,
        .release = release,
        .may_issue = may_issue,
        .has_signed = has_signed,
        .verify = verify,
        .is_for = is_for,
        .describe = describe,
        .trust_store = trust_store,
        .read_client = gtls_client_decode,
    };
}
