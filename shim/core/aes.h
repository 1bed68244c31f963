/* AES with keys of 128 bits (FIPS 197), of single blocks. Not safe from timing: only for keys that are no secret. Pure. */
#ifndef PINSHIM_AES_H
#define PINSHIM_AES_H

#include <stdint.h>

#define AES_BLOCK 16
#define AES_ROUNDS 10

struct aes {
    uint8_t keys[AES_ROUNDS + 1][AES_BLOCK];
    uint8_t sbox[256];
};

void aes_expand(struct aes *aes, const uint8_t key[static AES_BLOCK]);

/* Encrypt the block in place. */
void aes_encrypt(const struct aes *aes, uint8_t block[static AES_BLOCK]);

#endif
