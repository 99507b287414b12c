/* The free lists of one slab: its owner's, and that of all other threads.
 *
 * A link is stored multiplied: whatever part of it is overwritten, what is read lies outside of the slab, all but surely (the
 * chance is 2^-40 and less), and is not followed.
 */
#ifndef CYX_ALLOCATORS_SLAB_PAGE_H
#define CYX_ALLOCATORS_SLAB_PAGE_H

#include "slab_types.h"

static const uint64_t SLAB_FACTOR = UINT64_C(0x9E3779B97F4A7C15);
static const uint64_t SLAB_INVERSE = UINT64_C(0xF1DE83E19937733D); /* SLAB_FACTOR * SLAB_INVERSE == 1, modulo 2^64 */

static inline void slab_write_link(const struct slab *slab, void *block, const void *next)
{
    uint64_t link = ((uint64_t)(uintptr_t)next ^ slab->key) * SLAB_FACTOR;
    memcpy(block, &link, sizeof link);
}

/* The block behind this one; *wrong is set where the link was overwritten. */
static inline void *slab_read_link(const struct slab *slab, const void *block, int *wrong)
{
    uint64_t link;
    memcpy(&link, block, sizeof link);
    uintptr_t next = (uintptr_t)((link * SLAB_INVERSE) ^ slab->key);
    *wrong = next && (next - slab->begin >= slab->bytes || next % SLAB_STEP);
    return (void *)next;
}

static inline uint32_t slab_used(const struct slab *slab)
{
    return atomic_load_explicit(&slab->used, memory_order_relaxed);
}

static inline void slab_set_used(struct slab *slab, uint32_t used)
{
    atomic_store_explicit(&slab->used, used, memory_order_relaxed);
}

/* A free list ends where its first link was overwritten: what lies behind it is never handed out again. */
__attribute__((noinline, cold, unused)) static void slab_lose(struct slab_heap *heap, struct slab *slab, uint32_t blocks)
{
    slab->lost += blocks;
    atomic_fetch_add_explicit(&heap->overwritten, 1, memory_order_relaxed);
}

/* Cut a page full of blocks, or one that is larger: what is not needed yet is not touched. */
static inline void slab_cut(struct slab *slab)
{
    uint32_t count = slab->size < SLAB_PAGE ? (uint32_t)SLAB_PAGE / slab->size : 1;
    if (count > slab->capacity - slab->cut)
        count = slab->capacity - slab->cut;
    if (!count)
        return;
    char *block = (char *)slab->begin + (size_t)slab->cut * slab->size;
    void *first = block;
    for (uint32_t i = 1; i < count; i++, block += slab->size)
        slab_write_link(slab, block, block + slab->size);
    slab_write_link(slab, block, slab->free);
    slab->free = first;
    slab->cut += count;
}

/* Take home what other threads freed; return how many blocks.
 * Acquire: what they did with the blocks came before. */
static inline uint32_t slab_collect(struct slab_heap *heap, struct slab *slab)
{
    if (!(atomic_load_explicit(&slab->remote, memory_order_relaxed) & ~SLAB_BITS))
        return 0;
    void *block = (void *)(atomic_fetch_and_explicit(&slab->remote, SLAB_BITS, memory_order_acquire) & ~SLAB_BITS);
    uint32_t count = 0;
    int wrong = 0;
    while (block) {
        void *next = slab_read_link(slab, block, &wrong);
        slab_write_link(slab, block, slab->free);
        slab->free = block;
        count++;
        if (wrong || count > slab_used(slab)) { /* the rest stays away: nobody knows how many they are */
            slab_lose(heap, slab, 0);
            break;
        }
        block = next;
    }
    slab_set_used(slab, slab_used(slab) - count);
    return count;
}

/* By a thread that does not own the slab. Return whether the owner is to be told.
 * Release: what this thread did with the block comes before the owner's acquire; and acquire, where the slab is parked: the
 * cache that parked it, which is read next, was written before it was parked. The list is only ever taken whole, so a block that
 * comes back to its top meanwhile does no harm. */
static inline int slab_put_remote(struct slab *slab, void *block)
{
    uintptr_t old = atomic_load_explicit(&slab->remote, memory_order_relaxed), now;
    int tell;
    do {
        slab_write_link(slab, block, (void *)(old & ~SLAB_BITS));
        tell = (old & SLAB_BITS) == SLAB_PARKED;
        now = (uintptr_t)block | (old & SLAB_BITS) | (tell ? SLAB_NOTIFIED : 0);
    } while (!atomic_compare_exchange_weak_explicit(&slab->remote, &old, now, memory_order_acq_rel, memory_order_relaxed));
    return tell;
}

/* The owner will not look by itself again; return whether it may go: nobody freed in the meantime.
 * Release: who is to tell finds the owner. */
static inline int slab_park(struct slab *slab)
{
    return !(atomic_fetch_or_explicit(&slab->remote, SLAB_PARKED, memory_order_acq_rel) & ~SLAB_BITS);
}

/* The owner looks again; only for whoever has it from a list of returned slabs, or where nobody else knows of it.
 * Acquire: the freed block is seen by the collect that follows. */
static inline void slab_unpark(struct slab *slab)
{
    atomic_fetch_and_explicit(&slab->remote, ~SLAB_BITS, memory_order_acq_rel);
}

/* As slab_unpark, for one in a queue; 0: somebody is about to tell its owner, so it has to stay with that. */
static inline int slab_unpark_quietly(struct slab *slab)
{
    uintptr_t old = atomic_load_explicit(&slab->remote, memory_order_relaxed);
    do {
        if (old & SLAB_NOTIFIED)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&slab->remote, &old, old & ~SLAB_PARKED, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return 1;
}

static inline int slab_is_notified(const struct slab *slab)
{
    return (atomic_load_explicit(&slab->remote, memory_order_acquire) & SLAB_NOTIFIED) != 0;
}

#endif
