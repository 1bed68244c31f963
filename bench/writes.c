/* writes FUNCTION COUNT: calls a function that sends so many times, on a datagram socket, with data that is of no interest to the shim. */

#include "bench.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* callgrind counts what is done in here alone (bench/run, "counted"). */
__attribute__((noinline)) static void measured(const char *function, int fd, const struct sockaddr_in *to, long count)
{
    static char data[64] = "data";
    static char rest[64];
    struct iovec parts[2] = {{data, sizeof(data)}, {rest, sizeof(rest)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    struct mmsghdr messages = {.msg_hdr = message};

    for (long i = 0; i < count; i++) {
        ssize_t sent = -1;

        if (strcmp(function, "write") == 0)
            sent = write(fd, data, sizeof(data));
        else if (strcmp(function, "send") == 0)
            sent = send(fd, data, sizeof(data), 0);
        else if (strcmp(function, "sendto") == 0)
            sent = sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)to, sizeof(*to));
        else if (strcmp(function, "writev") == 0)
            sent = writev(fd, parts, 2);
        else if (strcmp(function, "pwritev2") == 0)
            sent = pwritev2(fd, parts, 2, -1, 0);
        else if (strcmp(function, "sendmsg") == 0)
            sent = sendmsg(fd, &message, 0);
        else if (strcmp(function, "sendmmsg") == 0)
            sent = sendmmsg(fd, &messages, 1, 0);
        else if (strcmp(function, "syscall") == 0)
            sent = syscall(SYS_write, fd, data, sizeof(data));
        if (sent < 0)
            die(function);
    }
    __asm__ volatile("");
}

/* Nobody reads: what does not fit into the receiver's buffer is dropped. */
int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int receiver = socket(AF_INET, SOCK_DGRAM, 0);
    int sender = socket(AF_INET, SOCK_DGRAM, 0);

    if (argc != 3 || bind(receiver, (const struct sockaddr *)&address, sizeof(address)) != 0
        || getsockname(receiver, (struct sockaddr *)&address, &(socklen_t) {sizeof(address)}) != 0
        || connect(sender, (const struct sockaddr *)&address, sizeof(address)) != 0)
        die("the sockets");
    measured(argv[1], sender, &address, atol(argv[2]));
    return 0;
}
