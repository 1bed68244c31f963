/* again HOST PORT [reauth] [own-id] [client] [identity=PREFIX]: a client whose server wants another handshake (TLS 1.2), or its certificate later (TLS 1.3), after the
 * first; it obeys, then sends its request. reauth: the library obeys by itself (GNUTLS_AUTO_REAUTH). own-id: another certificate may come
 * (GNUTLS_ALLOW_ID_CHANGE). client: it asks for another handshake itself. ignores: it sends its request whatever becomes of it. */

#include "gnutls.h"
#include <sys/time.h>

int main(int argc, char **argv)
{
    const struct timeval patience = {0, 300000};
    unsigned int flags = GNUTLS_POST_HANDSHAKE_AUTH;
    gnutls_session_t session;
    char answer[4096];
    ssize_t got = 0;
    int result = 0;
    int fd;

    if (argc < 3)
        return 2;
    if (word(argv, "reauth"))
        flags |= GNUTLS_AUTO_REAUTH;
    if (word(argv, "own-id"))
        flags |= GNUTLS_ALLOW_ID_CHANGE;
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    session = client(argv, credentials(argv), fd, sni_of(argv), flags);
    if (handshake(session) < 0)
        return 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (word(argv, "client")) {
        result = handshake(session);
    } else {
        /* The request for it comes, else nothing. */
        for (int i = 0; i < 4; i++) {
            got = gnutls_record_recv(session, answer, sizeof(answer));
            if (got != GNUTLS_E_AGAIN && got != GNUTLS_E_INTERRUPTED)
                break;
        }
        printf("received: %s\n", got < 0 ? gnutls_strerror_name((int)got) : "nothing");
        if (got == GNUTLS_E_REHANDSHAKE)
            result = handshake(session);
        else if (got == GNUTLS_E_REAUTH_REQUEST)
            result = show("gnutls_reauth", gnutls_reauth(session, 0));
        else if (got < 0 && got != GNUTLS_E_AGAIN)
            result = (int)got;
    }
    if (result < 0 && !word(argv, "ignores"))
        return 1;
    return fetch(session) ? 0 : 1;
}
