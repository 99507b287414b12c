/* Any allocator, with guards round each block and a list of all that it ever handed out. One thread at a time.
 *
 * A block lies between two guards of bytes that depend on its address; a freed one is filled, and waits in a queue before
 * its memory may serve again, so that what is written there meanwhile is found. A wrong call changes nothing: it
 * is noted, and the first one is kept for whoever asks; what was written is mended, so that it is noted once. What it needs for
 * itself comes from mmap: it may stand behind malloc.
 */
#ifndef CYX_ALLOCATORS_CHECKED_H
#define CYX_ALLOCATORS_CHECKED_H

#include <string.h>

#include "allocator.h"
#include "memory.h"

enum { CHECKED_GUARD = 16, CHECKED_QUEUE = 64, CHECKED_FILL = 0xDB };

/* What is known of memory that is not live, and so can be held to it when it is handed out again. */
enum checked_memory {
    CHECKED_FORGETS,   /* nothing: the allocator behind may join, split or drop it */
    CHECKED_CLEARS,    /* it is 0: what a reset takes back is cleared; it was 0 at first */
    CHECKED_REMEMBERS, /* it is filled: blocks of the allocator behind stay the same ones */
};

enum entry_state { ENTRY_NONE, ENTRY_LIVE, ENTRY_FREED, ENTRY_RESET };

struct entry {
    uintptr_t block;
    uintptr_t raw; /* what the allocator behind gave */
    size_t size;
    unsigned depth; /* scopes open when it was allocated */
    unsigned char state, queued;
};

struct checked {
    struct handle inner;
    struct entry *entries; /* open addressing, by block; ENTRY_NONE is free */
    size_t room, used;
    uintptr_t queue[CHECKED_QUEUE]; /* freed blocks, oldest at first */
    unsigned first, queued;
    unsigned depth;
    enum checked_memory knows;
    size_t least;  /* alignment of each block at least: where it REMEMBERS, the largest, so that blocks begin at the same places */
    size_t before; /* bytes that the allocator behind keeps for itself in front of what it gives, to be cleared too */
    struct memory *memory; /* NULL, or whose limit holds for the list of blocks too */
    size_t corruptions;
    enum corruption found; /* the first one that nobody asked for yet */
    uintptr_t where;
};

static inline size_t checked_front(size_t alignment)
{
    return alignment > CHECKED_GUARD ? alignment : CHECKED_GUARD;
}

/* Bytes of the allocator behind for a block of this size. */
static inline size_t checked_size(size_t size, size_t alignment)
{
    return checked_front(alignment) + size + CHECKED_GUARD;
}

static inline unsigned char checked_guard(uintptr_t block, size_t i)
{
    return (unsigned char)((block >> 4) * 31 + i * 7 + 0x5A) | 1; /* never 0: no block of zeros passes */
}

static inline size_t checked_slot(const struct checked *checked, uintptr_t block)
{
    return (size_t)((block >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (checked->room - 1);
}

static struct entry *checked_find(const struct checked *checked, uintptr_t block)
{
    if (!checked->room)
        return NULL;
    for (size_t i = checked_slot(checked, block);; i = (i + 1) & (checked->room - 1)) {
        struct entry *entry = &checked->entries[i];
        if (entry->state == ENTRY_NONE)
            return NULL;
        if (entry->block == block)
            return entry;
    }
}

static void checked_put(struct checked *checked, struct entry entry)
{
    size_t i = checked_slot(checked, entry.block);
    while (checked->entries[i].state != ENTRY_NONE && checked->entries[i].block != entry.block)
        i = (i + 1) & (checked->room - 1);
    checked->used += checked->entries[i].state == ENTRY_NONE;
    checked->entries[i] = entry;
}

/* Whether the entry is needed, and not just there to tell what once was at the address. */
static inline int checked_keeps(const struct checked *checked, const struct entry *entry)
{
    return entry->state == ENTRY_LIVE || entry->queued || checked->knows == CHECKED_REMEMBERS
        || (checked->knows == CHECKED_CLEARS && entry->state == ENTRY_FREED);
}

/* Have room for one more entry: a table is left half empty. */
static int checked_make_room(struct checked *checked)
{
    if (checked->used + 1 <= checked->room / 2)
        return 1;
    if (checked->memory && memory_refused(checked->memory))
        return 0;
    size_t live = 0;
    for (size_t i = 0; i < checked->room; i++)
        live += checked->entries[i].state != ENTRY_NONE && checked_keeps(checked, &checked->entries[i]);
    size_t room = checked->room ? checked->room : 256;
    while (live + 1 > room / 4)
        room *= 2;
    struct entry *entries = memory_map(round_up(room * sizeof *entries, 4096), 4096);
    if (!entries)
        return 0;
    struct checked before = *checked;
    checked->entries = entries;
    checked->room = room;
    checked->used = 0;
    for (size_t i = 0; i < before.room; i++)
        if (before.entries[i].state != ENTRY_NONE && checked_keeps(checked, &before.entries[i]))
            checked_put(checked, before.entries[i]);
    if (before.room)
        munmap(before.entries, round_up(before.room * sizeof *entries, 4096));
    return 1;
}

static inline void checked_note(struct checked *checked, enum corruption found, uintptr_t where)
{
    checked->corruptions++;
    if (!checked->found) {
        checked->found = found;
        checked->where = where;
    }
}

static void checked_write_guards(uintptr_t block, size_t size)
{
    unsigned char *bytes = (unsigned char *)block;
    for (size_t i = 0; i < CHECKED_GUARD; i++) {
        *(bytes - CHECKED_GUARD + i) = checked_guard(block, i);
        bytes[size + i] = checked_guard(block, i);
    }
}

/* Note whether bytes beside the block were written. */
static void checked_look_at_guards(struct checked *checked, const struct entry *entry)
{
    const unsigned char *bytes = (const unsigned char *)entry->block;
    for (size_t i = 0; i < CHECKED_GUARD; i++) {
        enum corruption found = bytes[entry->size + i] != checked_guard(entry->block, i) ? OVERRUN
            : *(bytes - CHECKED_GUARD + i) != checked_guard(entry->block, i)             ? UNDERRUN
                                                                                         : NO_CORRUPTION;
        if (found) {
            checked_note(checked, found, entry->block);
            checked_write_guards(entry->block, entry->size);
            return;
        }
    }
}

static int checked_all_are(const unsigned char *bytes, size_t size, unsigned char value)
{
    return !size || (bytes[0] == value && !memcmp(bytes, bytes + 1, size - 1));
}

/* Note whether a block was written that is not live. */
static void checked_look_at_fill(struct checked *checked, const struct entry *entry)
{
    if (checked_all_are((const unsigned char *)entry->block, entry->size, CHECKED_FILL))
        return;
    checked_note(checked, entry->state == ENTRY_RESET ? USE_AFTER_RESET : USE_AFTER_FREE, entry->block);
    memset((void *)entry->block, CHECKED_FILL, entry->size);
}

/* Let the oldest freed block go to the allocator behind. */
static void checked_let_go(struct checked *checked)
{
    struct entry *entry = checked_find(checked, checked->queue[checked->first]);
    checked->first = (checked->first + 1) % CHECKED_QUEUE;
    checked->queued--;
    checked_look_at_fill(checked, entry);
    checked_look_at_guards(checked, entry);
    entry->queued = 0;
    if (checked->knows == CHECKED_CLEARS) /* the last block of a frame makes room at once */
        memset((void *)entry->raw, 0, entry->block - entry->raw + entry->size + CHECKED_GUARD);
    handle_release(&checked->inner, (void *)entry->raw);
    if (checked->knows == CHECKED_CLEARS) /* nobody asks for its size any more */
        memset((void *)(entry->raw - checked->before), 0, checked->before);
}

static void checked_let_all_go(struct checked *checked)
{
    while (checked->queued)
        checked_let_go(checked);
}

static void *checked_allocate(void *state, size_t size, size_t alignment)
{
    struct checked *checked = state;
    if (alignment < checked->least)
        alignment = checked->least;
    if (size > PTRDIFF_MAX - checked_size(0, alignment) || !checked_make_room(checked))
        return NULL;
    size_t asked = size ? size : 1, front = checked_front(alignment);
    void *raw = handle_allocate(&checked->inner, checked_size(asked, alignment), alignment);
    if (!raw && checked->queued) { /* what waits may be all that there is */
        checked_let_all_go(checked);
        raw = handle_allocate(&checked->inner, checked_size(asked, alignment), alignment);
    }
    if (!raw)
        return NULL;
    uintptr_t block = (uintptr_t)raw + front;
    if (checked->knows == CHECKED_CLEARS && !checked_all_are(raw, checked_size(asked, alignment), 0))
        checked_note(checked, USE_AFTER_RESET, block);
    const struct entry *before = checked->knows == CHECKED_REMEMBERS ? checked_find(checked, block) : NULL;
    if (before)
        checked_look_at_fill(checked, before);
    checked_write_guards(block, asked);
    checked_put(checked, (struct entry){block, (uintptr_t)raw, asked, checked->depth, ENTRY_LIVE, 0});
    return (void *)block;
}

/* Return the entry of a live block; else note what is wrong with the pointer, and return NULL. */
static struct entry *checked_live(struct checked *checked, const void *block)
{
    struct entry *entry = checked_find(checked, (uintptr_t)block);
    if (entry && entry->state == ENTRY_LIVE)
        return entry;
    checked_note(checked,
                 entry && entry->state == ENTRY_FREED               ? DOUBLE_FREE
                 : entry                                            ? USE_AFTER_RESET
                 : checked->inner.kind->owns(checked->inner.state, block) ? INTERIOR_POINTER
                                                                          : FOREIGN_POINTER,
                 (uintptr_t)block);
    return NULL;
}

static void checked_release(void *state, void *block)
{
    struct checked *checked = state;
    struct entry *entry = block ? checked_live(checked, block) : NULL;
    if (!entry)
        return;
    checked_look_at_guards(checked, entry);
    memset(block, CHECKED_FILL, entry->size);
    if (checked->queued == CHECKED_QUEUE)
        checked_let_go(checked);
    entry->state = ENTRY_FREED;
    entry->queued = 1;
    checked->queue[(checked->first + checked->queued++) % CHECKED_QUEUE] = entry->block;
}

static size_t checked_size_of(void *state, const void *block)
{
    struct entry *entry = checked_live(state, block);
    return entry ? entry->size : 0;
}

/* Always to another place, so that whoever keeps the old address is found. */
static void *checked_reallocate(void *state, void *block, size_t size)
{
    struct checked *checked = state;
    if (!block)
        return checked_allocate(checked, size, CHECKED_GUARD);
    struct entry *entry = checked_live(checked, block);
    if (!entry)
        return NULL;
    struct entry before = *entry; /* the table may move */
    void *moved = checked_allocate(checked, size, before.block - before.raw);
    if (!moved)
        return NULL;
    size += !size;
    memcpy(moved, block, size < before.size ? size : before.size);
    checked_release(checked, block);
    return moved;
}

static int checked_owns(void *state, const void *pointer)
{
    struct checked *checked = state;
    return checked->inner.kind->owns(checked->inner.state, pointer);
}

/* The blocks of scopes at least this deep are taken back: look at them a last time, and make their memory what it is known to be. */
static void checked_take_back(struct checked *checked, unsigned depth)
{
    checked_let_all_go(checked);
    for (size_t i = 0; i < checked->room; i++) /* all before the first is cleared: what was freed may be a part of them by now */
        if (checked->entries[i].state == ENTRY_LIVE && checked->entries[i].depth >= depth)
            checked_look_at_guards(checked, &checked->entries[i]);
    for (size_t i = 0; i < checked->room; i++) {
        struct entry *entry = &checked->entries[i];
        if ((entry->state != ENTRY_LIVE && entry->state != ENTRY_FREED) || entry->depth < depth)
            continue;
        if (checked->knows == CHECKED_CLEARS)
            memset((void *)(entry->raw - checked->before), 0,
                   checked->before + (entry->block - entry->raw) + entry->size + CHECKED_GUARD);
        else if (entry->state == ENTRY_LIVE)
            memset((void *)entry->block, CHECKED_FILL, entry->size);
        else if (checked->knows == CHECKED_REMEMBERS)
            checked_look_at_fill(checked, entry);
        entry->state = ENTRY_RESET;
    }
}

static void checked_reset(void *state)
{
    struct checked *checked = state;
    checked_take_back(checked, 0);
    checked->depth = 0;
    checked->inner.kind->reset(checked->inner.state);
}

static int checked_begin(void *state)
{
    struct checked *checked = state;
    int begun = checked->inner.kind->begin(checked->inner.state);
    checked->depth += begun;
    return begun;
}

static void checked_end(void *state)
{
    struct checked *checked = state;
    if (!checked->depth)
        return;
    checked_take_back(checked, checked->depth--);
    checked->inner.kind->end(checked->inner.state);
}

/* Look at every block there is. */
static inline void checked_look(struct checked *checked)
{
    for (size_t i = 0; i < checked->room; i++) {
        const struct entry *entry = &checked->entries[i];
        if (entry->state == ENTRY_LIVE || entry->queued)
            checked_look_at_guards(checked, entry);
        if (entry->queued || (checked->knows == CHECKED_REMEMBERS && entry->state > ENTRY_LIVE))
            checked_look_at_fill(checked, entry);
    }
}

/* What waits in the queue is live to the allocator behind; to the caller it is not. */
static void checked_read(void *state, struct statistics *statistics)
{
    struct checked *checked = state;
    checked_let_all_go(checked);
    checked->inner.kind->read(checked->inner.state, statistics);
}

static int checked_classes(void *state, struct size_class *rows, int room)
{
    struct checked *checked = state;
    checked_let_all_go(checked);
    return checked->inner.kind->classes(checked->inner.state, rows, room);
}

static const char *checked_invalid(void *state)
{
    struct checked *checked = state;
    checked_look(checked);
    return checked->inner.kind->invalid(checked->inner.state);
}

static inline void checked_make(struct checked *checked, struct handle inner, enum checked_memory knows, size_t before, struct memory *memory)
{
    *checked = (struct checked){.inner = inner, .knows = knows, .before = before, .memory = memory};
}

static inline void checked_unmake(struct checked *checked)
{
    if (checked->room)
        munmap(checked->entries, round_up(checked->room * sizeof *checked->entries, 4096));
    checked->room = 0;
}

__attribute__((unused)) static const struct allocator CHECKED = {
    .name = "checked",
    .allocate = checked_allocate,
    .release = checked_release,
    .reallocate = checked_reallocate,
    .size_of = checked_size_of,
    .owns = checked_owns,
    .reset = checked_reset,
    .begin = checked_begin,
    .end = checked_end,
    .read = checked_read,
    .classes = checked_classes,
    .invalid = checked_invalid,
};

#endif
