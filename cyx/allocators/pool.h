/* Blocks of one size, from a list of free ones: a few instructions each way. One thread at a time.
 *
 * Memory is cut up only when no block is free, so the number of blocks cut up is the most that ever were live at once:
 *     cut == peak,   cut - (taken - returned) == length of the free list
 */
#ifndef CYX_ALLOCATORS_POOL_H
#define CYX_ALLOCATORS_POOL_H

#include <string.h>

#include "allocator.h"
#include "memory.h"

struct pool {
    void *free;        /* the block freed last; each holds the address of the next */
    char *next, *end;  /* never used part of the last span */
    size_t stride;     /* from one block to the next */
    size_t alignment;
    size_t taken, returned;
    size_t unasked; /* bytes that were handed out beyond what was asked for */
    size_t cut;
    struct memory memory;
};

static const size_t POOL_PAGE = 4096; /* the smallest that a page is: spans begin at one */

/* Any size up to half of the address space, any alignment (a power of two); the range is NULL, or memory to live in. */
static inline void pool_make(struct pool *pool, size_t size, size_t alignment, void *given, size_t room)
{
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    *pool = (struct pool){.stride = round_up(size ? size : 1, alignment), .alignment = alignment};
    memory_make(&pool->memory, given, room);
    if (given) {
        pool->next = (char *)round_up((uintptr_t)given, alignment);
        pool->end = (char *)given + room;
        if (pool->next > pool->end)
            pool->next = pool->end;
    }
}

static inline void pool_unmake(struct pool *pool)
{
    memory_unmake(&pool->memory);
}

__attribute__((noinline, cold, unused)) static void *pool_cut(struct pool *pool)
{
    if ((size_t)(pool->end - pool->next) < pool->stride) {
        size_t page = pool->alignment > POOL_PAGE ? pool->alignment : POOL_PAGE;
        if (pool->stride > SIZE_MAX - page)
            return NULL;
        struct span *span = memory_grow(&pool->memory, round_up(pool->stride, page), page);
        if (!span)
            return NULL;
        pool->next = (char *)span->begin;
        pool->end = (char *)span->end;
    }
    void *block = pool->next;
    pool->next += pool->stride;
    pool->cut++;
    pool->taken++;
    return block;
}

static inline void *pool_take(struct pool *pool)
{
    void *block = pool->free;
    if (__builtin_expect(block == NULL, 0))
        return pool_cut(pool);
    memcpy(&pool->free, block, sizeof pool->free);
    pool->taken++;
    return block;
}

static inline void pool_return(struct pool *pool, void *block)
{
    memcpy(block, &pool->free, sizeof pool->free);
    pool->free = block;
    pool->returned++;
}

static inline void *pool_allocate(void *state, size_t size, size_t alignment)
{
    struct pool *pool = state;
    if (size > pool->stride || alignment > pool->alignment)
        return NULL;
    void *block = pool_take(pool);
    if (block)
        pool->unasked += pool->stride - size;
    return block;
}

static inline void pool_release(void *state, void *block)
{
    if (block)
        pool_return(state, block);
}

static inline void *pool_reallocate(void *state, void *block, size_t size)
{
    struct pool *pool = state;
    if (!block)
        return pool_allocate(pool, size, 1);
    return size <= pool->stride ? block : NULL;
}

static inline size_t pool_size_of(void *state, const void *block)
{
    (void)block;
    return ((struct pool *)state)->stride;
}

static inline int pool_owns(void *state, const void *pointer)
{
    return memory_find(&((struct pool *)state)->memory, pointer) != NULL;
}

/* All blocks are free again, in the order of their addresses; the statistics of before stay. */
static inline void pool_reset(void *state)
{
    struct pool *pool = state;
    int count = atomic_load(&pool->memory.count);
    void *free = NULL;
    for (int i = count; i--;) {
        char *begin = (char *)round_up(pool->memory.spans[i].begin, pool->alignment);
        char *last = i == count - 1 ? pool->next : (char *)pool->memory.spans[i].end;
        for (size_t n = last > begin ? (size_t)(last - begin) / pool->stride : 0; n--;) {
            memcpy(begin + n * pool->stride, &free, sizeof free);
            free = begin + n * pool->stride;
        }
    }
    pool->free = free;
    pool->returned = pool->taken;
}

static inline size_t pool_uncut(const struct pool *pool)
{
    return (size_t)(pool->end - pool->next) / pool->stride;
}

static inline void pool_read(void *state, struct statistics *statistics)
{
    struct pool *pool = state;
    size_t live = pool->taken - pool->returned;
    size_t free = pool->cut - live + pool_uncut(pool);
    *statistics = (struct statistics){
        .live_blocks = live,
        .live = live * pool->stride,
        .allocations = pool->taken,
        .allocated = pool->taken * pool->stride - pool->unasked,
        .granted = pool->taken * pool->stride,
        .peak = pool->cut * pool->stride,
        .reserved = atomic_load(&pool->memory.reserved),
        .free = free * pool->stride,
        .largest_free = free ? pool->stride : 0,
    };
}

static inline int pool_classes(void *state, struct size_class *rows, int room)
{
    struct pool *pool = state;
    size_t live = pool->taken - pool->returned;
    if (room > 0)
        rows[0] = (struct size_class){pool->stride, live, pool->cut - live + pool_uncut(pool)};
    return 1;
}

static const char *pool_invalid(void *state)
{
    struct pool *pool = state;
    size_t length = 0;
    for (char *block = pool->free; block; length++) {
        const struct span *span = memory_find(&pool->memory, block);
        if (!span)
            return "a free block lies outside of the pool";
        if ((size_t)(block - (char *)round_up(span->begin, pool->alignment)) % pool->stride)
            return "a free block begins inside of another";
        if (length > pool->cut)
            return "the list of free blocks has no end";
        memcpy(&block, block, sizeof block);
    }
    return length == pool->cut - (pool->taken - pool->returned) ? NULL : "blocks are neither live nor free";
}

__attribute__((unused)) static const struct allocator POOL = {
    .name = "pool",
    .allocate = pool_allocate,
    .release = pool_release,
    .reallocate = pool_reallocate,
    .size_of = pool_size_of,
    .owns = pool_owns,
    .reset = pool_reset,
    .read = pool_read,
    .classes = pool_classes,
    .invalid = pool_invalid,
};

#endif
