#include "sha2.h"

#include <endian.h>
#include <string.h>

/* The fractional parts of the cube roots of the first 80 primes (FIPS 180-4, section 4.2.3). SHA-256 takes the upper halves of the first 64
 * (section 4.2.2). */
static const uint64_t constants[80] = {
    UINT64_C(0x428a2f98d728ae22), UINT64_C(0x7137449123ef65cd), UINT64_C(0xb5c0fbcfec4d3b2f), UINT64_C(0xe9b5dba58189dbbc),
    UINT64_C(0x3956c25bf348b538), UINT64_C(0x59f111f1b605d019), UINT64_C(0x923f82a4af194f9b), UINT64_C(0xab1c5ed5da6d8118),
    UINT64_C(0xd807aa98a3030242), UINT64_C(0x12835b0145706fbe), UINT64_C(0x243185be4ee4b28c), UINT64_C(0x550c7dc3d5ffb4e2),
    UINT64_C(0x72be5d74f27b896f), UINT64_C(0x80deb1fe3b1696b1), UINT64_C(0x9bdc06a725c71235), UINT64_C(0xc19bf174cf692694),
    UINT64_C(0xe49b69c19ef14ad2), UINT64_C(0xefbe4786384f25e3), UINT64_C(0x0fc19dc68b8cd5b5), UINT64_C(0x240ca1cc77ac9c65),
    UINT64_C(0x2de92c6f592b0275), UINT64_C(0x4a7484aa6ea6e483), UINT64_C(0x5cb0a9dcbd41fbd4), UINT64_C(0x76f988da831153b5),
    UINT64_C(0x983e5152ee66dfab), UINT64_C(0xa831c66d2db43210), UINT64_C(0xb00327c898fb213f), UINT64_C(0xbf597fc7beef0ee4),
    UINT64_C(0xc6e00bf33da88fc2), UINT64_C(0xd5a79147930aa725), UINT64_C(0x06ca6351e003826f), UINT64_C(0x142929670a0e6e70),
    UINT64_C(0x27b70a8546d22ffc), UINT64_C(0x2e1b21385c26c926), UINT64_C(0x4d2c6dfc5ac42aed), UINT64_C(0x53380d139d95b3df),
    UINT64_C(0x650a73548baf63de), UINT64_C(0x766a0abb3c77b2a8), UINT64_C(0x81c2c92e47edaee6), UINT64_C(0x92722c851482353b),
    UINT64_C(0xa2bfe8a14cf10364), UINT64_C(0xa81a664bbc423001), UINT64_C(0xc24b8b70d0f89791), UINT64_C(0xc76c51a30654be30),
    UINT64_C(0xd192e819d6ef5218), UINT64_C(0xd69906245565a910), UINT64_C(0xf40e35855771202a), UINT64_C(0x106aa07032bbd1b8),
    UINT64_C(0x19a4c116b8d2d0c8), UINT64_C(0x1e376c085141ab53), UINT64_C(0x2748774cdf8eeb99), UINT64_C(0x34b0bcb5e19b48a8),
    UINT64_C(0x391c0cb3c5c95a63), UINT64_C(0x4ed8aa4ae3418acb), UINT64_C(0x5b9cca4f7763e373), UINT64_C(0x682e6ff3d6b2b8a3),
    UINT64_C(0x748f82ee5defb2fc), UINT64_C(0x78a5636f43172f60), UINT64_C(0x84c87814a1f0ab72), UINT64_C(0x8cc702081a6439ec),
    UINT64_C(0x90befffa23631e28), UINT64_C(0xa4506cebde82bde9), UINT64_C(0xbef9a3f7b2c67915), UINT64_C(0xc67178f2e372532b),
    UINT64_C(0xca273eceea26619c), UINT64_C(0xd186b8c721c0c207), UINT64_C(0xeada7dd6cde0eb1e), UINT64_C(0xf57d4f7fee6ed178),
    UINT64_C(0x06f067aa72176fba), UINT64_C(0x0a637dc5a2c898a6), UINT64_C(0x113f9804bef90dae), UINT64_C(0x1b710b35131c471b),
    UINT64_C(0x28db77f523047d84), UINT64_C(0x32caab7b40c72493), UINT64_C(0x3c9ebe0a15c9bebc), UINT64_C(0x431d67c49c100d4c),
    UINT64_C(0x4cc5d4becb3e42b6), UINT64_C(0x597f299cfc657e2a), UINT64_C(0x5fcb6fab3ad6faec), UINT64_C(0x6c44198c4a475817),
};

/* The initial state (section 5.3). */
static const uint32_t start_256[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
static const uint64_t start_384[8] = {
    UINT64_C(0xcbbb9d5dc1059ed8), UINT64_C(0x629a292a367cd507), UINT64_C(0x9159015a3070dd17), UINT64_C(0x152fecd8f70e5939),
    UINT64_C(0x67332667ffc00b31), UINT64_C(0x8eb44a8768581511), UINT64_C(0xdb0c2e0d64f98fa7), UINT64_C(0x47b5481dbefa4fa4),
};
static const uint64_t start_512[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

/* Sections 4.1.2 and 4.1.3: words of 32 and of 64 bits differ only in their rotations. */
static inline uint32_t rotate_32(uint32_t x, int count)
{
    return x >> count | x << (32 - count);
}

static inline uint64_t rotate_64(uint64_t x, int count)
{
    return x >> count | x << (64 - count);
}

#define ROTATE_THREE(rotate, x, a, b, c) rotate((x) ^ rotate((x) ^ rotate(x, (c) - (b)), (b) - (a)), a) /* rotated by a, by b and by c, and XORed */
#define ROTATE_TWO(rotate, x, a, b, shift) (rotate(x, a) ^ rotate(x, b) ^ (x) >> (shift))
#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

#define ROUND(a, b, c, d, e, f, g, h, sum0, sum1, term) \
    do { \
        h += sum1(e) + CHOOSE(e, f, g) + (term); \
        d += h; \
        h += sum0(a) + MAJORITY(a, b, c); \
    } while (0)

/* Eight rounds from number `i` on, after which each of the working variables v is in its place again. */
#define EIGHT_ROUNDS(v, sum0, sum1, term) \
    do { \
        ROUND(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], sum0, sum1, term(i)); \
        ROUND(v[7], v[0], v[1], v[2], v[3], v[4], v[5], v[6], sum0, sum1, term(i + 1)); \
        ROUND(v[6], v[7], v[0], v[1], v[2], v[3], v[4], v[5], sum0, sum1, term(i + 2)); \
        ROUND(v[5], v[6], v[7], v[0], v[1], v[2], v[3], v[4], sum0, sum1, term(i + 3)); \
        ROUND(v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3], sum0, sum1, term(i + 4)); \
        ROUND(v[3], v[4], v[5], v[6], v[7], v[0], v[1], v[2], sum0, sum1, term(i + 5)); \
        ROUND(v[2], v[3], v[4], v[5], v[6], v[7], v[0], v[1], sum0, sum1, term(i + 6)); \
        ROUND(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[0], sum0, sum1, term(i + 7)); \
    } while (0)

#define SUM0_32(x) ROTATE_THREE(rotate_32, x, 2, 13, 22)
#define SUM1_32(x) ROTATE_THREE(rotate_32, x, 6, 11, 25)
#define TERM_32(i) (uint32_t)(constants[i] >> 32) + schedule[i]

/* Section 6.2.2. */
static void compress_32(uint32_t state[static 8], const uint8_t block[static 64])
{
    uint32_t schedule[64];
    uint32_t v[8];

    memcpy(schedule, block, 64);
    for (int i = 0; i < 16; i++)
        schedule[i] = be32toh(schedule[i]);
    for (int i = 16; i < 64; i++)
        schedule[i] = ROTATE_TWO(rotate_32, schedule[i - 2], 17, 19, 10) + schedule[i - 7] + ROTATE_TWO(rotate_32, schedule[i - 15], 7, 18, 3)
            + schedule[i - 16];
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 64; i += 8)
        EIGHT_ROUNDS(v, SUM0_32, SUM1_32, TERM_32);
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

#define SUM0_64(x) ROTATE_THREE(rotate_64, x, 28, 34, 39)
#define SUM1_64(x) ROTATE_THREE(rotate_64, x, 14, 18, 41)
#define TERM_64(i) constants[i] + schedule[i]

/* Section 6.4.2. */
static void compress_64(uint64_t state[static 8], const uint8_t block[static 128])
{
    uint64_t schedule[80];
    uint64_t v[8];

    memcpy(schedule, block, 128);
    for (int i = 0; i < 16; i++)
        schedule[i] = be64toh(schedule[i]);
    for (int i = 16; i < 80; i++)
        schedule[i] = ROTATE_TWO(rotate_64, schedule[i - 2], 19, 61, 6) + schedule[i - 7] + ROTATE_TWO(rotate_64, schedule[i - 15], 1, 8, 7)
            + schedule[i - 16];
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 80; i += 8)
        EIGHT_ROUNDS(v, SUM0_64, SUM1_64, TERM_64);
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

/* Write the last one or two blocks to `out`: what is left of the bytes, a bit, zeros and the length in bits (section 5.1). Return how many bytes
 * they are. The upper half of the length field of a block of 128 bytes stays zero. */
static size_t pad(const uint8_t *left, size_t count, size_t length, size_t block, uint8_t out[static 256])
{
    size_t padded = count + 1 + block / 8 <= block ? block : 2 * block;
    uint64_t bits = htobe64((uint64_t)length * 8);

    memset(out, 0, padded);
    memcpy(out, left, count);
    out[count] = 0x80;
    memcpy(out + padded - sizeof(bits), &bits, sizeof(bits));
    return padded;
}

void sha2(enum digest digest, const void *bytes, size_t length, uint8_t *out)
{
    const uint8_t *at = bytes;
    size_t block = digest == DIGEST_SHA256 ? 64 : 128;
    size_t whole = length - length % block;
    uint32_t state_32[8];
    uint64_t state_64[8];
    uint8_t last[256];
    size_t padded = pad(at + whole, length - whole, length, block, last);

    if (digest == DIGEST_SHA256) {
        memcpy(state_32, start_256, sizeof(state_32));
        for (size_t i = 0; i < whole; i += block)
            compress_32(state_32, at + i);
        for (size_t i = 0; i < padded; i += block)
            compress_32(state_32, last + i);
        for (int i = 0; i < 8; i++)
            state_32[i] = htobe32(state_32[i]);
        memcpy(out, state_32, sizeof(state_32));
        return;
    }
    memcpy(state_64, digest == DIGEST_SHA384 ? start_384 : start_512, sizeof(state_64));
    for (size_t i = 0; i < whole; i += block)
        compress_64(state_64, at + i);
    for (size_t i = 0; i < padded; i += block)
        compress_64(state_64, last + i);
    for (int i = 0; i < 8; i++)
        state_64[i] = htobe64(state_64[i]);
    memcpy(out, state_64, digest_size(digest));
}
