#include "sent.h"

#include "socket.h"

#include <stdatomic.h>
#include <string.h>

/* A handshake is forgotten when 16 later ones have come to the same set. With few ways, some of a few thousand handshakes at a time were lost. */
#define SETS 1024
#define WAYS 16

enum place { MADE = 1, CHANGING, ELSEWHERE, TO_ADDRESS, REPEATED };

static struct way {
    _Atomic uint64_t print; /* of the random; 0: empty, or being changed */
    _Atomic uint64_t address[2]; /* TO_ADDRESS */
    _Atomic uint64_t rest; /* enum place in the lowest byte, then the port, the descriptor, and how often the way was used before */
} ways[SETS][WAYS];

static _Atomic uint16_t turns[SETS]; /* the way that is used next */

/* The first bytes may be the time (RFC 5246, section 7.4.1.2). */
static uint64_t print_of(const uint8_t random[static HELLO_RANDOM])
{
    uint64_t print;

    memcpy(&print, random + 8, sizeof(print));
    return print != 0 ? print : 1;
}

static unsigned set_of(const uint8_t random[static HELLO_RANDOM])
{
    return (random[16] | (unsigned)random[17] << 8) % SETS;
}

static uint64_t pack(enum place place, uint16_t port, int fd, uint64_t uses)
{
    return place | (uint64_t)port << 8 | (uint64_t)(uint32_t)fd << 24 | uses << 56;
}

static enum place place_of(uint64_t rest)
{
    return (enum place)(rest & 0xff);
}

static struct way *find(const uint8_t random[static HELLO_RANDOM])
{
    struct way *set = ways[set_of(random)];
    uint64_t print = print_of(random);

    for (int i = 0; i < WAYS; i++) {
        if (atomic_load(&set[i].print) == print)
            return &set[i];
    }
    return NULL;
}

void sent_made(const uint8_t random[static HELLO_RANDOM])
{
    unsigned set = set_of(random);
    struct way *way = find(random);
    unsigned turn;

    /* Of a client without good randoms. Nobody can tell which of its handshakes goes where. */
    if (way != NULL) {
        atomic_store(&way->rest, pack(REPEATED, 0, -1, 0));
        return;
    }
    turn = atomic_fetch_add_explicit(&turns[set], 1, memory_order_relaxed);
    way = &ways[set][turn % WAYS];
    atomic_store(&way->print, 0);
    atomic_store(&way->rest, pack(MADE, 0, -1, turn / WAYS));
    /* Not if another thread has taken the way over meanwhile. */
    (void)atomic_compare_exchange_strong(&way->print, &(uint64_t) {0}, print_of(random));
}

/* Read the address of a way whose `rest` is this. Return false if another one was written in the meantime. */
static bool read_address(const struct way *way, uint64_t print, uint64_t rest, struct host *out)
{
    uint64_t words[2] = {atomic_load(&way->address[0]), atomic_load(&way->address[1])};

    memset(out, 0, sizeof(*out));
    out->kind = HOST_ADDRESS;
    memcpy(out->address, words, sizeof(words));
    out->port = (uint16_t)(rest >> 8);
    return atomic_load(&way->rest) == rest && atomic_load(&way->print) == print;
}

enum sent_state sent_find(const uint8_t random[static HELLO_RANDOM], struct sent *out)
{
    const struct way *way = find(random);
    uint64_t rest = way != NULL ? atomic_load(&way->rest) : 0;

    out->state = SENT_UNKNOWN;
    out->to.kind = HOST_UNREADABLE;
    out->fd = (int)(uint32_t)(rest >> 24);
    switch (place_of(rest)) {
    case MADE:
    case CHANGING: out->state = SENT_NOT; break;
    case ELSEWHERE:
    case REPEATED: out->state = SENT_ELSEWHERE; break;
    case TO_ADDRESS: out->state = read_address(way, print_of(random), rest, &out->to) ? SENT_TO_ADDRESS : SENT_UNKNOWN; break;
    }
    return out->state;
}

int sent_socket(const struct sent *sent)
{
    bool known = sent->state == SENT_TO_ADDRESS;
    struct host peer;

    if (!known && sent->state != SENT_ELSEWHERE)
        return -1;
    return known && socket_peer(sent->fd, &peer) && !(host_same(&peer, &sent->to) && peer.port == sent->to.port) ? -1 : sent->fd;
}

enum sent_claim sent_leaves(const uint8_t random[static HELLO_RANDOM], int fd, const struct host *to)
{
    struct way *way = find(random);
    uint64_t rest = way != NULL ? atomic_load(&way->rest) : 0;
    uint64_t changing = pack(CHANGING, 0, fd, rest >> 56);
    enum place place = place_of(rest);
    uint64_t words[2];
    struct host before;

    if (way == NULL)
        return SENT_BY_OTHERS;
    if (place == REPEATED || to->kind != HOST_ADDRESS) {
        if (place == MADE)
            (void)atomic_compare_exchange_strong(&way->rest, &rest, pack(ELSEWHERE, 0, fd, rest >> 56));
        return SENT_ALONG;
    }
    /* What went to another thread of the program at first, through a pair of sockets, may go to its destination now. */
    if ((place == MADE || place == ELSEWHERE) && atomic_compare_exchange_strong(&way->rest, &rest, changing)) {
        memcpy(words, to->address, sizeof(words));
        atomic_store(&way->address[0], words[0]);
        atomic_store(&way->address[1], words[1]);
        /* Not if the way has become another handshake's meanwhile. */
        (void)atomic_compare_exchange_strong(&way->rest, &changing, pack(TO_ADDRESS, to->port, fd, rest >> 56));
        return SENT_ALONG;
    }
    if (place != TO_ADDRESS || !read_address(way, print_of(random), rest, &before))
        return find(random) == way ? SENT_ASTRAY : SENT_BY_OTHERS;
    return before.port == to->port && memcmp(before.address, to->address, sizeof(to->address)) == 0 ? SENT_ALONG : SENT_ASTRAY;
}
