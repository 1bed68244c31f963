/* raw PORT HOW: sends a ClientHello of no library, for www.pinned.example, to a port of 127.0.0.1. HOW: the function of libc that it sends with, or pieces, copied
 * (to another descriptor), syscall (write by that). "held+HOW": in a child that was forked while another thread held the list of objects. Prints what became of
 * it. */

#include "held.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "www.pinned.example"
#define NAME_LENGTH (sizeof(NAME) - 1)

static unsigned char hello[512];
static size_t size;

static void put(size_t value, int bytes)
{
    while (bytes-- > 0)
        hello[size++] = (unsigned char)(value >> 8 * bytes);
}

static void make(void)
{
    size_t extensions = 4 + 2 + 3 + NAME_LENGTH;
    size_t body = 2 + 32 + 1 + 2 + 2 + 2 + 2 + extensions;

    put(0x160301, 3);
    put(4 + body, 2);
    put(1, 1);
    put(body, 3);
    put(0x0303, 2);
    for (int i = 0; i < 32; i++)
        put((size_t)(7 * i), 1);
    put(0, 1);
    put(2, 2);
    put(0x1301, 2);
    put(0x0100, 2);
    put(extensions, 2);
    put(0, 2);
    put(2 + 3 + NAME_LENGTH, 2);
    put(3 + NAME_LENGTH, 2);
    put(0, 1);
    put(NAME_LENGTH, 2);
    memcpy(hello + size, NAME, NAME_LENGTH);
    size += NAME_LENGTH;
}

static ssize_t by_stdio(int fd, const char *how)
{
    FILE *stream = fdopen(fd, "w");
    size_t given = 0;

    if (strcmp(how, "fwrite") == 0)
        given = fwrite(hello, 1, size, stream);
    while (strcmp(how, "fputc") == 0 && given < size && fputc(hello[given], stream) != EOF)
        given++;
    return given == size && fflush(stream) == 0 ? (ssize_t)size : -1;
}

static ssize_t send_by(int fd, const char *how)
{
    struct iovec parts[3] = {{hello, 0}, {hello, 20}, {hello + 20, size - 20}};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 3}};
    ssize_t sent = 0;

    if (strcmp(how, "write") == 0)
        return write(fd, hello, size);
    if (strcmp(how, "send") == 0)
        return send(fd, hello, size, 0);
    if (strcmp(how, "sendto") == 0)
        return sendto(fd, hello, size, 0, NULL, 0);
    if (strcmp(how, "writev") == 0)
        return writev(fd, parts, 3);
    if (strcmp(how, "sendmsg") == 0)
        return sendmsg(fd, &message.msg_hdr, 0);
    if (strcmp(how, "sendmmsg") == 0)
        return sendmmsg(fd, &message, 1, 0) == 1 ? (ssize_t)message.msg_len : -1;
    if (strcmp(how, "copied") == 0)
        return write(dup2(fd, 77), hello, size);
    if (strcmp(how, "syscall") == 0)
        return syscall(SYS_write, fd, hello, size);
    if (strcmp(how, "pieces") != 0)
        return by_stdio(fd, how);
    while (sent >= 0 && (size_t)sent < size) {
        size_t left = size - (size_t)sent;
        ssize_t one = write(fd, hello + sent, left < 7 ? left : 7);

        sent = one < 0 ? one : sent + one;
    }
    return sent;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool in_child = argc == 3 && strncmp(argv[2], "held+", 5) == 0;
    pid_t child = in_child ? fork_held() : 0;
    int status = 0;
    int fd;

    if (argc != 3 || child < 0)
        return 2;
    if (child > 0)
        return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        return 2;
    make();
    signal(SIGPIPE, SIG_IGN);
    if (send_by(fd, argv[2] + (in_child ? 5 : 0)) != (ssize_t)size) {
        printf("%s\n", strerror(errno));
        return 1;
    }
    puts("sent");
    return 0;
}
