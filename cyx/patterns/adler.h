/* Adler-32 (RFC 1950), in pieces that can be put together. */
#ifndef CYX_PATTERNS_ADLER_H
#define CYX_PATTERNS_ADLER_H

#include <stddef.h>
#include <stdint.h>

enum { ADLER_BASE = 65521, ADLER_BLOCK = 4096 }; /* bytes until 32 bits could be full */

/* What memory adds to both sums of a text behind which so many bytes follow: the first in the lower half. */
static inline uint64_t adler_piece(const unsigned char *memory, size_t size, size_t behind)
{
    uint64_t a = 0, b = 0;

    while (size > 0) {
        uint32_t block = size < ADLER_BLOCK ? (uint32_t)size : ADLER_BLOCK, sum = 0, weighted = 0;
        for (uint32_t i = 0; i < block; i++) {
            sum += memory[i];
            weighted += (block - i) * memory[i];
        }
        b = (b + block * a + weighted) % ADLER_BASE;
        a = (a + sum) % ADLER_BASE;
        memory += block;
        size -= block;
    }
    b = (b + behind % ADLER_BASE * a) % ADLER_BASE;
    return b << 32 | a;
}

/* The checksum of a text, from the sum of its pieces. */
static inline uint64_t adler_whole(uint64_t pieces, size_t size)
{
    uint64_t a = (1 + (pieces & UINT32_MAX)) % ADLER_BASE;
    uint64_t b = (size % ADLER_BASE + (pieces >> 32)) % ADLER_BASE;
    return b << 16 | a;
}

#endif
