/* proxy HOST PORT [WORD...] [NAME=VALUE...]: a client that asks the proxy at HOST:PORT for host=HOST (www.pinned.example):443, and speaks TLS with what is
 * behind it.
 *
 * ask=connect|four|four-a|five|five-address|five-password: how it asks. again: CONNECT is asked a second time, after the first answer. chain: first it asks for
 * proxy.example. malformed: the request has no version. small: in small letters. after-line: after an empty line. child: a forked child asks, and ends.
 * by=CALL: what it sends with. pieces=N: N bytes in each call. nameless: OpenSSL is told no name. sni=NAME: and another one.
 * on=same|dup|fork|passed: the descriptor that the TLS uses. reuse=closed|fclosed|dissolved|replaced: no proxy is asked on the connection, but on one before, with the
 * same descriptor. others=N: so many other connections to others-port=PORT ask for
 * proxy.example before the TLS begins, and stay open as long as the limit allows.
 * tls: it speaks TLS with the proxy as well. memory: the TLS within that goes through BIOs in memory. cut=N: N bytes of it in each call. */

#include "paths.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char **options;
static const char *by;
static FILE *stream;
static SSL *outer;

static int count(char *out, int size, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(out, (size_t)size, format, args);
    va_end(args);
    return length;
}

static ssize_t give_parts(int fd, const char *at, size_t size)
{
    /* Some are empty. */
    struct iovec parts[] = {{NULL, 0}, {(void *)(uintptr_t)at, size / 2}, {(void *)(uintptr_t)at, 0}, {(void *)(uintptr_t)(at + size / 2), size - size / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};

    return strcmp(by, "writev") == 0 ? writev(fd, parts, 4) : sendmsg(fd, &message, 0);
}

int __fprintf_chk(FILE *, int, const char *, ...);
int __dprintf_chk(int, int, const char *, ...);

static bool give_stream(int fd, const char *at, size_t size)
{
    char string[1024];

    if (size >= sizeof(string))
        die("too much");
    memcpy(string, at, size);
    string[size] = '\0';
    if (strcmp(by, "dprintf") == 0)
        return dprintf(fd, "%s", string) == (int)size;
    if (strcmp(by, "dprintf_chk") == 0)
        return __dprintf_chk(fd, 1, "%s", string) == (int)size;
    /* Of a copy, which may be closed before the TLS begins. */
    if (stream == NULL)
        stream = fdopen(dup(fd), "w");
    if (strcmp(by, "fprintf") == 0)
        return fprintf(stream, "%s", string) == (int)size;
    if (strcmp(by, "fprintf_chk") == 0)
        return __fprintf_chk(stream, 1, "%s", string) == (int)size;
    if (strcmp(by, "fputs") == 0)
        return fputs(string, stream) >= 0;
    if (strcmp(by, "fputs_unlocked") == 0)
        return fputs_unlocked(string, stream) >= 0;
    if (strcmp(by, "fwrite") == 0)
        return fwrite(at, 1, size, stream) == size;
    if (strcmp(by, "fwrite_unlocked") == 0)
        return fwrite_unlocked(at, 1, size, stream) == size;
    for (size_t i = 0; i < size; i++) {
        if ((strcmp(by, "putc") == 0 ? (putc)(at[i], stream) : fputc(at[i], stream)) == EOF)
            return false;
    }
    return true;
}

static void give(int fd, const char *at, size_t size)
{
    size_t most = (size_t)atol(option(options, "pieces", "100000"));
    bool given = true;

    for (size_t piece; given && size > 0; at += piece, size -= piece) {
        piece = size < most ? size : most;
        if (outer != NULL)
            given = SSL_write(outer, at, (int)piece) == (int)piece;
        else if (strcmp(by, "write") == 0)
            given = write(fd, at, piece) == (ssize_t)piece;
        else if (strcmp(by, "send") == 0)
            given = send(fd, at, piece, 0) == (ssize_t)piece;
        else if (strcmp(by, "sendto") == 0)
            given = sendto(fd, at, piece, 0, NULL, 0) == (ssize_t)piece;
        else if (strcmp(by, "writev") == 0 || strcmp(by, "sendmsg") == 0)
            given = give_parts(fd, at, piece) == (ssize_t)piece;
        else
            given = give_stream(fd, at, piece);
    }
    if (!given || (stream != NULL && fflush(stream) != 0))
        die("the proxy");
}

static void answer(int fd, const char *end, size_t length)
{
    char got[1024];
    size_t size = 0;

    while (size < sizeof(got) && (end != NULL ? size < 4 || memcmp(got + size - 4, end, 4) != 0 : size < length)) {
        if ((outer != NULL ? SSL_read(outer, got + size, 1) : (int)read(fd, got + size, 1)) != 1)
            die("the proxy's answer");
        size++;
    }
}

static void ask(int fd, const char *how, const char *host, bool refused)
{
    unsigned char address[4];
    char request[1024];
    int size;

    if (sscanf(host, "%hhu.%hhu.%hhu.%hhu", &address[0], &address[1], &address[2], &address[3]) != 4)
        memset(address, 0, sizeof(address));
    if (strcmp(how, "four") == 0 || strcmp(how, "four-a") == 0) {
        bool named = strcmp(how, "four-a") == 0;

        size = count(request, sizeof(request), "\4\1\1\xbb%c%c%c%cme%c", named ? 0 : address[0], named ? 0 : address[1], named ? 0 : address[2],
            named ? 1 : address[3], 0);
        size += named ? count(request + size, 300, "%s%c", host, 0) : 0;
        give(fd, request, (size_t)size);
        answer(fd, NULL, 8);
    } else if (strncmp(how, "five", 4) == 0) {
        bool password = strcmp(how, "five-password") == 0;

        give(fd, password ? "\5\2\0\2" : "\5\1\0", password ? 4 : 3);
        answer(fd, NULL, 2);
        if (password) {
            give(fd, "\1\1u\2pw", 6);
            answer(fd, NULL, 2);
        }
        if (strcmp(how, "five-address") == 0)
            size = count(request, sizeof(request), "\5\1%c\1%c%c%c%c\1\xbb", 0, address[0], address[1], address[2], address[3]);
        else
            size = count(request, sizeof(request), "\5\1%c\3%c%s\1\xbb", 0, (int)strlen(host), host);
        give(fd, request, (size_t)size);
        answer(fd, NULL, 10);
    } else {
        size = count(request, sizeof(request), "%s%s %s:443%s\r\n\r\n", word(options, "after-line") ? "\r\n" : "", word(options, "small") ? "connect" : "CONNECT", host,
            word(options, "malformed") ? "" : " HTTP/1.1\r\nHost: x");
        give(fd, request, (size_t)size);
        answer(fd, "\r\n\r\n", 0);
        if (refused)
            answer(fd, "none", 0);
    }
}

/* The same connection, as another process could get it. */
static int passed(int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec part = {"x", 1};
    char x;
    struct iovec place = {&x, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int ends[2];

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || sendmsg(ends[0], &message, 0) != 1)
        die("passing");
    close(fd);
    message.msg_iov = &place;
    if (recvmsg(ends[1], &message, 0) != 1)
        die("passing");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}

/* Bytes of one SSL go through the other. */
static bool turn(SSL *ssl, BIO *far)
{
    char bytes[20000];

    for (;;) {
        int result = SSL_connect(ssl);
        int size;

        while ((size = BIO_read(far, bytes, atoi(option(options, "cut", "20000")))) > 0) {
            if (SSL_write(outer, bytes, size) != size)
                return false;
        }
        if (result == 1 || SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ)
            return show("SSL_connect", ssl, result) == 1;
        if ((size = SSL_read(outer, bytes, sizeof(bytes))) <= 0 || BIO_write(far, bytes, size) != size)
            return false;
    }
}

static int speak(SSL_CTX *ctx, int fd, const char *sni)
{
    SSL *ssl = client(ctx, outer != NULL ? -1 : fd, sni);

    if (word(options, "memory")) {
        char bytes[20000];
        BIO *near;
        BIO *far;
        int size;

        BIO_new_bio_pair(&near, 20000, &far, 20000);
        SSL_set_bio(ssl, near, near);
        if (!turn(ssl, far) || SSL_write(ssl, REQUEST, (int)strlen(REQUEST)) <= 0)
            return 1;
        while ((size = BIO_read(far, bytes, sizeof(bytes))) > 0)
            (void)SSL_write(outer, bytes, size);
        while ((size = SSL_read(ssl, bytes, sizeof(bytes))) <= 0 && (size = SSL_read(outer, bytes, sizeof(bytes))) > 0)
            (void)BIO_write(far, bytes, size);
        printf("%.*s\n", size > 0 ? size : 0, bytes);
        return size > 0 ? 0 : 1;
    }
    if (outer != NULL) {
        BIO *bio = BIO_new(BIO_f_ssl());

        BIO_set_ssl(bio, outer, BIO_NOCLOSE);
        SSL_set_bio(ssl, bio, bio);
    }
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *how = option(argv, "ask", "connect");
    const char *host = option(argv, "host", PINNED);
    const char *sni = option(argv, "sni", word(argv, "nameless") ? NULL : PINNED);
    const char *on = option(argv, "on", "same");
    const char *reuse = option(argv, "reuse", NULL);
    struct rlimit limit;
    int fd;

    if (argc < 3)
        return 2;
    options = argv;
    by = option(argv, "by", "write");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    if (word(argv, "tls")) {
        outer = client(ctx, fd, "proxy.example");
        if (SSL_connect(outer) != 1)
            die("the proxy");
    }
    if (word(argv, "chain"))
        ask(fd, how, "proxy.example", false);
    if (word(argv, "again"))
        ask(fd, how, host, true);
    if (word(argv, "child")) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            ask(fd, how, host, false);
            _exit(0);
        }
        if (waitpid(child, &status, 0) != child || status != 0)
            die("the child");
    } else {
        ask(fd, how, host, false);
    }
    for (int i = atoi(option(argv, "others", "0")); i > 0; i--) {
        static const char request[] = "CONNECT proxy.example:1 HTTP/1.0\r\n\r\n";
        static int open[100000];
        int most = limit.rlim_cur < 100100 ? (int)limit.rlim_cur - 100 : 100000;
        int other;

        if (open[i % most] != 0)
            close(open[i % most]);
        other = open[i % most] = open_socket(argv[1], option(argv, "others-port", argv[2]), SOCK_STREAM);
        if (write(other, request, strlen(request)) < 0)
            die("the others");
    }
    if (word(argv, "fclose") && fclose(stream) != 0)
        die("fclose");
    if (strcmp(on, "dup") == 0) {
        fd = dup(fd);
    } else if (strcmp(on, "passed") == 0) {
        fd = passed(fd);
    } else if (strcmp(on, "fork") == 0) {
        pid_t child = fork();
        int status;

        if (child == 0)
            exit(speak(ctx, fd, sni));
        return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
    }
    if (reuse != NULL) {
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        int other;

        if (strcmp(reuse, "dissolved") == 0) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(option(argv, "direct", "0"))), .sin_addr.s_addr = htonl(0x7f000001)};

            (void)shutdown(fd, SHUT_RDWR);
            if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) != 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
                die("dissolved");
        } else if (strcmp(reuse, "replaced") == 0) {
            other = open_socket(argv[1], option(argv, "direct", "0"), SOCK_STREAM);
            if (dup2(other, fd) != fd)
                die("dup2");
            close(other);
        } else {
            if (strcmp(reuse, "fclosed") == 0)
                fclose(fdopen(fd, "w"));
            else
                close(fd);
            other = open_socket(argv[1], option(argv, "direct", "0"), SOCK_STREAM);
            if (other != fd)
                die("another descriptor");
        }
    }
    return speak(ctx, fd, sni);
}
