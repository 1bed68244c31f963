/* narrow thread|signal SIZE PORT hello|plain|FILE [PINS OTHER [tls]]: connects and sends on a stack of SIZE bytes: in a thread, or in a signal handler, in which nothing
 * may be allocated, and what the kernel puts there is not counted. FILE is sent as a datagram. With PINS, connects there first (and with "tls" makes a SSL_CTX), and makes that file a copy of OTHER before. Prints what was sent, and how often there was an
 * allocation. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *old);

static volatile bool within;
static volatile int allocations;
static struct sockaddr_in to = {.sin_family = AF_INET};
static const char *what;
static ssize_t sent = -2;

void *malloc(size_t size)
{
    allocations += within;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations += within;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations += within;
    return __libc_realloc(old, size);
}

void free(void *old)
{
    allocations += within && old != NULL;
    __libc_free(old);
}

/* A ClientHello without extensions. */
static const unsigned char hello[] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0x13, 0x01, 1, 0};

static char datagram[2048];
static size_t datagram_size;

static void speak(void)
{
    int fd = socket(AF_INET, datagram_size > 0 ? SOCK_DGRAM : SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        sent = -3;
    else if (datagram_size > 0)
        sent = send(fd, datagram, datagram_size, 0);
    else
        sent = strcmp(what, "hello") == 0 ? write(fd, hello, sizeof(hello)) : send(fd, "secret", 6, MSG_NOSIGNAL);
    close(fd);
}

static void *run(void *arg)
{
    speak();
    return arg;
}

static void handle(int number)
{
    (void)number;
    within = true;
    speak();
    within = false;
}

static void copy(const char *from, const char *to_path)
{
    char buffer[4096];
    int in = open(from, O_RDONLY);
    int out = open(to_path, O_WRONLY | O_TRUNC);
    ssize_t length;

    while ((length = read(in, buffer, sizeof(buffer))) > 0) {
        if (write(out, buffer, (size_t)length) != length)
            exit(2);
    }
    close(in);
    close(out);
}

static void read_datagram(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, datagram, sizeof(datagram));

    if (size <= 0)
        exit(2);
    datagram_size = (size_t)size;
    close(fd);
}

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define ROOM (1 << 20)

int main(int argc, char **argv)
{
    size_t size = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;
    stack_t stack = {.ss_size = size};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    pthread_attr_t attributes;
    pthread_t thread;

    if (argc < 5)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    what = argv[4];
    if (what[0] == '/')
        read_datagram(what);
    if (argc > 6) {
        speak();
        if (argc > 7)
            SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
        copy(argv[6], argv[5]);
    }
    if (strcmp(argv[1], "thread") == 0) {
        pthread_attr_init(&attributes);
        if (pthread_attr_setstacksize(&attributes, size) != 0 || pthread_create(&thread, &attributes, run, NULL) != 0)
            return 2;
        pthread_join(thread, NULL);
    } else {
        stack.ss_size += getauxval(AT_MINSIGSTKSZ);
        stack.ss_sp = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack.ss_sp == MAP_FAILED)
            return 2;
        /* Below it nothing may be touched. */
        stack.ss_sp = (char *)stack.ss_sp + ROOM - stack.ss_size;
        if (mprotect((void *)((uintptr_t)stack.ss_sp & ~(uintptr_t)4095), (stack.ss_size + 4095) & ~(size_t)4095, PROT_READ | PROT_WRITE) != 0 || sigaltstack(&stack, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0)
            return 2;
        raise(SIGUSR1);
    }
    printf("%zd bytes, %d allocations\n", sent, allocations);
    return 0;
}
