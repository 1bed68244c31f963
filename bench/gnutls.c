/* gnutls CERTIFICATE KEY tls1.2|tls1.3 full|resumed COUNT: a GnuTLS client and server in one thread, over two buffers in memory.
 * Prints the nanoseconds of one handshake (full, or with the session of the first). */

#include "clock.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#define NAME "www.pinned.example"

/* What one side has sent and the other has not read yet. */
struct buffer {
    char data[65536];
    size_t length;
};

struct side {
    gnutls_session_t session;
    struct buffer *in;
    struct buffer *out;
};

static struct buffer to_server;
static struct buffer to_client;
static struct side client = {NULL, &to_client, &to_server};
static struct side server = {NULL, &to_server, &to_client};
static gnutls_certificate_credentials_t trusting;
static gnutls_certificate_credentials_t serving;
static gnutls_datum_t ticket_key;
static char priorities[64];

static void must(int result, const char *what)
{
    if (result < 0)
        die(what);
}

static ssize_t push(gnutls_transport_ptr_t side, const void *data, size_t length)
{
    struct buffer *out = ((struct side *)side)->out;

    if (length > sizeof(out->data) - out->length)
        die("a buffer is full");
    memcpy(out->data + out->length, data, length);
    out->length += length;
    return (ssize_t)length;
}

static ssize_t pull(gnutls_transport_ptr_t side, void *data, size_t size)
{
    struct buffer *in = ((struct side *)side)->in;
    size_t length = size < in->length ? size : in->length;

    if (length == 0) {
        gnutls_transport_set_errno(((struct side *)side)->session, EAGAIN);
        return -1;
    }
    memcpy(data, in->data, length);
    in->length -= length;
    memmove(in->data, in->data + length, in->length);
    return (ssize_t)length;
}

static void begin(struct side *side, unsigned int flags, gnutls_certificate_credentials_t credentials)
{
    must(gnutls_init(&side->session, flags | GNUTLS_NONBLOCK), "gnutls_init");
    must(gnutls_priority_set_direct(side->session, priorities, NULL), "the version");
    must(gnutls_credentials_set(side->session, GNUTLS_CRD_CERTIFICATE, credentials), "gnutls_credentials_set");
    gnutls_transport_set_ptr(side->session, side);
    gnutls_transport_set_push_function(side->session, push);
    gnutls_transport_set_pull_function(side->session, pull);
    side->in->length = 0;
}

/* Do a handshake; resume `data` if it is not NULL. The client verifies nothing, so that the shim's share is as large as possible. */
static void shake(const gnutls_datum_t *data)
{
    int client_result = GNUTLS_E_AGAIN;
    int server_result = GNUTLS_E_AGAIN;

    begin(&client, GNUTLS_CLIENT, trusting);
    begin(&server, GNUTLS_SERVER, serving);
    must(gnutls_server_name_set(client.session, GNUTLS_NAME_DNS, NAME, strlen(NAME)), "gnutls_server_name_set");
    must(gnutls_session_ticket_enable_server(server.session, &ticket_key), "gnutls_session_ticket_enable_server");
    if (data != NULL)
        must(gnutls_session_set_data(client.session, data->data, data->size), "gnutls_session_set_data");
    while (client_result != 0 || server_result != 0) {
        if (client_result != 0)
            client_result = gnutls_handshake(client.session);
        if (server_result != 0)
            server_result = gnutls_handshake(server.session);
        if ((client_result != 0 && client_result != GNUTLS_E_AGAIN) || (server_result != 0 && server_result != GNUTLS_E_AGAIN))
            die("the handshake");
    }
    if ((gnutls_session_is_resumed(client.session) != 0) != (data != NULL))
        die("resumption");
}

static void part(void)
{
    gnutls_bye(client.session, GNUTLS_SHUT_WR);
    gnutls_deinit(client.session);
    gnutls_deinit(server.session);
}

static void handshakes(const gnutls_datum_t *data, long count)
{
    for (long i = 0; i < count; i++) {
        shake(data);
        part();
    }
}

/* callgrind counts only what is done in here (bench/run, "counted"). */
__attribute__((noinline)) static void measured(const gnutls_datum_t *data, long count)
{
    handshakes(data, count);
    __asm__ volatile("");
}

int main(int argc, char **argv)
{
    long count = argc == 6 ? atol(argv[5]) : 0;
    gnutls_datum_t data;
    bool resumes;
    double start;
    char byte;

    if (count < 1)
        die("reading the arguments");
    resumes = strcmp(argv[4], "resumed") == 0;
    snprintf(priorities, sizeof(priorities), "NORMAL:-VERS-ALL:+VERS-TLS%s", strcmp(argv[3], "tls1.2") == 0 ? "1.2" : "1.3");
    must(gnutls_certificate_allocate_credentials(&trusting), "the credentials");
    must(gnutls_certificate_allocate_credentials(&serving), "the credentials");
    must(gnutls_certificate_set_x509_key_file(serving, argv[1], argv[2], GNUTLS_X509_FMT_PEM), "the certificate");
    must(gnutls_session_ticket_key_generate(&ticket_key), "the tickets' key");
    shake(NULL);
    (void)gnutls_record_recv(client.session, &byte, 1); /* the tickets */
    must(gnutls_session_get_data2(client.session, &data), "gnutls_session_get_data2");
    part();
    handshakes(resumes ? &data : NULL, 1); /* symbols and the like are looked up once */
    start = now();
    measured(resumes ? &data : NULL, count);
    printf("%.1f\n", (now() - start) / (double)count);
    return 0;
}
