/* Where an allocator has its blocks: one range that was given to it, or mappings of its own, added as they are needed.
 *
 * A span is never moved, and its place in the list is never used again: so any thread may look an address up without a lock
 * while another one adds a span. Mappings of its own are anonymous and private; each is as large as all before it together, so
 * that a few spans reach any size; where the system refuses that much, it is just as large as is needed. Pages that nobody
 * touches cost nothing.
 */
#ifndef CYX_ALLOCATORS_MEMORY_H
#define CYX_ALLOCATORS_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { MEMORY_SPANS = 64 };
static const size_t MEMORY_FIRST = (size_t)1 << 20;

struct span {
    uintptr_t begin; /* written before the span is counted, never after */
    _Atomic uintptr_t end; /* begin again once it was given back */
};

struct memory {
    struct span spans[MEMORY_SPANS];
    _Atomic int count;
    int given;           /* the first span is somebody else's: none is added, none is unmapped */
    _Atomic size_t reserved; /* sum of all spans */
    _Atomic long refusals; /* for tests: 0, or how often more memory is had, plus one: at 1 there is none */
};

static inline void memory_make(struct memory *memory, void *given, size_t size)
{
    *memory = (struct memory){.given = given != NULL};
    if (given) {
        memory->spans[0].begin = (uintptr_t)given;
        atomic_init(&memory->spans[0].end, (uintptr_t)given + size);
        atomic_init(&memory->count, 1);
        atomic_init(&memory->reserved, size);
    }
}

/* Map size bytes at a multiple of alignment (both multiples of a page), or return NULL. */
static inline void *memory_map(size_t size, size_t alignment)
{
    size_t more = size + alignment;
    if (more < size)
        return NULL;
    char *begin = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED)
        return NULL;
    size_t head = (alignment - (uintptr_t)begin % alignment) % alignment;
    if (head)
        munmap(begin, head);
    munmap(begin + head + size, alignment - head);
    return begin + head;
}

/* Tell whether no more may be had; one time less else. */
static inline int memory_refused(struct memory *memory)
{
    long refusals = atomic_load_explicit(&memory->refusals, memory_order_relaxed);
    if (refusals > 1)
        atomic_store_explicit(&memory->refusals, refusals - 1, memory_order_relaxed);
    return refusals == 1;
}

/* Let it have more memory so many times; below 0: as often as it needs. */
static inline void memory_limit(struct memory *memory, long times)
{
    atomic_store_explicit(&memory->refusals, times < 0 ? 0 : times + 1, memory_order_relaxed);
}

/* Add a span of at least size bytes (a multiple of alignment, which is one of the page), or return NULL; one thread at a time. */
static inline struct span *memory_grow(struct memory *memory, size_t size, size_t alignment)
{
    int count = atomic_load_explicit(&memory->count, memory_order_relaxed);
    if (memory->given || count == MEMORY_SPANS || memory_refused(memory))
        return NULL;
    size_t wanted = atomic_load_explicit(&memory->reserved, memory_order_relaxed);
    if (wanted < MEMORY_FIRST)
        wanted = MEMORY_FIRST;
    wanted = (wanted + alignment - 1) / alignment * alignment;
    if (wanted < size)
        wanted = size;
    void *begin = memory_map(wanted, alignment);
    if (!begin && wanted > size) {
        wanted = size;
        begin = memory_map(wanted, alignment);
    }
    if (!begin)
        return NULL;
    struct span *span = &memory->spans[count];
    span->begin = (uintptr_t)begin;
    atomic_store_explicit(&span->end, (uintptr_t)begin + wanted, memory_order_relaxed);
    atomic_fetch_add_explicit(&memory->reserved, wanted, memory_order_relaxed);
    /* Release: who reads the count sees the span's ends. */
    atomic_store_explicit(&memory->count, count + 1, memory_order_release);
    return span;
}

/* Return the span that the address lies in, or NULL. */
static inline const struct span *memory_find(const struct memory *memory, const void *pointer)
{
    for (int i = atomic_load_explicit(&memory->count, memory_order_acquire); i--;) {
        const struct span *span = &memory->spans[i];
        if ((uintptr_t)pointer - span->begin < atomic_load_explicit(&span->end, memory_order_relaxed) - span->begin)
            return span;
    }
    return NULL;
}

static inline void memory_unmake(struct memory *memory)
{
    for (int i = atomic_load_explicit(&memory->count, memory_order_relaxed); i--;) {
        struct span *span = &memory->spans[i];
        if (!memory->given)
            munmap((void *)span->begin, span->end - span->begin);
        span->end = span->begin;
    }
    atomic_store_explicit(&memory->reserved, 0, memory_order_relaxed);
}

#endif
