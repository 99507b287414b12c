/* Words of 8 bytes at any address, and the random streams of them. */
#ifndef CYX_PATTERNS_WORDS_H
#define CYX_PATTERNS_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* Operands come from anywhere: they need not begin at a multiple of 8, nor hold what the pointer says. */
typedef uint64_t __attribute__((aligned(1), may_alias)) word;
typedef double __attribute__((aligned(1), may_alias)) real;

/* A short loop runs at half its speed where its code crosses a line of the instruction cache, which is luck: one of
 * several copies does not depend on it. Measured: triad in L1 at 0.59 to 1.0 of the same loop elsewhere, now 1.1. */
#define UNROLLED _Pragma("GCC unroll 4")

/* The random streams: word number `index` of the one that the seed names (SplitMix64: Steele, Lea and Flood, 2014). */
#define STREAM_STEP UINT64_C(0x9E3779B97F4A7C15)

static inline uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t random_word(uint64_t seed, uint64_t index) { return mixed(seed + (index + 1) * STREAM_STEP); }

#endif
