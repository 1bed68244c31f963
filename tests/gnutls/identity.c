/* identity HOST PORT PREFIX HOW [late] [empty] [sni=NAME]: a client with the certificate PREFIX.pem. HOW: file, mem, key (gnutls_certificate_set_key), retrieve,
 * retrieve2, retrieve3 (functions), inside (a verify function sets it), hook (it is set in the middle of the handshake), none. empty: the functions give none. late: it is set after
 * gnutls_credentials_set. */

#include "gnutls.h"

static gnutls_certificate_credentials_t own;
static gnutls_pcert_st certificate;
static gnutls_privkey_t key;
static char **words;
static bool empty;

static void set(const char *how);

static int retrieve(gnutls_session_t session, const gnutls_datum_t *issuers, int count, const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
    gnutls_retr2_st *out)
{
    gnutls_x509_crt_t *list;
    gnutls_x509_privkey_t own_key;
    gnutls_datum_t pem = file(words[3], ".pem");
    gnutls_datum_t key_pem = file(words[3], ".key");

    (void)session;
    (void)issuers;
    (void)count;
    (void)algorithms;
    (void)algorithm_count;
    out->ncerts = 0;
    out->deinit_all = 0;
    if (empty)
        return 0;
    list = gnutls_malloc(sizeof(*list));
    gnutls_x509_crt_init(list);
    gnutls_x509_crt_import(*list, &pem, GNUTLS_X509_FMT_PEM);
    gnutls_x509_privkey_init(&own_key);
    gnutls_x509_privkey_import(own_key, &key_pem, GNUTLS_X509_FMT_PEM);
    out->cert_type = GNUTLS_CRT_X509;
    out->key_type = GNUTLS_PRIVKEY_X509;
    out->cert.x509 = list;
    out->ncerts = 1;
    out->key.x509 = own_key;
    out->deinit_all = 1;
    printf("asked for the certificate\n");
    return 0;
}

static int retrieve2(gnutls_session_t session, const gnutls_datum_t *issuers, int count, const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
    gnutls_pcert_st **out, unsigned int *out_count, gnutls_privkey_t *out_key)
{
    (void)session;
    (void)issuers;
    (void)count;
    (void)algorithms;
    (void)algorithm_count;
    *out = &certificate;
    *out_count = empty ? 0 : 1;
    *out_key = key;
    printf("asked for the certificate\n");
    return 0;
}

static int retrieve3(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **out, unsigned int *out_count, gnutls_ocsp_data_st **ocsp,
    unsigned int *ocsp_count, gnutls_privkey_t *out_key, unsigned int *flags)
{
    (void)session;
    (void)info;
    *out = &certificate;
    *out_count = empty ? 0 : 1;
    *ocsp = NULL;
    *ocsp_count = 0;
    *out_key = key;
    *flags = 0;
    printf("asked for the certificate\n");
    return 0;
}

static int verify(gnutls_session_t session)
{
    (void)session;
    set("mem");
    return 0;
}

static int hook(gnutls_session_t session, unsigned int type, unsigned int when, unsigned int incoming, const gnutls_datum_t *message)
{
    static bool done;

    (void)session;
    (void)when;
    (void)message;
    if (incoming && type == GNUTLS_HANDSHAKE_SERVER_HELLO && !done) {
        done = true;
        set("mem");
    }
    return 0;
}

static void load(void)
{
    gnutls_datum_t pem = file(words[3], ".pem");
    gnutls_datum_t key_pem = file(words[3], ".key");

    must(gnutls_pcert_import_x509_raw(&certificate, &pem, GNUTLS_X509_FMT_PEM, 0), "certificate");
    must(gnutls_privkey_init(&key), "key");
    must(gnutls_privkey_import_x509_raw(key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0), "key");
}

static void set(const char *how)
{
    gnutls_datum_t pem = file(words[3], ".pem");
    gnutls_datum_t key_pem = file(words[3], ".key");
    char path[2][4096];

    if (strcmp(how, "file") == 0) {
        snprintf(path[0], sizeof(path[0]), "%s.pem", words[3]);
        snprintf(path[1], sizeof(path[1]), "%s.key", words[3]);
        must(gnutls_certificate_set_x509_key_file(own, path[0], path[1], GNUTLS_X509_FMT_PEM), "certificate");
    } else if (strcmp(how, "mem") == 0) {
        must(gnutls_certificate_set_x509_key_mem2(own, &pem, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0), "certificate");
    } else if (strcmp(how, "key") == 0) {
        load();
        must(gnutls_certificate_set_key(own, NULL, 0, &certificate, 1, key), "certificate");
    } else if (strcmp(how, "retrieve") == 0) {
        gnutls_certificate_set_retrieve_function(own, retrieve);
    } else if (strcmp(how, "retrieve2") == 0) {
        load();
        gnutls_certificate_set_retrieve_function2(own, retrieve2);
    } else if (strcmp(how, "retrieve3") == 0) {
        load();
        gnutls_certificate_set_retrieve_function3(own, retrieve3);
    }
}

int main(int argc, char **argv)
{
    gnutls_session_t session;

    if (argc < 5)
        return 2;
    words = argv;
    empty = word(argv, "empty");
    own = credentials(argv);
    if (!word(argv, "late"))
        set(argv[4]);
    session = client(argv, own, open_socket(argv[1], argv[2], SOCK_STREAM), sni_of(argv), 0);
    if (word(argv, "late"))
        set(argv[4]);
    if (strcmp(argv[4], "inside") == 0)
        gnutls_session_set_verify_function(session, verify);
    if (strcmp(argv[4], "hook") == 0)
        gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_POST, hook);
    return handshake(session) == 0 && fetch(session) ? 0 : 1;
}
