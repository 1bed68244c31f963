#include "within.h"

#include <stdlib.h>
#include <string.h>

_Atomic bool within_reads_on;

/* What was asked on the connection within which a ClientHello was sent, by its random: a connection over memory tells nothing else. The oldest of a set
 * gives way; a handshake whose entry is gone is one of which only the names are known. Nobody waits. */
#define SETS 256
#define WAYS 8
static struct within {
    _Atomic bool claimed;
    uint32_t age;
    uint8_t random[HELLO_RANDOM];
    struct proxied proxied;
} table[SETS][WAYS];
static _Atomic uint32_t ages;
static _Atomic bool any;

static struct within *set_of(const uint8_t random[static HELLO_RANDOM])
{
    return table[random[HELLO_RANDOM - 1] % SETS];
}

/* Not to have seen a request does not mean that there was none. */
void within_read(const struct proxy_request *request, struct proxied *out)
{
    out->asked = request != NULL ? proxy_request_host(request, &out->host) : PROXY_NOT_ASKED;
    if (out->asked == PROXY_NOT_ASKED)
        out->asked = PROXY_UNCLEAR;
}

static void remember(const struct proxy_request *request, const uint8_t random[static HELLO_RANDOM])
{
    uint32_t now = atomic_fetch_add(&ages, 1) + 1;
    struct within *set = set_of(random);
    struct within *place = &set[0];

    for (int i = 1; i < WAYS; i++) {
        if (now - set[i].age > now - place->age)
            place = &set[i];
    }
    if (atomic_exchange_explicit(&place->claimed, true, memory_order_acquire))
        return;
    place->age = now;
    memcpy(place->random, random, HELLO_RANDOM);
    within_read(request, &place->proxied);
    atomic_store_explicit(&place->claimed, false, memory_order_release);
    atomic_store(&any, true);
}

bool within_find(const uint8_t random[static HELLO_RANDOM], struct proxied *out)
{
    struct within *set = set_of(random);
    bool found = false;

    for (int i = 0; i < WAYS && !found; i++) {
        if (atomic_exchange_explicit(&set[i].claimed, true, memory_order_acquire))
            continue;
        found = set[i].age != 0 && memcmp(set[i].random, random, HELLO_RANDOM) == 0;
        if (found)
            *out = set[i].proxied;
        atomic_store_explicit(&set[i].claimed, false, memory_order_release);
    }
    return found;
}

static _Atomic int unseen;

void within_unseen(int more)
{
    atomic_fetch_add(&unseen, more);
}

const char *within_hidden(enum sent_state state, bool own)
{
    if (state == SENT_TO_ADDRESS || state == SENT_ELSEWHERE || atomic_load(&unseen) <= own)
        return NULL;
    return "its ClientHello was not sent on a socket by itself, perhaps within another TLS connection, whose request to a proxy cannot be read in this program";
}

bool within_is_used(void)
{
    return atomic_load(&any);
}

void within_written(struct proxy_request **request, const void *bytes, size_t size)
{
    const uint8_t first = *(const uint8_t *)bytes;
    const struct iovec part = {(void *)(uintptr_t)bytes, size};
    const uint8_t *random;
    struct hello hello;
    struct host host;
    bool known = hello_may_begin(first) && !hello_may_be_old(first) && hello_read(&part, 1, &hello) == HELLO_CLIENT;

    if (known)
        remember(*request, hello.random);
    if (*request == NULL && proxy_request_may_begin(first))
        *request = calloc(1, sizeof(**request));
    if (*request == NULL)
        return;
    proxy_request_read(*request, bytes, size, size);
    random = proxy_request_hello(*request);
    if (random != NULL && !known)
        remember(*request, random);
    if (proxy_request_goes_on(*request)) {
        atomic_store(&within_reads_on, true);
    } else if (proxy_request_host(*request, &host) == PROXY_NOT_ASKED) {
        free(*request);
        *request = NULL;
    }
}
