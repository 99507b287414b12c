/* A frame: blocks one after the other, all taken back at once. One thread at a time.
 *
 * In front of each block stands its size, for reallocate. A scope begins at a place; when it ends, all that was allocated in
 * it is taken back by coming back to that place, and scopes lie in each other. Spans are used in their order and kept, so
 * coming back costs the same however much was allocated.
 */
#ifndef CYX_ALLOCATORS_FRAME_H
#define CYX_ALLOCATORS_FRAME_H

#include <string.h>

#include "allocator.h"
#include "memory.h"

enum { FRAME_SCOPES = 64 };

struct frame_scope {
    uintptr_t next; /* where it began */
    size_t behind;
    size_t outside; /* live blocks of the scope round it, but for those in this one */
    int span;
};

struct frame {
    uintptr_t begin, next, end; /* the span in use, and where its unused part begins */
    int span;            /* which one that is; -1: none yet */
    int depth;           /* scopes open */
    size_t live;         /* live blocks of the innermost scope */
    size_t behind;       /* bytes used, or left over, in the spans before this one */
    size_t allocations, asked, granted;
    size_t peak;         /* as of the last time that something was taken back */
    struct frame_scope scopes[FRAME_SCOPES];
    struct memory memory;
};

static const size_t FRAME_MOST_ALIGNMENT = (size_t)1 << 20;
static const size_t FRAME_PAGE = 4096;
#define FRAME_HEADER sizeof(size_t)

static inline void frame_enter(struct frame *frame, int span)
{
    frame->span = span;
    frame->begin = frame->next = frame->memory.spans[span].begin;
    frame->end = frame->memory.spans[span].end;
}

static inline void frame_make(struct frame *frame, void *given, size_t room)
{
    *frame = (struct frame){.span = -1};
    memory_make(&frame->memory, given, room);
    if (given)
        frame_enter(frame, 0);
}

static inline void frame_unmake(struct frame *frame)
{
    memory_unmake(&frame->memory);
}

static inline uintptr_t frame_place(uintptr_t next, size_t alignment)
{
    return round_up(next + FRAME_HEADER, alignment);
}

static inline int frame_has_room(uintptr_t next, uintptr_t end, size_t size, size_t alignment)
{
    uintptr_t place = frame_place(next, alignment);
    return place <= end && size <= end - place;
}

static inline size_t frame_used(const struct frame *frame)
{
    return frame->behind + (frame->next - frame->begin);
}

/* Go on to a span that has the room: one from before the last reset, or a new one. */
__attribute__((noinline, cold, unused)) static int frame_go_on(struct frame *frame, size_t size, size_t alignment)
{
    size_t worst = size + FRAME_HEADER + alignment; /* what precedes the first place in a span that begins at a page */
    if (worst < size || worst > SIZE_MAX - FRAME_PAGE)
        return 0;
    int count = atomic_load_explicit(&frame->memory.count, memory_order_relaxed);
    size_t behind = frame->behind;
    int span = frame->span;
    if (span >= 0)
        behind += frame->memory.spans[span].end - frame->memory.spans[span].begin;
    while (++span < count) {
        const struct span *next = &frame->memory.spans[span];
        if (frame_has_room(next->begin, next->end, size, alignment))
            break;
        behind += next->end - next->begin;
    }
    if (span == count && !memory_grow(&frame->memory, round_up(worst, FRAME_PAGE), FRAME_PAGE))
        return 0;
    frame->behind = behind;
    frame_enter(frame, span);
    return 1;
}

static inline void *frame_take(struct frame *frame, size_t size, size_t alignment)
{
    if (__builtin_expect(!frame_has_room(frame->next, frame->end, size, alignment), 0)
        && !frame_go_on(frame, size, alignment))
        return NULL;
    uintptr_t place = frame_place(frame->next, alignment);
    memcpy((char *)place - FRAME_HEADER, &size, sizeof size);
    frame->next = place + size;
    frame->live++;
    frame->allocations++;
    return (void *)place;
}

static inline void frame_note_peak(struct frame *frame)
{
    size_t used = frame_used(frame);
    if (used > frame->peak)
        frame->peak = used;
}

/* Begin a scope; 0: too many are open. */
static inline int frame_begin(void *state)
{
    struct frame *frame = state;
    if (frame->depth == FRAME_SCOPES)
        return 0;
    frame->scopes[frame->depth++] = (struct frame_scope){frame->next, frame->behind, frame->live, frame->span};
    frame->live = 0;
    return 1;
}

static inline void frame_come_back(struct frame *frame, const struct frame_scope *scope)
{
    frame_note_peak(frame);
    frame->live = scope->outside;
    int span = scope->span < 0 ? 0 : scope->span; /* it began before there was memory */
    if (__builtin_expect(frame->span > span, 0)) {
        frame->behind = scope->behind;
        frame_enter(frame, span);
    }
    frame->next = scope->span < 0 ? frame->begin : scope->next;
}

/* End the innermost scope, if one is open: its blocks are none any more. */
static inline void frame_end(void *state)
{
    struct frame *frame = state;
    if (frame->depth)
        frame_come_back(frame, &frame->scopes[--frame->depth]);
}

/* End all scopes, and take everything back. */
static inline void frame_reset(void *state)
{
    struct frame *frame = state;
    frame->depth = 0;
    frame_come_back(frame, &(struct frame_scope){.span = -1});
}

static inline size_t frame_live_blocks(const struct frame *frame)
{
    size_t live = frame->live;
    for (int i = 0; i < frame->depth; i++)
        live += frame->scopes[i].outside;
    return live;
}

/* Return how many live blocks the scopes from this one on have; the first scope is 1. */
static inline size_t frame_live_within(const struct frame *frame, int scope)
{
    size_t live = frame->live;
    for (int i = scope; i < frame->depth; i++)
        live += frame->scopes[i].outside;
    return live;
}

/* Return where live blocks of the scope that the block was allocated in are counted. */
static inline size_t *frame_counter(struct frame *frame, const void *block)
{
    size_t *counter = &frame->live;
    int span = frame->span;
    while (span > 0 && !((uintptr_t)block - frame->memory.spans[span].begin
                         < frame->memory.spans[span].end - frame->memory.spans[span].begin))
        span--;
    for (int i = frame->depth; i--;) {
        const struct frame_scope *scope = &frame->scopes[i];
        if (span > scope->span || (span == scope->span && (uintptr_t)block > scope->next))
            break;
        counter = &frame->scopes[i].outside;
    }
    return counter;
}

static inline size_t frame_size_of(void *state, const void *block)
{
    size_t size;
    (void)state;
    memcpy(&size, (const char *)block - FRAME_HEADER, sizeof size);
    return size;
}

static inline void *frame_allocate(void *state, size_t size, size_t alignment)
{
    struct frame *frame = state;
    if (alignment > FRAME_MOST_ALIGNMENT || size > PTRDIFF_MAX)
        return NULL;
    void *block = frame_take(frame, size ? size : 1, alignment);
    if (block) {
        frame->asked += size;
        frame->granted += size ? size : 1;
    }
    return block;
}

/* Whether a block of this size is the last one of the innermost scope. A span may begin where the one before it ends, so the
 * end alone does not tell. */
static inline int frame_is_last(const struct frame *frame, const size_t *counter, uintptr_t block, size_t size)
{
    return counter == &frame->live && block + size == frame->next && block > frame->begin && block < frame->end;
}

/* The last block of a scope makes room again; any other one waits for the scope's end. */
static inline void frame_release(void *state, void *block)
{
    struct frame *frame = state;
    if (!block)
        return;
    size_t *counter = frame->depth ? frame_counter(frame, block) : &frame->live;
    --*counter;
    if (frame_is_last(frame, counter, (uintptr_t)block, frame_size_of(frame, block))) {
        frame_note_peak(frame);
        frame->next = (uintptr_t)block - FRAME_HEADER;
    }
}

static inline void *frame_reallocate(void *state, void *block, size_t size)
{
    struct frame *frame = state;
    if (!block)
        return frame_allocate(frame, size, 16);
    if (size > PTRDIFF_MAX)
        return NULL;
    size += !size; /* as for a new block */
    size_t before = frame_size_of(frame, block);
    uintptr_t begin = (uintptr_t)block;
    size_t *counter = frame->depth ? frame_counter(frame, block) : &frame->live;
    if (frame_is_last(frame, counter, begin, before) && size <= frame->end - begin) {
        frame_note_peak(frame);
        frame->asked += size > before ? size - before : 0;
        frame->granted += size > before ? size - before : 0;
        memcpy((char *)block - FRAME_HEADER, &size, sizeof size);
        frame->next = begin + size;
        return block;
    }
    if (size <= before)
        return block;
    /* Whatever multiple was asked for, the address is one of it, and so is that of the block that takes its place. */
    size_t alignment = begin & -begin;
    void *moved = frame_allocate(frame, size, alignment < FRAME_MOST_ALIGNMENT ? alignment : FRAME_MOST_ALIGNMENT);
    if (moved) {
        memcpy(moved, block, before);
        --*counter;
    }
    return moved;
}

static inline int frame_owns(void *state, const void *pointer)
{
    return memory_find(&((struct frame *)state)->memory, pointer) != NULL;
}

static inline void frame_read(void *state, struct statistics *statistics)
{
    struct frame *frame = state;
    size_t used = frame_used(frame);
    size_t reserved = atomic_load(&frame->memory.reserved);
    size_t largest = frame->end - frame->next;
    for (int i = frame->span + 1; i < atomic_load(&frame->memory.count); i++) {
        size_t room = frame->memory.spans[i].end - frame->memory.spans[i].begin;
        largest = room > largest ? room : largest;
    }
    *statistics = (struct statistics){
        .live_blocks = frame_live_blocks(frame),
        .live = used,
        .allocations = frame->allocations,
        .allocated = frame->asked,
        .granted = frame->granted,
        .peak = used > frame->peak ? used : frame->peak,
        .reserved = reserved,
        .free = reserved - used,
        .largest_free = largest > FRAME_HEADER ? largest - FRAME_HEADER : 0,
    };
}

static inline int frame_classes(void *state, struct size_class *rows, int room)
{
    (void)state, (void)rows, (void)room;
    return 0;
}

static const char *frame_invalid(void *state)
{
    struct frame *frame = state;
    if (frame->span < 0)
        return frame->next || frame->end || frame_live_blocks(frame) ? "a frame without memory has blocks" : NULL;
    const struct span *span = &frame->memory.spans[frame->span];
    if (frame->begin != span->begin || frame->next < span->begin || frame->next > frame->end || frame->end != span->end)
        return "the next block would lie outside of the span in use";
    size_t behind = 0;
    for (int i = 0; i < frame->span; i++)
        behind += frame->memory.spans[i].end - frame->memory.spans[i].begin;
    return behind == frame->behind ? NULL : "the spans before are not accounted for";
}

__attribute__((unused)) static const struct allocator FRAME = {
    .name = "frame",
    .allocate = frame_allocate,
    .release = frame_release,
    .reallocate = frame_reallocate,
    .size_of = frame_size_of,
    .owns = frame_owns,
    .reset = frame_reset,
    .begin = frame_begin,
    .end = frame_end,
    .read = frame_read,
    .classes = frame_classes,
    .invalid = frame_invalid,
};

#endif
