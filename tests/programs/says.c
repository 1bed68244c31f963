/* says PORT WORD [putc_unlocked]: greets at a port of 127.0.0.1, then says the word, by stdio. */
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(argc > 2 ? (unsigned short)atoi(argv[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FILE *stream;

    if (argc < 3 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 || (stream = fdopen(fd, "w")) == NULL)
        err(1, "connect");
    if (argc > 3) {
        for (const char *at = argv[2]; *at != '\0'; at++)
            putc_unlocked(*at, stream);
        putc_unlocked('\n', stream);
        return fclose(stream) != 0;
    }
    fprintf(stream, "EHLO %s\r\n", "here");
    fflush(stream);
    fputs("STARTTLS\r\n", stream);
    fprintf(stream, "%s\r\n", argv[2]);
    return fflush(stream) != 0;
}
