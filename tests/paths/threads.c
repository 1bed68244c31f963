/* threads HOST PORT [times=N]: N processes, one after the other, in each of which eight threads make their first SSL_CTX at the same moment and fetch
 * the answer with it. It prints how many got one, and how many processes have crashed. */

#include "paths.h"

#include <pthread.h>
#include <sys/wait.h>

#define THREADS 8

static pthread_barrier_t barrier;
static int answers; /* of a process */

static void *run(void *arg)
{
    char **argv = arg;
    int fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    char answer[4096];
    SSL *ssl;

    (void)pthread_barrier_wait(&barrier);
    ssl = client(context(argv), fd, PINNED);
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, REQUEST, (int)strlen(REQUEST)) > 0 && SSL_read(ssl, answer, sizeof(answer)) > 0)
        __atomic_fetch_add(&answers, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void run_all(char **argv)
{
    pthread_t threads[THREADS];

    if (pthread_barrier_init(&barrier, NULL, THREADS) != 0)
        die("pthread_barrier_init");
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, run, argv) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    _exit(answers);
}

int main(int argc, char **argv)
{
    int times = atoi(option(argv, "times", "1"));
    int crashed = 0;
    int all = 0;

    if (argc < 3)
        return 2;
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        int status = 0;

        if (child == 0)
            run_all(argv);
        if (child < 0 || waitpid(child, &status, 0) != child)
            die("fork");
        if (WIFEXITED(status))
            all += WEXITSTATUS(status);
        else
            crashed++;
    }
    printf("answers %d of %d, crashed %d\n", all, times * THREADS, crashed);
    return 0;
}
