/* Block by block into one buffer. */
#ifndef CYX_PATTERNS_BLOCKS_H
#define CYX_PATTERNS_BLOCKS_H

#include "words.h"

/* The sum of the bytes whose offset in the source, where the block begins at `offset`, is a multiple of the stride. */
static inline uint64_t sum_of_block(const unsigned char *block, size_t length, size_t offset, size_t stride)
{
    size_t beyond = offset % stride;
    uint64_t sum = 0;

    UNROLLED
    for (size_t i = beyond ? stride - beyond : 0; i < length; i += stride)
        sum += block[i];
    return sum;
}

#endif
