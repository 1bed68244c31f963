/* go_on HOST PORT TEXT [fresh] [second=PORT]: a client that ignores its failures and goes on by every call that there is, each with TEXT; then without TLS.
 * fresh: before that, a second session on the same socket, or to the second port on another. It says how many bytes moved. */

#include "gnutls.h"
#include <sys/time.h>
#include <sys/uio.h>

static ssize_t moved;

static void count(const char *call, ssize_t result)
{
    if (result > 0)
        moved += result;
    (void)call;
}

/* Every call that could move a byte of the program's. */
static void try_all(gnutls_session_t session, const char *text)
{
    const gnutls_range_st range = {strlen(text), strlen(text) + 100};
    size_t length = strlen(text);
    unsigned char sequence[8];
    gnutls_packet_t packet;
    char buffer[4096];

    count("send", gnutls_record_send(session, text, length));
    count("send2", gnutls_record_send2(session, text, length, 10, 0));
    count("send_range", gnutls_record_send_range(session, text, length, &range));
    count("early", gnutls_record_send_early_data(session, text, length));
    gnutls_record_cork(session);
    gnutls_record_send(session, text, length);
    count("uncork", gnutls_record_uncork(session, 0));
    count("recv", gnutls_record_recv(session, buffer, sizeof(buffer)));
    count("recv_seq", gnutls_record_recv_seq(session, buffer, sizeof(buffer), sequence));
    count("recv_packet", gnutls_record_recv_packet(session, &packet));
    count("recv_early", gnutls_record_recv_early_data(session, buffer, sizeof(buffer)));
    count("ping", gnutls_heartbeat_ping(session, length, 3, 0));
    count("key_update", gnutls_session_key_update(session, 0));
    count("rehandshake", gnutls_rehandshake(session));
    count("reauth", gnutls_reauth(session, 0));
    count("alert", gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED));
#if GNUTLS_VERSION_NUMBER >= 0x030703
    {
        char name[] = "/tmp/pinshim-text-XXXXXX";
        int fd = mkstemp(name);
        off_t start = 0;

        if (fd < 0 || unlink(name) != 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)
            die(name);
        count("send_file", gnutls_record_send_file(session, fd, &start, length));
        close(fd);
    }
#endif
}

int main(int argc, char **argv)
{
    gnutls_certificate_credentials_t own = credentials(argv);
    gnutls_session_t session;
    const struct timeval patience = {0, 200000};
    struct iovec piece;
    bool accepted;
    int fd;

    if (argc < 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    session = client(argv, own, fd, sni_of(argv), 0);
    accepted = handshake(session) == 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (int i = 0; i < 3; i++) {
        try_all(session, argv[3]);
        if (!accepted)
            accepted = handshake(session) == 0;
    }
    count("bye", gnutls_bye(session, GNUTLS_SHUT_WR));
    if (word(argv, "fresh")) {
        gnutls_deinit(session);
        session = client(argv, own, fd, sni_of(argv), 0);
        accepted = handshake(session) == 0;
        try_all(session, argv[3]);
    }
    piece.iov_base = argv[3];
    piece.iov_len = strlen(argv[3]);
    if (!accepted || word(argv, "plain")) {
        count("plain write", write(fd, argv[3], strlen(argv[3])));
        count("plain writev", writev(fd, &piece, 1));
    }
    printf("moved: %zd\n", moved);
    return moved > 0 ? 0 : 1;
}
