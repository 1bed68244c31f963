/* resume HOST PORT HOW [first=NAME] [second=NAME] [second-host=HOST] [second-port=PORT] [save=FILE] [load=FILE] [late] [twice] [early=TEXT] [unsaid] [soon] [psk] [cancel] [mute]:
 * a client
 * that connects twice, and gives the session of the first connection to the second. HOW: get, get2: what the session is read with; placeholder: at once after
 * the handshake, when TLS 1.3 has none yet. load: the session comes from a file, and there is no first connection. late: it is set before the name. twice: it is
 * set and then set again; early: TEXT is sent as early data, by a session that has the flag for it (but unsaid), after the connection is made (but soon: before it, and
 * before the late name); psk: it knows a key, too; cancel: the
 * second time nothing is sent yet, and it gives up; mute: the server gives no answer. */

#include "gnutls.h"
#include <errno.h>
#include <sys/time.h>

static gnutls_datum_t session_of(gnutls_session_t session, const char *how)
{
    gnutls_datum_t made = {NULL, 0};
    size_t size = 0;

    if (strcmp(how, "get") == 0) {
        gnutls_session_get_data(session, NULL, &size);
        made.data = gnutls_malloc(size);
        must(gnutls_session_get_data(session, made.data, &size), "gnutls_session_get_data");
        made.size = (unsigned int)size;
    } else {
        must(gnutls_session_get_data2(session, &made), "gnutls_session_get_data2");
    }
    return made;
}

static gnutls_datum_t first(char **argv, gnutls_certificate_credentials_t own, unsigned int flags)
{
    int fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    const char *name = option(argv, "first", PINNED);
    gnutls_session_t session = client(argv, own, fd, name[0] != '\0' ? name : NULL, flags);
    const struct timeval patience = {0, 500000};
    gnutls_datum_t made;
    char nothing[10];

    if (handshake(session) < 0)
        exit(1);
    if (word(argv, "mute")) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        gnutls_record_recv(session, nothing, sizeof(nothing));
        made = session_of(session, argv[3]);
    } else if (strcmp(argv[3], "placeholder") == 0) {
        made = session_of(session, argv[3]);
        fetch(session);
    } else {
        fetch(session);
        made = session_of(session, argv[3]);
    }
    gnutls_bye(session, GNUTLS_SHUT_WR);
    gnutls_deinit(session);
    close(fd);
    return made;
}

/* To nowhere, and there is no answer. */
static ssize_t send_nowhere(gnutls_transport_ptr_t transport, const void *bytes, size_t size)
{
    (void)transport;
    (void)bytes;
    return (ssize_t)size;
}

static ssize_t receive_nothing(gnutls_transport_ptr_t transport, void *bytes, size_t size)
{
    (void)transport;
    (void)bytes;
    (void)size;
    errno = EAGAIN;
    return -1;
}

int main(int argc, char **argv)
{
    gnutls_certificate_credentials_t own = credentials(argv);
    const char *early = option(argv, "early", NULL);
    const char *name = option(argv, "second", PINNED);
    unsigned int flags = early != NULL && !word(argv, "unsaid") ? GNUTLS_ENABLE_EARLY_DATA : 0;
    gnutls_session_t session;
    gnutls_datum_t data;
    unsigned int count;
    FILE *saved;
    bool any;
    int fd;

    if (argc < 4)
        return 2;
    if (option(argv, "load", NULL) != NULL)
        data = file(option(argv, "load", ""), "");
    else
        data = first(argv, own, flags);
    if (option(argv, "save", NULL) != NULL) {
        saved = fopen(option(argv, "save", ""), "w");
        if (saved == NULL || fwrite(data.data, 1, data.size, saved) != data.size || fclose(saved) != 0)
            die("save");
        return 0;
    }
    printf("the second connection\n");
    session = client(argv, own, -1, name[0] == '\0' || word(argv, "late") ? NULL : name, flags | (word(argv, "cancel") ? GNUTLS_NONBLOCK : 0));
    if (word(argv, "psk"))
        share_key(session);
    if (word(argv, "twice"))
        show("gnutls_session_set_data", gnutls_session_set_data(session, data.data, data.size));
    show("gnutls_session_set_data", gnutls_session_set_data(session, data.data, data.size));
    /* What a program may look at. */
    gnutls_certificate_get_peers(session, &count);
    if (early != NULL && word(argv, "soon"))
        show("gnutls_record_send_early_data", (int)gnutls_record_send_early_data(session, early, strlen(early)));
    if (word(argv, "late") && name[0] != '\0')
        gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
    fd = open_socket(option(argv, "second-host", argv[1]), option(argv, "second-port", argv[2]), SOCK_STREAM);
    gnutls_transport_set_int(session, fd);
    if (early != NULL && !word(argv, "soon"))
        show("gnutls_record_send_early_data", (int)gnutls_record_send_early_data(session, early, strlen(early)));
    if (word(argv, "cancel")) {
        gnutls_transport_set_push_function(session, send_nowhere);
        gnutls_transport_set_pull_function(session, receive_nothing);
        gnutls_transport_set_ptr(session, argv);
        show("gnutls_handshake", gnutls_handshake(session));
        show("gnutls_record_send", (int)gnutls_record_send(session, "text", 4));
        show("gnutls_alert_send", gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_USER_CANCELED));
        return 0;
    }
    if (handshake(session) < 0) {
        if (early != NULL)
            show("gnutls_record_send", (int)gnutls_record_send(session, early, strlen(early)));
        return 1;
    }
    printf("resumed: %d\n", gnutls_session_is_resumed(session) != 0);
    if (early != NULL)
        printf("early data taken: %d\n", (gnutls_session_get_flags(session) & GNUTLS_SFLAGS_EARLY_DATA) != 0);
    any = word(argv, "mute") ? gnutls_record_send(session, early != NULL ? early : "text", 4) > 0 : fetch(session);
    gnutls_bye(session, GNUTLS_SHUT_WR);
    return any ? 0 : 1;
}
