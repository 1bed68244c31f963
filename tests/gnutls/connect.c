/* connect HOST PORT [sni=NAME] [late-name] [ptr|ptr2|int2|push|vec|memory|thread|pair|loop] [nonblocking] [dtls] [psk] [anonymous] [srp] [known] [nocert]
 * [rawkey] [priority=TEXT] [send2|cork|range|pieces|file|with-handshake] [identity=PREFIX] [resolved=NAME]: a plain client. The first words say how
 * bytes reach the socket: by the library itself, by functions of the program's own, from a buffer that the program, or another thread of it, sends later,
 * between two calls of gnutls_handshake (loop), or through a pair of sockets and a thread. proxy=HOST:PORT: it asks a proxy for that first. pieces=N: the program's push function
 * sends so many bytes at a time; unconnected: it sends to an address. smuggled=PORT: the push function sends
 * another ClientHello, made by hand, to that port. renamed: it gives another name once
 * the server has answered. twice: it calls gnutls_handshake again when that is over. taken: the program has an
 * extension of the shim's number. Then: what it can do without a certificate of the server, and how it sends. */

#include "gnutls.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>

/* What the program's own functions stand before. */
struct transport {
    int fd;
    size_t at_most;
    struct sockaddr_storage peer;
    socklen_t peer_length;
    bool held, by_thread, looping;
    size_t length;
    char buffer[65536];
};

/* The port of 127.0.0.1 to which the push function sends a ClientHello of the program's own making. */
static const char *smuggled;

static void smuggle(void)
{
    unsigned char hello[] = "\x16\3\1\0\x4b\1\0\0\x47\3\3................................\0\0\2\x13\1\1\0\0\x1c"
        "\0\0\0\x18\0\x16\0\0\x13www.pinned.example.";
    int fd = open_socket("127.0.0.1", smuggled, SOCK_STREAM);
    ssize_t sent;

    smuggled = NULL;
    sent = send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL);
    printf("smuggled: %s\n", sent == (ssize_t)sizeof(hello) - 1 ? "all" : "nothing");
    close(fd);
}

static ssize_t push(gnutls_transport_ptr_t given, const void *data, size_t length)
{
    struct transport *to = given;
    const char *at = data;
    size_t done = 0;

    if (smuggled != NULL)
        smuggle();
    if (to->peer_length != 0)
        return sendto(to->fd, data, length, MSG_NOSIGNAL, (struct sockaddr *)&to->peer, to->peer_length);
    if (to->at_most == 0)
        return send(to->fd, data, length, MSG_NOSIGNAL);
    for (ssize_t sent; done < length; done += (size_t)sent) {
        if ((sent = send(to->fd, at + done, length - done < to->at_most ? length - done : to->at_most, MSG_NOSIGNAL)) <= 0)
            return sent;
    }
    return (ssize_t)length;
}

static ssize_t push_pieces(gnutls_transport_ptr_t given, const giovec_t *pieces, int count)
{
    return writev(((struct transport *)given)->fd, (const struct iovec *)pieces, count);
}

static ssize_t keep(gnutls_transport_ptr_t given, const void *data, size_t length)
{
    struct transport *transport = given;

    if (transport->length + length > sizeof(transport->buffer))
        die("buffer");
    memcpy(transport->buffer + transport->length, data, length);
    transport->length += length;
    return (ssize_t)length;
}

static void *write_out(void *given)
{
    struct transport *transport = given;
    size_t done = 0;

    while (done < transport->length) {
        ssize_t sent = send(transport->fd, transport->buffer + done, transport->length - done, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        done += (size_t)sent;
    }
    transport->length = 0;
    return NULL;
}

static void flush(struct transport *transport)
{
    pthread_t thread;

    if (transport->length == 0)
        return;
    if (!transport->by_thread)
        write_out(transport);
    else if (pthread_create(&thread, NULL, write_out, transport) == 0)
        pthread_join(thread, NULL);
}

static ssize_t pull(gnutls_transport_ptr_t given, void *data, size_t length)
{
    struct transport *transport = given;

    /* What is in the buffer has to leave before an answer comes. */
    if (transport->held && !transport->looping)
        flush(transport);
    return recv(transport->fd, data, length, transport->looping ? MSG_DONTWAIT : 0);
}

static int pull_timeout(gnutls_transport_ptr_t given, unsigned int milliseconds)
{
    struct transport *transport = given;
    struct pollfd readable = {.fd = transport->fd, .events = POLLIN};

    if (transport->held && !transport->looping)
        flush(transport);
    return poll(&readable, 1, transport->looping ? 0 : (int)milliseconds);
}

static struct transport transport;

/* As an event loop does: what was to be sent leaves when the library has returned. */
static int handshake_by_loop(gnutls_session_t session)
{
    struct pollfd readable = {.fd = transport.fd, .events = POLLIN};
    int result;

    gnutls_handshake_set_timeout(session, 0);
    do {
        result = gnutls_handshake(session);
        flush(&transport);
        if (result == GNUTLS_E_AGAIN)
            poll(&readable, 1, 100);
    } while (result < 0 && !gnutls_error_is_fatal(result));
    return show("gnutls_handshake", result);
}

static void ask_proxy(int fd, const char *target)
{
    char text[600];
    size_t at = 0;

    dprintf(fd, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target);
    while (at < sizeof(text) - 1 && read(fd, text + at, 1) == 1) {
        text[++at] = '\0';
        if (at >= 4 && strcmp(text + at - 4, "\r\n\r\n") == 0)
            return;
    }
    die("proxy");
}

static int take(gnutls_session_t session, const unsigned char *data, size_t length)
{
    (void)session;
    (void)data;
    (void)length;
    return 0;
}

static int give(gnutls_session_t session, gnutls_buffer_t to)
{
    (void)session;
    (void)to;
    return 0;
}

struct pair {
    int from, to;
};

static void *carry(void *given)
{
    struct pair *pair = given;
    char data[16384];
    ssize_t got;

    while ((got = read(pair->from, data, sizeof(data))) > 0) {
        if (send(pair->to, data, (size_t)got, MSG_NOSIGNAL) != got)
            break;
    }
    shutdown(pair->to, SHUT_WR);
    return NULL;
}

/* A socket whose other end threads join to FD. */
static int paired(int fd)
{
    static struct pair there;
    static struct pair back;
    pthread_t thread;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        die("socketpair");
    there = (struct pair) {ends[1], fd};
    back = (struct pair) {fd, ends[1]};
    if (pthread_create(&thread, NULL, carry, &there) != 0 || pthread_create(&thread, NULL, carry, &back) != 0)
        die("pthread_create");
    return ends[0];
}

static void set_transport(gnutls_session_t session, char **argv, int fd)
{
    transport.fd = fd;
    transport.at_most = (size_t)atoi(option(argv, "pieces", "0"));
    if (word(argv, "unconnected")) {
        const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

        transport.peer_length = sizeof(transport.peer);
        if (getpeername(fd, (struct sockaddr *)&transport.peer, &transport.peer_length) != 0 || connect(fd, &nowhere, sizeof(nowhere)) != 0)
            die("unconnected");
    }
    transport.by_thread = word(argv, "thread");
    transport.looping = word(argv, "loop");
    transport.held = word(argv, "memory") || transport.by_thread || transport.looping;
    if (word(argv, "ptr")) {
        gnutls_transport_set_ptr(session, (gnutls_transport_ptr_t)(long)fd);
    } else if (word(argv, "ptr2")) {
        gnutls_transport_set_ptr2(session, (gnutls_transport_ptr_t)(long)fd, (gnutls_transport_ptr_t)(long)dup(fd));
    } else if (word(argv, "int2")) {
        gnutls_transport_set_int2(session, fd, dup(fd));
    } else if (word(argv, "pair")) {
        fd = paired(fd);
        gnutls_transport_set_int(session, fd);
    } else if (word(argv, "push") || word(argv, "vec") || transport.held) {
        gnutls_transport_set_ptr(session, &transport);
        if (word(argv, "vec"))
            gnutls_transport_set_vec_push_function(session, push_pieces);
        else
            gnutls_transport_set_push_function(session, transport.held ? keep : push);
        gnutls_transport_set_pull_function(session, pull);
        gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    } else {
        gnutls_transport_set_int(session, fd);
    }
}

static void set_secrets(gnutls_session_t session, char **argv)
{
    const gnutls_datum_t key = {(unsigned char *)"07070707070707070707070707070707", 32};
    gnutls_psk_client_credentials_t shared;
    gnutls_anon_client_credentials_t nobody;
    gnutls_srp_client_credentials_t password;

    if (word(argv, "psk")) {
        must(gnutls_psk_allocate_client_credentials(&shared), "credentials");
        must(gnutls_psk_set_client_credentials(shared, "user", &key, GNUTLS_PSK_KEY_HEX), "credentials");
        gnutls_credentials_set(session, GNUTLS_CRD_PSK, shared);
    }
    if (word(argv, "anonymous")) {
        must(gnutls_anon_allocate_client_credentials(&nobody), "credentials");
        gnutls_credentials_set(session, GNUTLS_CRD_ANON, nobody);
    }
    if (word(argv, "srp")) {
        must(gnutls_srp_allocate_client_credentials(&password), "credentials");
        must(gnutls_srp_set_client_credentials(password, "user", "secret"), "credentials");
        gnutls_credentials_set(session, GNUTLS_CRD_SRP, password);
    }
}

static ssize_t ask(gnutls_session_t session, char **argv)
{
    const gnutls_range_st range = {strlen(REQUEST), strlen(REQUEST) + 200};
    char name[] = "/tmp/pinshim-request-XXXXXX";
    off_t start = 0;
    ssize_t sent;
    int fd;

    if (word(argv, "send2"))
        return gnutls_record_send2(session, REQUEST, strlen(REQUEST), word(argv, "tls1.3") ? 50 : 0, 0);
    if (word(argv, "range"))
        return gnutls_record_send_range(session, REQUEST, strlen(REQUEST), &range);
    if (word(argv, "pieces")) {
        sent = gnutls_record_send(session, REQUEST, strlen("GET /secret"));
        return sent < 0 ? sent : gnutls_record_send(session, REQUEST + sent, strlen(REQUEST + sent));
    }
    if (word(argv, "cork")) {
        gnutls_record_cork(session);
        sent = gnutls_record_send(session, REQUEST, strlen(REQUEST));
        return sent < 0 ? sent : gnutls_record_uncork(session, GNUTLS_RECORD_WAIT);
    }
#if GNUTLS_VERSION_NUMBER >= 0x030703
    if (word(argv, "file")) {
        if ((fd = mkstemp(name)) < 0 || unlink(name) != 0 || write(fd, REQUEST, strlen(REQUEST)) != (ssize_t)strlen(REQUEST) || lseek(fd, 0, SEEK_SET) != 0)
            die(name);
        return gnutls_record_send_file(session, fd, &start, strlen(REQUEST));
    }
#else
    (void)name, (void)start, (void)fd;
#endif
    return gnutls_record_send(session, REQUEST, strlen(REQUEST));
}

/* Too late for the ClientHello. */
static int rename_it(gnutls_session_t session, unsigned int type, unsigned int when, unsigned int incoming, const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)message;
    if (incoming)
        gnutls_server_name_set(session, GNUTLS_NAME_DNS, "other.example", strlen("other.example"));
    return 0;
}

int main(int argc, char **argv)
{
    gnutls_certificate_credentials_t own = credentials(argv);
    unsigned int flags = 0;
    gnutls_session_t session;
    int result;
    int fd;

    if (argc < 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    smuggled = option(argv, "smuggled", NULL);
    if (word(argv, "release"))
        printf("release: %s\n", gnutls_check_version(NULL));
    if (word(argv, "file") && gnutls_check_version("3.7.3") == NULL)
        return 77;
    /* Debian's of 3.8 is built without. */
    if (word(argv, "srp") && gnutls_kx_get_id("SRP") == GNUTLS_KX_UNKNOWN)
        return 77;
    if (word(argv, "dtls"))
        flags |= GNUTLS_DATAGRAM;
    if (word(argv, "nonblocking") || word(argv, "loop"))
        flags |= GNUTLS_NONBLOCK;
    if (word(argv, "rawkey"))
        flags |= GNUTLS_ENABLE_RAWPK;
    if (word(argv, "false-start"))
        flags |= GNUTLS_ENABLE_FALSE_START;
    fd = open_socket(option(argv, "resolved", argv[1]), argv[2], word(argv, "dtls") ? SOCK_DGRAM : SOCK_STREAM);
    if (option(argv, "proxy", NULL) != NULL)
        ask_proxy(fd, option(argv, "proxy", ""));
    if (word(argv, "taken"))
        must(gnutls_ext_register("taken", 65317, GNUTLS_EXT_TLS, take, give, NULL, NULL, NULL), "extension");
    session = client(argv, word(argv, "nocert") ? NULL : own, -1, word(argv, "late-name") ? NULL : sni_of(argv), flags);
    set_priority(session, argv, word(argv, "rawkey") ? ":-CTYPE-SRV-ALL:+CTYPE-SRV-RAWPK" : "");
    set_secrets(session, argv);
    if (word(argv, "dtls"))
        gnutls_dtls_set_mtu(session, 1400);
    if (word(argv, "nonblocking"))
        fcntl(fd, F_SETFL, O_NONBLOCK);
    set_transport(session, argv, fd);
    if (word(argv, "known"))
        set_known_secret(session, argv, GNUTLS_CLIENT);
    if (word(argv, "late-name"))
        gnutls_server_name_set(session, GNUTLS_NAME_DNS, PINNED, strlen(PINNED));
    if (word(argv, "renamed"))
        gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_SERVER_HELLO, GNUTLS_HOOK_POST, rename_it);
    if ((word(argv, "loop") ? handshake_by_loop(session) : handshake(session)) < 0)
        return 1;
    if (word(argv, "twice") && (handshake(session) < 0 || handshake(session) < 0))
        return 1;
    do
        result = (int)ask(session, argv);
    while (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED);
    flush(&transport);
    if (show("asked", result) < 0)
        return 1;
    if (word(argv, "dtls")) {
        /* Nothing tells the end of datagrams. */
        char answer[200];
        ssize_t got;

        gnutls_record_set_timeout(session, 2000);
        for (int i = 0; i < 200 && (got = gnutls_record_recv(session, answer, sizeof(answer))) == GNUTLS_E_AGAIN; i++)
            usleep(10000);
        if (got > 0)
            fwrite(answer, 1, (size_t)got, stdout);
        gnutls_bye(session, GNUTLS_SHUT_WR);
        return got > 0 ? 0 : 1;
    }
    if (!receive(session))
        return 1;
    gnutls_bye(session, GNUTLS_SHUT_WR);
    gnutls_deinit(session);
    return 0;
}
