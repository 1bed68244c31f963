/* crowd HOST GOOD IMPOSTOR threads|fork|sequence|cancelled|nested|coroutines|hasty COUNT [priority=TEXT] [false-start] [early]: clients of both servers at a time. It says how many answers of each came: in threads, in
 * children that inherited an unfinished or a fresh session, one after the other with the same credentials, in threads that are cancelled in the middle,
 * within the verify function of one to the other server, or as coroutines. hasty: with a pre-shared key, and another
 * thread that sends as soon as it can, before gnutls_handshake has returned; to IMPOSTOR alone. early: it offers a session of GOOD, with early data. */

#include "gnutls.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <ucontext.h>

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

/* A verify function that has its own connection meanwhile, to the other server. */
static int verify(gnutls_session_t session)
{
    const char *port = gnutls_session_get_ptr(session);
    long other = port == words[2] ? 1 : 0;

    in_thread((void *)other);
    return 0;
}

static ucontext_t scheduler;
static ucontext_t tasks[2];

static ssize_t pull(gnutls_transport_ptr_t fd, void *data, size_t length)
{
    long number = (long)fd % 2;

    /* The other one goes on while this one would wait. */
    swapcontext(&tasks[number], &scheduler);
    return recv((int)((long)fd / 2), data, length, 0);
}

static ssize_t push(gnutls_transport_ptr_t fd, const void *data, size_t length)
{
    long number = (long)fd % 2;

    swapcontext(&tasks[number], &scheduler);
    return send((int)((long)fd / 2), data, length, MSG_NOSIGNAL);
}

static int pull_timeout(gnutls_transport_ptr_t fd, unsigned int milliseconds)
{
    struct pollfd readable = {.fd = (int)((long)fd / 2), .events = POLLIN};

    return poll(&readable, 1, (int)milliseconds);
}

static bool done[2];

static void task(int number)
{
    gnutls_session_t session = client(words, own, -1, PINNED, 0);
    long fd = open_socket(words[1], words[2 + number], SOCK_STREAM);

    gnutls_transport_set_ptr(session, (gnutls_transport_ptr_t)(fd * 2 + number));
    gnutls_transport_set_push_function(session, push);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    answers[number] += ask(words[2 + number], session);
    done[number] = true;
}

/* Two at a time in one thread, each on a stack of its own. */
static void coroutines(void)
{
    for (int i = 0; i < 2; i++) {
        done[i] = false;
        getcontext(&tasks[i]);
        tasks[i].uc_stack.ss_sp = malloc(1 << 18);
        tasks[i].uc_stack.ss_size = 1 << 18;
        tasks[i].uc_link = &scheduler;
        makecontext(&tasks[i], (void (*)(void))task, 1, i);
    }
    while (!done[0] || !done[1]) {
        for (int i = 0; i < 2; i++) {
            if (!done[i])
                swapcontext(&scheduler, &tasks[i]);
        }
    }
}

static volatile bool over;

static void *hurry(void *session)
{
    /* What is early data nobody but the good server could read. */
    while (!over && (gnutls_record_send(session, REQUEST, strlen(REQUEST)) <= 0 || word(words, "early")))
        ;
    return NULL;
}

/* A session of the good server, which has shown its certificate. */
static gnutls_datum_t good_session(void)
{
    gnutls_session_t session = client(words, own, open_socket(words[1], words[2], SOCK_STREAM), PINNED, 0);
    gnutls_datum_t made = {NULL, 0};

    if (handshake(session) < 0 || !fetch(session))
        exit(1);
    must(gnutls_session_get_data2(session, &made), "gnutls_session_get_data2");
    gnutls_deinit(session);
    return made;
}

static int ask_hastily(const char *port, gnutls_datum_t before)
{
    gnutls_session_t session = client(words, own, open_socket(words[1], port, SOCK_STREAM), PINNED, word(words, "false-start") ? GNUTLS_ENABLE_FALSE_START : 0);
    gnutls_psk_client_credentials_t shared = share_key(session);
    char answer[200];
    pthread_t thread;
    ssize_t got;
    int result;

    if (before.data != NULL) {
        must(gnutls_session_set_data(session, before.data, before.size), "gnutls_session_set_data");
        must((int)gnutls_record_send_early_data(session, "EARLY", 5), "gnutls_record_send_early_data");
    }
    over = false;
    pthread_create(&thread, NULL, hurry, session);
    result = handshake(session);
    if (result < 0 || word(words, "early")) {
        usleep(300);
        over = true;
    }
    pthread_join(thread, NULL);
    do
        got = result < 0 ? -1 : gnutls_record_recv(session, answer, sizeof(answer));
    while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
    gnutls_deinit(session);
    gnutls_psk_free_client_credentials(shared);
    return got > 0;
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
    } else if (strcmp(argv[4], "nested") == 0) {
        for (long i = 0; i < count; i++) {
            gnutls_session_t session = client(argv, own, open_socket(argv[1], argv[2 + i % 2], SOCK_STREAM), PINNED, 0);

            gnutls_session_set_ptr(session, argv[2 + i % 2]);
            gnutls_session_set_verify_function(session, verify);
            answers[i % 2] += ask(argv[2 + i % 2], session);
        }
    } else if (strcmp(argv[4], "coroutines") == 0) {
        for (long i = 0; i < count; i++)
            coroutines();
    } else if (strcmp(argv[4], "hasty") == 0) {
        gnutls_datum_t before = {NULL, 0};

        /* Before, such a server crashes by itself. */
        if (word(argv, "early") && gnutls_check_version("3.7.2") == NULL)
            return 77;
        if (word(argv, "early"))
            before = good_session();
        for (long i = 0; i < count; i++)
            answers[1] += ask_hastily(argv[3], before);
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
