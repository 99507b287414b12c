/* Counts of what is allocated and freed between a start and a stop.
 *
 * While somebody counts, each block allocated is kept in a table, by its address, with its size and the number of the
 * stretch in which it was allocated. So what is freed later is known by its size, and to be this stretch's or older:
 *     allocations - frees == live_blocks
 * A stretch may lie in another one. One lock holds the table and the counts together; a thread that works for the
 * plugin itself is paused: it counts nothing, but what it frees is forgotten.
 */
#ifndef CYX_HOOKS_COUNTING_H
#define CYX_HOOKS_COUNTING_H

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "counts.h"

struct counted {
    uintptr_t block; /* 0: free */
    uint64_t size : 40;
    uint64_t stretch : 24; /* number of the innermost stretch that was open */
};
static const size_t COUNTING_MOST_SIZE = ((size_t)1 << 40) - 1;
static const size_t COUNTING_MOST_STRETCHES = ((size_t)1 << 24) - 1;

struct counting {
    atomic_flag taken;
    _Atomic(struct counts *) innermost; /* NULL: nobody counts */
    struct counted *table; /* open addressing; at most half full */
    size_t room, used;
    size_t stretches; /* begun since nobody counted */
    size_t epoch;     /* how often somebody began to count when nobody did */
};

static struct counting counting = {.taken = ATOMIC_FLAG_INIT};

#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static __thread int counting_paused;

/* Inside the original of what was hooked: what that takes from the raw domain is not one more allocation. */
#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static __thread int counting_inside;

static const size_t COUNTING_ROOM = (size_t)1 << 16;

static inline void counting_lock(void)
{
    while (atomic_flag_test_and_set_explicit(&counting.taken, memory_order_acquire))
        sched_yield();
}

static inline void counting_unlock(void)
{
    atomic_flag_clear_explicit(&counting.taken, memory_order_release);
}

static inline int counting_is_on(void)
{
    return __builtin_expect(atomic_load_explicit(&counting.innermost, memory_order_relaxed) != NULL, 0);
}

static inline size_t counting_slot(uintptr_t block)
{
    /* Neighbours stay so, 16 at a time: blocks that come one after the other share lines of the cache. */
    return ((size_t)((block >> 8) * UINT64_C(0x9E3779B97F4A7C15) >> 24 << 4) + (block >> 4 & 15)) & (counting.room - 1);
}

static inline struct counted *counting_find(uintptr_t block)
{
    size_t i = counting_slot(block);
    while (counting.table[i].block && counting.table[i].block != block)
        i = (i + 1) & (counting.room - 1);
    return &counting.table[i];
}

/* Its pages are there from the start: none is faulted in while somebody counts, until it grows. */
static int counting_set_room(size_t room)
{
    struct counted *table = mmap(NULL, room * sizeof *table, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        return 0;
    struct counting before = counting;
    counting.table = table;
    counting.room = room;
    for (size_t i = 0; i < before.room; i++)
        if (before.table[i].block)
            *counting_find(before.table[i].block) = before.table[i];
    if (before.room)
        munmap(before.table, before.room * sizeof *table);
    return 1;
}

/* Have the row free: close the gap, so that every row is found from its slot on. */
static inline void counting_drop(struct counted *row)
{
    size_t mask = counting.room - 1, gap = (size_t)(row - counting.table);
    for (size_t i = (gap + 1) & mask; counting.table[i].block; i = (i + 1) & mask) {
        size_t slot = counting_slot(counting.table[i].block);
        if (((i - slot) & mask) >= ((i - gap) & mask)) {
            counting.table[gap] = counting.table[i];
            gap = i;
        }
    }
    counting.table[gap].block = 0;
    counting.used--;
}

static inline int counting_class(size_t size)
{
    return size <= 1 ? 0 : 64 - __builtin_clzll(size - 1);
}

static inline void counting_count_free(struct counted row)
{
    for (struct counts *counts = counting.innermost; counts; counts = counts->outer) {
        if (row.stretch < counts->number)
            continue;
        counts->live_blocks--;
        counts->live -= row.size;
        counts->frees++;
    }
}

static inline void counting_forget(struct counted *row)
{
    counting_count_free(*row);
    counting_drop(row);
}

__attribute__((noinline)) static void count_allocation(void *block, size_t size)
{
    if (!block)
        return;
    counting_lock();
    struct counts *counts = counting.innermost;
    if (counts) {
        struct counted *row = counting_find((uintptr_t)block);
        if (row->block) /* freed where nobody looked */
            counting_forget(row);
        if (!counting_paused) {
            if (counting.used + 1 > counting.room / 2 && !counting_set_room(counting.room * 4)) {
                for (; counts; counts = counts->outer)
                    counts->lost = 1;
            } else {
                if (size > COUNTING_MOST_SIZE)
                    size = COUNTING_MOST_SIZE;
                counting.used++;
                *counting_find((uintptr_t)block) = (struct counted){
                    (uintptr_t)block, size, counts->number};
                for (; counts; counts = counts->outer) {
                    counts->allocations++;
                    counts->allocated += size;
                    counts->classes[counting_class(size) & (COUNTING_CLASSES - 1)]++;
                    counts->live_blocks++;
                    counts->live += size;
                    if (counts->live > counts->peak)
                        counts->peak = counts->live;
                }
            }
        }
    }
    counting_unlock();
}

__attribute__((noinline)) static void count_free(void *block)
{
    if (!block)
        return;
    counting_lock();
    if (counting.innermost) {
        struct counted *row = counting_find((uintptr_t)block);
        if (row->block)
            counting_forget(row);
    }
    counting_unlock();
}

struct taken_out {
    struct counted row; /* its block is 0 where there is none */
    size_t epoch;
};

/* Take the block's row out before it may move, uncounted. */
static struct taken_out counting_take_out(void *block)
{
    struct taken_out taken = {0};
    counting_lock();
    if (counting.innermost) {
        struct counted *row = counting_find((uintptr_t)block);
        if (row->block) {
            taken = (struct taken_out){*row, counting.epoch};
            counting_drop(row);
        }
    }
    counting_unlock();
    return taken;
}

/* What became of the block whose row was taken out: it moved, or stayed as it was (NULL). */
static void counting_moved(struct taken_out taken, void *moved, size_t size)
{
    if (taken.row.block) {
        counting_lock();
        int known = counting.innermost && taken.epoch == counting.epoch;
        if (known && moved) {
            counting_count_free(taken.row);
        } else if (known) {
            counting.used++; /* into the room that it left */
            *counting_find(taken.row.block) = taken.row;
        }
        counting_unlock();
    }
    count_allocation(moved, size);
}

/* Begin a stretch in the innermost open one; 0: there is no memory for the table. */
static int counting_begin(struct counts *counts)
{
    int begun = 1;
    counting_lock();
    memset(counts, 0, sizeof *counts);
    if (!counting.innermost) {
        if (counting.room > COUNTING_ROOM) { /* what one long stretch needed is not kept for the short ones */
            munmap(counting.table, counting.room * sizeof *counting.table);
            counting.room = 0;
        }
        if (!counting.room)
            begun = counting_set_room(COUNTING_ROOM);
        else if (counting.used)
            memset(counting.table, 0, counting.room * sizeof *counting.table);
        counting.used = 0;
        counting.epoch++;
    }
    if (counting.innermost && counting.stretches == COUNTING_MOST_STRETCHES)
        begun = 0;
    if (begun) {
        counting.stretches = counting.innermost ? counting.stretches + 1 : 0;
        counts->number = counting.stretches;
        counts->outer = counting.innermost;
        counting.innermost = counts;
    }
    counting_unlock();
    return begun;
}

/* End a stretch, wherever it lies among the open ones. */
static void counting_end(struct counts *counts)
{
    counting_lock();
    struct counts *inner = counting.innermost;
    if (inner == counts) {
        counting.innermost = counts->outer;
    } else {
        while (inner && inner->outer != counts)
            inner = inner->outer;
        if (inner)
            inner->outer = counts->outer;
    }
    counts->outer = NULL;
    counting_unlock();
}

#endif
