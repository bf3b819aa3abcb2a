/* Random bytes from the kernel. */
#ifndef POSTERN_BASE_RANDOM_H
#define POSTERN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills BYTES with SIZE random bytes fit for keys. Ends the process where the kernel gives none. */
void random_bytes(void *bytes, size_t size);

/* A number from 0 to BOUND - 1, without bias; for jitter and shuffling. BOUND > 0. */
uint32_t random_below(uint32_t bound);

#endif
