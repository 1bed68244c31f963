#include "proven.h"

#include <stdatomic.h>

/* A digest is forgotten when 16 later ones have come to the same set. */
#define SETS 256
#define WAYS 16

static _Atomic uint64_t remembered[SETS][WAYS][PROVEN_WORDS];
static _Atomic uint8_t turns[SETS]; /* the way that is used next */

static unsigned set_of(const uint64_t digest[static PROVEN_WORDS])
{
    return (unsigned)(digest[0] % SETS);
}

bool proven_knows(const uint64_t digest[static PROVEN_WORDS])
{
    _Atomic uint64_t(*set)[PROVEN_WORDS] = remembered[set_of(digest)];

    for (int i = 0; i < WAYS; i++) {
        int same = 0;

        while (same < PROVEN_WORDS && atomic_load_explicit(&set[i][same], memory_order_relaxed) == digest[same])
            same++;
        if (same == PROVEN_WORDS)
            return true;
    }
    return false;
}

void proven_remember(const uint64_t digest[static PROVEN_WORDS])
{
    unsigned set = set_of(digest);
    unsigned way;

    if (proven_knows(digest))
        return;
    way = atomic_fetch_add(&turns[set], 1) % WAYS;
    for (int i = 0; i < PROVEN_WORDS; i++)
        atomic_store_explicit(&remembered[set][way][i], digest[i], memory_order_relaxed);
}
