/* Blocks of one size, from a stack of free ones: a few instructions each way. One thread at a time.
 *
 * The stack lies outside of the blocks: none is touched to be taken or freed, so none is waited for that is in no cache. It
 * costs 8 bytes a block. Memory is cut up only when no block is free, so the number of blocks cut up is the most that ever
 * were live at once:
 *     cut == peak,   live == cut - count,   count <= cut <= room
 */
#ifndef CYX_ALLOCATORS_POOL_H
#define CYX_ALLOCATORS_POOL_H

#include "allocator.h"
#include "memory.h"

struct pool {
    void **free;       /* the free blocks, the one freed last behind the others */
    size_t count, room; /* how many they are, and may become */
    char *next, *end;  /* never used part of the last span */
    size_t stride;     /* from one block to the next */
    size_t alignment;
    size_t taken;
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
    if (pool->room)
        munmap(pool->free, pool->room * sizeof *pool->free);
    pool->room = 0;
}

/* Have room for one more free block; there are none now. */
static inline int pool_make_room(struct pool *pool)
{
    size_t room = pool->room ? 2 * pool->room : POOL_PAGE / sizeof *pool->free;
    void **free = memory_refused(&pool->memory) ? NULL : memory_map(room * sizeof *free, POOL_PAGE);
    if (!free)
        return 0;
    if (pool->room)
        munmap(pool->free, pool->room * sizeof *free);
    pool->free = free;
    pool->room = room;
    return 1;
}

__attribute__((noinline, cold, unused)) static void *pool_cut(struct pool *pool)
{
    if (pool->cut == pool->room && !pool_make_room(pool))
        return NULL;
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
    if (__builtin_expect(!pool->count, 0))
        return pool_cut(pool);
    pool->taken++;
    return pool->free[--pool->count];
}

static inline void pool_return(struct pool *pool, void *block)
{
    pool->free[pool->count++] = block;
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
    pool->count = 0;
    for (int i = count; i--;) {
        char *begin = (char *)round_up(pool->memory.spans[i].begin, pool->alignment);
        char *last = i == count - 1 ? pool->next : (char *)pool->memory.spans[i].end;
        for (size_t n = last > begin ? (size_t)(last - begin) / pool->stride : 0; n--;)
            pool->free[pool->count++] = begin + n * pool->stride;
    }
}

static inline size_t pool_uncut(const struct pool *pool)
{
    return (size_t)(pool->end - pool->next) / pool->stride;
}

static inline void pool_read(void *state, struct statistics *statistics)
{
    struct pool *pool = state;
    size_t live = pool->cut - pool->count;
    size_t free = pool->count + pool_uncut(pool);
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
    if (room > 0)
        rows[0] = (struct size_class){pool->stride, pool->cut - pool->count, pool->count + pool_uncut(pool)};
    return 1;
}

static const char *pool_invalid(void *state)
{
    struct pool *pool = state;
    if (pool->count > pool->cut || pool->cut > pool->room)
        return "more blocks are free than there are";
    for (size_t i = 0; i < pool->count; i++) {
        const char *block = pool->free[i];
        const struct span *span = memory_find(&pool->memory, block);
        if (!span)
            return "a free block lies outside of the pool";
        if ((size_t)(block - (const char *)round_up(span->begin, pool->alignment)) % pool->stride)
            return "a free block begins inside of another";
    }
    return NULL;
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
