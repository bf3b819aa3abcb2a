#include "siphash.h"

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void turn(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void turns(uint64_t v[4], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        turn(v);
}

static inline void take_word(uint64_t v[4], uint64_t word, unsigned rounds)
{
    v[3] ^= word;
    turns(v, rounds);
    v[0] ^= word;
}

static inline uint64_t finish(uint64_t v[4], unsigned rounds)
{
    v[2] ^= 0xff;
    turns(v, rounds);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Eight bytes, little-endian. */
static inline uint64_t word_at(const unsigned char *bytes)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

/* The constants are SipHash's own. */
static inline void begin(uint64_t v[4], const unsigned char key[SIPHASH_KEY_SIZE])
{
    uint64_t low = word_at(key), high = word_at(key + 8);
    v[0] = low ^ 0x736f6d6570736575u;
    v[1] = high ^ 0x646f72616e646f6du;
    v[2] = low ^ 0x6c7967656e657261u;
    v[3] = high ^ 0x7465646279746573u;
}

void siphash_begin(struct siphash *hash, const unsigned char key[SIPHASH_KEY_SIZE])
{
    begin(hash->v, key);
    hash->word = hash->size = 0;
}

/* Takes N bytes, fewer than a word. */
static void add_bytes(struct siphash *hash, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash->word |= (uint64_t)bytes[i] << (8 * (hash->size % 8));
        if (++hash->size % 8 == 0) {
            take_word(hash->v, hash->word, 2);
            hash->word = 0;
        }
    }
}

void siphash_add(struct siphash *hash, struct span part)
{
    const unsigned char *bytes = (const unsigned char *)part.p;
    unsigned kept = 8 * (hash->size % 8); /* bits of a word that was begun */
    size_t at = 0;
    for (; part.n - at >= 8; at += 8) {
        uint64_t word = word_at(bytes + at);
        take_word(hash->v, hash->word | word << kept, 2);
        hash->word = kept ? word >> (64 - kept) : 0;
    }
    hash->size += at;
    add_bytes(hash, bytes + at, part.n - at);
}

uint64_t siphash_end(struct siphash *hash)
{
    take_word(hash->v, hash->word | hash->size << 56, 2);
    return finish(hash->v, 4);
}

uint64_t siphash_fast(const unsigned char key[SIPHASH_KEY_SIZE], struct span bytes)
{
    uint64_t v[4], last = (uint64_t)bytes.n << 56;
    size_t at = 0;
    begin(v, key);
    for (; at + 8 <= bytes.n; at += 8)
        take_word(v, word_at((const unsigned char *)bytes.p + at), 1);
    for (unsigned i = 0; at + i < bytes.n; i++)
        last |= (uint64_t)(unsigned char)bytes.p[at + i] << (8 * i);
    take_word(v, last, 1);
    return finish(v, 3);
}
