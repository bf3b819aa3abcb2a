/* CRC-32C in two ways: the SSE 4.2 instruction, eight bytes at a time, where the processor has it; else one table of 256. */
#include "crc32c.h"

#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* Castagnoli, bits reversed */

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t size)
{
    static uint32_t table[256];
    static bool made;
    if (!made) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (unsigned bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
            table[i] = value;
        }
        made = true;
    }
    while (size--)
        crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    while (size--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, bytes, size);
#endif
    return ~by_table(~crc, bytes, size);
}
