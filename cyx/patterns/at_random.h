/* Bytes at random offsets. */
#ifndef CYX_PATTERNS_AT_RANDOM_H
#define CYX_PATTERNS_AT_RANDOM_H

#include "words.h"

static inline uint64_t sum_at_random(const unsigned char *memory, size_t size, size_t first, size_t last, uint64_t seed)
{
    uint64_t sum = 0;

    for (size_t i = first; i < last; i++)
        sum += memory[random_word(seed, i) % size];
    return sum;
}

#endif
