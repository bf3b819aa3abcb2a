/* SipHash (Aumasson, Bernstein): a keyed hash of 64 bits. Who does not know the key can neither choose what collides nor tell what was
 * hashed. */
#ifndef POSTERN_BASE_SIPHASH_H
#define POSTERN_BASE_SIPHASH_H

#include "span.h"

#include <stdint.h>

#define SIPHASH_KEY_SIZE 16

/* A hash in progress. */
struct siphash {
    uint64_t v[4];
    uint64_t word; /* bytes that fill no word yet */
    uint64_t size; /* bytes so far */
};

/* Begins SipHash-2-4 with KEY. */
void siphash_begin(struct siphash *hash, const unsigned char key[SIPHASH_KEY_SIZE]);

/* Adds PART: how the bytes are cut into parts makes no difference. */
void siphash_add(struct siphash *hash, struct span part);

/* The hash of all that was added; HASH is used up. */
uint64_t siphash_end(struct siphash *hash);

/* SipHash-1-3 of BYTES: for tables in memory, where the hash is shown to nobody. */
uint64_t siphash_fast(const unsigned char key[SIPHASH_KEY_SIZE], struct span bytes);

#endif
