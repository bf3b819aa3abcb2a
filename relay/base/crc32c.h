/* CRC-32C (Castagnoli; RFC 3720 B.4), by the processor's instruction where it has one. */
#ifndef POSTERN_BASE_CRC32C_H
#define POSTERN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of SIZE bytes behind what CRC covers already; begin with 0. crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
