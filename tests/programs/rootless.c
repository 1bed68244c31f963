/* rootless: a child that shares this process's memory, with thread-local storage that is all zero, changes its root directory. Prints its wait status. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static _Alignas(64) char stack[1 << 16];
static _Alignas(64) char storage[1 << 14];

static int leave(void *arg)
{
    (void)arg;
    _exit(chroot("/proc/self/fdinfo/") == 0 && chdir("/") == 0 ? 0 : 1);
}

int main(void)
{
    int status = -1;
    pid_t child = clone(leave, stack + sizeof(stack) / 2, CLONE_FS | CLONE_VM | CLONE_VFORK | CLONE_SETTLS | SIGCHLD, NULL, NULL, storage + sizeof(storage) / 2, NULL);

    if (child < 0 || waitpid(child, &status, 0) != child)
        return 2;
    printf("%d\n", status);
    return 0;
}
