#include "proven.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>

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

static uint64_t rotated(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(uint64_t v[static 4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotated(v[1], 13) ^ v[0];
        v[3] = rotated(v[3], 16) ^ v[2];
        v[0] = rotated(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotated(v[3], 21) ^ v[0];
        v[1] = rotated(v[1], 17) ^ v[2];
        v[2] = rotated(v[2], 32);
    }
}

void proven_siphash(const uint64_t key[static 2], const void *bytes, size_t size, uint64_t out[static 2])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee, key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const uint8_t *at = bytes;
    uint64_t word;

    for (size_t left = size; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, sizeof(word));
        v[3] ^= word;
        mix(v, 2);
        v[0] ^= word;
    }
    word = 0;
    memcpy(&word, at, size % 8);
    word |= (uint64_t)size << 56;
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
    v[2] ^= 0xee;
    mix(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    mix(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

void proven_digest(const void *bytes, size_t size, uint64_t out[static PROVEN_WORDS])
{
    const void *random = (const void *)getauxval(AT_RANDOM); /* 16 bytes, of the kernel's */
    uint64_t key[2] = {0, 0};

    if (random != NULL)
        memcpy(key, random, sizeof(key));
    proven_siphash(key, bytes, size, out);
    out[2] = size;
    out[3] = 0;
}
