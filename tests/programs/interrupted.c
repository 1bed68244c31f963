/* interrupted DESCRIPTOR COUNT: in so many children, one after the other, an inherited socket is first written to by a handler that interrupts malloc.
 * Prints how many of them ended well, and how many could write. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int descriptor;
static volatile sig_atomic_t written; /* 1: it was; 2: it was not */

static void on_alarm(int signal)
{
    int saved = errno;

    (void)signal;
    written = write(descriptor, "NOTE\r\n", 6) == 6 ? 1 : 2;
    errno = saved;
}

/* With a second thread malloc takes its locks. */
static void *wait_for_ever(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static int interrupt(unsigned after)
{
    const struct itimerval timer = {.it_value.tv_usec = (suseconds_t)after};
    pthread_t thread;
    sigset_t alarms;
    void *blocks[16] = {NULL};

    (void)sigemptyset(&alarms);
    (void)sigaddset(&alarms, SIGALRM);
    (void)pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        return 3;
    (void)pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    (void)signal(SIGALRM, on_alarm);
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0)
        return 3;
    /* Too large for a thread's own cache. */
    for (unsigned i = 0, more = 2000; more > 0; i++, more -= written != 0) {
        free(blocks[i % 16]);
        blocks[i % 16] = malloc(1500 + i * 7919 % 30000);
        memset(blocks[i % 16], (int)i, 1500);
    }
    return written;
}

/* Return its wait status; -1 if it does not end. */
static int status_of(pid_t child)
{
    int status = -1;

    for (int i = 0; i < 2000; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        (void)usleep(i < 100 ? 200 : 5000);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return -1;
}

int main(int argc, char **argv)
{
    int count = argc == 3 ? atoi(argv[2]) : 0;
    int ended = 0;
    int could = 0;

    descriptor = argc == 3 ? atoi(argv[1]) : -1;
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            _exit(interrupt(200 + (unsigned)i * 37 % 500));
        if (child < 0)
            return 1;
        status = status_of(child);
        ended += status != -1 && WIFEXITED(status) && WEXITSTATUS(status) <= 2;
        could += status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
        if (i - ended > 3)
            break;
    }
    printf("%d %d\n", ended, could);
    return 0;
}
