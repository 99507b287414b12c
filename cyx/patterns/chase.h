/* Pointers that lead from node to node in one cycle, in random order, and how they are followed. */
#ifndef CYX_PATTERNS_CHASE_H
#define CYX_PATTERNS_CHASE_H

#include "permutation.h"

enum { CHASE_CHAINS = 16 };

typedef uintptr_t __attribute__((aligned(1), may_alias)) pointer;

/* Nodes of one size, each with a pointer at the same place of it. */
struct cycle {
    struct permutation order;
    size_t node;
    size_t place;
};

static inline pointer *cycle_link(const struct cycle *cycle, const unsigned char *memory, uint64_t i)
{
    return (pointer *)(memory + permuted(&cycle->order, i) * cycle->node + cycle->place);
}

/* Write the links of the nodes first to last of the order. */
static inline void cycle_tie(const struct cycle *cycle, unsigned char *memory, size_t first, size_t last)
{
    pointer *here;

    if (first == last)
        return;
    here = cycle_link(cycle, memory, first);
    for (size_t i = first + 1; i <= last; i++) {
        pointer *next = cycle_link(cycle, memory, i < cycle->order.size ? i : 0);
        *here = (uintptr_t)next;
        here = next;
    }
}

/* How many steps lead back to the first node; 0 where one leads out of the memory, or does not end. */
static inline uint64_t cycle_length(const struct cycle *cycle, const unsigned char *memory, size_t size)
{
    uintptr_t begin = (uintptr_t)cycle_link(cycle, memory, 0), at = begin;

    for (uint64_t steps = 1; steps <= cycle->order.size; steps++) {
        at = *(const pointer *)at;
        if (at - (uintptr_t)memory > size - sizeof(pointer))
            return 0;
        if (at == begin)
            return steps;
    }
    return 0;
}

/* A pointer that someone changed may lead anywhere, which is for guard.h to tell, not for a sanitizer. */
#ifdef __SANITIZE_ADDRESS__
#define FOLLOWS_ANYTHING __attribute__((no_sanitize("address", "undefined")))
#else
#define FOLLOWS_ANYTHING
#endif

#define CHAIN_BY_CHAIN(CHAINS) _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++)

/* One function for each number of chains, so that each chain is in a register, and four steps in a row, because there is
 * none left to count them in. */
#define CHASE(CHAINS)                                                                                                  \
    FOLLOWS_ANYTHING static inline void chase_##CHAINS(uintptr_t *chains, size_t steps)                                \
    {                                                                                                                  \
        uintptr_t at[CHAINS];                                                                                          \
        CHAIN_BY_CHAIN(CHAINS) at[i] = chains[i];                                                                      \
        for (; steps >= 4; steps -= 4) {                                                                               \
            CHAIN_BY_CHAIN(CHAINS) at[i] = *(const pointer *)at[i];                                                    \
            CHAIN_BY_CHAIN(CHAINS) at[i] = *(const pointer *)at[i];                                                    \
            CHAIN_BY_CHAIN(CHAINS) at[i] = *(const pointer *)at[i];                                                    \
            CHAIN_BY_CHAIN(CHAINS) at[i] = *(const pointer *)at[i];                                                    \
        }                                                                                                              \
        for (; steps > 0; steps--)                                                                                     \
            CHAIN_BY_CHAIN(CHAINS) at[i] = *(const pointer *)at[i];                                                    \
        CHAIN_BY_CHAIN(CHAINS) chains[i] = at[i];                                                                      \
    }

CHASE(1) CHASE(2) CHASE(3) CHASE(4) CHASE(5) CHASE(6) CHASE(7) CHASE(8)
CHASE(9) CHASE(10) CHASE(11) CHASE(12) CHASE(13) CHASE(14) CHASE(15) CHASE(16)

#undef CHASE
#undef FOLLOWS_ANYTHING

/* Follow so many chains side by side. */
static inline void chase(uintptr_t *chains, int count, size_t steps)
{
    static void (*const functions[])(uintptr_t *, size_t) = {
        chase_1, chase_2,  chase_3,  chase_4,  chase_5,  chase_6,  chase_7,  chase_8,
        chase_9, chase_10, chase_11, chase_12, chase_13, chase_14, chase_15, chase_16,
    };

    functions[count - 1](chains, steps);
}

#endif
