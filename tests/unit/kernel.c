/* Filters, as the shim reads them, let through what the kernel lets through; and a process is told from those that it was forked from. */
#include "kernel.h"
#include "unit.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 100
#define FILTERS 12 /* for each process: the kernel takes 32768 steps of them together */
#define STEPS 24
#define FORBIDDEN 77

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

static uint32_t constant(void)
{
    static const uint32_t odd[] = {0, 1, 2, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff};

    return draw(2) == 0 ? odd[draw(sizeof(odd) / sizeof(odd[0]))] : draw(40);
}

/* A step that the kernel takes, at `left` steps before the last two. */
static struct sock_filter step(uint32_t left)
{
    static const uint16_t arithmetic[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR};
    static const uint16_t jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    /* Not the instruction's address: it is another for each caller. */
    static const uint32_t places[] = {0, 4, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};
    uint16_t source = draw(2) == 0 ? BPF_X : BPF_K;

    switch (draw(10)) {
    case 0: return (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, places[draw(sizeof(places) / sizeof(places[0]))]);
    case 1: return (struct sock_filter) BPF_STMT((draw(2) == 0 ? BPF_LD : BPF_LDX) | BPF_IMM, constant());
    case 2: return (struct sock_filter) BPF_STMT((draw(2) == 0 ? BPF_LD : BPF_LDX) | BPF_W | BPF_LEN, 0);
    case 3: return (struct sock_filter) BPF_STMT((draw(2) == 0 ? BPF_ST : BPF_STX), draw(BPF_MEMWORDS));
    case 4: return (struct sock_filter) BPF_STMT((draw(2) == 0 ? BPF_LD : BPF_LDX) | BPF_MEM, draw(BPF_MEMWORDS));
    case 5: return (struct sock_filter) BPF_STMT(BPF_MISC | (draw(2) == 0 ? BPF_TAX : BPF_TXA), 0);
    case 6: return (struct sock_filter) BPF_JUMP(BPF_JMP | jumps[draw(4)] | source, constant(), draw(left + 1), draw(left + 1));
    case 7: return (struct sock_filter) BPF_STMT(BPF_ALU | (draw(2) == 0 ? BPF_LSH : BPF_RSH) | BPF_K, draw(32));
    case 8: return (struct sock_filter) BPF_STMT(BPF_ALU | BPF_NEG, 0);
    default: return (struct sock_filter) BPF_STMT(BPF_ALU | arithmetic[draw(6)] | source, constant());
    }
}

/* One that computes something, and forbids getppid by the result's last bit, or a comparison. */
static void make_filter(struct sock_filter code[static STEPS])
{
    uint32_t at = 0;

    code[at++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[at++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0);
    code[at++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    /* The kernel takes no reading of memory that was not written. */
    for (uint32_t i = 0; i < 4; i++)
        code[at++] = (struct sock_filter) BPF_STMT(draw(2) == 0 ? BPF_ST : BPF_STX, i);
    for (; at < STEPS - 3; at++) {
        code[at] = step(STEPS - 4 - at);
        if ((BPF_CLASS(code[at].code) == BPF_LD || BPF_CLASS(code[at].code) == BPF_LDX) && BPF_MODE(code[at].code) == BPF_MEM)
            code[at].k %= 4;
    }
    code[at++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1U << draw(4), 0, 1);
    code[at++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, draw(2) == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_LOG);
    code[at++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | FORBIDDEN);
}

struct counts {
    int taken; /* filters */
    int let; /* calls */
};

/* Return how many calls were judged wrongly. */
static int compare(struct counts *counts)
{
    int wrong = 0;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int i = 0; i < FILTERS; i++) {
        struct sock_filter code[STEPS];
        struct sock_fprog program = {STEPS, code};
        struct kernel_filter *filter;
        bool taken;

        make_filter(code);
        filter = kernel_filter_begin(&program);
        taken = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
        kernel_filter_end(filter, taken);
        counts->taken += taken;
        for (int k = 0; k < 6; k++) {
            long a = (long)((uint64_t)constant() << 32 | constant());
            long b = (long)constant();
            bool does = syscall(SYS_getppid, a, b, a, b, a, b) > 0;

            errno = 0;
            counts->let += does;
            if ((kernel_call(SYS_getppid, a, b, a, b, a, b) > 0) != does || (!does && errno != EPERM))
                wrong++;
        }
    }
    return wrong;
}

static void test_filters(void)
{
    struct counts *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int wrong = 0;

    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid;
        int status = 0;

        seed = (uint32_t)(i * 7919 + 1);
        pid = fork();
        if (pid == 0)
            _exit(compare(counts));
        waitpid(pid, &status, 0);
        wrong += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
    }
    check(wrong == 0, "%d calls were judged wrongly", wrong);
    check(counts->taken == PROCESSES * FILTERS, "the kernel took %d filters", counts->taken);
    check(counts->let > 100 && counts->let < PROCESSES * FILTERS * 6 - 100, "both answers came: %d let through", counts->let);
}

static void test_not_taken(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    struct sock_fprog program = {1, code};

    check(kernel_allows(SYS_getppid), "kernel_allows(SYS_getppid)");
    kernel_filter_end(kernel_filter_begin(&program), false);
    check(kernel_allows(SYS_getppid), "kernel_allows(SYS_getppid)");
    check(kernel_call(SYS_getppid) == getppid(), "kernel_call(SYS_getppid) == getppid()");
}

static void test_errno(void)
{
    errno = 0;
    check(kernel_call(SYS_close, -1) == -1 && errno == EBADF, "kernel_call(SYS_close, -1) == -1 && errno == EBADF");
}

/* A child that libc knows nothing of, and one of that. */
static void test_processes(void)
{
    uint32_t own = kernel_process();
    uint32_t *seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long pid;

    check(kernel_pid() == getpid(), "kernel_pid() == getpid()");
    pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        seen[0] = kernel_process();
        seen[1] = (uint32_t)kernel_pid();
        pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
            seen[2] = kernel_process();
            syscall(SYS_exit_group, 0);
        }
        waitpid((pid_t)pid, NULL, 0);
        seen[3] = kernel_process();
        syscall(SYS_exit_group, 0);
    }
    waitpid((pid_t)pid, NULL, 0);
    check(seen[1] == (uint32_t)pid, "seen[1] == (uint32_t)pid");
    check(own != 0 && seen[0] != 0 && seen[0] != own && seen[2] != 0 && seen[2] != own && seen[2] != seen[0], "own != 0 && seen[0] != 0 && seen[0] != own && seen[2] != 0 && seen[2] != own && seen[2] != seen[0]");
    check(seen[3] == seen[0] && kernel_process() == own, "seen[3] == seen[0] && kernel_process() == own");
}

int main(void)
{
    test_errno();
    test_processes();
    test_filters();
    test_not_taken();
    return unit_end("kernel");
}
