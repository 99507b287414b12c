/* The four loops of STREAM (McCalpin, 1995), over numbers of 8 bytes. */
#ifndef CYX_PATTERNS_STREAM_H
#define CYX_PATTERNS_STREAM_H

#include <string.h>

#include "words.h"

static inline void stream_copy(unsigned char *restrict target, const unsigned char *restrict source, size_t size)
{
    memcpy(target, source, size); /* which is what a compiler makes of the loop */
}

static inline void stream_scale(unsigned char *restrict target, const unsigned char *restrict source, size_t size,
                                double factor)
{
    real *restrict a = (real *)target;
    const real *restrict b = (const real *)source;

    UNROLLED
    for (size_t i = 0; i < size / sizeof(real); i++)
        a[i] = factor * b[i];
}

static inline void stream_add(unsigned char *restrict target, const unsigned char *restrict source,
                              const unsigned char *restrict second, size_t size)
{
    real *restrict a = (real *)target;
    const real *restrict b = (const real *)source, *restrict c = (const real *)second;

    UNROLLED
    for (size_t i = 0; i < size / sizeof(real); i++)
        a[i] = b[i] + c[i];
}

static inline void stream_triad(unsigned char *restrict target, const unsigned char *restrict source,
                                const unsigned char *restrict second, size_t size, double factor)
{
    real *restrict a = (real *)target;
    const real *restrict b = (const real *)source, *restrict c = (const real *)second;

    UNROLLED
    for (size_t i = 0; i < size / sizeof(real); i++)
        a[i] = b[i] + factor * c[i];
}

#endif
