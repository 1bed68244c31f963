/* stopped PORT COUNT: stops its threads by a signal, COUNT times, and waits until each has said so, as collectors of garbage do: one sends ClientHellos to 127.0.0.1,
 * the other one looks through the loaded objects, with the loader's lock. Prints how many ClientHellos were sent and refused; exits with 1 if a thread did not stop. */
#include <err.h>
#include <errno.h>
#include <link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static sem_t stopped;
static volatile sig_atomic_t stopping;
static int fd;
static volatile unsigned sent, refused;

/* A ClientHello without extensions. */
static unsigned char hello[] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, [43] = 0, 0, 2, 0x13, 0x01, 1, 0};

static void stop(int signal)
{
    int saved = errno;
    sigset_t others;

    (void)signal;
    sigfillset(&others);
    sigdelset(&others, SIGUSR2);
    sem_post(&stopped);
    while (stopping)
        sigsuspend(&others);
    sem_post(&stopped);
    errno = saved;
}

static void go_on(int signal)
{
    (void)signal;
}

static void *send_hellos(void *arg)
{
    for (unsigned i = 1;; i++) {
        memcpy(hello + 11 + 8, &i, sizeof(i));
        if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) >= 0)
            sent++;
        else
            refused++;
    }
    return arg;
}

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info;
    (void)size;
    (void)arg;
    return 0;
}

static void *look_through(void *arg)
{
    for (;;)
        (void)dl_iterate_phdr(look, NULL);
    return arg;
}

static void wait_for_both(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    for (int i = 0; i < 2; i++) {
        while (sem_timedwait(&stopped, &until) != 0) {
            if (errno == ETIMEDOUT)
                errx(1, "a thread does not stop");
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sigaction action = {.sa_handler = stop};
    pthread_t threads[2];

    if (argc < 3)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        err(2, "connect");
    sem_init(&stopped, 0, 0);
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = go_on;
    sigaction(SIGUSR2, &action, NULL);
    pthread_create(&threads[0], NULL, send_hellos, NULL);
    pthread_create(&threads[1], NULL, look_through, NULL);
    while (sent + refused == 0)
        usleep(1000);
    for (int i = atoi(argv[2]); i > 0; i--) {
        stopping = 1;
        for (int k = 0; k < 2; k++)
            pthread_kill(threads[k], SIGUSR1);
        wait_for_both();
        stopping = 0;
        for (int k = 0; k < 2; k++)
            pthread_kill(threads[k], SIGUSR2);
        wait_for_both();
    }
    printf("sent %u, refused %s\n", sent, refused > 0 ? "some" : "none");
    fflush(stdout);
    _exit(0);
}
