#include "aes.h"

#include <string.h>

/* Multiply by x in GF(2^8). */
static uint8_t twice(uint8_t byte)
{
    return (uint8_t)(byte << 1 ^ (byte >> 7) * 0x1b);
}

static uint8_t rotate(uint8_t byte, int by)
{
    return (uint8_t)(byte << by | byte >> (8 - by));
}

/* Section 5.1.1. The powers of 3 are all numbers but 0; those of its inverse are their inverses. */
static void make_sbox(uint8_t sbox[static 256])
{
    uint8_t power = 1;
    uint8_t inverse = 1;

    do {
        power ^= twice(power);
        inverse ^= (uint8_t)(inverse << 1);
        inverse ^= (uint8_t)(inverse << 2);
        inverse ^= (uint8_t)(inverse << 4);
        inverse ^= (inverse >> 7) * 9;
        sbox[power] = 0x63 ^ inverse ^ rotate(inverse, 1) ^ rotate(inverse, 2) ^ rotate(inverse, 3) ^ rotate(inverse, 4);
    } while (power != 1);
    sbox[0] = 0x63;
}

void aes_expand(struct aes *aes, const uint8_t key[static AES_BLOCK])
{
    uint8_t constant = 1;

    make_sbox(aes->sbox);
    memcpy(aes->keys[0], key, AES_BLOCK);
    for (int i = 1; i <= AES_ROUNDS; i++) {
        const uint8_t *before = aes->keys[i - 1];
        uint8_t *now = aes->keys[i];

        for (int j = 0; j < 4; j++)
            now[j] = before[j] ^ aes->sbox[before[12 + (j + 1) % 4]];
        now[0] ^= constant;
        for (int j = 4; j < AES_BLOCK; j++)
            now[j] = before[j] ^ now[j - 4];
        constant = twice(constant);
    }
}

static void add_key(uint8_t block[static AES_BLOCK], const uint8_t key[static AES_BLOCK])
{
    for (int i = 0; i < AES_BLOCK; i++)
        block[i] ^= key[i];
}

static void mix_column(uint8_t column[static 4])
{
    uint8_t all = column[0] ^ column[1] ^ column[2] ^ column[3];
    uint8_t first = column[0];

    for (int i = 0; i < 4; i++)
        column[i] ^= all ^ twice(column[i] ^ (i < 3 ? column[i + 1] : first));
}

void aes_encrypt(const struct aes *aes, uint8_t block[static AES_BLOCK])
{
    uint8_t state[AES_BLOCK];

    add_key(block, aes->keys[0]);
    for (int round = 1; round <= AES_ROUNDS; round++) {
        /* The bytes are substituted, and each row is shifted by its number. */
        for (int i = 0; i < AES_BLOCK; i++)
            state[i] = aes->sbox[block[(i + 4 * (i % 4)) % AES_BLOCK]];
        for (int i = 0; i < AES_BLOCK && round < AES_ROUNDS; i += 4)
            mix_column(state + i);
        memcpy(block, state, AES_BLOCK);
        add_key(block, aes->keys[round]);
    }
}
