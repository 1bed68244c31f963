/* preinit HOST PORT [tls1.2]: a client that has tried to connect before libc knew its environment. */

#include "paths.h"

static void early(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)!connect(fd, (struct sockaddr *)&to, sizeof(to));
    close(fd);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libc)(void) = early;

int main(int argc, char **argv)
{
    return argc >= 3 && fetch_at(argv) ? 0 : 1;
}
