/* Chunks and their slices: where slabs get their memory, and how free memory goes back to the system.
 *
 * All of it is called with the heap's lock. Free slices stay resident up to SLAB_DIRTY bytes, for the next slab. Beyond that they are
 * given back, many at a time: a call for each slice would cost more than the memory is worth. Given memory stays as it is.
 */
#ifndef CYX_ALLOCATORS_SLAB_CHUNK_H
#define CYX_ALLOCATORS_SLAB_CHUNK_H

#include "slab_types.h"

enum { SLAB_DIRTY_OF_ONE = 16 }; /* free slices of one chunk that are worth a call */

static inline size_t slab_map_index(const struct slab_heap *heap, uintptr_t address)
{
    return (address - heap->base) / SLAB_CHUNK;
}

/* Lock-free: a byte a chunk. Relaxed: who asks for a block it knows of has seen it being allocated, and so the byte. */
static inline int slab_owns(void *state, const void *pointer)
{
    const struct slab_heap *heap = state;
    size_t index = slab_map_index(heap, (uintptr_t)pointer);
    return (uintptr_t)pointer < heap->limit && index < heap->map_size
        && atomic_load_explicit(&heap->map[index], memory_order_relaxed);
}

static inline void slab_map_set(struct slab_heap *heap, uintptr_t address, size_t size, uint8_t value)
{
    size_t last = slab_map_index(heap, address + size - 1);
    for (size_t i = slab_map_index(heap, address); i <= last; i++)
        atomic_store_explicit(&heap->map[i], value, memory_order_relaxed);
}

static inline void slab_link_chunk(struct slab_chunk **list, struct slab_chunk *chunk)
{
    chunk->before = NULL;
    chunk->next = *list;
    if (*list)
        (*list)->before = chunk;
    *list = chunk;
}

static inline void slab_unlink_chunk(struct slab_chunk **list, struct slab_chunk *chunk)
{
    if (chunk->before)
        chunk->before->next = chunk->next;
    else
        *list = chunk->next;
    if (chunk->next)
        chunk->next->before = chunk->before;
}

/* Return the bits at which runs of so many set bits begin. */
static inline uint64_t slab_runs(uint64_t bits, unsigned length)
{
    for (unsigned have = 1; have < length && bits;) {
        unsigned more = have < length - have ? have : length - have;
        bits &= bits >> more;
        have += more;
    }
    return bits;
}

static inline uint64_t slab_bits(unsigned first, unsigned count)
{
    return (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << first;
}

/* Let the system have the chunk's dirty slices. */
static inline void slab_clean(struct slab_heap *heap, struct slab_chunk *chunk)
{
    for (uint64_t left = chunk->dirty; left;) {
        unsigned first = (unsigned)__builtin_ctzll(left), count = 1;
        while (first + count < SLAB_SLICES && left >> (first + count) & 1)
            count++;
        left &= ~slab_bits(first, count);
        uintptr_t begin = (uintptr_t)chunk + first * SLAB_SLICE, end = begin + count * SLAB_SLICE;
        if (!first)
            begin += slab_header();
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* where it cannot, they just stay */
    }
    heap->dirty -= (size_t)__builtin_popcountll(chunk->dirty);
    chunk->dirty = 0;
}

/* Return a chunk that no slab is in, or NULL: there is no memory. */
static inline struct slab_chunk *slab_chunk_new(struct slab_heap *heap)
{
    struct slab_chunk *chunk = heap->spare;
    if (chunk) {
        slab_unlink_chunk(&heap->spare, chunk);
        return chunk;
    }
    size_t least = slab_header() + SLAB_ONE_SLICE;
    if (heap->end - heap->next < least) {
        struct span *span = memory_grow(&heap->memory, SLAB_CHUNK, SLAB_CHUNK);
        if (!span)
            return NULL;
        heap->next = span->begin;
        heap->end = atomic_load_explicit(&span->end, memory_order_relaxed);
    }
    size_t size = heap->end - heap->next < SLAB_CHUNK ? heap->end - heap->next : SLAB_CHUNK;
    if (size < SLAB_SLICE) { /* the rest of given memory */
        heap->next = heap->end;
        return NULL;
    }
    chunk = (struct slab_chunk *)heap->next;
    heap->next += size;
    memset(chunk, 0, sizeof *chunk); /* given memory may hold anything */
    chunk->heap = heap;
    unsigned slices = (unsigned)(size / SLAB_SLICE);
    chunk->all = slices ? slab_bits(0, slices) : 0;
    chunk->free = chunk->all;
    slab_map_set(heap, (uintptr_t)chunk, size, 1);
    return chunk;
}

/* Return the first of count free slices in a row, as a slab with nothing in it, or NULL. Slice 0, with the header, only serves alone. */
static inline struct slab *slab_take_slices(struct slab_heap *heap, unsigned count, int whole)
{
    uint64_t usable = whole || count > 1 ? ~UINT64_C(1) : ~UINT64_C(0), found = 0;
    struct slab_chunk *chunk = heap->open;
    for (; chunk; chunk = chunk->next)
        if ((found = slab_runs(chunk->free & usable, count)))
            break;
    if (!chunk) {
        if (!(chunk = slab_chunk_new(heap)))
            return NULL;
        slab_link_chunk(&heap->open, chunk);
        if (!(found = slab_runs(chunk->free & usable, count)))
            return NULL; /* given memory, and too little */
    }
    uint64_t resident = slab_runs(chunk->dirty & usable, count);
    unsigned first = (unsigned)__builtin_ctzll(resident ? resident : found);
    uint64_t taken = slab_bits(first, count);
    heap->dirty -= (size_t)__builtin_popcountll(chunk->dirty & taken);
    chunk->dirty &= ~taken;
    chunk->free &= ~taken;
    if (!chunk->free)
        slab_unlink_chunk(&heap->open, chunk);
    for (unsigned i = 0; i < count; i++) {
        chunk->slabs[first + i].back = (uint16_t)i;
        atomic_store_explicit(&chunk->slabs[first + i].cache, NULL, memory_order_relaxed);
    }
    chunk->slabs[first].slices = (uint16_t)count;
    return &chunk->slabs[first];
}

static inline uintptr_t slab_slices_begin(const struct slab_heap *heap, const struct slab *slab)
{
    uintptr_t chunk = (uintptr_t)slab_chunk_of(heap, slab);
    size_t i = ((uintptr_t)slab - chunk - offsetof(struct slab_chunk, slabs)) / sizeof *slab;
    return i ? chunk + i * SLAB_SLICE : chunk + slab_header();
}

static inline void slab_return_slices(struct slab_heap *heap, struct slab *slab)
{
    struct slab_chunk *chunk = slab_chunk_of(heap, slab);
    unsigned count = slab->slices;
    uint64_t taken = slab_bits((unsigned)(slab - chunk->slabs), count);
    slab->kind = SLAB_FREE;
    if (!chunk->free)
        slab_link_chunk(&heap->open, chunk);
    chunk->free |= taken;
    chunk->dirty |= taken;
    heap->dirty += count;
    int empty = chunk->free == chunk->all;
    if (!heap->memory.given && heap->dirty * SLAB_SLICE > SLAB_DIRTY
        && (empty || __builtin_popcountll(chunk->dirty) >= SLAB_DIRTY_OF_ONE))
        slab_clean(heap, chunk);
    if (empty && !chunk->dirty) { /* those with resident slices serve first */
        slab_unlink_chunk(&heap->open, chunk);
        slab_link_chunk(&heap->spare, chunk);
    }
}

/* Let the system have all free slices. */
static inline void slab_clean_all(struct slab_heap *heap)
{
    for (struct slab_chunk *chunk = heap->open, *next; chunk; chunk = next) {
        next = chunk->next;
        if (chunk->dirty && !heap->memory.given)
            slab_clean(heap, chunk);
        if (chunk->free == chunk->all && !chunk->dirty) {
            slab_unlink_chunk(&heap->open, chunk);
            slab_link_chunk(&heap->spare, chunk);
        }
    }
}

/* Call for each chunk with slices that was ever used. */
static inline void slab_each_chunk(struct slab_heap *heap, void (*call)(struct slab_chunk *chunk, void *argument), void *argument)
{
    for (int i = 0; i < atomic_load_explicit(&heap->memory.count, memory_order_relaxed); i++) {
        uintptr_t begin = heap->memory.given ? heap->base : heap->memory.spans[i].begin;
        uintptr_t end = atomic_load_explicit(&heap->memory.spans[i].end, memory_order_relaxed);
        for (uintptr_t at = begin; at < end && slab_owns(heap, (void *)at);) {
            struct slab_chunk *chunk = (struct slab_chunk *)at;
            size_t mapped = chunk->mapped;
            if (!mapped)
                call(chunk, argument);
            at += mapped ? mapped : SLAB_CHUNK;
        }
    }
}

#endif
