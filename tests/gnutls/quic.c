/* quic SERVER [first=NAME] [first-server=SERVER] [sni=NAME] [identity=PREFIX]: a client and its server with SERVER.pem in one process, whose TLS is driven as QUIC
 * drives it: no records and no socket, messages and secrets pass through functions. It prints what the server was sent under the application's secret.
 * first: before that, another connection for that name (and server), whose session is offered. */

#include "gnutls.h"

struct end {
    gnutls_session_t session;
    struct end *peer;
    bool is_client, may_write, failed;
    /* What was written for the peer, and at which level. */
    size_t count;
    struct {
        gnutls_record_encryption_level_t level;
        size_t length;
        unsigned char data[8192];
    } messages[64];
};

static gnutls_datum_t ticket_key;

static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level, gnutls_handshake_description_t type, const void *data, size_t length)
{
    struct end *end = gnutls_session_get_ptr(session);

    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC)
        return 0;
    if (end->count == 64 || length > sizeof(end->messages[0].data))
        die("message");
    end->messages[end->count].level = level;
    end->messages[end->count].length = length;
    memcpy(end->messages[end->count++].data, data, length);
    return 0;
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level, const void *to_read, const void *to_write, size_t length)
{
    struct end *end = gnutls_session_get_ptr(session);

    (void)to_read;
    (void)length;
    if (end->is_client && to_write != NULL && level == GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
        end->may_write = true;
    if (end->is_client && to_write != NULL && level == GNUTLS_ENCRYPTION_LEVEL_EARLY)
        printf("the client has a secret for early data\n");
    return 0;
}

static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level, gnutls_alert_level_t severity, gnutls_alert_description_t alert)
{
    struct end *end = gnutls_session_get_ptr(session);

    (void)level;
    printf("alert of the %s: %s, %s\n", end->is_client ? "client" : "server", severity == GNUTLS_AL_FATAL ? "fatal" : "warning", gnutls_alert_get_name(alert));
    return 0;
}

static void deliver(struct end *from)
{
    for (size_t i = 0; i < from->count; i++) {
        if (gnutls_handshake_write(from->peer->session, from->messages[i].level, from->messages[i].data, from->messages[i].length) < 0)
            from->peer->failed = true;
    }
    from->count = 0;
}

static int step(struct end *end)
{
    int result = gnutls_handshake(end->session);

    if (result < 0 && gnutls_error_is_fatal(result))
        end->failed = true;
    return result;
}

static void prepare(struct end *end, struct end *peer, gnutls_session_t session, bool is_client)
{
    memset(end, 0, sizeof(*end));
    end->session = session;
    end->peer = peer;
    end->is_client = is_client;
    gnutls_session_set_ptr(session, end);
    gnutls_handshake_set_read_function(session, on_message);
    gnutls_handshake_set_secret_function(session, on_secret);
    gnutls_alert_set_read_function(session, on_alert);
    gnutls_handshake_set_timeout(session, 0);
}

/* Return true if the server got what the client would send. */
static bool connection(char **argv, const char *server_name, const char *name, gnutls_certificate_credentials_t own, gnutls_datum_t *resume)
{
    static struct end client_end;
    static struct end server_end;
    gnutls_certificate_credentials_t shown;
    gnutls_datum_t certificate = file(server_name, ".pem");
    gnutls_datum_t key = file(server_name, ".key");
    gnutls_session_t server;
    gnutls_session_t asking;
    int there = GNUTLS_E_AGAIN;
    int here = GNUTLS_E_AGAIN;

    must(gnutls_certificate_allocate_credentials(&shown), "credentials");
    must(gnutls_certificate_set_x509_key_mem(shown, &certificate, &key, GNUTLS_X509_FMT_PEM), server_name);
    must(gnutls_init(&server, GNUTLS_SERVER), "gnutls_init");
    must(gnutls_priority_set_direct(server, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), "priority");
    gnutls_credentials_set(server, GNUTLS_CRD_CERTIFICATE, shown);
    gnutls_certificate_server_set_request(server, GNUTLS_CERT_REQUEST);
    gnutls_session_ticket_enable_server(server, &ticket_key);
    asking = client(argv, own, -1, name[0] != '\0' ? name : NULL, 0);
    gnutls_priority_set_direct(asking, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    prepare(&server_end, &client_end, server, false);
    prepare(&client_end, &server_end, asking, true);
    if (resume->data != NULL)
        show("gnutls_session_set_data", gnutls_session_set_data(asking, resume->data, resume->size));
    for (int i = 0; i < 20 && (here != 0 || there != 0) && !client_end.failed && !server_end.failed; i++) {
        if (here != 0)
            here = step(&client_end);
        deliver(&client_end);
        if (there != 0)
            there = step(&server_end);
        deliver(&server_end);
    }
    show("gnutls_handshake", here);
    if (client_end.may_write)
        printf("the client has the application's secret\n");
    if (gnutls_certificate_get_peers(server, &(unsigned int) {0}) != NULL)
        printf("the server saw a certificate\n");
    if (here == 0) {
        printf("resumed: %d\n", gnutls_session_is_resumed(asking) != 0);
        gnutls_session_get_data2(asking, resume);
    }
    gnutls_deinit(asking);
    gnutls_deinit(server);
    return client_end.may_write || (here == 0 && there == 0);
}

int main(int argc, char **argv)
{
    gnutls_certificate_credentials_t own = credentials(argv);
    const char *first = option(argv, "first", NULL);
    gnutls_datum_t resume = {NULL, 0};
    const char *name = sni_of(argv);

    if (argc < 2)
        return 2;
    must(gnutls_session_ticket_key_generate(&ticket_key), "ticket");
    if (first != NULL && !connection(argv, option(argv, "first-server", argv[1]), first, own, &resume))
        return 2;
    if (first != NULL)
        printf("the second connection\n");
    if (!connection(argv, argv[1], name != NULL ? name : "", own, &resume))
        return 1;
    printf("the server received SECRET\n");
    return 0;
}
