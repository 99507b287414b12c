/* The general-purpose allocator: blocks of any size for any threads. slab_types.h says how it is made. */
#ifndef CYX_ALLOCATORS_SLAB_H
#define CYX_ALLOCATORS_SLAB_H

#include "slab_thread.h"

/* ---- a slab ---- */

__attribute__((noinline, unused)) static struct slab *slab_new(struct slab_heap *heap, struct slab_cache *cache, unsigned size_class)
{
    size_t size = slab_class_size(size_class);
    unsigned slices = size <= SLAB_ONE_SLICE ? 1 : 8;
    pthread_mutex_lock(&heap->lock);
    struct slab *slab = slab_take_slices(heap, slices, 0);
    if (slab) {
        slab->kind = SLAB_BLOCKS;
        slab->size_class = (uint16_t)size_class;
        slab->size = (uint32_t)size;
        slab->begin = slab_slices_begin(heap, slab);
        uintptr_t end = (slab->begin & ~(SLAB_PAGE - 1)) + slices * SLAB_SLICE;
        if (slab == slab_chunk_of(heap, slab)->slabs)
            end -= slab_header();
        slab->capacity = (uint32_t)((end - slab->begin) / size);
        slab->bytes = slab->capacity * (uint32_t)size;
    }
    pthread_mutex_unlock(&heap->lock);
    if (!slab)
        return NULL;
    slab->free = NULL;
    slab->key = heap->secret ^ slab->begin * SLAB_INVERSE;
    slab->cut = slab->lost = 0;
    slab_set_used(slab, 0);
    atomic_store_explicit(&slab->remote, 0, memory_order_relaxed);
    atomic_store_explicit(&slab->cache, cache, memory_order_relaxed);
    slab_enqueue(cache, slab);
#ifdef MADV_POPULATE_WRITE
    /* Where so many blocks of the size are live that a slab more is little, its pages come by one call and not by 16 faults. */
    size_t taken = slab_count(&cache->sizes[size_class].taken) - slab_count(&cache->sizes[size_class].freed);
    if (!heap->memory.given && slices == 1 && taken * size >= SLAB_GROWING && slab_count(&cache->live) >= SLAB_GROWING) {
        uintptr_t begin = slab->begin;
        madvise((void *)begin, round_up(slab->begin + slab->bytes, SLAB_PAGE) - begin, MADV_POPULATE_WRITE);
    }
#endif
    return slab;
}

/* Return the first slab of the size with a free block, or NULL: no memory. */
static inline struct slab *slab_with_free(struct slab_heap *heap, struct slab_cache *cache, unsigned size_class)
{
    for (int tried = 0; tried < 2; tried++) {
        slab_look_at_returned(heap, cache);
        for (struct slab *slab; (slab = cache->sizes[size_class].queue);) {
            if (!slab->free)
                slab_collect_for(heap, cache, slab);
            if (!slab->free)
                slab_cut(slab);
            if (slab->free)
                return slab;
            if (slab_park(slab))
                slab_dequeue(cache, slab);
        }
        slab_take_from_orphans(heap, cache, size_class);
        if (!cache->sizes[size_class].queue && !slab_new(heap, cache, size_class))
            return NULL;
    }
    return NULL;
}

/* ---- blocks ---- */

static inline void *slab_take(struct slab_heap *heap, struct slab_cache *cache, struct slab *slab, size_t size)
{
    void *block = slab->free;
    int wrong;
    void *next = slab_read_link(slab, block, &wrong);
    uint32_t used = slab_used(slab) + 1;
    if (__builtin_expect(wrong, 0)) {
        slab_lose(heap, slab, slab->cut - used);
        used = slab->cut;
        next = NULL;
    }
    slab->free = next;
    slab_set_used(slab, used);
    slab_add(&cache->sizes[slab->size_class].taken, 1);
    slab_add(&cache->asked, size);
    slab_note_live(cache, slab->size);
    return block;
}

__attribute__((noinline, unused)) static void *slab_allocate_slowly(struct slab_heap *heap, size_t size, size_t alignment)
{
    struct slab_cache *cache = slab_quick_cache(heap);
    if (!cache && !(cache = slab_find_cache(heap)))
        return NULL;
    if (slab_count(&cache->owed))
        slab_add(&cache->live, 0 - atomic_exchange_explicit(&cache->owed, 0, memory_order_relaxed));
    size_t bytes = size ? size : 1;
    if (alignment > SLAB_ALIGNMENT)
        return NULL;
    if (bytes > SLAB_MEDIUM || alignment > SLAB_PAGE)
        return slab_big_allocate(heap, cache, bytes, alignment);
    struct slab *slab = slab_with_free(heap, cache, slab_class_for(bytes, alignment));
    if (slab)
        return slab_take(heap, cache, slab, size);
    return bytes > SLAB_ONE_SLICE ? slab_big_allocate(heap, cache, bytes, alignment) : NULL; /* there may be slices for one block */
}

static inline void *slab_allocate(void *state, size_t size, size_t alignment)
{
    struct slab_heap *heap = state;
    struct slab_cache *cache = slab_quick_cache(heap);
    if (__builtin_expect(cache && size <= SLAB_SMALL && alignment <= SLAB_STEP, 1)) {
        struct slab *slab = cache->sizes[(size - (size != 0)) / SLAB_STEP].queue;
        if (__builtin_expect(slab && slab->free, 1))
            return slab_take(heap, cache, slab, size);
    }
    return slab_allocate_slowly(heap, size, alignment);
}

/* Of another thread's slab, or of none. */
__attribute__((noinline, unused)) static void slab_release_elsewhere(struct slab_heap *heap, struct slab *slab, void *block)
{
    struct slab_cache *cache = slab_quick_cache(heap);
    if (!cache)
        cache = slab_find_cache(heap);
    struct slab_cache *owner = atomic_load_explicit(&slab->cache, memory_order_relaxed);
    if (!owner) {
        slab_big_release(heap, cache, block);
        return;
    }
    /* Counted first: the slab may be gone behind the block. */
    if (cache)
        slab_add(&cache->sizes[slab->size_class].freed, 1);
    else
        atomic_fetch_add_explicit(&heap->cacheless[slab->size_class], 1, memory_order_relaxed);
    if (slab_put_remote(slab, block))
        slab_tell(heap, cache, slab);
}

__attribute__((noinline, unused)) static void slab_has_room(struct slab_heap *heap, struct slab_cache *cache, struct slab *slab)
{
    if (!slab->queued)
        slab_enqueue(cache, slab);
    if (slab_is_spare(cache, slab))
        slab_give_back(heap, cache, slab);
}

static inline void slab_release(void *state, void *block)
{
    struct slab_heap *heap = state;
    if (!block)
        return;
    struct slab *slab = slab_of(heap, block);
    struct slab_cache *cache = slab_quick_cache(heap);
    /* Relaxed: whether it is this thread's own, only this thread changes. */
    if (__builtin_expect(!cache || atomic_load_explicit(&slab->cache, memory_order_relaxed) != cache, 0)) {
        slab_release_elsewhere(heap, slab, block);
        return;
    }
    uint32_t used = slab_used(slab) - 1;
    slab_write_link(slab, block, slab->free);
    slab->free = block;
    slab_set_used(slab, used);
    slab_add(&cache->sizes[slab->size_class].freed, 1);
    slab_add(&cache->live, 0 - (size_t)slab->size);
    if (__builtin_expect(!used || !slab->queued, 0))
        slab_has_room(heap, cache, slab);
}

static inline size_t slab_size_of(void *state, const void *block)
{
    struct slab_chunk *chunk = slab_chunk_of(state, block);
    return chunk->mapped ? chunk->size : slab_of(state, block)->size;
}

static inline size_t slab_alignment_of(const void *block)
{
    size_t alignment = (uintptr_t)block & -(uintptr_t)block;
    return alignment < SLAB_ALIGNMENT ? alignment : SLAB_ALIGNMENT;
}

/* In place where the block is neither too small nor more than twice too large. A new one is aligned as the old one
 * happens to be: nobody knows what was asked for, but that the size of a block in a slab is a multiple of it. */
static inline void *slab_reallocate(void *state, void *block, size_t size)
{
    struct slab_heap *heap = state;
    if (!block)
        return slab_allocate(heap, size, SLAB_STEP);
    size_t before = slab_size_of(heap, block);
    if (size <= before && (size >= before / 2 || before <= SLAB_STEP))
        return block;
    struct slab_chunk *chunk = slab_chunk_of(heap, block);
    if (chunk->mapped && size > before) {
        struct slab_cache *home = chunk->home;
        void *grown = slab_large_grow(heap, chunk, size);
        if (grown) {
            size_t more = round_up(size, SLAB_PAGE) - before;
            struct slab_cache *cache = slab_quick_cache(heap);
            if (!cache)
                cache = slab_find_cache(heap);
            if (cache) {
                slab_note_large(cache, more, more);
                slab_chunk_of(heap, grown)->size = round_up(size, SLAB_PAGE);
                if (cache != home) { /* live where it counts, at home */
                    slab_add(&cache->live, 0 - more);
                    atomic_fetch_sub_explicit(&home->owed, more, memory_order_relaxed);
                }
            } else
                atomic_fetch_sub_explicit(&heap->cacheless_large, more, memory_order_relaxed);
            return grown;
        }
    }
    size_t alignment = slab_alignment_of(block), most = before & -before;
    if (!chunk->mapped && slab_of(heap, block)->kind == SLAB_BLOCKS && alignment > most)
        alignment = most;
    void *moved = slab_allocate(heap, size, alignment);
    if (!moved)
        return size <= before ? block : NULL;
    memcpy(moved, block, size < before ? size : before);
    slab_release(heap, block);
    return moved;
}

/* Give back what is free: slabs without blocks of this thread's and of ended ones, slices, and mappings kept for reuse. */
static inline void slab_trim(struct slab_heap *heap)
{
    struct slab_cache *mine = slab_quick_cache(heap);
    if (!mine)
        mine = slab_find_cache(heap);
    for (struct slab_cache *each = mine ? atomic_load(&heap->caches) : NULL; each; each = each->next) {
        uintptr_t self = slab_self();
        if (each != mine && !slab_claim(each, self))
            continue;
        slab_look_at_returned(heap, each);
        for (unsigned i = 0; i < SLAB_CLASSES; i++) {
            struct slab *slab = each->sizes[i].queue, *last = slab ? slab->before : NULL, *next;
            for (int more = slab != NULL; more; slab = next) {
                next = slab->next;
                more = slab != last;
                slab_collect_for(heap, each, slab);
                if (!slab_used(slab))
                    slab_give_back(heap, each, slab);
            }
        }
        if (each != mine)
            slab_abandon(heap, each, self);
    }
    pthread_mutex_lock(&heap->lock);
    while (heap->kept_count) {
        struct slab_chunk *chunk = heap->kept[0];
        slab_unkeep(heap, 0);
        slab_unmap(heap, chunk);
    }
    slab_clean_all(heap);
    pthread_mutex_unlock(&heap->lock);
}

/* ---- what it tells ---- */

struct slab_tally {
    size_t capacity[SLAB_CLASSES]; /* blocks of all slabs */
    size_t free_slices, largest;   /* slices in a row */
};

static inline void slab_tally_chunk(struct slab_chunk *chunk, void *argument)
{
    struct slab_tally *tally = argument;
    tally->free_slices += (size_t)__builtin_popcountll(chunk->free);
    while (tally->largest < SLAB_SLICES && slab_runs(chunk->free & ~UINT64_C(1), (unsigned)tally->largest + 1))
        tally->largest++;
    for (int i = 0; i < SLAB_SLICES; i++) {
        const struct slab *slab = &chunk->slabs[i];
        if (!(chunk->free >> i & 1) && chunk->all >> i & 1 && slab->kind == SLAB_BLOCKS && !slab->back)
            tally->capacity[slab->size_class] += slab->capacity;
    }
}

static inline size_t slab_live_blocks(const struct slab_heap *heap, unsigned size_class)
{
    size_t live = 0 - slab_count(&heap->cacheless[size_class]);
    const struct slab_cache *cache = atomic_load_explicit(&heap->caches, memory_order_acquire);
    for (; cache; cache = cache->next)
        live += slab_count(&cache->sizes[size_class].taken) - slab_count(&cache->sizes[size_class].freed);
    return (ptrdiff_t)live < 0 ? 0 : live; /* freed by another thread since its taking was read */
}

/* Exact where no other thread calls at the same time. The peak is that of each thread, added up; of one, it is exact. */
static inline void slab_read(void *state, struct statistics *statistics)
{
    struct slab_heap *heap = state;
    struct slab_tally tally = {.largest = 0};
    pthread_mutex_lock(&heap->lock);
    slab_each_chunk(heap, slab_tally_chunk, &tally);
    size_t unused = heap->end - heap->next;
    *statistics = (struct statistics){
        .live_blocks = 0 - slab_count(&heap->cacheless[SLAB_CLASSES]),
        .live = 0 - slab_count(&heap->cacheless_large),
        .reserved = atomic_load_explicit(&heap->memory.reserved, memory_order_relaxed) + heap->large_bytes,
        .free = tally.free_slices * SLAB_SLICE + unused + heap->kept_bytes,
        .largest_free = tally.largest * SLAB_SLICE,
    };
    if (unused > SLAB_CHUNK && heap->memory.given)
        statistics->largest_free = unused - unused % SLAB_CHUNK - slab_header();
    else if (unused >= SLAB_CHUNK)
        statistics->largest_free = SLAB_CHUNK - SLAB_SLICE;
    for (int i = 0; i < heap->kept_count; i++)
        if (heap->kept[i]->mapped - slab_header() > statistics->largest_free)
            statistics->largest_free = heap->kept[i]->mapped - slab_header();
    pthread_mutex_unlock(&heap->lock);
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        size_t live = slab_live_blocks(heap, i), size = slab_class_size(i);
        statistics->live_blocks += live;
        statistics->live += live * size;
        if (tally.capacity[i] > live) {
            statistics->free += (tally.capacity[i] - live) * size;
            if (size > statistics->largest_free)
                statistics->largest_free = size;
        }
    }
    const struct slab_cache *cache = atomic_load_explicit(&heap->caches, memory_order_acquire);
    for (; cache; cache = cache->next) {
        statistics->live_blocks += slab_count(&cache->large_taken) - slab_count(&cache->large_freed);
        statistics->live += slab_count(&cache->large_live);
        statistics->allocations += slab_count(&cache->large_taken);
        statistics->allocated += slab_count(&cache->asked);
        statistics->granted += slab_count(&cache->large_granted);
        statistics->peak += slab_count(&cache->peak);
        for (unsigned i = 0; i < SLAB_CLASSES; i++) {
            statistics->allocations += slab_count(&cache->sizes[i].taken);
            statistics->granted += slab_count(&cache->sizes[i].taken) * slab_class_size(i);
        }
    }
    if ((ptrdiff_t)statistics->live_blocks < 0)
        statistics->live_blocks = 0;
    if ((ptrdiff_t)statistics->live < 0)
        statistics->live = 0;
}

/* Sizes that were ever used. */
static inline int slab_classes(void *state, struct size_class *rows, int room)
{
    struct slab_heap *heap = state;
    struct slab_tally tally = {.largest = 0};
    int count = 0;
    pthread_mutex_lock(&heap->lock);
    slab_each_chunk(heap, slab_tally_chunk, &tally);
    pthread_mutex_unlock(&heap->lock);
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        size_t live = slab_live_blocks(heap, i);
        if (!live && !tally.capacity[i])
            continue;
        if (count < room)
            rows[count] = (struct size_class){slab_class_size(i), live, tally.capacity[i] > live ? tally.capacity[i] - live : 0};
        count++;
    }
    return count;
}

static inline const char *slab_invalid_one(const struct slab *slab, const struct slab_cache *cache)
{
    size_t length = 0;
    int wrong = 0;
    for (const void *block = slab->free; block && !wrong; length++) {
        if (length > slab->cut)
            return "the list of free blocks has no end";
        block = slab_read_link(slab, block, &wrong);
    }
    if (wrong)
        return "a free block was written to";
    if (slab->kind != SLAB_BLOCKS || !slab->queued || atomic_load_explicit(&slab->cache, memory_order_relaxed) != cache)
        return "a slab is in a queue and not of it";
    return slab_used(slab) + length == slab->cut && slab->cut <= slab->capacity ? NULL : "blocks are neither used nor free";
}

/* The slabs of the calling thread, and the chunks. */
static const char *slab_invalid(void *state)
{
    struct slab_heap *heap = state;
    if (slab_count(&heap->overwritten))
        return "a free block was written to, and what was free behind it is lost";
    const char *wrong = NULL;
    struct slab_cache *cache = slab_quick_cache(heap);
    for (unsigned i = 0; cache && i < SLAB_CLASSES && !wrong; i++) {
        const struct slab *first = cache->sizes[i].queue, *slab = first;
        if (slab)
            do
                wrong = slab->size_class == i ? slab_invalid_one(slab, cache) : "a slab is in a queue of another size";
            while (!wrong && (slab = slab->next) != first);
    }
    pthread_mutex_lock(&heap->lock);
    size_t dirty = 0;
    for (const struct slab_chunk *chunk = heap->open; chunk && !wrong; chunk = chunk->next) {
        dirty += (size_t)__builtin_popcountll(chunk->dirty);
        if (!chunk->free || chunk->free & ~chunk->all || chunk->dirty & ~chunk->free)
            wrong = "slices are neither free nor used";
    }
    if (!wrong && dirty != heap->dirty)
        wrong = "dirty slices are not counted";
    pthread_mutex_unlock(&heap->lock);
    return wrong;
}

__attribute__((unused)) static const struct allocator SLAB = {
    .name = "slab",
    .allocate = slab_allocate,
    .release = slab_release,
    .reallocate = slab_reallocate,
    .size_of = slab_size_of,
    .owns = slab_owns,
    .read = slab_read,
    .classes = slab_classes,
    .invalid = slab_invalid,
    .any_thread = 1,
};

#endif
