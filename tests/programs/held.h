/* fork() while another thread holds the list of loaded objects (dl_iterate_phdr): in the child nobody lets go of it. */

#include <link.h>
#include <pthread.h>
#include <unistd.h>

static pthread_barrier_t held;

static int hold(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info;
    (void)size;
    (void)arg;
    pthread_barrier_wait(&held);
    pthread_barrier_wait(&held);
    return 1;
}

static void *holds(void *arg)
{
    dl_iterate_phdr(hold, arg);
    return NULL;
}

static pid_t fork_held(void)
{
    pthread_t thread;
    pid_t child;

    if (pthread_barrier_init(&held, NULL, 2) != 0 || pthread_create(&thread, NULL, holds, NULL) != 0)
        return -1;
    pthread_barrier_wait(&held);
    child = fork();
    if (child == 0) {
        alarm(20);
        return 0;
    }
    pthread_barrier_wait(&held);
    pthread_join(thread, NULL);
    return child;
}
