/* A TLS client that connects again and again. It does what the lines of its standard input say, and answers each with one line.
 *
 * usage: again NAME PORT [late]    late: OpenSSL is first used by the first handshake
 * port N         goes to that port from now on
 * connect        a handshake with 127.0.0.1:PORT and NAME in the SNI, nothing verified: "1", or "-1" and the reason
 * keep           the same, and an answer of the server is read and the session kept: "1"
 * resume         the same with the kept session: "1 resumed", "1 fresh", or "-1" and the reason
 * cost N         N handshakes: the processor time of one, in milliseconds
 * fork [held]    goes on in a child; "held": which was forked while another thread held the list of objects
 * chroot DIR     and goes to its root directory; "0" if that is impossible. syscall DIR: the same by syscall(2)
 * close WAY      closes all descriptors but the standard ones, one by one ("loop") or at once ("range")
 * take FILE      opens it for writing, at each number from 3 to 600 that is free
 * unlink FILE    removes it
 * kept           the descriptors that are open beside the standard ones: the lowest, and how many of them a program that it starts would get
 * setuid ID      for the group as well
 * descriptors few|many
 *                has one free descriptor, which the connection needs, or enough
 * replace N FILE replaces FILE by FILE.0 and FILE.1 in turn, N times, and connects after each: how often which succeeded, and by
 *                how many KiB the program grew after a first tenth
 * threads N FILE in four threads that connect all the time, while FILE is replaced N times: for the last two (FILE.0, FILE.1), how
 *                many threads' next handshake succeeded */

#include "held.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range /* Linux 5.9 */
#define SYS_close_range 436
#endif

#define THREADS 4
#define LAST 600 /* descriptor */

static SSL_CTX *ctx;
static const char *name;
static uint16_t port;
static SSL_SESSION *kept;

static void die(const char *what)
{
    fprintf(stderr, "again: %s: %s\n", what, strerror(errno));
    _exit(2);
}

/* Return what SSL_connect returned; `reason` becomes why, `resumed` whether. */
static int handshake(SSL_SESSION *session, bool keep, const char **reason, bool *resumed)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char answer[4096];
    int result;
    SSL *ssl;

    if (ctx == NULL)
        ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        die("SSL_CTX_new");
    ssl = SSL_new(ctx);
    if (fd < 0 || ssl == NULL || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || SSL_set_fd(ssl, fd) != 1
        || SSL_set_tlsext_host_name(ssl, name) != 1 || (session != NULL && SSL_set_session(ssl, session) != 1))
        die("a connection");
    ERR_clear_error();
    result = SSL_connect(ssl);
    *reason = result == 1 ? "" : ERR_reason_error_string(ERR_peek_error());
    *resumed = SSL_session_reused(ssl) == 1;
    if (result == 1 && keep) {
        /* A ticket comes with the answer. */
        if (SSL_write(ssl, request, sizeof(request) - 1) <= 0 || SSL_read(ssl, answer, sizeof(answer)) <= 0)
            die("an answer");
        SSL_SESSION_free(kept);
        kept = SSL_get1_session(ssl);
    }
    if (result == 1)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return result;
}

static bool succeeds(void)
{
    const char *reason;
    bool resumed;

    return handshake(NULL, false, &reason, &resumed) == 1;
}

static void connect_again(bool keep, bool resume)
{
    const char *reason;
    bool resumed;
    int result = handshake(resume ? kept : NULL, keep, &reason, &resumed);

    if (result != 1)
        printf("%d %s\n", result, reason != NULL ? reason : "no reason");
    else
        printf("1%s\n", !resume ? "" : resumed ? " resumed" : " fresh");
}

static double processor_time(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        die("getrusage");
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void measure(int count)
{
    double before = processor_time();

    for (int i = 0; i < count; i++)
        (void)succeeds();
    printf("%.1f\n", (processor_time() - before) / count);
}

/* Whoever reads FILE gets the one or the other as a whole. */
static void replace(const char *file, int which)
{
    char from[4096];
    char to[4096];

    snprintf(from, sizeof(from), "%s.%d", file, which);
    snprintf(to, sizeof(to), "%s.new", file);
    (void)unlink(to);
    if (link(from, to) != 0 || rename(to, file) != 0)
        die("replacing");
}

static long kilobytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long size = 0;
    long pages = 0;

    if (file == NULL || fscanf(file, "%ld %ld", &size, &pages) != 2)
        die("statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void replace_many(int count, const char *file)
{
    int succeeded[2] = {0, 0};
    long before = 0;

    for (int i = 0; i < count; i++) {
        if (i == count / 10)
            before = kilobytes();
        replace(file, i % 2);
        succeeded[i % 2] += succeeds();
    }
    printf("%d %d %ld\n", succeeded[0], succeeded[1], kilobytes() - before);
}

static _Atomic int round_number; /* of the replacement that is done; 1: those before the last two */
static _Atomic bool enough;
static _Atomic int seen_round[THREADS]; /* when the thread's last handshake began */
static _Atomic bool seen_success[THREADS];

static void *connect_on(void *arg)
{
    int number = (int)(intptr_t)arg;

    while (!atomic_load(&enough)) {
        int began = atomic_load(&round_number);
        bool success = succeeds();

        atomic_store(&seen_success[number], success);
        atomic_store(&seen_round[number], began);
    }
    return NULL;
}

/* Wait until each thread has made a handshake that began after the round's replacement. Return how many of those succeeded. */
static int await_round(int round)
{
    int count = 0;

    for (int i = 0; i < THREADS; i++) {
        while (atomic_load(&seen_round[i]) < round)
            usleep(1000);
        count += atomic_load(&seen_success[i]);
    }
    return count;
}

static void connect_in_threads(int count, const char *file)
{
    pthread_t threads[THREADS];
    int succeeded[2];

    atomic_store(&round_number, 1);
    atomic_store(&enough, false);
    for (int i = 0; i < THREADS; i++) {
        atomic_store(&seen_round[i], 0);
        if (pthread_create(&threads[i], NULL, connect_on, (void *)(intptr_t)i) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < count; i++) {
        replace(file, i % 2);
        usleep(2000);
    }
    for (int i = 0; i < 2; i++) {
        replace(file, i);
        atomic_store(&round_number, i + 2);
        succeeded[i] = await_round(i + 2);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%d %d\n", succeeded[0], succeeded[1]);
}

/* The parent only waits. */
static void go_on_in_child(bool while_held)
{
    int status = 0;
    pid_t child = while_held ? fork_held() : fork();

    if (child < 0)
        die("fork");
    if (child == 0) {
        printf("forked\n");
        return;
    }
    (void)waitpid(child, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

/* The lowest free number is the connection's; the next one is beyond the limit. */
static void limit_descriptors(bool few)
{
    struct rlimit limit;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(lowest);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("getrlimit");
    limit.rlim_cur = few ? (rlim_t)lowest + 1 : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("setrlimit");
    printf("limited\n");
}

static void close_all(bool one_by_one)
{
    for (int fd = 3; one_by_one && fd < LAST; fd++)
        close(fd);
    if (!one_by_one && syscall(SYS_close_range, 3U, ~0U, 0U) != 0)
        die("close_range");
    printf("closed\n");
}

static void take_all(const char *file)
{
    int fd = open(file, O_WRONLY | O_APPEND);

    if (fd < 0)
        die(file);
    while (fd < LAST)
        fd = dup(fd);
    printf("taken\n");
}

static void list_kept(void)
{
    int lowest = -1;
    int inherited = 0;

    for (int fd = LAST - 1; fd >= 3; fd--) {
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0) {
            lowest = fd;
            inherited += (flags & FD_CLOEXEC) == 0;
        }
    }
    printf("%d %d\n", lowest, inherited);
}

static void obey(char *line)
{
    char *text = strchr(line, ' ');
    char *file = NULL;

    if (text != NULL) {
        *text++ = '\0';
        file = strchr(text, ' ');
    }
    if (file != NULL)
        file++;
    if (strcmp(line, "connect") == 0) {
        connect_again(false, false);
    } else if (strcmp(line, "keep") == 0) {
        connect_again(true, false);
    } else if (strcmp(line, "resume") == 0) {
        connect_again(true, true);
    } else if (strcmp(line, "port") == 0 && text != NULL) {
        port = (uint16_t)atoi(text);
        printf("%u\n", (unsigned)port);
    } else if (strcmp(line, "fork") == 0) {
        go_on_in_child(text != NULL);
    } else if (strcmp(line, "cost") == 0 && text != NULL) {
        measure(atoi(text));
    } else if (strcmp(line, "descriptors") == 0 && text != NULL) {
        limit_descriptors(strcmp(text, "few") == 0);
    } else if (strcmp(line, "chroot") == 0 && text != NULL) {
        printf("%d\n", chroot(text) == 0 && chdir("/") == 0);
    } else if (strcmp(line, "syscall") == 0 && text != NULL) {
        printf("%d\n", syscall(SYS_chroot, text) == 0 && chdir("/") == 0);
    } else if (strcmp(line, "close") == 0 && text != NULL) {
        close_all(strcmp(text, "loop") == 0);
    } else if (strcmp(line, "take") == 0 && text != NULL) {
        take_all(text);
    } else if (strcmp(line, "unlink") == 0 && text != NULL) {
        printf("%s\n", unlink(text) == 0 ? "unlinked" : "there was none");
    } else if (strcmp(line, "kept") == 0) {
        list_kept();
    } else if (strcmp(line, "setuid") == 0 && text != NULL) {
        printf("%d\n", setgid((gid_t)atoi(text)) == 0 && setuid((uid_t)atoi(text)) == 0);
    } else if (strcmp(line, "replace") == 0 && file != NULL) {
        replace_many(atoi(text), file);
    } else if (strcmp(line, "threads") == 0 && file != NULL) {
        connect_in_threads(atoi(text), file);
    } else {
        die(line);
    }
}

int main(int argc, char **argv)
{
    char line[4096];

    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* what a child reads is not read again */
    if (argc < 3)
        return 2;
    name = argv[1];
    port = (uint16_t)atoi(argv[2]);
    if (argc == 3)
        ctx = SSL_CTX_new(TLS_client_method());
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    return 0;
}
