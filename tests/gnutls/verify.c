/* verify HOST PORT HOW [nothing] [after] [interrupted] [hook=MESSAGE] [sni=NAME]: a client whose verification accepts everything.
 * HOW: credentials, session, both: functions of these; swap: the one sets itself off and another on; null: set and taken back; cert, cert2: the library's
 * own verification, and its result ignored (size=N: the name's); status: it verifies after the handshake, and ignores that. after: what is set, is set after
 * gnutls_credentials_set; nothing: in the middle of the handshake (when the first message comes in, or MESSAGE) the function is set, or taken off.
 * interrupted: the function asks to be called again. replaced: in the middle, other credentials take the place of the first. cleared: the credentials are taken off and set again first. */

#include "gnutls.h"

static gnutls_certificate_credentials_t own;
static int calls;
static bool interrupted;
static char **words;

static int accept_all(gnutls_session_t session)
{
    (void)session;
    return ++calls == 1 && interrupted ? GNUTLS_E_INTERRUPTED : 0;
}

static int swap(gnutls_session_t session)
{
    gnutls_session_set_verify_function(session, accept_all);
    gnutls_certificate_set_verify_function(own, accept_all);
    calls++;
    return 0;
}

static void set(gnutls_session_t session, const char *how)
{
    /* They are kept, not copied. */
    static gnutls_typed_vdata_st data[2] = {{GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)PINNED, 0}, {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER, 0}};

    if (strcmp(how, "credentials") == 0 || strcmp(how, "both") == 0)
        gnutls_certificate_set_verify_function(own, accept_all);
    if (strcmp(how, "session") == 0 || strcmp(how, "both") == 0)
        gnutls_session_set_verify_function(session, accept_all);
    if (strcmp(how, "swap") == 0)
        gnutls_session_set_verify_function(session, swap);
    if (strcmp(how, "null") == 0) {
        gnutls_session_set_verify_function(session, accept_all);
        gnutls_session_set_verify_function(session, NULL);
        gnutls_certificate_set_verify_function(own, accept_all);
        gnutls_certificate_set_verify_function(own, NULL);
    }
    if (strcmp(how, "cert") == 0)
        gnutls_session_set_verify_cert(session, PINNED, 0);
    data[0].size = (unsigned)atoi(option(words, "size", "0"));
    if (strcmp(how, "cert2") == 0)
        gnutls_session_set_verify_cert2(session, data, 2, 0);
}

/* Have credentials without a function take the place of the others, or the others again. */
static void replace(gnutls_session_t session)
{
    static gnutls_certificate_credentials_t other;

    if (other == NULL)
        gnutls_certificate_allocate_credentials(&other);
    gnutls_certificate_set_verify_function(other, accept_all);
    gnutls_credentials_clear(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, other);
}

static int hook(gnutls_session_t session, unsigned int type, unsigned int when, unsigned int incoming, const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)incoming;
    (void)message;
    if (word(words, "replaced")) {
        replace(session);
        return 0;
    }
    gnutls_session_set_verify_function(session, word(words, "off") ? NULL : accept_all);
    gnutls_certificate_set_verify_function(own, word(words, "off") ? NULL : accept_all);
    return 0;
}

int main(int argc, char **argv)
{
    gnutls_session_t session;
    unsigned int status = 0;

    if (argc < 4)
        return 2;
    words = argv;
    interrupted = word(argv, "interrupted");
    own = credentials(argv);
    if (!word(argv, "after") && strncmp(argv[3], "cert", 4) != 0 && strcmp(argv[3], "credentials") == 0)
        set(NULL, argv[3]);
    session = client(argv, own, open_socket(argv[1], argv[2], SOCK_STREAM), sni_of(argv), 0);
    if (word(argv, "cleared")) {
        gnutls_credentials_clear(session);
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own);
    }
    if (word(argv, "after") || strcmp(argv[3], "credentials") != 0)
        set(session, argv[3]);
    if (option(argv, "hook", NULL) != NULL)
        gnutls_handshake_set_hook_function(session, (unsigned int)atoi(option(argv, "hook", "")), word(argv, "early") ? GNUTLS_HOOK_PRE : GNUTLS_HOOK_BOTH, hook);
    if (handshake(session) < 0)
        return 1;
    if (strcmp(argv[3], "status") == 0)
        gnutls_certificate_verify_peers3(session, PINNED, &status);
    printf("called: %d\n", calls);
    return fetch(session) ? 0 : 1;
}
