/* Words at places that a list names. */
#ifndef CYX_PATTERNS_INDEXED_H
#define CYX_PATTERNS_INDEXED_H

#include "words.h"

/* Returns 1 + the position of the first index that is not below the number of items; 0 where all are. */
static inline uint64_t first_beyond(const unsigned char *index, size_t count, size_t items)
{
    const word *at = (const word *)index;

    for (size_t i = 0; i < count; i++)
        if (at[i] >= items)
            return i + 1;
    return 0;
}

static inline void gather_words(unsigned char *restrict target, const unsigned char *restrict source,
                                const unsigned char *restrict index, size_t first, size_t last)
{
    word *restrict a = (word *)target;
    const word *restrict b = (const word *)source, *restrict at = (const word *)index;

    UNROLLED
    for (size_t i = first; i < last; i++)
        a[i] = b[at[i]];
}

static inline void scatter_words(unsigned char *restrict target, const unsigned char *restrict source,
                                 const unsigned char *restrict index, size_t first, size_t last)
{
    word *restrict a = (word *)target;
    const word *restrict b = (const word *)source, *restrict at = (const word *)index;

    UNROLLED
    for (size_t i = first; i < last; i++)
        a[at[i]] = b[i];
}

#endif
