/* What every allocator is to its callers: a row of functions and a state. Nobody who calls it knows which one it is. */
#ifndef CYX_ALLOCATORS_ALLOCATOR_H
#define CYX_ALLOCATORS_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>

/* Bytes, but for the counts. */
struct statistics {
    size_t live_blocks; /* handed out and not freed */
    size_t live;        /* bytes of these blocks, each with the room it takes */
    size_t allocations; /* blocks ever handed out */
    size_t allocated;   /* bytes ever asked for */
    size_t granted;     /* bytes ever handed out: what was asked for, rounded up */
    size_t peak;        /* the most that live ever was */
    size_t reserved;    /* address range taken from the system */
    size_t free;        /* bytes of it that a block can still be made of */
    size_t largest_free; /* the largest block that can be made of them */
};

/* Statistics of one size of blocks. */
struct size_class {
    size_t size;
    size_t live_blocks;
    size_t free_blocks; /* that can be had without more memory */
};

enum corruption {
    NO_CORRUPTION,
    DOUBLE_FREE,
    FOREIGN_POINTER,
    INTERIOR_POINTER,
    OVERRUN,
    UNDERRUN,
    USE_AFTER_FREE,
    USE_AFTER_RESET,
};

struct allocator {
    const char *name;
    /* A block of size bytes (0 counts as 1) at a multiple of alignment (a power of two), or NULL: no memory, or beyond largest. */
    void *(*allocate)(void *state, size_t size, size_t alignment);
    /* Takes a block of this allocator back; NULL is none. */
    void (*release)(void *state, void *block);
    /* As realloc, the block's alignment included; NULL: no memory, and the block stays as it was. */
    void *(*reallocate)(void *state, void *block, size_t size);
    /* Bytes that may be used of a live block. */
    size_t (*size_of)(void *state, const void *block);
    /* Whether the address lies in its memory, free or not. From any thread, at any time. */
    int (*owns)(void *state, const void *pointer);
    /* Take all blocks back at once; NULL where that makes no sense. */
    void (*reset)(void *state);
    /* Begin a scope, or end the innermost one and take back what was allocated in it; begin is 0 where too many are open. NULL as reset. */
    int (*begin)(void *state);
    void (*end)(void *state);
    void (*read)(void *state, struct statistics *statistics);
    /* Fill at most room rows and return how many there are. */
    int (*classes)(void *state, struct size_class *rows, int room);
    /* NULL, or the invariant that does not hold. */
    const char *(*invalid)(void *state);
    int any_thread; /* its functions may be called by any threads at the same time */
};

struct handle {
    const struct allocator *kind;
    void *state;
    size_t largest; /* size beyond which it never serves */
};

static inline void *handle_allocate(const struct handle *handle, size_t size, size_t alignment)
{
    return handle->kind->allocate(handle->state, size, alignment);
}

static inline void handle_release(const struct handle *handle, void *block)
{
    handle->kind->release(handle->state, block);
}

static inline int is_power_of_two(size_t number)
{
    return number && !(number & (number - 1));
}

static inline size_t round_up(size_t size, size_t alignment) /* the caller knows that it does not overflow */
{
    return (size + alignment - 1) & ~(alignment - 1);
}

#endif
