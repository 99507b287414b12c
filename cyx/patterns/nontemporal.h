/* Stores that go past the caches to memory. */
#ifndef CYX_PATTERNS_NONTEMPORAL_H
#define CYX_PATTERNS_NONTEMPORAL_H

#include <string.h>

#include "words.h"

#ifdef __SSE2__

#include <emmintrin.h>

enum { NONTEMPORAL = 1, STORE = sizeof(__m128i), STORES = 4 };

/* The bytes before the first store, which must begin at a multiple of its size. */
static inline size_t head_of(const unsigned char *memory, size_t size)
{
    size_t head = -(uintptr_t)memory % STORE;
    return head < size ? head : size;
}

static inline void write_past_caches(unsigned char *memory, size_t size, uint64_t value)
{
    size_t head = head_of(memory, size), turn = head % sizeof(word) * 8;
    __m128i pair;

    for (size_t i = 0; i < head; i++)
        memory[i] = (unsigned char)(value >> i % sizeof(word) * 8);
    value = turn ? value >> turn | value << (64 - turn) : value;
    pair = _mm_set1_epi64x((long long)value);
    memory += head;
    size -= head;
    for (; size >= STORES * STORE; memory += STORES * STORE, size -= STORES * STORE)
        for (int i = 0; i < STORES; i++)
            _mm_stream_si128((__m128i *)memory + i, pair);
    _mm_sfence();
    for (size_t i = 0; i < size; i++)
        memory[i] = (unsigned char)(value >> i % sizeof(word) * 8);
}

static inline void copy_past_caches(unsigned char *target, const unsigned char *source, size_t size)
{
    size_t head = head_of(target, size);

    memcpy(target, source, head);
    target += head;
    source += head;
    size -= head;
    for (; size >= STORE; target += STORE, source += STORE, size -= STORE)
        _mm_stream_si128((__m128i *)target, _mm_loadu_si128((const __m128i *)source));
    _mm_sfence();
    memcpy(target, source, size);
}

#else

enum { NONTEMPORAL = 0 };

static inline void write_past_caches(unsigned char *memory, size_t size, uint64_t value)
{
    (void)memory, (void)size, (void)value;
}

static inline void copy_past_caches(unsigned char *target, const unsigned char *source, size_t size)
{
    (void)target, (void)source, (void)size;
}

#endif

#endif
