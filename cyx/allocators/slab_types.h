/* What the slab allocator is made of.
 *
 * Memory is had in chunks of 4 MiB, cut into 64 slices. A slab is a run of slices with blocks of one size; all that is known of
 * it stands at the begin of its chunk, not beside its blocks. A slab belongs to the cache of one thread, which alone takes blocks
 * of it and puts them back; other threads put theirs on a list of its own (Leijen, Zorn and de Moura, "Mimalloc: free list
 * sharding in action", 2019). The lock guards chunks and slices, and is taken once a slab, not once a block.
 */
#ifndef CYX_ALLOCATORS_SLAB_TYPES_H
#define CYX_ALLOCATORS_SLAB_TYPES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "allocator.h"
#include "memory.h"

enum {
    SLAB_SLICES = 64, /* of a chunk: one word has a bit for each */
    SLAB_STEP = 16,   /* between small sizes */
    SLAB_FINE = 64,   /* small sizes; the larger ones are 8 for each power of two */
    SLAB_CLASSES = SLAB_FINE + 6 * 8,
    SLAB_KEPT = 8, /* large mappings kept for reuse, at most */
};
static const size_t SLAB_PAGE = 4096; /* the smallest that a page is */
static const size_t SLAB_SLICE = (size_t)64 << 10;
static const size_t SLAB_CHUNK = (size_t)4 << 20;
static const size_t SLAB_SMALL = 1024;                 /* of SLAB_FINE steps */
static const size_t SLAB_ONE_SLICE = (size_t)8 << 10;  /* largest block of slabs of one slice; of larger slabs: */
static const size_t SLAB_MEDIUM = (size_t)64 << 10;
static const size_t SLAB_RUN = (size_t)2 << 20;        /* largest block of slices of its own; beyond it is a mapping */
static const size_t SLAB_DIRTY = (size_t)8 << 20;      /* bytes of free slices that may stay resident */
static const size_t SLAB_KEPT_BYTES = (size_t)64 << 20; /* and of large mappings */
static const size_t SLAB_GROWING = (size_t)4 << 20;    /* live bytes of a size, from which on slabs are faulted in whole */
static const size_t SLAB_ALIGNMENT = (size_t)1 << 20;  /* the most */
static const size_t SLAB_LARGEST = (size_t)1 << 46;
#ifdef __x86_64__
static const int SLAB_ADDRESS_BITS = 47;               /* of user space */
#else
static const int SLAB_ADDRESS_BITS = 48;
#endif

/* What the list of other threads says in its lowest bits, which are 0 in any address. */
static const uintptr_t SLAB_PARKED = 1;   /* its owner looks at it again only when told */
static const uintptr_t SLAB_NOTIFIED = 2; /* somebody tells the owner: it is on the owner's list of returned slabs, or on its way */
static const uintptr_t SLAB_BITS = 3;

enum slab_kind { SLAB_FREE, SLAB_BLOCKS, SLAB_ONE_BLOCK };

/*  used + (length of free) == cut <= capacity,   live blocks + (length of remote) + lost == used  */
struct slab {
    void *free; /* a block; each holds the next, encoded */
    uintptr_t begin;
    uint64_t key; /* of the encoding */
    _Atomic(struct slab_cache *) cache; /* whose it is; NULL: one block, of nobody */
    uint32_t bytes; /* of all its blocks */
    uint32_t size;  /* of a block */
    _Atomic uint32_t used; /* blocks that are not on free, of those cut */
    uint32_t cut, capacity;
    uint16_t size_class;
    uint8_t kind, queued; /* queued: its cache has it in the queue of its size */
    uint16_t back;        /* in each of its slices: how many slices before it the first one is */

    _Alignas(64) _Atomic uintptr_t remote; /* blocks that other threads freed, and bits */
    struct slab *returned; /* the next on its owner's list of returned slabs */
    struct slab *next, *before; /* in the queue, a ring */
    uint32_t lost; /* blocks behind a link that was overwritten */
    uint16_t slices;
    struct slab_cache *home; /* one block: who counts it as live */
};

/*  free slices | slices of its slabs | slice 0, where it is the header's alone == all slices that exist,   dirty is part of free  */
struct slab_chunk {
    struct slab_heap *heap;
    struct slab_chunk *next, *before; /* in the list that it is in */
    uint64_t free, dirty; /* slices: free; and perhaps resident */
    uint64_t all;
    size_t mapped; /* of a large block: bytes of the mapping; else 0 */
    uintptr_t block;
    size_t size;
    struct slab_cache *home;
    struct slab slabs[SLAB_SLICES];
};

/* What one thread has of one allocator. Counters have one writer, and any readers.
 *  live blocks of a size == sum over caches of taken - freed  */
struct slab_cache {
    struct { /* together: a call needs them all */
        struct slab *queue; /* its slabs that may have free blocks; the first one serves */
        _Atomic size_t taken, freed; /* by its thread, whosever slab it was */
    } sizes[SLAB_CLASSES];
    _Atomic size_t large_taken, large_freed, large_granted, large_live; /* large_live wraps round where others freed */
    _Atomic size_t asked;
    _Atomic size_t live, peak; /* bytes of its blocks that did not come home, and their most */
    _Atomic size_t owed; /* of live, freed by others */
    _Alignas(64) _Atomic(struct slab *) returned; /* slabs in which somebody freed while they were parked */
    _Atomic uintptr_t owner; /* of a thread; SLAB_ORPHAN: whoever takes it; SLAB_LOST: of a thread that a fork left behind */
    struct slab_cache *next;
};
static const uintptr_t SLAB_ORPHAN = 0;
static const uintptr_t SLAB_LOST = 1;

struct slab_heap {
    uint64_t id;     /* random: none is used twice, so what a thread remembers of one that is gone fits no other */
    uint64_t secret;
    uintptr_t base;  /* chunks are at multiples from here: 0, or the begin of given memory */
    _Atomic uint8_t *map; /* by chunk: whether it is ours. Bytes that nobody asked for are not resident */
    uintptr_t limit; /* where given memory ends; else beyond all addresses */
    size_t map_size;
    _Atomic(struct slab_cache *) caches;
    _Atomic int orphans; /* about how many */
    _Atomic size_t overwritten; /* links that were found so */
    _Atomic size_t cacheless[SLAB_CLASSES + 1]; /* frees by threads for whose cache there was no memory; last, of large blocks */
    _Atomic size_t cacheless_large; /* bytes */

    pthread_mutex_t lock; /* for what follows */
    struct memory memory;
    uintptr_t next, end;      /* chunks never used */
    struct slab_chunk *open;  /* chunks with free slices */
    struct slab_chunk *spare; /* chunks that nobody uses */
    struct slab_chunk *large; /* live mappings */
    struct slab_chunk *kept[SLAB_KEPT]; /* free ones, oldest first */
    int kept_count;
    size_t kept_bytes, large_bytes; /* mapped */
    size_t dirty;             /* slices */
    struct slab_heap *other;  /* of all there are, for threads that end and forks */
    int guarded;              /* one thread at a time: behind a lock that sees to forks */
};

/* ---- sizes ---- */

static inline unsigned slab_class_of(size_t size) /* 1 .. SLAB_MEDIUM */
{
    if (size <= SLAB_SMALL)
        return (unsigned)((size - 1) / SLAB_STEP);
    unsigned bit = 63 - (unsigned)__builtin_clzl(size - 1);
    return SLAB_FINE + (bit - 10) * 8 + (((size - 1) >> (bit - 3)) & 7);
}

static inline size_t slab_class_size(unsigned size_class)
{
    if (size_class < SLAB_FINE)
        return (size_class + 1) * SLAB_STEP;
    unsigned i = size_class - SLAB_FINE;
    return (size_t)(9 + i % 8) << (7 + i / 8);
}

/* Slabs begin at pages, so blocks whose size is a multiple of an alignment up to that are aligned. */
static inline unsigned slab_class_for(size_t size, size_t alignment)
{
    unsigned size_class = slab_class_of(round_up(size, alignment));
    while (slab_class_size(size_class) & (alignment - 1))
        size_class++;
    return size_class;
}

static inline size_t slab_header(void)
{
    return round_up(sizeof(struct slab_chunk), SLAB_PAGE);
}

static inline struct slab_chunk *slab_chunk_of(const struct slab_heap *heap, const void *block)
{
    return (struct slab_chunk *)(heap->base + (((uintptr_t)block - heap->base) & ~(SLAB_CHUNK - 1)));
}

static inline struct slab *slab_of(const struct slab_heap *heap, const void *block)
{
    struct slab_chunk *chunk = slab_chunk_of(heap, block);
    struct slab *slab = &chunk->slabs[((uintptr_t)block - (uintptr_t)chunk) / SLAB_SLICE];
    return slab - slab->back;
}

static inline size_t slab_count(const _Atomic size_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* By the one thread that writes it: no locked instruction. */
static inline void slab_add(_Atomic size_t *counter, size_t number)
{
    atomic_store_explicit(counter, slab_count(counter) + number, memory_order_relaxed);
}

#endif
