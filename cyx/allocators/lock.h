/* One lock for each allocator that only one thread at a time may call, so that any may. It waits rarely, and never long. */
#ifndef CYX_ALLOCATORS_LOCK_H
#define CYX_ALLOCATORS_LOCK_H

#include <sched.h>
#include <stdatomic.h>

#include "allocator.h"

struct locked {
    struct handle inner;
    atomic_flag taken;
    struct locked *next; /* all of them, for fork */
};

/* All locks there are, so that none is held by a thread that a fork leaves behind. */
static struct locked *all_locked;
static atomic_flag all_taken = ATOMIC_FLAG_INIT;

static inline void lock_flag(atomic_flag *flag)
{
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
        sched_yield();
}

static inline void unlock_flag(atomic_flag *flag)
{
    atomic_flag_clear_explicit(flag, memory_order_release);
}

static inline void lock_all(void)
{
    lock_flag(&all_taken);
    for (struct locked *locked = all_locked; locked; locked = locked->next)
        lock_flag(&locked->taken);
}

static inline void unlock_all(void)
{
    for (struct locked *locked = all_locked; locked; locked = locked->next)
        unlock_flag(&locked->taken);
    unlock_flag(&all_taken);
}

static inline void locked_make(struct locked *locked, struct handle inner)
{
    locked->inner = inner;
    atomic_flag_clear(&locked->taken);
    lock_flag(&all_taken);
    locked->next = all_locked;
    all_locked = locked;
    unlock_flag(&all_taken);
}

static inline void locked_unmake(struct locked *locked)
{
    lock_flag(&all_taken);
    struct locked **place = &all_locked;
    while (*place && *place != locked)
        place = &(*place)->next;
    if (*place)
        *place = locked->next;
    unlock_flag(&all_taken);
}

static void *locked_allocate(void *state, size_t size, size_t alignment)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    void *block = locked->inner.kind->allocate(locked->inner.state, size, alignment);
    unlock_flag(&locked->taken);
    return block;
}

static void locked_release(void *state, void *block)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    locked->inner.kind->release(locked->inner.state, block);
    unlock_flag(&locked->taken);
}

static void *locked_reallocate(void *state, void *block, size_t size)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    block = locked->inner.kind->reallocate(locked->inner.state, block, size);
    unlock_flag(&locked->taken);
    return block;
}

static size_t locked_size_of(void *state, const void *block)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    size_t size = locked->inner.kind->size_of(locked->inner.state, block);
    unlock_flag(&locked->taken);
    return size;
}

static int locked_owns(void *state, const void *pointer)
{
    struct locked *locked = state;
    return locked->inner.kind->owns(locked->inner.state, pointer);
}

static void locked_reset(void *state)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    locked->inner.kind->reset(locked->inner.state);
    unlock_flag(&locked->taken);
}

static int locked_begin(void *state)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    int begun = locked->inner.kind->begin(locked->inner.state);
    unlock_flag(&locked->taken);
    return begun;
}

static void locked_end(void *state)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    locked->inner.kind->end(locked->inner.state);
    unlock_flag(&locked->taken);
}

static void locked_read(void *state, struct statistics *statistics)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    locked->inner.kind->read(locked->inner.state, statistics);
    unlock_flag(&locked->taken);
}

static int locked_classes(void *state, struct size_class *rows, int room)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    int count = locked->inner.kind->classes(locked->inner.state, rows, room);
    unlock_flag(&locked->taken);
    return count;
}

static const char *locked_invalid(void *state)
{
    struct locked *locked = state;
    lock_flag(&locked->taken);
    const char *invalid = locked->inner.kind->invalid(locked->inner.state);
    unlock_flag(&locked->taken);
    return invalid;
}

__attribute__((unused)) static const struct allocator LOCKED = {
    .name = "locked",
    .allocate = locked_allocate,
    .release = locked_release,
    .reallocate = locked_reallocate,
    .size_of = locked_size_of,
    .owns = locked_owns,
    .reset = locked_reset,
    .begin = locked_begin,
    .end = locked_end,
    .read = locked_read,
    .classes = locked_classes,
    .invalid = locked_invalid,
    .any_thread = 1,
};

#endif
