/* asks PORT by=FUNCTION [with=FUNCTION] [name=NAME] [server=PORT] [stream] [apart]: a client that asks a name server on 127.0.0.1 for NAME (www.pinned.example) by
 * itself, and connects to what it gives, without a name for OpenSSL. FUNCTION is one of libc's that ask (res_query and its kin; __res_query: by the name for programs of
 * older releases) or the one that it receives the answer with; with: the one that sends. stream: over TCP, read as few bytes at a time as they come; apart: the length
 * is sent before the question. */

#include "paths.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <resolv.h>
#include <sys/uio.h>

ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *from, socklen_t *length);
ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);

static unsigned char answer[65536];

#ifdef __x86_64__
#define OLDEST "GLIBC_2.2.5"
#else
#define OLDEST "GLIBC_2.17"
#endif
/* musl has the first four alone, and no older names. */
#ifdef __GLIBC__
#define OLD(name, ...) \
    int old_##name(__VA_ARGS__); \
    __asm__(".symver old_" #name ", __" #name "@" OLDEST)
OLD(res_query, const char *, int, int, unsigned char *, int);
OLD(res_search, const char *, int, int, unsigned char *, int);
OLD(res_querydomain, const char *, const char *, int, int, unsigned char *, int);
OLD(res_send, const unsigned char *, int, unsigned char *, int);
OLD(res_nquery, res_state, const char *, int, int, unsigned char *, int);
OLD(res_nsearch, res_state, const char *, int, int, unsigned char *, int);
OLD(res_nquerydomain, res_state, const char *, const char *, int, int, unsigned char *, int);
OLD(res_nsend, res_state, const unsigned char *, int, unsigned char *, int);
#endif

/* Return the size of the answer; -1: `by` is none of these. */
static int ask_libc(const char *by, const char *name)
{
    unsigned char query[512];
    int size = res_mkquery(QUERY, name, C_IN, T_A, NULL, 0, NULL, query, sizeof(query));
    int room = sizeof(answer);

    if (strcmp(by, "res_query") == 0)
        return res_query(name, C_IN, T_A, answer, room);
    if (strcmp(by, "res_search") == 0)
        return res_search(name, C_IN, T_A, answer, room);
    if (strcmp(by, "res_querydomain") == 0)
        return res_querydomain("www", strchr(name, '.') + 1, C_IN, T_A, answer, room);
    if (strcmp(by, "res_send") == 0)
        return res_send(query, size, answer, room);
#ifdef __GLIBC__
    static struct __res_state state;

    if (res_ninit(&state) != 0)
        die("res_ninit");
    if (strcmp(by, "res_nquery") == 0)
        return res_nquery(&state, name, C_IN, T_A, answer, room);
    if (strcmp(by, "res_nsearch") == 0)
        return res_nsearch(&state, name, C_IN, T_A, answer, room);
    if (strcmp(by, "res_nquerydomain") == 0)
        return res_nquerydomain(&state, "www", strchr(name, '.') + 1, C_IN, T_A, answer, room);
    if (strcmp(by, "res_nsend") == 0)
        return res_nsend(&state, query, size, answer, room);
    if (strcmp(by, "__res_query") == 0)
        return old_res_query(name, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_search") == 0)
        return old_res_search(name, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_querydomain") == 0)
        return old_res_querydomain("www", strchr(name, '.') + 1, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_send") == 0)
        return old_res_send(query, size, answer, room);
    if (strcmp(by, "__res_nquery") == 0)
        return old_res_nquery(&state, name, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_nsearch") == 0)
        return old_res_nsearch(&state, name, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_nquerydomain") == 0)
        return old_res_nquerydomain(&state, "www", strchr(name, '.') + 1, C_IN, T_A, answer, room);
    if (strcmp(by, "__res_nsend") == 0)
        return old_res_nsend(&state, query, size, answer, room);
#endif
    return -1;
}

/* One call. In parts: three. */
static ssize_t receive(const char *by, int fd, unsigned char *bytes, size_t size)
{
    struct iovec parts[3] = {{bytes, 0}, {bytes, size > 5 ? 5 : size}, {bytes + 5, size > 5 ? size - 5 : 0}};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 3}};

    if (strcmp(by, "recv") == 0)
        return recv(fd, bytes, size, 0);
    if (strcmp(by, "recvfrom") == 0)
        return recvfrom(fd, bytes, size, 0, NULL, NULL);
    if (strcmp(by, "recvmsg") == 0)
        return recvmsg(fd, &message.msg_hdr, 0);
    if (strcmp(by, "recvmmsg") == 0)
        return recvmmsg(fd, &message, 1, 0, NULL) == 1 ? (ssize_t)message.msg_len : -1;
    if (strcmp(by, "read") == 0)
        return read(fd, bytes, size);
    if (strcmp(by, "readv") == 0)
        return readv(fd, parts, 3);
    if (strcmp(by, "__recv_chk") == 0)
        return __recv_chk(fd, bytes, size, size, 0);
    if (strcmp(by, "__recvfrom_chk") == 0)
        return __recvfrom_chk(fd, bytes, size, size, 0, NULL, NULL);
    if (strcmp(by, "__read_chk") == 0)
        return __read_chk(fd, bytes, size, size);
    die(by);
    return -1;
}

static void transmit(const char *with, int fd, void *bytes, size_t size, const struct sockaddr_in *to)
{
    struct iovec parts[2] = {{bytes, 2}, {(char *)bytes + 2, size - 2}};
    struct mmsghdr message = {.msg_hdr = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = to != NULL ? sizeof(*to) : 0, .msg_iov = parts, .msg_iovlen = 2}};
    ssize_t sent;

    if (strcmp(with, "send") == 0)
        sent = send(fd, bytes, size, 0);
    else if (strcmp(with, "sendto") == 0)
        sent = sendto(fd, bytes, size, 0, (const struct sockaddr *)to, sizeof(*to));
    else if (strcmp(with, "fastopen") == 0)
        sent = sendto(fd, bytes, size, MSG_FASTOPEN, (const struct sockaddr *)to, sizeof(*to));
    else if (strcmp(with, "sendmsg") == 0)
        sent = sendmsg(fd, &message.msg_hdr, 0);
    else if (strcmp(with, "sendmmsg") == 0)
        sent = sendmmsg(fd, &message, 1, 0) == 1 ? (ssize_t)size : -1;
    else if (strcmp(with, "writev") == 0)
        sent = writev(fd, parts, 2);
    else
        sent = write(fd, bytes, size);
    if (sent != (ssize_t)size)
        die(with);
}

static int ask(char **argv, const char *name)
{
    const char *with = option(argv, "with", "send");
    const char *by = option(argv, "by", "recv");
    bool stream = word(argv, "stream");
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(option(argv, "server", "53")))};
    bool given = strcmp(with, "sendto") == 0 || strcmp(with, "fastopen") == 0 || (!stream && (strcmp(with, "sendmsg") == 0 || strcmp(with, "sendmmsg") == 0));
    int fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    unsigned char query[2 + 512];
    size_t start = stream ? 0 : 2;
    size_t size = 0;
    size_t wanted = sizeof(answer);
    int length = res_mkquery(QUERY, name, C_IN, T_A, NULL, 0, NULL, query + 2, sizeof(query) - 2);

    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    query[0] = (unsigned char)(length >> 8);
    query[1] = (unsigned char)length;
    if (!given && connect(fd, (const struct sockaddr *)&server, sizeof(server)) != 0)
        die("connect");
    if (word(argv, "apart")) {
        transmit(with, fd, query, 2, NULL);
        start = 2;
    }
    transmit(with, fd, query + start, (size_t)length + 2 - start, given ? &server : NULL);
    do {
        ssize_t received = receive(by, fd, answer + size, sizeof(answer) - size);

        if (received <= 0)
            die(by);
        size += (size_t)received;
        if (size >= 2)
            wanted = (size_t)answer[0] << 8 | answer[1];
    } while (stream && size < 2 + wanted);
    close(fd);
    if (stream)
        memmove(answer, answer + 2, size -= 2);
    return (int)size;
}

int main(int argc, char **argv)
{
    const char *name = option(argv, "name", PINNED);
    const char *by = option(argv, "by", "recv");
    char address[INET_ADDRSTRLEN];
    ns_msg message;
    ns_rr record;
    SSL *ssl;
    int size;

    if (argc < 2)
        return 2;
    size = strstr(by, "res_") != NULL ? ask_libc(by, name) : ask(argv, name);
    if (size < 0 || ns_initparse(answer, size, &message) != 0)
        die("no answer");
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) == 0 && ns_rr_type(record) == ns_t_a)
            break;
    }
    if (ns_rr_type(record) != ns_t_a)
        die("no address");
    inet_ntop(AF_INET, ns_rr_rdata(record), address, sizeof(address));
    ssl = client(context(argv), open_socket(address, argv[1], SOCK_STREAM), NULL);
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
