/* within HOST PORT TARGET HOW [sni=NAME]: a client that asks an HTTPS proxy for TARGET within TLS, and then speaks TLS within that. HOW: the call that sends the
 * request to the proxy: send, send2, range, file, cork, pieces; left: after gnutls_record_send_file was left by a jump, on another connection; itself: send, and TARGET's session
 * pushes by gnutls_record_send itself. It gives the proxy the name proxy.example, and TARGET's server NAME (none). */

#include "gnutls.h"
#include <fcntl.h>
#include <setjmp.h>

static ssize_t push(gnutls_transport_ptr_t outer, const void *data, size_t length)
{
    return gnutls_record_send(outer, data, length);
}

static ssize_t pull(gnutls_transport_ptr_t outer, void *data, size_t length)
{
    ssize_t got;

    do
        got = gnutls_record_recv(outer, data, length);
    while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
    return got < 0 ? -1 : got;
}

static jmp_buf out;

static ssize_t leave(gnutls_transport_ptr_t fd, const void *data, size_t length)
{
    (void)fd;
    (void)data;
    (void)length;
    longjmp(out, 1);
}

static void leave_file(char **argv)
{
#if GNUTLS_VERSION_NUMBER >= 0x030703
    gnutls_session_t session = client(argv, credentials(argv), open_socket(argv[1], argv[2], SOCK_STREAM), "proxy.example", 0);
    off_t start = 0;
    int fd = open("/proc/self/exe", O_RDONLY);

    if (handshake(session) < 0)
        exit(1);
    gnutls_transport_set_push_function(session, leave);
    if (setjmp(out) == 0)
        gnutls_record_send_file(session, fd, &start, 10);
    close(fd);
#else
    (void)argv;
    (void)leave;
#endif
}

static void ask(gnutls_session_t outer, const char *how, const char *text)
{
    const gnutls_range_st range = {strlen(text), strlen(text) + 100};
    size_t length = strlen(text);
    char name[] = "/tmp/pinshim-request-XXXXXX";
    off_t start = 0;
    int fd;

    if (strcmp(how, "send2") == 0) {
        gnutls_record_send2(outer, text, length, 0, 0);
    } else if (strcmp(how, "range") == 0) {
        gnutls_record_send_range(outer, text, length, &range);
    } else if (strcmp(how, "cork") == 0) {
        gnutls_record_cork(outer);
        gnutls_record_send(outer, text, length);
        gnutls_record_uncork(outer, GNUTLS_RECORD_WAIT);
    } else if (strcmp(how, "left") == 0) {
        gnutls_record_cork(outer);
        gnutls_record_send(outer, text, 5);
        gnutls_record_uncork(outer, GNUTLS_RECORD_WAIT);
        gnutls_record_send(outer, text + 5, length - 5);
    } else if (strcmp(how, "pieces") == 0) {
        for (size_t i = 0; i < length; i++)
            gnutls_record_send(outer, text + i, 1);
#if GNUTLS_VERSION_NUMBER >= 0x030703
    } else if (strcmp(how, "file") == 0) {
        if ((fd = mkstemp(name)) < 0 || unlink(name) != 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)
            die(name);
        gnutls_record_send_file(outer, fd, &start, length);
#endif
    } else {
        gnutls_record_send(outer, text, length);
    }
    (void)name, (void)start, (void)fd;
}

int main(int argc, char **argv)
{
    gnutls_session_t outer;
    gnutls_session_t inner;
    char text[600];
    size_t at = 0;

    if (argc < 5)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    if ((strcmp(argv[4], "file") == 0 || strcmp(argv[4], "left") == 0) && gnutls_check_version("3.7.3") == NULL)
        return 77;
    if (strcmp(argv[4], "left") == 0)
        leave_file(argv);
    outer = client(argv, credentials(argv), open_socket(argv[1], argv[2], SOCK_STREAM), "proxy.example", 0);
    if (handshake(outer) < 0)
        return 1;
    snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[3]);
    ask(outer, argv[4], text);
    for (memset(text, 0, sizeof(text)); at < sizeof(text) - 1 && strstr(text, "\r\n\r\n") == NULL; at++) {
        if (pull(outer, text + at, 1) != 1)
            return 1;
    }
    inner = client(argv, credentials(argv), -1, option(argv, "sni", "")[0] != '\0' ? option(argv, "sni", "") : NULL, 0);
    gnutls_transport_set_ptr(inner, outer);
    gnutls_transport_set_push_function(inner, strcmp(argv[4], "itself") == 0 ? (gnutls_push_func)(void (*)(void))gnutls_record_send : push);
    gnutls_transport_set_pull_function(inner, pull);
    gnutls_handshake_set_timeout(inner, 0);
    return handshake(inner) == 0 && fetch(inner) ? 0 : 1;
}
