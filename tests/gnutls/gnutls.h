/* What the programs of this directory share. Their options are words ("tls1.2") and "NAME=VALUE", as in tests/paths. A client verifies
 * nothing, but where $PATHS_TRUST names a file with the certificate of a CA. */
#ifndef PATHS_GNUTLS_H
#define PATHS_GNUTLS_H

#define PATHS_NO_SSL
#include "../paths/paths.h"
#include <gnutls/abstract.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <signal.h>

static inline int must(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, gnutls_strerror(result));
        exit(2);
    }
    return result;
}

static inline int show(const char *call, int result)
{
    printf("%s: %s\n", call, result < 0 ? gnutls_strerror_name(result) : "fine");
    return result;
}

static inline gnutls_datum_t file(const char *prefix, const char *suffix)
{
    char path[4096];
    gnutls_datum_t content;

    snprintf(path, sizeof(path), "%s%s", prefix, suffix);
    must(gnutls_load_file(path, &content), path);
    return content;
}

/* What is known beside certificates: identity=PREFIX is the client's own certificate. */
static inline gnutls_certificate_credentials_t credentials(char **argv)
{
    const char *trust = getenv("PATHS_TRUST");
    const char *own = option(argv, "identity", NULL);
    gnutls_certificate_credentials_t made;

    must(gnutls_certificate_allocate_credentials(&made), "credentials");
    if (trust != NULL && trust[0] != '\0')
        must(gnutls_certificate_set_x509_trust_file(made, trust, GNUTLS_X509_FMT_PEM), trust);
    if (own != NULL) {
        gnutls_datum_t certificate = file(own, ".pem");
        gnutls_datum_t key = file(own, ".key");

        must(gnutls_certificate_set_x509_key_mem(made, &certificate, &key, GNUTLS_X509_FMT_PEM), own);
    }
    return made;
}

static inline void set_priority(gnutls_session_t session, char **argv, const char *more)
{
    char text[1024];
    const char *versions = word(argv, "dtls") ? ":-VERS-ALL:+VERS-DTLS1.2" : word(argv, "tls1.2") ? ":-VERS-ALL:+VERS-TLS1.2"
        : word(argv, "tls1.3") ? ":-VERS-ALL:+VERS-TLS1.3" : "";
    const char *wrong;

    snprintf(text, sizeof(text), "NORMAL%s%s%s%s", versions, more, option(argv, "priority", "")[0] != '\0' ? ":" : "", option(argv, "priority", ""));
    must(gnutls_priority_set_direct(session, text, &wrong), text);
}

/* Have a session that both sides know in advance resumed, as openconnect does; without a certificate. */
static inline void set_known_secret(gnutls_session_t session, char **argv, unsigned int end)
{
    unsigned char bytes[48] = "a master secret that both of them have before";
    const gnutls_datum_t secret = {bytes, sizeof(bytes)};
    const gnutls_datum_t id = {bytes, 32};

    must(gnutls_session_set_premaster(session, end, word(argv, "dtls") ? GNUTLS_DTLS1_2 : GNUTLS_TLS1_2, GNUTLS_KX_RSA, GNUTLS_CIPHER_AES_128_GCM, GNUTLS_MAC_AEAD,
             GNUTLS_COMP_NULL, &secret, &id), "gnutls_session_set_premaster");
}

/* Give the client the key that the server of this directory knows. */
static inline gnutls_psk_client_credentials_t share_key(gnutls_session_t session)
{
    static const gnutls_datum_t key = {(unsigned char *)"07070707070707070707070707070707", 32};
    gnutls_psk_client_credentials_t shared;

    must(gnutls_psk_allocate_client_credentials(&shared), "credentials");
    must(gnutls_psk_set_client_credentials(shared, "user", &key, GNUTLS_PSK_KEY_HEX), "credentials");
    must(gnutls_credentials_set(session, GNUTLS_CRD_PSK, shared), "gnutls_credentials_set");
    return shared;
}

/* The name that a client sends: sni=NAME; empty: none. */
static inline const char *sni_of(char **argv)
{
    const char *sni = option(argv, "sni", PINNED);

    return sni[0] != '\0' ? sni : NULL;
}

/* A client's session, that verifies the peer's chain if it is to. */
static inline gnutls_session_t client(char **argv, gnutls_certificate_credentials_t own, int fd, const char *sni, unsigned int flags)
{
    const char *trust = getenv("PATHS_TRUST");
    gnutls_session_t session;

    must(gnutls_init(&session, GNUTLS_CLIENT | flags), "gnutls_init");
    set_priority(session, argv, "");
    if (own != NULL)
        must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own), "gnutls_credentials_set");
    if (sni != NULL)
        must(gnutls_server_name_set(session, GNUTLS_NAME_DNS, sni, strlen(sni)), "gnutls_server_name_set");
    if (trust != NULL && trust[0] != '\0')
        gnutls_session_set_verify_cert(session, option(argv, "verified", NULL), 0);
    if (fd >= 0)
        gnutls_transport_set_int(session, fd);
    gnutls_handshake_set_timeout(session, 5000);
    return session;
}

static inline int handshake(gnutls_session_t session)
{
    int result;

    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    return show("gnutls_handshake", result);
}

/* Print what comes. Return true if there was something. */
static inline bool receive(gnutls_session_t session)
{
    char answer[4096];
    bool any = false;
    ssize_t got;

    while ((got = gnutls_record_recv(session, answer, sizeof(answer))) > 0 || got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_AGAIN) {
        if (got <= 0)
            continue;
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    return any;
}

/* Send the request and print the answer. Return true if there was one. */
static inline bool fetch(gnutls_session_t session)
{
    return show("gnutls_record_send", (int)gnutls_record_send(session, REQUEST, strlen(REQUEST))) > 0 && receive(session);
}

#endif
