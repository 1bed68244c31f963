/* Digests of sessions that were proven. */
#include "proven.h"
#include "unit.h"

#include <string.h>

/* The first of the vectors that its authors give, for the key 00 01 ... 0f and the inputs (none) and 00. */
static void test_siphash(void)
{
    static const struct {
        size_t size;
        uint8_t digest[16];
    } rows[] = {
        {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
        {1, {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45}},
    };
    uint8_t bytes[64];
    uint64_t key[2];
    uint64_t out[2];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    memcpy(key, bytes, sizeof(key));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        proven_siphash(key, bytes, rows[i].size, out);
        check(memcmp(out, rows[i].digest, sizeof(out)) == 0, "%zu bytes", rows[i].size);
    }
}

static void test_table(void)
{
    uint64_t one[PROVEN_WORDS];
    uint64_t other[PROVEN_WORDS];

    proven_digest("session", 7, one);
    proven_digest("sessioN", 7, other);
    check(memcmp(one, other, 16) != 0, "each has its own digest");
    check(!proven_knows(one), "nothing is known at first");
    proven_remember(one);
    check(proven_knows(one) && !proven_knows(other), "what is remembered is known, and nothing else");
    for (uint64_t i = 1; i <= 4096; i++) {
        uint64_t digest[PROVEN_WORDS] = {i * 0x9e3779b97f4a7c15, i, i, i};

        proven_remember(digest);
        check(proven_knows(digest), "number %u", (unsigned)i);
    }
}

int main(void)
{
    test_siphash();
    test_table();
    return unit_end("proven");
}
