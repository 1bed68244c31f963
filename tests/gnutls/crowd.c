/* crowd HOST GOOD IMPOSTOR threads|fork|sequence|cancelled COUNT: clients of both servers at a time. It says how many answers of each came: in threads, in
 * children that inherited an unfinished or a fresh session, one after the other with the same credentials, or in threads that are cancelled in the middle. */

#include "gnutls.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

static char **words;
static gnutls_certificate_credentials_t own;
static int answers[2];

/* 1 where the server has answered. */
static int ask(const char *port, gnutls_session_t session)
{
    char answer[200];
    ssize_t got;
    int result;

    do
        result = gnutls_handshake(session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    do
        got = gnutls_record_send(session, REQUEST, strlen(REQUEST));
    while (result >= 0 && (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED));
    if (got < 0 && result >= 0)
        fprintf(stderr, "port %s: not sent: %s\n", port, gnutls_strerror_name((int)got));
    do
        got = result < 0 ? -1 : gnutls_record_recv(session, answer, sizeof(answer));
    while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
    gnutls_deinit(session);
    return got > 0;
}

static int ask_once(const char *port)
{
    return ask(port, client(words, own, open_socket(words[1], port, SOCK_STREAM), PINNED, 0));
}

static void *in_thread(void *argument)
{
    long number = (long)argument;
    int answered = ask_once(words[2 + number % 2]);

    __atomic_add_fetch(&answers[number % 2], answered, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[200];
    long count;
    int status;

    if (argc < 6)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    words = argv;
    count = atol(argv[5]);
    own = credentials(argv);
    if (strcmp(argv[4], "threads") == 0 || strcmp(argv[4], "cancelled") == 0) {
        for (long i = 0; i < count && i < 200; i++)
            pthread_create(&threads[i], NULL, in_thread, (void *)i);
        for (long i = 0; i < count && i < 200; i++) {
            if (strcmp(argv[4], "cancelled") == 0 && i % 4 >= 2)
                pthread_cancel(threads[i]);
            pthread_join(threads[i], NULL);
        }
        /* Afterwards all is as before. */
        if (strcmp(argv[4], "cancelled") == 0) {
            answers[0] = answers[1] = 0;
            in_thread((void *)0L);
            in_thread((void *)1L);
        }
    } else if (strcmp(argv[4], "fork") == 0) {
        for (long i = 0; i < count; i++) {
            int fd = open_socket(argv[1], argv[2 + i % 2], SOCK_STREAM);
            gnutls_session_t session = client(argv, own, fd, PINNED, GNUTLS_NONBLOCK);

            fcntl(fd, F_SETFL, O_NONBLOCK);
            /* The ClientHello leaves here, the rest is the child's. */
            if (i % 4 >= 2)
                gnutls_handshake(session);
            if (fork() == 0)
                _exit(ask(argv[2 + i % 2], session) ? 40 + (int)(i % 2) : 0);
            wait(&status);
            if (WIFEXITED(status) && WEXITSTATUS(status) >= 40)
                answers[WEXITSTATUS(status) - 40]++;
            else if (WIFSIGNALED(status))
                printf("killed by %d\n", WTERMSIG(status));
        }
    } else {
        for (long i = 0; i < count; i++)
            in_thread((void *)i);
    }
    printf("answers: %d good, %d impostor\n", answers[0], answers[1]);
    return answers[1] > 0 ? 0 : 1;
}
