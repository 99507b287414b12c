/* One stream of memory from its beginning to its end. */
#ifndef CYX_PATTERNS_SEQUENTIAL_H
#define CYX_PATTERNS_SEQUENTIAL_H

#include <string.h>

#include "words.h"

enum { LANE = 32 }; /* words: 256 bytes */

/* The sum of the words, and of the bytes that are left over behind the last one.
 *
 * Four sums over four lanes of a row: one sum is a chain of additions, and stops at 27 GB/s where memory gives 30 and
 * L2 115. Lanes of words that lie side by side were slower (16 GB/s), rows of 4 KiB too: the lanes alias. */
static inline uint64_t sum_of_words(const unsigned char *memory, size_t size)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    const unsigned char *end = memory + size;

    for (; (size_t)(end - memory) >= 4 * LANE * sizeof(word); memory += 4 * LANE * sizeof(word)) {
        const word *row = (const word *)memory;
        for (size_t i = 0; i < LANE; i++) {
            a += row[i];
            b += row[LANE + i];
            c += row[2 * LANE + i];
            d += row[3 * LANE + i];
        }
    }
    a += b + c + d;
    for (; (size_t)(end - memory) >= sizeof(word); memory += sizeof(word))
        a += *(const word *)memory;
    for (; memory < end; memory++)
        a += *memory;
    return a;
}

/* The word again and again, the last one cut. */
static inline void write_words(unsigned char *memory, size_t size, uint64_t value)
{
    word *words = (word *)memory;
    size_t count = size / sizeof(word);

    UNROLLED
    for (size_t i = 0; i < count; i++)
        words[i] = value;
    memcpy(memory + count * sizeof(word), &value, size % sizeof(word));
}

/* The random stream from word number `index` on, the last word cut. */
static inline void write_stream(unsigned char *memory, size_t size, uint64_t seed, uint64_t index)
{
    word *words = (word *)memory;
    size_t count = size / sizeof(word);
    uint64_t rest = random_word(seed, index + count);

    UNROLLED
    for (size_t i = 0; i < count; i++)
        words[i] = random_word(seed, index + i);
    memcpy(memory + count * sizeof(word), &rest, size % sizeof(word));
}

#endif
