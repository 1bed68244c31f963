/* What a program asks name servers and reads there: which names are remembered, in pieces, in parts, by many threads, and after a fork. */
#include "resolver.h"
#include "resolved.h"
#include "socket.h"
#include "unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 2000

struct message {
    uint8_t bytes[2 + 64]; /* from 2 on; before it the length */
    size_t size;
};

/* NAME (one label) with an address, 192.0.a.b, if `answers`. */
static struct message make(unsigned id, const char *name, bool answers, unsigned a, unsigned b)
{
    struct message out = {{0}, 0};
    uint8_t *at = out.bytes + 2;
    uint8_t head[12] = {(uint8_t)(id >> 8), (uint8_t)id, answers ? 0x81 : 1, answers ? 0x80 : 0, 0, 1, 0, answers};
    uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, (uint8_t)a, (uint8_t)b};

    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    *at++ = (uint8_t)strlen(name);
    memcpy(at, name, strlen(name) + 1);
    at += strlen(name) + 1;
    memcpy(at, "\0\1\0\1", 4);
    at += 4;
    if (answers) {
        memcpy(at, record, sizeof(record));
        at += sizeof(record);
    }
    out.size = (size_t)(at - out.bytes) - 2;
    out.bytes[1] = (uint8_t)out.size;
    return out;
}

static void asks(int fd, unsigned id, const char *name, bool stream)
{
    struct message question = make(id, name, false, 0, 0);
    struct iovec part = {question.bytes + (stream ? 0 : 2), question.size + (stream ? 2 : 0)};

    resolver_sends(fd, part.iov_base, part.iov_len, &part, 1);
}

/* In pieces of so many bytes. */
static void gets(int fd, const struct message *answer, bool stream, size_t piece)
{
    size_t end = answer->size + 2;

    for (size_t at = stream ? 0 : 2; at < end; at += piece) {
        struct iovec part = {(void *)(uintptr_t)(answer->bytes + at), end - at < piece ? end - at : piece};

        resolver_received(fd, &part, 1, part.iov_len);
    }
}

static bool has(const char *name, unsigned a, unsigned b)
{
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = (uint8_t)a, [15] = (uint8_t)b};
    uintptr_t cursor = 0;
    struct host host;

    while (resolved_next(address, &cursor, &host)) {
        if (host.kind == HOST_NAME && strcmp(host.name, name) == 0)
            return true;
    }
    return false;
}

static void counts_what_was_asked(void)
{
    struct message answer = make(7, "www", true, 2, 1);
    struct message other = make(7, "forged", true, 2, 2);
    struct message late = make(8, "www", true, 2, 3);

    gets(3, &answer, false, 1000);
    check(!has("www", 2, 1), "nothing was asked");
    asks(3, 7, "www", false);
    check(socket_marks_of(3) == SOCKET_ASKS_NAMES, "datagrams are marked");
    gets(4, &answer, false, 1000);
    check(!has("www", 2, 1), "it was not asked there");
    gets(3, &late, false, 1000);
    check(!has("www", 2, 3), "it was not asked under that number");
    gets(3, &other, false, 1000);
    check(!has("forged", 2, 2) && has("www", 2, 2), "the name that was asked counts");
    gets(3, &answer, false, 1000);
    check(has("www", 2, 1), "a datagram");
}

static void puts_pieces_together(void)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct message first = make((unsigned)piece, "stream", true, 3, (unsigned)piece);
        struct message second = make((unsigned)piece + 100, "stream", true, 4, (unsigned)piece);
        uint8_t both[sizeof(first.bytes) * 2];
        size_t size = first.size + 2;

        asks(5, (unsigned)piece, "stream", true);
        asks(5, (unsigned)piece + 100, "stream", true);
        memcpy(both, first.bytes, size);
        memcpy(both + size, second.bytes, second.size + 2);
        size += second.size + 2;
        for (size_t at = 0; at < size; at += piece) {
            struct iovec parts[2] = {{both + at, 0}, {both + at, size - at < piece ? size - at : piece}};

            resolver_received(5, parts, 2, parts[1].iov_len);
        }
        check(has("stream", 3, (unsigned)piece) && has("stream", 4, (unsigned)piece), "two messages in pieces of %zu", piece);
    }
    check((socket_marks_of(5) & SOCKET_ASKS_IN_STREAM) != 0, "a stream is marked");
}

/* Half of an answer on each of sixteen, then the rest. */
static void keeps_sixteen(void)
{
    struct message answers[16];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 16; i++) {
            struct iovec part;

            answers[i] = make((unsigned)i + 500, "sixteen", true, 5, (unsigned)i);
            asks(20 + i, (unsigned)i + 500, "sixteen", true);
            part = (struct iovec) {answers[i].bytes + (round == 0 ? 0 : 10), round == 0 ? 10 : answers[i].size - 8};
            resolver_received(20 + i, &part, 1, part.iov_len);
        }
    }
    for (unsigned i = 0; i < 16; i++)
        check(has("sixteen", 5, i), "the answer on the stream %u", i);
}

static void gathers_parts(void)
{
    struct message answer = make(9, "parts", true, 6, 1);
    struct iovec parts[3] = {{answer.bytes + 2, 5}, {answer.bytes + 7, 0}, {answer.bytes + 7, 400}};

    asks(6, 9, "parts", false);
    resolver_received(6, parts, 3, answer.size);
    check(has("parts", 6, 1), "a datagram in parts");
}

static void asks_tor(void)
{
    static const char request[] = "\5\xf0\0\3\4onyx\0\0";
    static const uint8_t reply[] = {5, 0, 0, 1, 192, 0, 7, 1, 0, 0};
    struct iovec part = {(void *)(uintptr_t)request, sizeof(request) - 1};

    resolver_sends(7, part.iov_base, part.iov_len, &part, 1);
    for (size_t i = 0; i < sizeof(reply); i++)
        resolver_received(7, &(struct iovec) {(void *)(uintptr_t)(reply + i), 1}, 1, 1);
    check(has("onyx", 7, 1), "a name that Tor resolved");
}

static void *work(void *arg)
{
    int fd = 100 + (int)(intptr_t)arg;
    bool stream = fd % 2 != 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct message answer = make(i, "thread", true, (unsigned)fd, i % 256);

        asks(fd, i, "thread", stream);
        gets(fd, &answer, stream, stream ? 1 + i % 30 : 1000);
    }
    return NULL;
}

static void serves_threads(void)
{
    pthread_t threads[THREADS];
    int status = 1;
    pid_t child;

    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    /* While they hold places. */
    child = fork();
    if (child == 0) {
        work((void *)(intptr_t)THREADS);
        work((void *)(intptr_t)(THREADS + 1));
        _exit(has("thread", 100 + THREADS, 255) && has("thread", 101 + THREADS, 255) ? 0 : 1);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned k = 0; k < 256; k++)
            check(has("thread", 100 + i, k), "the answer %u of thread %u", k, i);
    }
    check(waitpid(child, &status, 0) == child && status == 0, "a forked child");
}

int main(void)
{
    counts_what_was_asked();
    puts_pieces_together();
    keeps_sixteen();
    gathers_parts();
    asks_tor();
    serves_threads();
    return unit_end("resolver");
}
