/* The numbers below a size in an order that a seed names, without a table. */
#ifndef CYX_PATTERNS_PERMUTATION_H
#define CYX_PATTERNS_PERMUTATION_H

#include "words.h"

enum { PERMUTATION_ROUNDS = 3 };

struct permutation {
    uint64_t size;
    uint64_t mask; /* the size rounded up to a power of two, less 1 */
    unsigned shift;
    uint64_t keys[PERMUTATION_ROUNDS];
};

static inline void permutation_init(struct permutation *order, uint64_t size, uint64_t seed)
{
    unsigned bits = size > 1 ? 64 - (unsigned)__builtin_clzll(size - 1) : 1;

    order->size = size;
    order->mask = bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX;
    order->shift = (bits + 1) / 2;
    for (int i = 0; i < PERMUTATION_ROUNDS; i++)
        order->keys[i] = random_word(seed, (uint64_t)i);
}

/* Number i of the order. Each step of a round can be undone within the mask, so that no two numbers become one; what
 * is not below the size is mixed again until it is, which takes less than two turns. */
static inline uint64_t permuted(const struct permutation *order, uint64_t i)
{
    do
        for (int round = 0; round < PERMUTATION_ROUNDS; round++) {
            i = (i + order->keys[round]) * UINT64_C(0xD1B54A32D192ED03) & order->mask;
            i ^= i >> order->shift;
        }
    while (i >= order->size);
    return i;
}

#endif
