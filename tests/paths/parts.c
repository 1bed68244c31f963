/* parts: writes messages in parts, of which the first is short and ends where the memory does, is empty, or is not there; and
 * prints what the calls gave and what arrived. */

#define PATHS_NO_SSL
#include "paths.h"
#include <sys/mman.h>
#include <sys/uio.h>

static void send_parts(const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    ssize_t written;
    ssize_t sent;
    char text[256];
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        die("socketpair");
    errno = 0;
    written = writev(fds[0], parts, count);
    printf("writev: %zd, errno %d\n", written, errno);
    errno = 0;
    sent = sendmsg(fds[0], &message, 0);
    printf("sendmsg: %zd, errno %d\n", sent, errno);
    shutdown(fds[0], SHUT_WR);
    printf("arrived: %.*s\n", (int)read(fds[1], text, sizeof(text)), text);
}

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec parts[2] = {{NULL, 0}, {" www.pinned.example:443\n", 24}};

    if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0)
        die("mmap");
    for (size_t length = 1; length <= 7; length++) {
        memcpy(memory + page - length, "CONNECT", length);
        parts[0].iov_base = memory + page - length;
        parts[0].iov_len = length;
        send_parts(parts, 2);
    }
    parts[0].iov_base = NULL;
    parts[0].iov_len = 0;
    send_parts(parts, 2);
    send_parts(parts, 1);
    send_parts(parts, 0);
    send_parts(NULL, 0);
    return 0;
}
