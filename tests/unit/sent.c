/* sent.c: where ClientHellos go, by their random: first and again, elsewhere, astray, twice the same; thousands at a time, and by threads. */

#include "sent.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 4000
#define THREADS 4

/* As from a good generator, the same for the same number. */
static void make_random(uint64_t number, uint8_t out[static HELLO_RANDOM])
{
    for (int i = 0; i < HELLO_RANDOM; i += 8) {
        uint64_t word = number + 0x9e3779b97f4a7c15U * (unsigned)(i + 1);

        word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9U;
        word = (word ^ word >> 27) * 0x94d049bb133111ebU;
        word ^= word >> 31;
        memcpy(out + i, &word, 8);
    }
}

static struct host address_of(uint64_t number)
{
    struct host host = {.kind = HOST_ADDRESS, .port = (uint16_t)(number | 1)};

    memcpy(host.address, &number, sizeof(number));
    return host;
}

static bool went_to(const uint8_t *random, const struct host *to, int fd)
{
    struct sent sent;

    return sent_find(random, &sent) == SENT_TO_ADDRESS && sent.fd == fd && sent.to.port == to->port
        && memcmp(sent.to.address, to->address, sizeof(to->address)) == 0;
}

static void one(void)
{
    static const struct host nowhere = {.kind = HOST_UNREADABLE};
    uint8_t random[HELLO_RANDOM];
    struct host first = address_of(1);
    struct host second = address_of(2);
    struct sent sent;

    make_random(1, random);
    check(sent_find(random, &sent) == SENT_UNKNOWN && sent_leaves(random, 3, &first) == SENT_BY_OTHERS, "nobody has made it");
    sent_made(random);
    check(sent_find(random, &sent) == SENT_NOT, "it was made, and not sent");
    check(sent_leaves(random, 3, &first) == SENT_ALONG && went_to(random, &first, 3), "it was sent");
    check(sent_leaves(random, 4, &first) == SENT_ALONG && went_to(random, &first, 3), "once more, to the same address");
    check(sent_leaves(random, 5, &second) == SENT_ASTRAY && went_to(random, &first, 3), "a copy to another address changes nothing");
    check(sent_leaves(random, 6, &nowhere) == SENT_ALONG && went_to(random, &first, 3), "nor does one to another process");
    sent_made(random);
    check(sent_find(random, &sent) == SENT_ELSEWHERE && sent_leaves(random, 3, &second) == SENT_ALONG, "of a random that repeats nobody can tell");
    make_random(2, random);
    sent_made(random);
    check(sent_leaves(random, 7, &nowhere) == SENT_ALONG && sent_find(random, &sent) == SENT_ELSEWHERE, "through a pair of sockets");
    check(sent_leaves(random, 8, &second) == SENT_ALONG && went_to(random, &second, 8), "and from there to its address");
}

static void many(void)
{
    uint8_t random[HELLO_RANDOM];
    int lost = 0;

    for (uint64_t i = 0; i < MANY; i++) {
        make_random(1000 + i, random);
        sent_made(random);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        struct host to = address_of(i);

        make_random(1000 + i, random);
        lost += sent_leaves(random, (int)i, &to) != SENT_ALONG || !went_to(random, &to, (int)i);
    }
    check(lost == 0, "%d of %d handshakes at a time were lost", lost, MANY);
}

static void child(void)
{
    uint8_t random[HELLO_RANDOM];
    struct host to = address_of(99);
    pid_t pid;
    int status;

    make_random(99, random);
    sent_made(random);
    pid = fork();
    if (pid == 0)
        _exit(sent_leaves(random, 3, &to) == SENT_ALONG && went_to(random, &to, 3) ? 0 : 1);
    check(waitpid(pid, &status, 0) == pid && status == 0, "a child goes on with a handshake");
}

static void *work(void *number)
{
    uintptr_t wrong = 0;

    for (uint64_t i = 0; i < MANY / THREADS; i++) {
        uint64_t mine = ((uint64_t)(uintptr_t)number << 32) + i;
        struct host to = address_of(mine);
        uint8_t random[HELLO_RANDOM];

        make_random(mine, random);
        sent_made(random);
        wrong += sent_leaves(random, 9, &to) != SENT_ALONG || !went_to(random, &to, 9);
    }
    return (void *)wrong;
}

static void threads(void)
{
    pthread_t made[THREADS];
    uintptr_t wrong = 0;

    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&made[i], NULL, work, (void *)(i + 1)) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(made[i], &result);
        wrong += (uintptr_t)result;
    }
    check(wrong == 0, "%d threads find where each of their own was sent", THREADS);
}

int main(void)
{
    one();
    many();
    child();
    threads();
    return unit_end("sent");
}
