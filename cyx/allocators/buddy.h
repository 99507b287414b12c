/* Powers of two, by halves: a block is split until it fits, and joined with its other half, its buddy, when both are free
 * (Knuth, The Art of Computer Programming, volume 1, section 2.5). One thread at a time.
 *
 * A block of order k has 2^k bytes, none of them a header, and lies at a multiple of 2^k, or of 1 MiB if it is larger. What
 * begins at an address says a tag outside of the blocks: one byte for each 32. Blocks just freed are kept as they are, a few
 * of each small order, so that a block that is wanted again at once is not joined and split in between (after Lee and
 * Barkley, A Watermark-based Lazy Buddy System, 1989). All of them are joined before memory is added or refused.
 *     reserved == live + free + kept + what is too small or askew at the ends of given memory
 */
#ifndef CYX_ALLOCATORS_BUDDY_H
#define CYX_ALLOCATORS_BUDDY_H

#include <string.h>

#include "allocator.h"
#include "memory.h"

enum {
    BUDDY_LEAST = 5,       /* order of the smallest block: 32 bytes, of which a free one needs 16 */
    BUDDY_ORDERS = 47,     /* one more than that of the largest: 64 TiB */
    BUDDY_KEPT_ORDERS = 17, /* blocks up to 64 KiB are kept */
    BUDDY_KEPT = 32,       /* of each order */
    BUDDY_ASKEW = 31,      /* bits of an address that no block has */
};

/* What a tag says of the block that begins there; with its order, which is never 0. No tag: no block begins there. */
enum {
    BUDDY_ALIGNED = 0x00, /* live, and larger than its size needs, for its alignment: it is not made smaller */
    BUDDY_LIVE = 0x40,
    BUDDY_FREE = 0x80,
    BUDDY_AWAITING = 0xC0, /* kept */
    BUDDY_ORDER = 0x3F,
};

static const size_t BUDDY_MOST_ALIGNMENT = (size_t)1 << 20;
static const size_t BUDDY_PAGE = 4096;

struct buddy_node {
    struct buddy_node *next, *previous;
};

struct buddy_span {
    uintptr_t origin; /* a multiple of 1 MiB, at most 1 MiB before the memory: blocks lie at multiples of their size from here */
    size_t size;      /* from there to its end */
    unsigned char *tags;
};

struct buddy {
    unsigned kept[BUDDY_KEPT_ORDERS]; /* how many */
    int spans;                        /* that have tags */
    uint64_t available;               /* bit k: there is a free block of order k */
    size_t live, peak, asked;
    size_t taken[BUDDY_ORDERS], returned[BUDDY_ORDERS], free_blocks[BUDDY_ORDERS];
    struct buddy_node *free[BUDDY_ORDERS];
    void *keeps[BUDDY_KEPT_ORDERS][BUDDY_KEPT];
    struct buddy_span span[MEMORY_SPANS];
    unsigned char near[256]; /* by address in MiB: index of a span */
    struct memory memory;
    int maps; /* the one span is a mapping of its own, which does not grow */
};

static inline unsigned buddy_order(size_t size)
{
    return size <= (size_t)1 << BUDDY_LEAST ? BUDDY_LEAST : 64 - (unsigned)__builtin_clzll(size - 1);
}

/* Return the span of an address in its memory: mostly the one found last for a near one, so that no branch is guessed wrong. */
static inline const struct buddy_span *buddy_span_of(struct buddy *buddy, const void *block)
{
    unsigned char *near = &buddy->near[((uintptr_t)block >> 20) % sizeof buddy->near];
    const struct buddy_span *span = &buddy->span[*near];
    if (__builtin_expect((uintptr_t)block - span->origin < span->size, 1))
        return span;
    span = &buddy->span[buddy->spans - 1];
    while ((uintptr_t)block - span->origin >= span->size && span > buddy->span)
        span--;
    *near = (unsigned char)(span - buddy->span);
    return span;
}

static inline unsigned char *buddy_tag(const struct buddy_span *span, size_t offset)
{
    return &span->tags[offset >> BUDDY_LEAST];
}

static inline int buddy_is_live(unsigned char tag)
{
    return tag && tag < BUDDY_FREE;
}

static inline void buddy_link(struct buddy *buddy, const struct buddy_span *span, size_t offset, unsigned order)
{
    struct buddy_node *node = (struct buddy_node *)(span->origin + offset);
    *buddy_tag(span, offset) = (unsigned char)(BUDDY_FREE | order);
    node->next = buddy->free[order];
    node->previous = NULL;
    if (node->next)
        node->next->previous = node;
    buddy->free[order] = node;
    buddy->free_blocks[order]++;
    buddy->available |= UINT64_C(1) << order;
}

static inline void buddy_unlink(struct buddy *buddy, struct buddy_node *node, unsigned order)
{
    if (node->next)
        node->next->previous = node->previous;
    if (node->previous)
        node->previous->next = node->next;
    else if (!(buddy->free[order] = node->next))
        buddy->available &= ~(UINT64_C(1) << order);
    buddy->free_blocks[order]--;
}

/* Free a block, joined with its buddy as long as that is free. */
__attribute__((noinline, unused)) static void buddy_join(struct buddy *buddy, const struct buddy_span *span, size_t offset,
                                                         unsigned order)
{
    *buddy_tag(span, offset) = 0;
    for (;; order++) {
        size_t other = offset ^ (size_t)1 << order;
        if (other >= span->size || *buddy_tag(span, other) != (BUDDY_FREE | order))
            break;
        buddy_unlink(buddy, (struct buddy_node *)(span->origin + other), order);
        *buddy_tag(span, other) = 0;
        offset &= ~((size_t)1 << order);
    }
    buddy_link(buddy, span, offset, order);
}

/* Join all that is kept. */
static inline void buddy_settle(struct buddy *buddy)
{
    for (unsigned order = BUDDY_LEAST; order < BUDDY_KEPT_ORDERS; order++)
        while (buddy->kept[order]) {
            void *block = buddy->keeps[order][--buddy->kept[order]];
            const struct buddy_span *span = buddy_span_of(buddy, block);
            buddy_join(buddy, span, (uintptr_t)block - span->origin, order);
        }
}

/* Cut a span up into the largest blocks that lie where blocks of their size may. */
static inline void buddy_lay_out(struct buddy *buddy, const struct buddy_span *span, uintptr_t begin)
{
    size_t least = (size_t)1 << BUDDY_LEAST;
    size_t offset = round_up(begin, least) - span->origin, end = span->size & ~(least - 1);
    while (offset < end) {
        unsigned order = 63 - (unsigned)__builtin_clzll(end - offset);
        if (offset && (unsigned)__builtin_ctzll(offset) < order)
            order = (unsigned)__builtin_ctzll(offset);
        if (order >= BUDDY_ORDERS)
            order = BUDDY_ORDERS - 1;
        buddy_link(buddy, span, offset, order);
        offset += (size_t)1 << order;
    }
}

static inline size_t buddy_tags_size(const struct buddy_span *span)
{
    return round_up((span->size >> BUDDY_LEAST) + 1, BUDDY_PAGE);
}

/* Have tags for the next span that has none yet; 0: no memory. */
static inline int buddy_adopt(struct buddy *buddy)
{
    const struct span *memory = &buddy->memory.spans[buddy->spans];
    uintptr_t end = atomic_load_explicit(&memory->end, memory_order_relaxed);
    struct buddy_span *span = &buddy->span[buddy->spans];
    span->origin = memory->begin & ~(BUDDY_MOST_ALIGNMENT - 1);
    span->size = end - span->origin;
    long refusals = atomic_load_explicit(&buddy->memory.refusals, memory_order_relaxed);
    span->tags = refusals == 1 ? NULL : memory_map(buddy_tags_size(span), BUDDY_PAGE);
    if (!span->tags)
        return 0;
    if (refusals)
        atomic_store_explicit(&buddy->memory.refusals, refusals - 1, memory_order_relaxed);
    buddy->spans++;
    buddy_lay_out(buddy, span, memory->begin);
    return 1;
}

static inline void buddy_unmake(struct buddy *buddy)
{
    while (buddy->spans--)
        munmap(buddy->span[buddy->spans].tags, buddy_tags_size(&buddy->span[buddy->spans]));
    buddy->spans = 0;
    if (buddy->maps)
        munmap((void *)buddy->memory.spans[0].begin, buddy->memory.spans[0].end - buddy->memory.spans[0].begin);
    buddy->maps = 0;
    memory_unmake(&buddy->memory);
}

/* The range is memory to live in; or NULL, and room bytes are mapped and no more; or NULL and 0: it grows. 0: no memory. */
static inline int buddy_make(struct buddy *buddy, void *given, size_t room)
{
    *buddy = (struct buddy){.maps = !given && room};
    if (buddy->maps) {
        if (room > PTRDIFF_MAX)
            return buddy->maps = 0;
        room = round_up(room, BUDDY_PAGE);
        given = memory_map(room, BUDDY_MOST_ALIGNMENT);
        if (!given)
            return buddy->maps = 0;
    }
    memory_make(&buddy->memory, given, room);
    if (!given || buddy_adopt(buddy))
        return 1;
    buddy_unmake(buddy);
    return 0;
}

/* Return the size of the largest block that it ever gives: as it was made, nothing is live. */
static inline size_t buddy_largest(const struct buddy *buddy)
{
    return (size_t)1 << (buddy->memory.given ? 63 - __builtin_clzll(buddy->available) : BUDDY_ORDERS - 1);
}

/* Have a free block of at least this order: of what is kept, or of more memory. */
__attribute__((noinline, cold, unused)) static int buddy_find_more(struct buddy *buddy, unsigned order)
{
    buddy_settle(buddy);
    while (!(buddy->available >> order)) {
        if (buddy->spans < atomic_load_explicit(&buddy->memory.count, memory_order_relaxed)) {
            if (!buddy_adopt(buddy))
                return 0;
        } else {
            size_t least = (size_t)1 << order;
            if (!memory_grow(&buddy->memory, round_up(least, BUDDY_MOST_ALIGNMENT), BUDDY_MOST_ALIGNMENT))
                return 0;
        }
    }
    return 1;
}

__attribute__((noinline, unused)) static void *buddy_split(struct buddy *buddy, unsigned order)
{
    if (!(buddy->available >> order) && !buddy_find_more(buddy, order))
        return NULL;
    unsigned from = order + (unsigned)__builtin_ctzll(buddy->available >> order);
    struct buddy_node *block = buddy->free[from];
    buddy_unlink(buddy, block, from);
    const struct buddy_span *span = buddy_span_of(buddy, block);
    while (from-- > order)
        buddy_link(buddy, span, (uintptr_t)block - span->origin + ((size_t)1 << from), from);
    return block;
}

static inline void buddy_count_taken(struct buddy *buddy, unsigned order)
{
    buddy->taken[order]++;
    buddy->live += (size_t)1 << order;
    if (buddy->live > buddy->peak)
        buddy->peak = buddy->live;
}

static inline void buddy_count_returned(struct buddy *buddy, unsigned order)
{
    buddy->returned[order]++;
    buddy->live -= (size_t)1 << order;
}

/* A block of this order, or NULL. */
static inline void *buddy_take(struct buddy *buddy, unsigned order, unsigned state)
{
    void *block;
    if (__builtin_expect(order < BUDDY_KEPT_ORDERS && buddy->kept[order], 1))
        block = buddy->keeps[order][--buddy->kept[order]];
    else if (!(block = buddy_split(buddy, order)))
        return NULL;
    const struct buddy_span *span = buddy_span_of(buddy, block);
    *buddy_tag(span, (uintptr_t)block - span->origin) = (unsigned char)(state | order);
    buddy_count_taken(buddy, order);
    return block;
}

static inline void *buddy_allocate(void *state, size_t size, size_t alignment)
{
    struct buddy *buddy = state;
    if (__builtin_expect(size > (size_t)1 << (BUDDY_ORDERS - 1) || alignment > BUDDY_MOST_ALIGNMENT, 0))
        return NULL;
    unsigned order = buddy_order(size), kind = BUDDY_LIVE;
    if (__builtin_expect(alignment > (size_t)1 << order, 0)) {
        order = (unsigned)__builtin_ctzll(alignment);
        kind = BUDDY_ALIGNED;
    }
    void *block = buddy_take(buddy, order, kind);
    if (block)
        buddy->asked += size;
    return block;
}

/* An address at which no live block begins is let alone. */
static inline void buddy_release(void *state, void *block)
{
    struct buddy *buddy = state;
    if (!block || !buddy->spans)
        return;
    const struct buddy_span *span = buddy_span_of(buddy, block);
    size_t offset = (uintptr_t)block - span->origin;
    unsigned char *tag = buddy_tag(span, offset);
    if (__builtin_expect(offset >= span->size || offset & BUDDY_ASKEW || !buddy_is_live(*tag), 0))
        return;
    unsigned order = *tag & BUDDY_ORDER;
    buddy_count_returned(buddy, order);
    if (__builtin_expect(order < BUDDY_KEPT_ORDERS && buddy->kept[order] < BUDDY_KEPT, 1)) {
        *tag = (unsigned char)(BUDDY_AWAITING | order);
        buddy->keeps[order][buddy->kept[order]++] = block;
    } else {
        buddy_join(buddy, span, offset, order);
    }
}

static inline size_t buddy_size_of(void *state, const void *block)
{
    struct buddy *buddy = state;
    if (!buddy->spans)
        return 0;
    const struct buddy_span *span = buddy_span_of(buddy, block);
    size_t offset = (uintptr_t)block - span->origin;
    unsigned char tag = offset < span->size && !(offset & BUDDY_ASKEW) ? *buddy_tag(span, offset) : 0;
    return buddy_is_live(tag) ? (size_t)1 << (tag & BUDDY_ORDER) : 0;
}

static inline int buddy_owns(void *state, const void *pointer)
{
    return memory_find(&((struct buddy *)state)->memory, pointer) != NULL;
}

/* Take a free or kept block of this order, wherever it is among its like. */
static inline void buddy_pull_out(struct buddy *buddy, const struct buddy_span *span, size_t offset, unsigned order)
{
    void *block = (void *)(span->origin + offset);
    if (*buddy_tag(span, offset) == (BUDDY_FREE | order)) {
        buddy_unlink(buddy, block, order);
    } else {
        void **kept = buddy->keeps[order];
        unsigned last = --buddy->kept[order], i = 0;
        while (kept[i] != block)
            i++;
        kept[i] = kept[last];
    }
    *buddy_tag(span, offset) = 0;
}

/* Whether all that lies behind a block, up to this order, is free. */
static inline int buddy_may_widen(const struct buddy_span *span, size_t offset, unsigned order, unsigned wanted)
{
    for (; order < wanted; order++) {
        size_t other = offset ^ (size_t)1 << order;
        if (other < offset || other >= span->size || (*buddy_tag(span, other) | BUDDY_LIVE) != (BUDDY_AWAITING | order))
            return 0;
    }
    return 1;
}

/* In place where the block is large enough, or what lies behind it is free; of a smaller one the rest is freed. */
static inline void *buddy_reallocate(void *state, void *block, size_t size)
{
    struct buddy *buddy = state;
    if (!block)
        return buddy_allocate(buddy, size, 1);
    if (size > (size_t)1 << (BUDDY_ORDERS - 1) || !buddy_size_of(buddy, block))
        return NULL;
    const struct buddy_span *span = buddy_span_of(buddy, block);
    size_t offset = (uintptr_t)block - span->origin;
    unsigned char *tag = buddy_tag(span, offset);
    unsigned order = *tag & BUDDY_ORDER, kind = *tag & BUDDY_LIVE, wanted = buddy_order(size);
    if (wanted == order || (wanted < order && kind == BUDDY_ALIGNED))
        return block;
    if (wanted > order && !buddy_may_widen(span, offset, order, wanted)) {
        void *moved = buddy_take(buddy, wanted, kind);
        if (!moved)
            return NULL;
        buddy->asked += size;
        memcpy(moved, block, (size_t)1 << order);
        buddy_release(buddy, block);
        return moved;
    }
    buddy_count_returned(buddy, order);
    while (order > wanted) {
        order--;
        buddy_link(buddy, span, offset + ((size_t)1 << order), order);
    }
    for (; order < wanted; order++)
        buddy_pull_out(buddy, span, offset + ((size_t)1 << order), order);
    *tag = (unsigned char)(kind | wanted);
    buddy_count_taken(buddy, wanted);
    buddy->asked += size;
    return block;
}

static inline void buddy_reset(void *state)
{
    struct buddy *buddy = state;
    memset(buddy->kept, 0, sizeof buddy->kept);
    memset(buddy->free, 0, sizeof buddy->free);
    memset(buddy->free_blocks, 0, sizeof buddy->free_blocks);
    memcpy(buddy->returned, buddy->taken, sizeof buddy->taken);
    buddy->available = 0;
    buddy->live = 0;
    for (int i = 0; i < buddy->spans; i++) {
        size_t tags = buddy_tags_size(&buddy->span[i]);
        if (madvise(buddy->span[i].tags, tags, MADV_DONTNEED)) /* they read as 0; of locked pages they would not */
            memset(buddy->span[i].tags, 0, tags);
        buddy_lay_out(buddy, &buddy->span[i], buddy->memory.spans[i].begin);
    }
}

/* What is kept is joined first: so fragmentation is that of the blocks alone. */
static inline void buddy_read(void *state, struct statistics *statistics)
{
    struct buddy *buddy = state;
    buddy_settle(buddy);
    *statistics = (struct statistics){
        .live = buddy->live,
        .allocated = buddy->asked,
        .peak = buddy->peak,
        .reserved = atomic_load(&buddy->memory.reserved),
        .largest_free = buddy->available ? (size_t)1 << (63 - __builtin_clzll(buddy->available)) : 0,
    };
    for (unsigned order = BUDDY_LEAST; order < BUDDY_ORDERS; order++) {
        statistics->live_blocks += buddy->taken[order] - buddy->returned[order];
        statistics->allocations += buddy->taken[order];
        statistics->granted += buddy->taken[order] << order;
        statistics->free += buddy->free_blocks[order] << order;
    }
}

/* One row for each order, up to the largest block that it has or had. */
static inline int buddy_classes(void *state, struct size_class *rows, int room)
{
    struct buddy *buddy = state;
    int last = BUDDY_ORDERS - 1, count = 0;
    buddy_settle(buddy);
    while (last >= BUDDY_LEAST && !buddy->taken[last] && !buddy->free_blocks[last])
        last--;
    for (int order = BUDDY_LEAST; order <= last; order++, count++)
        if (count < room)
            rows[count] = (struct size_class){(size_t)1 << order, buddy->taken[order] - buddy->returned[order],
                                              buddy->free_blocks[order]};
    return count;
}

static const char *buddy_invalid(void *state)
{
    struct buddy *buddy = state;
    size_t live[BUDDY_ORDERS] = {0}, free[BUDDY_ORDERS] = {0}, kept[BUDDY_ORDERS] = {0};
    for (int i = 0; i < buddy->spans; i++) {
        const struct buddy_span *span = &buddy->span[i];
        size_t least = (size_t)1 << BUDDY_LEAST, next;
        for (size_t at = round_up(buddy->memory.spans[i].begin, least) - span->origin; at < (span->size & ~(least - 1)); at = next) {
            unsigned char tag = *buddy_tag(span, at);
            unsigned order = tag & BUDDY_ORDER;
            if (order < BUDDY_LEAST || order >= BUDDY_ORDERS)
                return "where a block must begin is none";
            next = at + ((size_t)1 << order);
            if (next > span->size || at & (next - at - 1))
                return "a block lies where none of its size may";
            for (size_t inside = least; inside < next - at; inside += least)
                if (*buddy_tag(span, at + inside))
                    return "a block begins inside of another";
            size_t other = at ^ (next - at);
            if ((tag & ~BUDDY_ORDER) == BUDDY_FREE && other < span->size && *buddy_tag(span, other) == tag)
                return "a block and its buddy are free, and not joined";
            (buddy_is_live(tag) ? live : tag < BUDDY_AWAITING ? free : kept)[order]++;
        }
    }
    for (unsigned order = BUDDY_LEAST; order < BUDDY_ORDERS; order++) {
        size_t length = 0;
        for (struct buddy_node *node = buddy->free[order], *previous = NULL; node; previous = node, node = node->next) {
            const struct buddy_span *span = buddy_span_of(buddy, node);
            size_t offset = (uintptr_t)node - span->origin;
            if (offset >= span->size || *buddy_tag(span, offset) != (BUDDY_FREE | order) || node->previous != previous)
                return "the list of free blocks was overwritten";
            if (++length > free[order])
                break;
        }
        if (length != free[order] || length != buddy->free_blocks[order]
            || (length != 0) != (buddy->available >> order & 1))
            return "free blocks are not in their list";
        if (live[order] != buddy->taken[order] - buddy->returned[order])
            return "live blocks are not accounted for";
        if (kept[order] != (order < BUDDY_KEPT_ORDERS ? buddy->kept[order] : 0))
            return "kept blocks are not accounted for";
    }
    return NULL;
}

__attribute__((unused)) static const struct allocator BUDDY = {
    .name = "buddy",
    .allocate = buddy_allocate,
    .release = buddy_release,
    .reallocate = buddy_reallocate,
    .size_of = buddy_size_of,
    .owns = buddy_owns,
    .reset = buddy_reset,
    .read = buddy_read,
    .classes = buddy_classes,
    .invalid = buddy_invalid,
};

#endif
