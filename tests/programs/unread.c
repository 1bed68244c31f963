/* unread ring|null: sends what is in a packet socket's ring, or writes to /dev/null: calls that succeed without a look at their buffer, which is
 * none. Prints what they return. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define FRAME 2048

static void *volatile nothing; /* as the compiler does not know */

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

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "ring") == 0 ? ring() : null();
}
