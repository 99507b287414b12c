/* Blocks too large for a slab: slices of their own, or from SLAB_RUN on a mapping of their own, with the header of a chunk.
 *
 * They belong to no thread: whoever frees them does so under the lock. Slices that were freed stay resident up to a bound, and so do
 * mappings: a block of some MiB again and again costs no system call.
 */
#ifndef CYX_ALLOCATORS_SLAB_LARGE_H
#define CYX_ALLOCATORS_SLAB_LARGE_H

#include "slab_chunk.h"

/* ---- what they count ---- */

static inline void slab_note_live(struct slab_cache *cache, size_t bytes)
{
    size_t live = slab_count(&cache->live) + bytes;
    atomic_store_explicit(&cache->live, live, memory_order_relaxed);
    if (__builtin_expect(live > slab_count(&cache->peak), 0))
        atomic_store_explicit(&cache->peak, live, memory_order_relaxed);
}

static inline void slab_note_large(struct slab_cache *cache, size_t asked, size_t granted)
{
    slab_add(&cache->asked, asked);
    slab_add(&cache->large_granted, granted);
    slab_add(&cache->large_live, granted);
    slab_note_live(cache, granted);
}

static inline void slab_note_large_freed(struct slab_heap *heap, struct slab_cache *cache, struct slab_cache *home, size_t granted)
{
    if (cache)
        slab_add(&cache->large_live, 0 - granted);
    else
        atomic_fetch_add_explicit(&heap->cacheless_large, granted, memory_order_relaxed);
    if (cache && cache == home)
        slab_add(&home->live, 0 - granted);
    else
        atomic_fetch_add_explicit(&home->owed, granted, memory_order_relaxed);
}

/* ---- mappings ---- */

static inline void slab_unmap(struct slab_heap *heap, struct slab_chunk *chunk)
{
    size_t mapped = chunk->mapped;
    slab_map_set(heap, (uintptr_t)chunk, mapped, 0);
    heap->large_bytes -= mapped;
    munmap(chunk, mapped);
}

static inline void slab_unkeep(struct slab_heap *heap, int i)
{
    heap->kept_bytes -= heap->kept[i]->mapped;
    memmove(&heap->kept[i], &heap->kept[i + 1], (size_t)(--heap->kept_count - i) * sizeof heap->kept[0]);
}

static inline void slab_keep(struct slab_heap *heap, struct slab_chunk *chunk)
{
    if (chunk->mapped > SLAB_KEPT_BYTES) {
        slab_unmap(heap, chunk);
        return;
    }
    while (heap->kept_count == SLAB_KEPT || heap->kept_bytes + chunk->mapped > SLAB_KEPT_BYTES) {
        struct slab_chunk *oldest = heap->kept[0];
        slab_unkeep(heap, 0);
        slab_unmap(heap, oldest);
    }
    heap->kept[heap->kept_count++] = chunk;
    heap->kept_bytes += chunk->mapped;
}

static inline void *slab_map(struct slab_heap *heap, size_t size)
{
    long refusals = atomic_load_explicit(&heap->memory.refusals, memory_order_relaxed);
    if (refusals == 1)
        return NULL;
    void *begin = memory_map(size, SLAB_CHUNK);
    if (begin && refusals)
        atomic_store_explicit(&heap->memory.refusals, refusals - 1, memory_order_relaxed);
    return begin;
}

/* In given memory: chunks in a row that nobody uses. */
static inline struct slab_chunk *slab_chunks_in_a_row(struct slab_heap *heap, size_t size)
{
    size_t count = size / SLAB_CHUNK, row = 0;
    if (heap->end - heap->next >= size) {
        struct slab_chunk *chunk = (struct slab_chunk *)heap->next;
        heap->next += size;
        return chunk;
    }
    for (uintptr_t at = heap->base; at + SLAB_CHUNK <= heap->next;) {
        struct slab_chunk *chunk = (struct slab_chunk *)at;
        int unused = !chunk->mapped && chunk->free == chunk->all && chunk->all == ~UINT64_C(0);
        row = unused ? row + 1 : 0;
        at += chunk->mapped ? chunk->mapped : SLAB_CHUNK;
        if (row < count)
            continue;
        for (uintptr_t each = at - size; each < at; each += SLAB_CHUNK) {
            chunk = (struct slab_chunk *)each;
            heap->dirty -= (size_t)__builtin_popcountll(chunk->dirty);
            slab_unlink_chunk(&heap->open, chunk); /* given memory is never cleaned, so none is spare */
        }
        return (struct slab_chunk *)(at - size);
    }
    return NULL;
}

/* Chunks of a large block are unused ones again. */
static inline void slab_split_into_chunks(struct slab_heap *heap, struct slab_chunk *first)
{
    size_t mapped = first->mapped;
    for (size_t at = 0; at < mapped; at += SLAB_CHUNK) {
        struct slab_chunk *chunk = (struct slab_chunk *)((char *)first + at);
        memset(chunk, 0, sizeof *chunk);
        chunk->heap = heap;
        chunk->all = chunk->free = chunk->dirty = ~UINT64_C(0);
        heap->dirty += SLAB_SLICES;
        slab_link_chunk(&heap->open, chunk);
    }
}

static inline struct slab_chunk *slab_mapping_for(struct slab_heap *heap, size_t size)
{
    int best = -1;
    for (int i = 0; i < heap->kept_count; i++) /* not one much too large: its pages may be resident */
        if (heap->kept[i]->mapped >= size && heap->kept[i]->mapped / 2 <= size
            && (best < 0 || heap->kept[i]->mapped < heap->kept[best]->mapped))
            best = i;
    if (best >= 0) {
        struct slab_chunk *chunk = heap->kept[best];
        slab_unkeep(heap, best);
        return chunk;
    }
    struct slab_chunk *chunk = heap->memory.given ? slab_chunks_in_a_row(heap, size) : slab_map(heap, size);
    if (!chunk)
        return NULL;
    if (heap->memory.given)
        memset(chunk, 0, sizeof *chunk);
    else
        heap->large_bytes += size;
    chunk->heap = heap;
    chunk->mapped = size;
    slab_map_set(heap, (uintptr_t)chunk, size, 1);
    return chunk;
}

static inline void *slab_large_allocate(struct slab_heap *heap, struct slab_cache *cache, size_t size, size_t alignment)
{
    size_t front = round_up(slab_header(), alignment);
    if (heap->base && alignment > SLAB_PAGE)
        front = slab_header() + alignment; /* chunks of given memory are at multiples of a page alone */
    struct slab_chunk *chunk = slab_mapping_for(heap, round_up(front + size, SLAB_CHUNK));
    if (!chunk)
        return NULL;
    chunk->block = round_up((uintptr_t)chunk + slab_header(), alignment);
    chunk->size = round_up(size, SLAB_PAGE);
    chunk->home = cache;
    slab_link_chunk(&heap->large, chunk);
    return (void *)chunk->block;
}

/* ---- slices ---- */

static inline void *slab_run_allocate(struct slab_heap *heap, struct slab_cache *cache, size_t size, size_t alignment)
{
    size_t granted = round_up(size, SLAB_PAGE), natural = heap->base ? SLAB_PAGE : SLAB_SLICE;
    size_t room = granted + (alignment > natural ? alignment - natural : 0);
    struct slab *slab = slab_take_slices(heap, (unsigned)((room + SLAB_SLICE - 1) / SLAB_SLICE), 1);
    if (!slab)
        return NULL;
    slab->kind = SLAB_ONE_BLOCK;
    slab->begin = round_up(slab_slices_begin(heap, slab), alignment);
    slab->size = (uint32_t)granted;
    slab->home = cache;
    return (void *)slab->begin;
}

/* ---- both ---- */

/* A mapping of its own begins at SLAB_RUN; in given memory, where nothing holds as many slices. */
static inline int slab_fits_slices(const struct slab_heap *heap, size_t size, size_t alignment)
{
    size_t room = round_up(size, SLAB_PAGE) + (alignment > SLAB_PAGE ? alignment : 0);
    return size <= SLAB_RUN || (heap->base && room <= (SLAB_SLICES - 1) * SLAB_SLICE);
}

/* Bytes of the largest block that there can ever be. */
static inline size_t slab_largest(const struct slab_heap *heap)
{
    if (!heap->base)
        return SLAB_LARGEST;
    size_t room = heap->end - heap->base, chunks = room / SLAB_CHUNK;
    return chunks ? chunks * SLAB_CHUNK - slab_header() : (room / SLAB_SLICE - 1) * SLAB_SLICE;
}

static inline void *slab_big_allocate(struct slab_heap *heap, struct slab_cache *cache, size_t size, size_t alignment)
{
    if (size > SLAB_LARGEST)
        return NULL;
    pthread_mutex_lock(&heap->lock);
    void *block = (slab_fits_slices(heap, size, alignment) ? slab_run_allocate : slab_large_allocate)(heap, cache, size, alignment);
    pthread_mutex_unlock(&heap->lock);
    if (block) {
        slab_note_large(cache, size, round_up(size, SLAB_PAGE));
        slab_add(&cache->large_taken, 1);
    }
    return block;
}

static inline void slab_big_release(struct slab_heap *heap, struct slab_cache *cache, void *block)
{
    struct slab_chunk *chunk = slab_chunk_of(heap, block);
    struct slab *slab = slab_of(heap, block);
    struct slab_cache *home = chunk->mapped ? chunk->home : slab->home;
    size_t granted = chunk->mapped ? chunk->size : slab->size;
    pthread_mutex_lock(&heap->lock);
    if (!chunk->mapped)
        slab_return_slices(heap, slab);
    else {
        slab_unlink_chunk(&heap->large, chunk);
        if (heap->memory.given)
            slab_split_into_chunks(heap, chunk);
        else
            slab_keep(heap, chunk);
    }
    pthread_mutex_unlock(&heap->lock);
    slab_note_large_freed(heap, cache, home, granted);
    if (cache)
        slab_add(&cache->large_freed, 1);
    else
        atomic_fetch_add_explicit(&heap->cacheless[SLAB_CLASSES], 1, memory_order_relaxed);
}

/* Let the mapping grow, at another address perhaps; NULL where that does not go, and nothing has changed. */
static inline void *slab_large_grow(struct slab_heap *heap, struct slab_chunk *chunk, size_t size)
{
    size_t front = chunk->block - (uintptr_t)chunk, before = chunk->mapped;
    if (front + size <= before) {
        chunk->size = round_up(size, SLAB_PAGE);
        return (void *)chunk->block;
    }
    if (heap->memory.given || size > SLAB_LARGEST)
        return NULL;
    size_t mapped = round_up(front + size, SLAB_CHUNK);
    pthread_mutex_lock(&heap->lock);
    struct slab_chunk *moved = slab_map(heap, mapped);
    if (moved) {
        slab_unlink_chunk(&heap->large, chunk);
        slab_map_set(heap, (uintptr_t)chunk, before, 0);
        if (mremap(chunk, before, mapped, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == MAP_FAILED) {
            munmap(moved, mapped); /* such as a block of several mappings, by madvise */
            slab_map_set(heap, (uintptr_t)chunk, before, 1);
            slab_link_chunk(&heap->large, chunk);
            moved = NULL;
        } else {
            heap->large_bytes += mapped - before;
            slab_map_set(heap, (uintptr_t)moved, mapped, 1);
            moved->mapped = mapped;
            moved->block = (uintptr_t)moved + front;
            moved->size = round_up(size, SLAB_PAGE);
            slab_link_chunk(&heap->large, moved);
        }
    }
    pthread_mutex_unlock(&heap->lock);
    return moved ? (void *)moved->block : NULL;
}

#endif
