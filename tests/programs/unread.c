/* unread ring|null|parts|messages|memory: sends what is in a packet socket's ring, or writes to /dev/null: calls that succeed without a look at their buffer, which is
 * none; or hands the kernel parts and messages that it does not read, or several messages, not all of which can be sent, or memory that
 * cannot be read, at once or after some bytes. Prints what they return. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define FRAME 2048

static void *volatile nothing; /* as the compiler does not know */
static volatile int most = INT_MAX;
static volatile ssize_t none = -1;

static int die(const char *what)
{
    perror(what);
    exit(2);
}

/* packet(7); Documentation/networking/packet_mmap.rst of the kernel */
static int ring(void)
{
    struct tpacket_req request = {.tp_block_size = PAGE, .tp_block_nr = 1, .tp_frame_size = FRAME, .tp_frame_nr = 2};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct tpacket_hdr *header;

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0
        || setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)) != 0)
        die("a ring");
    header = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        die("mmap");
    header->tp_len = 60;
    header->tp_status = TP_STATUS_SEND_REQUEST;
    printf("send: %zd\n", send(fd, nothing, 0, 0));
    header->tp_status = TP_STATUS_SEND_REQUEST;
    printf("sendto: %zd\n", sendto(fd, nothing, 0, 0, NULL, 0));
    return 0;
}

static int null(void)
{
    struct iovec part = {NULL, 100};
    int fd = open("/dev/null", O_WRONLY);

    if (fd < 0)
        die("/dev/null");
    printf("write: %zd\n", write(fd, nothing, 100));
    printf("writev: %zd\n", writev(fd, &part, 1));
    return 0;
}

static void show(const char *what, ssize_t returned)
{
    printf("%s: %zd %s\n", what, returned, returned < 0 ? strerror(errno) : "");
}

static int parts(void)
{
    char data[] = "\x16\3\1";
    void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec part = {data, 3};
    struct msghdr without = {.msg_iovlen = 1};
    struct msghdr empty = {.msg_iov = nowhere};
    struct msghdr many = {.msg_iov = &part, .msg_iovlen = 1UL << 40};
    struct mmsghdr message = {.msg_hdr = without};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        die("a pair of sockets");
    show("writev of no parts", writev(fds[0], nothing, 1));
    show("writev of nothing", writev(fds[0], nowhere, 0));
    show("writev of too many", writev(fds[0], &part, most));
    show("writev of fewer than none", writev(fds[0], &part, -most));
    show("pwritev2 of no parts", pwritev2(fds[0], nothing, 1, -1, 0));
    show("pwritev2 at an offset", pwritev2(fds[0], &part, 1, 0, 0));
    show("sendmsg of none", sendmsg(fds[0], nothing, 0));
    show("sendmsg of no parts", sendmsg(fds[0], &without, 0));
    show("sendmsg of nothing", sendmsg(fds[0], &empty, 0));
    show("sendmsg of too many", sendmsg(fds[0], &many, 0));
    show("sendmmsg of none", sendmmsg(fds[0], nothing, 1, 0));
    show("sendmmsg of no parts", sendmmsg(fds[0], &message, 1, 0));
    show("write by syscall", syscall(SYS_write, fds[0], nothing, 3));
    show("writev by syscall", syscall(SYS_writev, fds[0], nothing, 1));
    show("sendmsg by syscall", syscall(SYS_sendmsg, fds[0], &many, 0));
    show("sendmmsg by syscall", syscall(SYS_sendmmsg, fds[0], nothing, 1, 0));
    return 0;
}

#define READABLE 65536

/* The second message cannot be sent, or follows on one that is sent in part: its end cannot be read. What sendmmsg leaves in errno counts where it
 * succeeds, too. */
static int messages(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(own);
    char *large = mmap(NULL, READABLE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec part = {"hello", 5};
    struct iovec all = {large, READABLE + PAGE};
    struct mmsghdr two[2] = {{.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iovlen = 1}}};
    int fds[3] = {socket(AF_INET, SOCK_DGRAM, 0)};

    if (bind(fds[0], (const struct sockaddr *)&own, sizeof(own)) != 0 || getsockname(fds[0], (struct sockaddr *)&own, &length) != 0
        || connect(fds[0], (const struct sockaddr *)&own, sizeof(own)) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds + 1) != 0
        || large == MAP_FAILED || mprotect(large + READABLE, PAGE, PROT_NONE) != 0)
        die("sockets");
    large[0] = 'C';
    for (int i = 0; i < 2; i++) {
        for (unsigned count = 0; count <= 2; count += 2) {
            int sent;

            errno = EAGAIN;
            sent = sendmmsg(fds[i], two, count, 0);
            printf("of %u messages: %d, errno %d\n", count, sent, errno);
        }
    }
    errno = EAGAIN;
    show("none on no descriptor", sendmmsg(-1, two, 0, 0));
    two[0].msg_hdr.msg_iov = &all;
    two[1].msg_hdr.msg_iov = &part;
    for (int i = 1; i <= 2; i++) {
        int sent = sendmmsg(fds[i], two, 2, 0);

        printf("%d, of the first %u\n", sent, two[0].msg_len);
    }
    return 0;
}

static const char *const calls[] = {"write", "send", "sendto", "writev", "writev behind a header", "pwritev2", "sendmsg", "write by syscall"};

static ssize_t send_by(size_t call, int fd, char *bytes, size_t size)
{
    struct iovec parts[2] = {{"HTTP/1.1 200\r\n", 14}, {bytes, size}};
    struct msghdr message = {.msg_iov = parts + 1, .msg_iovlen = 1};

    switch (call) {
    case 0: return write(fd, bytes, size);
    case 1: return send(fd, bytes, size, 0);
    case 2: return sendto(fd, bytes, size, 0, NULL, 0);
    case 3: return writev(fd, parts + 1, 1);
    case 4: return writev(fd, parts, 2);
    case 5: return pwritev2(fd, parts + 1, 1, -1, 0);
    case 6: return sendmsg(fd, &message, 0);
    default: return syscall(SYS_write, fd, bytes, size);
    }
}

/* A file that is mapped, and then cut off. */
static char *truncated(void)
{
    FILE *file = tmpfile();
    char *map = MAP_FAILED;

    if (file != NULL && ftruncate(fileno(file), PAGE) == 0)
        map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fileno(file), 0);
    if (map == MAP_FAILED || ftruncate(fileno(file), 0) != 0)
        die("a file");
    return map;
}

/* Each on a connection of its own, and as what follows on another write. */
static int memory(void)
{
    static const char *const begins[] = {"\x16\3\1\2\0\1\0\1\xfc\3\3", "\x12\1\0\x99\0\0\0\0\x16\3\1\0", "\x80\x2e\1\3\1\0\x15\0\0\0\x10",
        "CONNECT a:443 HTTP/1.0\r\n\r\n", "\5\1\0\5\1\0\3\5", "\4\1\1\xbb\0\0\0\1u", "\0\x20\1\2\1\0\0\1\0\0\0\0\0\0\1a", "plain text, "};
    static const size_t sizes[] = {0, 1, 2, 3, 5, 6, 8, 11, 20, 44, 100, 599, 600, 601, 3000};
    static const size_t wanted[] = {30, 517, 4000, 100000};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(own);
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *cut = truncated();
    int from = socket(AF_INET, SOCK_STREAM, 0);

    if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE) != 0 || listen(from, 5) != 0 || getsockname(from, (struct sockaddr *)&own, &length) != 0)
        die("a listener");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) * 8 * 15 * 4; i++) {
        size_t call = i / (8 * 15 * 4);
        const char *begin = begins[i / (15 * 4) % 8];
        size_t known = sizes[i / 4 % 15];
        size_t size = wanted[i % 4];
        char *bytes = known == 0 && i % 2 != 0 ? cut : pages + PAGE - known;
        int to = socket(AF_INET, SOCK_STREAM, 0);
        int other;

        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(to, (const struct sockaddr *)&own, sizeof(own)) != 0 || (other = accept(from, NULL, NULL)) < 0)
            die("a connection");
        if (known > 0) {
            memset(bytes, 'a', known);
            memcpy(bytes, begin, known < 11 ? known : 11);
            if (size <= known)
                size = known + 1;
        }
        printf("%s, %d, %zu of %zu: ", calls[call], begin[0], known, size);
        errno = 0;
        printf("%zd", send_by(call, to, bytes, size));
        printf(", errno %d; ", errno);
        (void)!write(to, "a", 1);
        (void)!write(to, "line\r\n", 6);
        errno = 0;
        if (known > 0)
            printf("%zd", send_by(call, to, bytes, size));
        printf(", errno %d\n", errno);
        close(to);
        close(other);
    }
    printf("of no process: %zd", write(from, (const char *)nothing - PAGE, 100));
    printf(", errno %d\n", errno);
    printf("of no length: %zd", write(from, begins[0], (size_t)none));
    printf(", errno %d\n", errno);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "memory") == 0)
        return memory();
    if (argc > 1 && strcmp(argv[1], "messages") == 0)
        return messages();
    if (argc > 1 && strcmp(argv[1], "parts") == 0)
        return parts();
    return argc > 1 && strcmp(argv[1], "ring") == 0 ? ring() : null();
}
