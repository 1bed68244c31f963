/* A program that forbids itself nearly every system call, and is ended by any other (seccomp).
 *
 * sandbox PORT BY STEP...    BY: prctl, syscall, dlsym (libc's own prctl), code (of its own): how the filter is installed; strict: the mode of
 *                            that name
 * Ends with 77 where there are no filters (qemu's user mode).
 * Steps: ca=FILE     verify the server by these certificates
 *        warm        a handshake before the filter
 *        filter      install it; it lets through what a TLS client needs by itself, and what the steps "also=" named before
 *        bad         install what the kernel cannot read; prints what comes back
 *        also=CALL   signals, poll, connect, stat, peer, open: calls that it lets through, too
 *        connect     connect the socket that the next handshake takes; without it, that does it
 *        handshake   a handshake of the name www.pinned.example; prints what became of it
 *        write=TEXT  write(2) that to standard output
 *        send=TEXT   write(2) that to the socket; prints whether it was sent
 *        must        end with 1 if the last handshake failed
 *        fork        go on in a child, made by clone(2) without libc's knowledge; the parent ends as it does */

#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static SSL_CTX *ctx;
static int fd = -1;
static uint16_t port;
static unsigned allowed[64] = {SYS_read, SYS_write, SYS_exit_group, SYS_exit, SYS_brk, SYS_mmap, SYS_munmap, SYS_getrandom, SYS_getpid, SYS_futex,
    SYS_restart_syscall};
static size_t count = 11;

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        syscall(SYS_exit, 3);
}

static void open_socket(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        say("no connection\n");
        _exit(2);
    }
}

static int handshake(void)
{
    SSL *ssl = SSL_new(ctx);
    int result;

    if (fd < 0)
        open_socket();
    SSL_set_tlsext_host_name(ssl, "www.pinned.example");
    SSL_set_fd(ssl, fd);
    result = SSL_connect(ssl);
    fd = -1;
    return result;
}

static int (*of_libc(void))(int, ...)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *found = libc != NULL ? dlsym(libc, "prctl") : NULL;

    if (found == NULL)
        exit(2);
    return (int (*)(int, ...))found;
}

/* No function of libc's. */
static long by_code(struct sock_fprog *program)
{
#if defined(__x86_64__)
    long result = SYS_seccomp;

    __asm__ volatile("syscall" : "+a"(result) : "D"((long)SECCOMP_SET_MODE_FILTER), "S"(0L), "d"(program) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_seccomp;
    register long result __asm__("x0") = SECCOMP_SET_MODE_FILTER;
    register long flags __asm__("x1") = 0;
    register struct sock_fprog *filter __asm__("x2") = program;

    __asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(flags), "r"(filter) : "memory");
    return result;
#endif
}

static int install_by(const char *by, struct sock_fprog *program)
{
    return strcmp(by, "prctl") == 0 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)
        : strcmp(by, "dlsym") == 0  ? of_libc()(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program)
        : strcmp(by, "code") == 0   ? (int)by_code(program)
                                    : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
}

static void tell(const char *by, struct sock_fprog *program)
{
    int result = install_by(by, program);

    printf("%d %s\n", result, strerror(errno));
}

/* Install what the kernel cannot read. */
static void install_bad(const char *by)
{
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *end = pages + page; /* what follows cannot be read */
    struct sock_filter *code = (struct sock_filter *)(void *)(end - 2 * sizeof(*code));
    struct sock_fprog *half = (struct sock_fprog *)(void *)(end - sizeof(half->filter));
    struct sock_fprog programs[] = {{2, NULL}, {2, (void *)16}, {2, (void *)end}, {3, code}, {4000, code}, {0, (void *)16}, {5000, (void *)end}};
    struct sock_fprog *bad[] = {NULL, (void *)8, (void *)end, half};

    if (pages == MAP_FAILED || mprotect(end, (size_t)page, PROT_NONE) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        exit(2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        tell(by, bad[i]);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        tell(by, &programs[i]);
    fflush(stdout);
}

static void install(const char *by)
{
    struct sock_filter code[160] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    struct sock_fprog program = {.filter = code};
    unsigned short at = 1;

    if (strcmp(by, "strict") == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(77);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        code[at++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        code[at++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[at++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program.len = at;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || install_by(by, &program) != 0)
        _exit(77);
}

static void also(const char *name)
{
    if (strcmp(name, "signals") == 0) {
        allowed[count++] = SYS_rt_sigprocmask;
    } else if (strcmp(name, "poll") == 0) {
        allowed[count++] = SYS_ppoll;
    } else if (strcmp(name, "connect") == 0) {
        allowed[count++] = SYS_socket;
        allowed[count++] = SYS_connect;
    } else if (strcmp(name, "stat") == 0) {
        allowed[count++] = SYS_newfstatat;
    } else if (strcmp(name, "peer") == 0) {
        allowed[count++] = SYS_getpeername;
    } else if (strcmp(name, "open") == 0) {
        allowed[count++] = SYS_openat;
        allowed[count++] = SYS_fstat;
        allowed[count++] = SYS_pread64;
        allowed[count++] = SYS_close;
    }
}

/* Not known to libc, and so to no handler of pthread_atfork. */
static void go_on_in_child(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    int status = 0;

    if (pid == 0)
        return;
    waitpid((pid_t)pid, &status, 0);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
    bool connected = false;

    if (argc < 3)
        return 2;
    signal(SIGPIPE, SIG_DFL);
    port = (uint16_t)atoi(argv[1]);
    if (strcmp(argv[2], "strict") != 0)
        ctx = SSL_CTX_new(TLS_client_method());
    for (char **step = argv + 3; *step != NULL; step++) {
        if (strcmp(*step, "warm") == 0)
            (void)handshake();
        else if (strcmp(*step, "connect") == 0)
            open_socket();
        else if (strcmp(*step, "filter") == 0)
            install(argv[2]);
        else if (strcmp(*step, "bad") == 0)
            install_bad(argv[2]);
        else if (strncmp(*step, "ca=", 3) == 0) {
            if (SSL_CTX_load_verify_locations(ctx, *step + 3, NULL) != 1)
                return 2;
            SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
            tzset(); /* the verification reads the clock, and libc the time zone's file then */
        } else if (strncmp(*step, "also=", 5) == 0)
            also(*step + 5);
        else if (strcmp(*step, "handshake") == 0)
            say((connected = handshake() == 1) ? "connected\n" : "refused\n");
        else if (strcmp(*step, "must") == 0)
            exit(!connected);
        else if (strncmp(*step, "write=", 6) == 0)
            say(*step + 6);
        else if (strncmp(*step, "send=", 5) == 0)
            say(write(fd, *step + 5, strlen(*step + 5)) > 0 ? "sent\n" : "not sent\n");
        else if (strcmp(*step, "fork") == 0)
            go_on_in_child();
    }
    syscall(SYS_exit, 0);
    return 0;
}
