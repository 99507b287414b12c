/* A ring of packets of any size: blocks are allocated at its tail, and taken and freed at its head. No locks.
 *
 * Places are counted in units of 64 bytes, a cache line, from the ring's beginning on for ever, so none is ever met again; the
 * unit at place p lies at p modulo the number of units, a power of two. A packet takes adjacent units; where too few
 * are left at the end of the memory, they become padding and it begins at the memory's beginning. Outside of the packets each unit
 * has a mark: what begins there, and at which place, in one word (the sequence number of D. Vyukov's bounded queue).
 *     given_back <= head <= tail <= given_back + units
 *
 * A producer moves tail on, writes into the units that are now its own, and publishes the packet by its mark. A consumer
 * that finds the packet at head published moves head on: the packet is its own, until it marks it as released.
 * A producer that finds no room moves given_back over what is released. Why that is right (C11, 5.1.2.4 and 7.17.3):
 * - No tearing. The mark is stored with release when the packet is whole, and loaded with acquire before it is read.
 * - Once only. Head moves by compare-and-exchange, and no value of it comes back. A consumer that lags, even by a round,
 *   holds a place that head has left, and fails. One that succeeds knows that the packet was not taken, so not released, so its units
 *   not used again: mark and size that it read before are the packet's.
 * - No overwriting. Units are used again only when given_back has moved over them. Who moves it has loaded the mark
 *   "released" with acquire, stored with release behind the last look at the packet; and it moves by compare-and-exchange with
 *   acquire and release, so these exchanges are one release sequence, and whoever loads given_back with acquire comes after all
 *   of those reads. A stale value of it means less room than there is, never more.
 * - Order. Packets are taken in the order of their places, and those of one producer are in the order of its calls.
 * - Marks and positions are atomic wherever they are read by those who lag; no packet is read by one of those.
 *
 * It is lock-free for those that move on; a producer that stops between allocating and publishing holds up those packets that
 * are behind its own, not their producers, as long as there is room. With one producer tail is stored plainly, and
 * with one consumer head.
 */
#ifndef CYX_ALLOCATORS_RING_H
#define CYX_ALLOCATORS_RING_H

#include <string.h>

#include "allocator.h"
#include "memory.h"

enum { RING_UNIT = 64, RING_LINE = 128, RING_UNIT_BITS = 27 }; /* 128: processors fetch lines in pairs */

/* The low bits of a mark; 0: nothing ever began there. */
enum { RING_ALLOCATED = 1, RING_PUBLISHED, RING_RELEASED, RING_PADDING, RING_STATE = 7 };

static const size_t RING_MOST = (size_t)1 << 31; /* bytes of a packet */
static const size_t RING_PAGE = 4096;
static const size_t RING_MOST_ALIGNMENT = (size_t)1 << 20;

struct ring_mark {
    _Atomic uint64_t sequence; /* 8 x place + state */
    _Atomic uint32_t units, size; /* of what begins there; set while it is allocated. Bits from 27 on: log2 of alignment / 64 */
};

/* They lie in the ring's memory: where that is shared, so is the ring. */
struct ring_positions {
    /* Of producers. */
    _Alignas(RING_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t given_back;
    _Atomic uint64_t blocks, asked, granted; /* of those that were given back: units but for the blocks and the bytes asked */
    _Atomic uint64_t peak;                   /* units */
    /* Of consumers. */
    _Alignas(RING_LINE) _Atomic uint64_t head;
};

struct ring {
    struct ring_positions *positions;
    struct ring_mark *marks;
    char *data;
    uint64_t units;
    int one_producer, one_consumer;
    size_t mapped; /* bytes, where the memory is its own */
};

static inline size_t ring_room(uint64_t units) /* bytes that it needs: packets, marks and positions */
{
    return round_up(units * (RING_UNIT + sizeof(struct ring_mark)), RING_LINE) + sizeof(struct ring_positions);
}

static inline uint64_t ring_units_for(size_t capacity)
{
    uint64_t units = 1;
    while (units * RING_UNIT < capacity)
        units *= 2;
    return units;
}

static inline uint32_t ring_units(size_t size)
{
    return size ? (uint32_t)((size + RING_UNIT - 1) / RING_UNIT) : 1;
}

/* The range is NULL, or memory that has room for it; the number of units is a power of two. 0: no memory. */
static inline int ring_make(struct ring *ring, void *given, uint64_t units, int one_producer, int one_consumer)
{
    size_t size = units * RING_UNIT, boundary = RING_PAGE;
    while (boundary < size && boundary < RING_MOST_ALIGNMENT)
        boundary *= 2;
    char *begin = given ? (char *)round_up((uintptr_t)given, RING_LINE) : memory_map(round_up(ring_room(units), boundary), boundary);
    *ring = (struct ring){.units = units, .one_producer = one_producer, .one_consumer = one_consumer};
    if (!begin)
        return 0;
    ring->mapped = given ? 0 : round_up(ring_room(units), boundary);
    ring->data = begin;
    ring->marks = (struct ring_mark *)(begin + size);
    ring->positions = (struct ring_positions *)(begin + ring_room(units) - sizeof(struct ring_positions));
    if (given) { /* a new mapping is 0 */
        memset(ring->positions, 0, sizeof *ring->positions);
        memset(ring->marks, 0, units * sizeof *ring->marks);
    }
    return 1;
}

static inline void ring_unmake(struct ring *ring)
{
    if (ring->mapped)
        munmap(ring->data, ring->mapped);
    *ring = (struct ring){0};
}

static inline uint32_t ring_units_at(const struct ring_mark *mark)
{
    return atomic_load_explicit(&mark->units, memory_order_relaxed) & (((uint32_t)1 << RING_UNIT_BITS) - 1);
}

static inline struct ring_mark *ring_mark_at(const struct ring *ring, uint64_t place)
{
    return &ring->marks[place & (ring->units - 1)];
}

static inline struct ring_mark *ring_mark_of(const struct ring *ring, const void *block)
{
    return &ring->marks[(size_t)((const char *)block - ring->data) / RING_UNIT];
}

static inline void ring_set_mark(struct ring *ring, uint64_t place, uint32_t units, uint32_t size, unsigned state)
{
    struct ring_mark *mark = ring_mark_at(ring, place);
    atomic_store_explicit(&mark->units, units, memory_order_relaxed);
    atomic_store_explicit(&mark->size, size, memory_order_relaxed);
    atomic_store_explicit(&mark->sequence, 8 * place + state, memory_order_release);
}

/* Whether what begins at this place needs no consumer any more. */
static inline int ring_is_over(uint64_t sequence, uint64_t place)
{
    return sequence == 8 * place + RING_RELEASED || sequence == 8 * place + RING_PADDING;
}

/* Move given_back over all that is released; return it. By any thread. */
__attribute__((noinline, unused)) static uint64_t ring_give_back(struct ring *ring)
{
    struct ring_positions *positions = ring->positions;
    uint64_t place = atomic_load_explicit(&positions->given_back, memory_order_acquire);
    uint64_t blocks = 0, asked = 0, granted = 0;
    uint64_t used = atomic_load_explicit(&positions->tail, memory_order_relaxed) - place;
    if (used <= ring->units && used > atomic_load_explicit(&positions->peak, memory_order_relaxed))
        atomic_store_explicit(&positions->peak, used, memory_order_relaxed);
    for (;;) {
        struct ring_mark *mark = ring_mark_at(ring, place);
        uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_acquire);
        if (!ring_is_over(sequence, place)) {
            uint64_t now = atomic_load_explicit(&positions->given_back, memory_order_acquire);
            if (now == place)
                break;
            place = now;
            continue;
        }
        uint32_t units = ring_units_at(mark);
        uint32_t size = atomic_load_explicit(&mark->size, memory_order_relaxed);
        /* Padding, and what was freed unpublished, no consumer may have passed yet. */
        uint64_t head = atomic_load_explicit(&positions->head, memory_order_acquire);
        if (head == place)
            atomic_compare_exchange_strong_explicit(&positions->head, &head, place + units, memory_order_acq_rel,
                                                    memory_order_acquire);
        if (atomic_compare_exchange_strong_explicit(&positions->given_back, &place, place + units, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            place += units;
            if ((sequence & RING_STATE) == RING_RELEASED) {
                blocks++;
                asked += size;
                granted += units;
            }
        }
    }
    if (blocks) {
        atomic_fetch_add_explicit(&positions->blocks, blocks, memory_order_relaxed);
        atomic_fetch_add_explicit(&positions->asked, asked, memory_order_relaxed);
        atomic_fetch_add_explicit(&positions->granted, granted, memory_order_relaxed);
    }
    return place;
}

/* Move tail from one place to another; whether nobody else did. */
static inline int ring_move_tail(struct ring *ring, uint64_t from, uint64_t to)
{
    if (!ring->one_producer)
        return atomic_compare_exchange_weak_explicit(&ring->positions->tail, &from, to, memory_order_relaxed,
                                                     memory_order_relaxed);
    atomic_store_explicit(&ring->positions->tail, to, memory_order_relaxed);
    return 1;
}

/* Units from this place to the next one where a block of so many units may begin; more than there are: nowhere. */
static inline uint64_t ring_padding(const struct ring *ring, uint64_t place, uint32_t units, size_t alignment)
{
    uint64_t begin = place;
    for (int i = 0; i < 2; i++) {
        uint64_t index = begin & (ring->units - 1);
        uintptr_t address = (uintptr_t)ring->data + index * RING_UNIT;
        uint64_t gap = alignment > RING_UNIT ? (round_up(address, alignment) - address) / RING_UNIT : 0;
        if (index + gap + units <= ring->units)
            return begin + gap - place;
        begin += ring->units - index;
    }
    return ring->units + 1;
}

/* Allocate at the tail a block of so many bytes; NULL: no room now. It is the caller's until ring_publish or ring_release. */
static inline void *ring_reserve(struct ring *ring, size_t size, size_t alignment)
{
    struct ring_positions *positions = ring->positions;
    if (__builtin_expect(size > ring->units * RING_UNIT || size > RING_MOST || alignment > RING_MOST_ALIGNMENT, 0))
        return NULL;
    uint32_t units = ring_units(size);
    for (;;) {
        uint64_t tail = atomic_load_explicit(&positions->tail, memory_order_relaxed);
        uint64_t given_back = atomic_load_explicit(&positions->given_back, memory_order_acquire);
        uint64_t padding = 0;
        int padding_first = 0;
        if (__builtin_expect((tail & (ring->units - 1)) + units > ring->units || alignment > RING_UNIT, 0))
            padding = ring_padding(ring, tail, units, alignment);
        uint64_t end = tail + padding + units;
        if (__builtin_expect(end - given_back > ring->units, 0)) {
            given_back = ring_give_back(ring);
            if (end - given_back > ring->units) {
                if (atomic_load_explicit(&positions->tail, memory_order_relaxed) != tail)
                    continue;
                /* Empty, and yet padding and block do not fit together: the padding first. */
                if (tail != given_back || !padding || padding > ring->units)
                    return NULL;
                padding_first = 1;
                end = tail + padding;
            }
        }
        if (!ring_move_tail(ring, tail, end))
            continue;
        if (padding)
            ring_set_mark(ring, tail, (uint32_t)padding, 0, RING_PADDING);
        if (padding_first)
            continue;
        uint64_t place = tail + padding;
        uint32_t kind = alignment > RING_UNIT ? (uint32_t)__builtin_ctzll(alignment / RING_UNIT) << RING_UNIT_BITS : 0;
        ring_set_mark(ring, place, units | kind, (uint32_t)size, RING_ALLOCATED);
        return ring->data + (place & (ring->units - 1)) * RING_UNIT;
    }
}

/* Let consumers have an allocated block, with so many bytes, at most those that it was allocated with. */
static inline void ring_publish(struct ring *ring, void *block, size_t size)
{
    struct ring_mark *mark = ring_mark_of(ring, block);
    uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_relaxed);
    atomic_store_explicit(&mark->size, (uint32_t)size, memory_order_relaxed);
    atomic_store_explicit(&mark->sequence, sequence - RING_ALLOCATED + RING_PUBLISHED, memory_order_release);
}

static inline int ring_is_allocated(const struct ring *ring, const void *block)
{
    return (atomic_load_explicit(&ring_mark_of(ring, block)->sequence, memory_order_relaxed) & RING_STATE) == RING_ALLOCATED;
}

/* Take the packet at the head; NULL: none is published. It is the caller's until ring_release. */
static inline void *ring_take(struct ring *ring, size_t *size)
{
    struct ring_positions *positions = ring->positions;
    for (;;) {
        uint64_t head = atomic_load_explicit(&positions->head, memory_order_acquire);
        struct ring_mark *mark = ring_mark_at(ring, head);
        uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_acquire);
        uint32_t units = ring_units_at(mark);
        uint32_t bytes = atomic_load_explicit(&mark->size, memory_order_relaxed);
        int published = sequence == 8 * head + RING_PUBLISHED;
        if (__builtin_expect(published, 1)) {
            if (ring->one_consumer)
                atomic_store_explicit(&positions->head, head + units, memory_order_release);
            else if (!atomic_compare_exchange_weak_explicit(&positions->head, &head, head + units, memory_order_acq_rel,
                                                            memory_order_relaxed))
                continue;
            *size = bytes;
            return ring->data + (head & (ring->units - 1)) * RING_UNIT;
        }
        if (ring_is_over(sequence, head))
            atomic_compare_exchange_strong_explicit(&positions->head, &head, head + units, memory_order_acq_rel,
                                                    memory_order_relaxed);
        else if (atomic_load_explicit(&positions->head, memory_order_acquire) == head)
            return NULL;
    }
}

/* Give a taken packet back, or an allocated block that shall be none. */
static inline void ring_release(struct ring *ring, void *block)
{
    struct ring_mark *mark = ring_mark_of(ring, block);
    uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_relaxed);
    if ((sequence & RING_STATE) == RING_ALLOCATED || (sequence & RING_STATE) == RING_PUBLISHED)
        atomic_store_explicit(&mark->sequence, (sequence & ~(uint64_t)RING_STATE) | RING_RELEASED, memory_order_release);
}

/* Copy a packet in; 0: no room now. */
static inline int ring_push(struct ring *ring, const void *bytes, size_t size)
{
    void *block = ring_reserve(ring, size, 1);
    if (!block)
        return 0;
    memcpy(block, bytes, size);
    ring_publish(ring, block, size);
    return 1;
}

static inline int ring_owns(void *state, const void *pointer)
{
    struct ring *ring = state;
    return ring->positions && (uintptr_t)pointer - (uintptr_t)ring->data < ring->units * RING_UNIT;
}

static inline void *ring_allocate(void *state, size_t size, size_t alignment)
{
    return ring_reserve(state, size, alignment);
}

/* An address at which no block begins is let alone, and so is a packet that nobody has taken yet. */
static inline void ring_free(void *state, void *block)
{
    struct ring *ring = state;
    if (!block || !ring_owns(ring, block) || ((char *)block - ring->data) % RING_UNIT)
        return;
    uint64_t sequence = atomic_load_explicit(&ring_mark_of(ring, block)->sequence, memory_order_relaxed);
    if ((sequence & RING_STATE) == RING_PUBLISHED
        && sequence / 8 >= atomic_load_explicit(&ring->positions->head, memory_order_acquire))
        return;
    ring_release(ring, block);
}

static inline size_t ring_size_of(void *state, const void *block)
{
    struct ring *ring = state;
    if (!ring_owns(ring, block) || ((const char *)block - ring->data) % RING_UNIT)
        return 0;
    struct ring_mark *mark = ring_mark_of(ring, block);
    uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_relaxed) & RING_STATE;
    return sequence == RING_ALLOCATED || sequence == RING_PUBLISHED
        ? (size_t)ring_units_at(mark) * RING_UNIT
        : 0;
}

/* In place as far as its units go; a larger block is allocated at the tail. */
static inline void *ring_reallocate(void *state, void *block, size_t size)
{
    struct ring *ring = state;
    if (!block)
        return ring_reserve(ring, size, 1);
    size_t before = ring_size_of(ring, block);
    if (!before)
        return NULL;
    if (size <= before) {
        atomic_store_explicit(&ring_mark_of(ring, block)->size, (uint32_t)size, memory_order_relaxed);
        return block;
    }
    uint32_t kind = atomic_load_explicit(&ring_mark_of(ring, block)->units, memory_order_relaxed) >> RING_UNIT_BITS;
    void *moved = ring_reserve(ring, size, (size_t)RING_UNIT << kind);
    if (!moved)
        return NULL;
    memcpy(moved, block, before);
    ring_free(ring, block);
    return moved;
}

/* Take everything back; while nobody else uses it. */
static inline void ring_reset(void *state)
{
    struct ring *ring = state;
    struct ring_positions *positions = ring->positions;
    uint64_t tail = atomic_load(&positions->tail);
    for (uint64_t place = ring_give_back(ring); place != tail;) {
        struct ring_mark *mark = ring_mark_at(ring, place);
        uint64_t sequence = atomic_load(&mark->sequence);
        if (!ring_is_over(sequence, place))
            atomic_store(&mark->sequence, 8 * place + RING_RELEASED);
        place += ring_units_at(mark);
    }
    ring_give_back(ring);
    atomic_store(&positions->head, tail);
}

/* Exact while nobody else uses it. Peak counts what is released, but not given back yet, too. */
static inline void ring_read(void *state, struct statistics *statistics)
{
    struct ring *ring = state;
    struct ring_positions *positions = ring->positions;
    uint64_t given_back = ring_give_back(ring), tail = atomic_load(&positions->tail);
    uint64_t live = 0, blocks = 0, asked = 0, granted = 0;
    for (uint64_t place = given_back; place < tail;) {
        struct ring_mark *mark = ring_mark_at(ring, place);
        uint64_t sequence = atomic_load_explicit(&mark->sequence, memory_order_acquire);
        uint32_t units = ring_units_at(mark);
        if (sequence / 8 != place || !units)
            break; /* being allocated or given back now */
        if ((sequence & RING_STATE) != RING_PADDING) {
            int is_live = (sequence & RING_STATE) != RING_RELEASED; /* else it waits for one in front of it */
            blocks += is_live;
            live += is_live ? units : 0;
            granted += units;
            statistics->allocations++;
            asked += atomic_load_explicit(&mark->size, memory_order_relaxed);
        }
        place += units;
    }
    if (tail - given_back > ring->units) /* both moved on while they were read */
        given_back = tail - ring->units;
    uint64_t used = tail - given_back, peak = atomic_load(&positions->peak), left = ring->units - used;
    uint64_t to_end = ring->units - (tail & (ring->units - 1)), largest = left < to_end ? left : to_end;
    if (left > to_end && left - to_end > largest)
        largest = left - to_end;
    if (!used)
        largest = ring->units;
    statistics->live_blocks = blocks;
    statistics->live = live * RING_UNIT;
    statistics->allocations += atomic_load(&positions->blocks);
    statistics->allocated = asked + atomic_load(&positions->asked);
    statistics->granted = (granted + atomic_load(&positions->granted)) * RING_UNIT;
    statistics->peak = (used > peak ? used : peak) * RING_UNIT;
    statistics->reserved = ring->units * RING_UNIT;
    statistics->free = left * RING_UNIT;
    statistics->largest_free = largest * RING_UNIT;
}

static inline int ring_classes(void *state, struct size_class *rows, int room)
{
    (void)state, (void)rows, (void)room;
    return 0;
}

/* While nobody else uses it. */
static const char *ring_invalid(void *state)
{
    struct ring *ring = state;
    struct ring_positions *positions = ring->positions;
    uint64_t given_back = atomic_load(&positions->given_back), head = atomic_load(&positions->head);
    uint64_t tail = atomic_load(&positions->tail), place = given_back;
    if (head < given_back || tail < head || tail - given_back > ring->units)
        return "head and tail do not lie in one round";
    int passed = head == given_back;
    while (place != tail) {
        struct ring_mark *mark = ring_mark_at(ring, place);
        uint64_t sequence = atomic_load(&mark->sequence), units = ring_units_at(mark);
        if (sequence / 8 != place || !(sequence & RING_STATE) || !units || units > tail - place)
            return "where a packet must begin is none";
        if (place < head && (sequence & RING_STATE) == RING_ALLOCATED)
            return "a packet was passed that is not published";
        if ((place & (ring->units - 1)) + units > ring->units)
            return "a packet goes beyond the end";
        if ((sequence & RING_STATE) != RING_PADDING && atomic_load(&mark->size) > units * RING_UNIT)
            return "a packet is larger than its place";
        place += units;
        passed |= place == head;
    }
    return passed ? NULL : "head lies inside of a packet";
}

#define RING_ROW(threads)                                                                                               \
    {.name = "ring", .allocate = ring_allocate, .release = ring_free, .reallocate = ring_reallocate,                    \
     .size_of = ring_size_of, .owns = ring_owns, .reset = ring_reset, .read = ring_read, .classes = ring_classes,       \
     .invalid = ring_invalid, .any_thread = threads}

/* For many producers and consumers, and for one of either. */
__attribute__((unused)) static const struct allocator RING = RING_ROW(1);
__attribute__((unused)) static const struct allocator RING_OF_ONE = RING_ROW(0);

#endif
