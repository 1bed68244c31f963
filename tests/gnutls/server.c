/* server PREFIX NAME [WORD...]: a GnuTLS server on 127.0.0.1 that shows PREFIX/NAME.pem and does all that a client may ask for. Its first line is
 * its port; after that, each line is an event of a connection: "handshake", "resumed", "identity NAME" (a client's certificate), "early TEXT" and
 * "data TEXT" (what it decrypted), "plain TEXT" (what came without TLS after the handshake had failed), "failed WHY", "end".
 * key=NAME: it has that one's key; nocert: it has no certificate; known: a session is known to both before; old: it knows SRP and RSA-PSK, and no TLS 1.3; raw: a raw public key; dtls; secret=N: of its tickets; again=NAME: after the handshake another one (TLS 1.2), with that
 * certificate; later: it asks for the client's certificate once more after the handshake (TLS 1.3); request=no: it asks for none before. */

#include "gnutls.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/time.h>

static char **words;
static const char *name;
static gnutls_certificate_credentials_t shown;
static gnutls_certificate_credentials_t shown_again;
static gnutls_psk_server_credentials_t shared;
static gnutls_anon_server_credentials_t nobody;
static gnutls_srp_server_credentials_t password;
static gnutls_anti_replay_t anti_replay;
static gnutls_datum_t ticket_key;

static void event(const char *what, const char *text, size_t length)
{
    char line[600];
    size_t at = (size_t)snprintf(line, sizeof(line), "%s%s", what, length > 0 ? " " : "");

    for (size_t i = 0; i < length && at < sizeof(line) - 2; i++)
        line[at++] = isprint((unsigned char)text[i]) ? text[i] : '.';
    line[at++] = '\n';
    if (write(1, line, at) < 0)
        exit(2);
}

static void failed(int result, gnutls_session_t session)
{
    const char *why = result == GNUTLS_E_FATAL_ALERT_RECEIVED ? gnutls_alert_get_name(gnutls_alert_get(session)) : gnutls_strerror_name(result);

    event("failed", why, strlen(why));
}

static int give_key(gnutls_session_t session, const char *user, gnutls_datum_t *key)
{
    (void)session;
    (void)user;
    key->data = gnutls_malloc(16);
    key->size = 16;
    memset(key->data, 7, 16);
    return 0;
}

static int copy(gnutls_datum_t *to, const gnutls_datum_t *from)
{
    to->data = gnutls_malloc(from->size);
    to->size = from->size;
    memcpy(to->data, from->data, from->size);
    return 0;
}

static int give_verifier(gnutls_session_t session, const char *user, gnutls_datum_t *salt, gnutls_datum_t *verifier, gnutls_datum_t *generator,
    gnutls_datum_t *prime)
{
    static unsigned char grains[] = "salt";
    gnutls_datum_t own = {grains, 4};

    (void)session;
    copy(salt, &own);
    copy(generator, &gnutls_srp_2048_group_generator);
    copy(prime, &gnutls_srp_2048_group_prime);
    return gnutls_srp_verifier(user, "secret", salt, generator, prime, verifier);
}

/* Every early data is fresh. */
static int note_early(void *store, time_t until, const gnutls_datum_t *key, const gnutls_datum_t *data)
{
    (void)store;
    (void)until;
    (void)key;
    (void)data;
    return 0;
}

static void note_identity(gnutls_session_t session)
{
    unsigned int count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certificate;
    char subject[200] = "unreadable";
    size_t size = sizeof(subject);

    if (list == NULL || count == 0)
        return;
    if (gnutls_x509_crt_init(&certificate) == 0 && gnutls_x509_crt_import(certificate, &list[0], GNUTLS_X509_FMT_DER) == 0)
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, subject, &size);
    event("identity", subject, strlen(subject));
}

static void note_early_data(gnutls_session_t session)
{
    char early[500];
    ssize_t got = gnutls_record_recv_early_data(session, early, sizeof(early));

    if (got > 0)
        event("early", early, (size_t)got);
}

static int finish(gnutls_session_t session)
{
    int result;

    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    note_early_data(session);
    if (result < 0) {
        note_identity(session);
        failed(result, session);
        gnutls_alert_send_appropriate(session, result);
        return result;
    }
    event("handshake", "", 0);
    if (gnutls_session_is_resumed(session))
        event("resumed", "", 0);
    note_identity(session);
    return 0;
}

/* What comes after a failure, without TLS. */
static void note_plain(int fd)
{
    char text[500];
    ssize_t got;

    while ((got = recv(fd, text, sizeof(text), 0)) > 0) {
        /* Records that were under way. */
        if (text[0] < 20 || text[0] > 23 || text[1] != 3)
            event("plain", text, (size_t)got);
    }
}

static void serve(gnutls_session_t session, int fd)
{
    const char *again = option(words, "again", NULL);
    char text[4096];
    char answer[200];
    bool told = false;
    ssize_t got;
    int result = finish(session);

    if (result < 0) {
        if (word(words, "dtls"))
            return;
        shutdown(fd, SHUT_WR);
        note_plain(fd);
        return;
    }
    if (again != NULL) {
        must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, shown_again), "credentials");
        show("gnutls_rehandshake", gnutls_rehandshake(session));
    }
    if (word(words, "later")) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
        do
            result = gnutls_reauth(session, 0);
        while (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED);
        if (result < 0)
            failed(result, session);
        else
            note_identity(session);
    }
    for (;;) {
        time_t before = time(NULL);

        got = gnutls_record_recv(session, text, sizeof(text));
        /* Where no time has passed there was a record without data. */
        if (got == GNUTLS_E_AGAIN && time(NULL) - before < 4)
            continue;
        if (got == GNUTLS_E_REHANDSHAKE) {
            if (finish(session) < 0)
                return;
            continue;
        }
        if (got == GNUTLS_E_INTERRUPTED || got == GNUTLS_E_WARNING_ALERT_RECEIVED)
            continue;
        if (got <= 0)
            break;
        event("data", text, (size_t)got);
        /* A request. */
        if (!told && memmem(text, (size_t)got, "\r\n\r\n", 4) != NULL) {
            snprintf(answer, sizeof(answer), "hello from %s\n", name);
            gnutls_record_send(session, answer, strlen(answer));
            gnutls_bye(session, GNUTLS_SHUT_WR);
            told = true;
        }
    }
    if (got < 0 && got != GNUTLS_E_PREMATURE_TERMINATION)
        failed((int)got, session);
}

static void *connection(void *argument)
{
    int fd = (int)(long)argument;
    bool datagrams = word(words, "dtls");
    struct timeval patience = {5, 0};
    gnutls_session_t session;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    must(gnutls_init(&session, GNUTLS_SERVER | (datagrams ? GNUTLS_DATAGRAM : 0) | GNUTLS_POST_HANDSHAKE_AUTH | GNUTLS_ENABLE_EARLY_DATA | GNUTLS_ENABLE_RAWPK
                                  | GNUTLS_ALLOW_ID_CHANGE), "gnutls_init");
    /* With SRP or RSA-PSK there is no TLS 1.3. */
    set_priority(session, words, word(words, "raw") ? ":-CTYPE-SRV-ALL:+CTYPE-SRV-RAWPK" : word(words, "dtls") ? "" :
        word(words, "old") ? password != NULL ? ":+SRP:+RSA-PSK:+SRP-RSA" : ":+RSA-PSK" : ":+DHE-PSK:+ECDHE-PSK:+PSK:+ANON-ECDH:+ANON-DH");
    if (!word(words, "nocert"))
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, shown);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, shared);
    gnutls_credentials_set(session, GNUTLS_CRD_ANON, nobody);
    if (password != NULL)
        gnutls_credentials_set(session, GNUTLS_CRD_SRP, password);
    if (strcmp(option(words, "request", ""), "no") != 0)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    if (word(words, "known"))
        set_known_secret(session, words, GNUTLS_SERVER);
    else
        gnutls_session_ticket_enable_server(session, &ticket_key);
    gnutls_anti_replay_enable(session, anti_replay);
    gnutls_record_set_max_early_data_size(session, 4096);
    gnutls_transport_set_int(session, fd);
    if (datagrams)
        gnutls_dtls_set_mtu(session, 1400);
    gnutls_handshake_set_timeout(session, 5000);
    serve(session, fd);
    gnutls_deinit(session);
    close(fd);
    if (!datagrams)
        event("end", "", 0);
    return NULL;
}

static gnutls_certificate_credentials_t certificate_of(const char *prefix, const char *of)
{
    gnutls_certificate_credentials_t made;
    char certificate[4096];
    char key[4096];
    char ca[4096];

    must(gnutls_certificate_allocate_credentials(&made), "credentials");
    snprintf(certificate, sizeof(certificate), "%s/%s.pem", prefix, of);
    snprintf(key, sizeof(key), "%s/%s.key", prefix, option(words, "key", of));
    gnutls_certificate_set_flags(made, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    snprintf(ca, sizeof(ca), "%s/ca.pem", prefix);
    if (word(words, "raw"))
        must(gnutls_certificate_set_rawpk_key_file(made, option(words, "raw-key", ""), key, GNUTLS_X509_FMT_PEM, NULL, 0, NULL, 0, 0, 0), key);
    else
        must(gnutls_certificate_set_x509_key_file(made, certificate, key, GNUTLS_X509_FMT_PEM), certificate);
    must(gnutls_certificate_set_x509_trust_file(made, ca, GNUTLS_X509_FMT_PEM), ca);
    gnutls_certificate_set_known_dh_params(made, GNUTLS_SEC_PARAM_MEDIUM);
    return made;
}

static void answer_datagrams(int fd)
{
    struct sockaddr_in peer;
    struct sockaddr nobody_more = {.sa_family = AF_UNSPEC};
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char first[1];
    int trouble;

    for (;;) {
        socklen_t length = sizeof(peer);

        if (poll(&readable, 1, -1) < 0 || recvfrom(fd, first, 1, MSG_PEEK, (struct sockaddr *)&peer, &length) < 0)
            continue;
        /* What comes late from the one before. */
        if (first[0] != 22) {
            recv(fd, first, 1, 0);
            continue;
        }
        if (connect(fd, (struct sockaddr *)&peer, length) != 0)
            die("connect");
        connection((void *)(long)dup(fd));
        connect(fd, &nobody_more, sizeof(nobody_more));
        /* What the last peer's host has said of it. */
        length = sizeof(trouble);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &length);
        while (recv(fd, first, 1, MSG_DONTWAIT) >= 0) { }
        event("end", "", 0);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(own);
    char port[20];
    pthread_t thread;
    int fd;

    if (argc < 3)
        return 2;
    words = argv;
    name = argv[2];
    signal(SIGPIPE, SIG_IGN);
    shown = certificate_of(argv[1], name);
    if (option(argv, "again", NULL) != NULL)
        shown_again = certificate_of(argv[1], option(argv, "again", NULL));
    must(gnutls_psk_allocate_server_credentials(&shared), "credentials");
    gnutls_psk_set_server_credentials_function(shared, give_key);
    must(gnutls_anon_allocate_server_credentials(&nobody), "credentials");
    gnutls_anon_set_server_known_dh_params(nobody, GNUTLS_SEC_PARAM_MEDIUM);
    /* Some are built without SRP. */
    if (gnutls_srp_allocate_server_credentials(&password) == 0)
        gnutls_srp_set_server_credentials_function(password, give_verifier);
    must(gnutls_session_ticket_key_generate(&ticket_key), "ticket");
    /* Servers with the same secret take each other's tickets. */
    memset(ticket_key.data, atoi(option(argv, "secret", "5")), ticket_key.size);
    must(gnutls_anti_replay_init(&anti_replay), "anti-replay");
    gnutls_anti_replay_set_add_function(anti_replay, note_early);
    fd = socket(AF_INET, word(argv, "dtls") ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0 || getsockname(fd, (struct sockaddr *)&own, &length) != 0)
        die("bind");
    if (word(argv, "dtls")) {
        /* A port that the kernel has chosen is given back when the socket is disconnected. */
        close(fd);
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0)
            die("bind");
    }
    if (!word(argv, "dtls") && listen(fd, 50) != 0)
        die("listen");
    snprintf(port, sizeof(port), "%d", ntohs(own.sin_port));
    event(port, "", 0);
    if (word(argv, "dtls"))
        answer_datagrams(fd);
    for (;;) {
        int accepted = accept(fd, NULL, NULL);

        if (accepted >= 0 && pthread_create(&thread, NULL, connection, (void *)(long)accepted) == 0)
            pthread_detach(thread);
    }
}
