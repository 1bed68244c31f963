#include "workers.h"

#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void *workers_share(size_t size)
{
    void *shared = mmap(NULL, size > 0 ? size : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        output_error("out of memory");
        exit(1);
    }
    return shared;
}

/* SIGALRM ends the child wherever it hangs, in the resolver too; the caller of this command may have had it ignored. */
static void set_limit(unsigned seconds)
{
    sigset_t alarm_only;

    (void)signal(SIGALRM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    (void)sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    (void)alarm(seconds);
}

static pid_t start(const struct workers *workers, size_t job)
{
    pid_t child;
    int outcome;

    (void)fflush(NULL);
    child = fork();
    if (child != 0)
        return child;
    set_limit(workers->seconds);
    outcome = workers->work(workers->arg, job);
    if (!output_flush() && outcome == 0)
        outcome = 1;
    _exit(outcome);
}

/* Wait for one of the children, and report its end. Return false if there is none. */
static bool reap(const struct workers *workers, pid_t *children)
{
    int status;
    pid_t child;
    int outcome = WORKER_DIED;

    do {
        child = waitpid(-1, &status, 0);
    } while (child < 0 && errno == EINTR);
    if (child < 0)
        return false;
    if (WIFEXITED(status))
        outcome = WEXITSTATUS(status);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        outcome = WORKER_TIMED_OUT;
    for (size_t job = 0; job < workers->count; job++) {
        if (children[job] != child)
            continue;
        children[job] = 0;
        workers->done(workers->arg, job, outcome);
    }
    return true;
}

void workers_run(const struct workers *workers)
{
    pid_t *children = output_allocate(NULL, workers->count * sizeof(*children));
    size_t next = 0;
    size_t running = 0;

    for (size_t job = 0; job < workers->count; job++)
        children[job] = 0;
    (void)signal(SIGCHLD, SIG_DFL);
    while (next < workers->count || running > 0) {
        if (next < workers->count && running < workers->most) {
            pid_t child = start(workers, next);

            if (child > 0) {
                children[next++] = child;
                running++;
                continue;
            }
            /* No more processes for now: go on with those that run. */
            if (running == 0) {
                workers->done(workers->arg, next++, WORKER_DIED);
                continue;
            }
        }
        if (!reap(workers, children))
            break;
        running--;
    }
    free(children);
}
