/* s_client -connect HOST:PORT [-servername NAME] [-noservername] [-tls1_2] [-tls1_3] [-CAfile FILE] [-brief]: for tests that are run with OpenSSL's and with GnuTLS: says
 * CONNECTION ESTABLISHED where the one does. It gives the name of HOST, unless that is an address; and verifies where there is a FILE. */

#include "gnutls.h"

static const char *value(char **argv, const char *name)
{
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, name) == 0)
            return argv[1];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *target = value(argv, "-connect");
    const char *name = value(argv, "-servername");
    const char *trust = value(argv, "-CAfile");
    gnutls_certificate_credentials_t own;
    gnutls_session_t session;
    char host[300];
    int result;
    int fd;

    if (argc < 3 || target == NULL || strrchr(target, ':') == NULL)
        return 2;
    snprintf(host, sizeof(host), "%.*s", (int)(strrchr(target, ':') - target), target);
    if (name == NULL && strspn(host, "0123456789.") != strlen(host))
        name = host;
    if (word(argv, "-noservername"))
        name = NULL;
    must(gnutls_certificate_allocate_credentials(&own), "credentials");
    if (trust != NULL)
        must(gnutls_certificate_set_x509_trust_file(own, trust, GNUTLS_X509_FMT_PEM), trust);
    fd = open_socket(host, strrchr(target, ':') + 1, SOCK_STREAM);
    must(gnutls_init(&session, GNUTLS_CLIENT), "gnutls_init");
    must(gnutls_priority_set_direct(session, word(argv, "-tls1_2") ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : word(argv, "-tls1_3") ? "NORMAL:-VERS-ALL:+VERS-TLS1.3" : "NORMAL", NULL), "priority");
    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own), "gnutls_credentials_set");
    if (name != NULL)
        must(gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name)), name);
    if (trust != NULL)
        gnutls_session_set_verify_cert(session, NULL, 0);
    gnutls_transport_set_int(session, fd);
    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    if (result < 0) {
        fprintf(stderr, "%s\n", gnutls_strerror_name(result));
        return 1;
    }
    fprintf(stderr, "CONNECTION ESTABLISHED\n");
    gnutls_bye(session, GNUTLS_SHUT_WR);
    return 0;
}
