/* The same three patterns for each allocator, compiled once for each: what is inline there is inline here. */
#ifndef LOOPS_H
#define LOOPS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "frame.h"
#include "pool.h"

enum { BATCH = 1000 };

struct bench {
    void *state;           /* of the allocator */
    struct handle *handle; /* the same, as others call it */
    size_t size;
    size_t pairs;
    const uint32_t *order; /* of a batch, at random */
};

static inline uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

/* The block is used: its first byte is written, and the compiler may neither leave it out nor move it. */
static inline void use(void *block)
{
    *(volatile char *)block = 1;
    __asm__ volatile("" : : "r"(block) : "memory");
}

/* TAKE and GIVE are one call each, ALONE is what gives back the only block; AT_END takes back what a batch left. Each loop returns nanoseconds. */
#define LOOPS(NAME, TAKE, ALONE, GIVE, AT_END)                                                                         \
    static uint64_t NAME##_pairs(struct bench *bench)                                                                  \
    {                                                                                                                  \
        uint64_t begin = now();                                                                                        \
        for (size_t n = bench->pairs; n--;) {                                                                          \
            void *block = TAKE;                                                                                        \
            use(block);                                                                                                \
            ALONE;                                                                                                     \
        }                                                                                                              \
        AT_END;                                                                                                        \
        return now() - begin;                                                                                          \
    }                                                                                                                  \
    static uint64_t NAME##_batch(struct bench *bench)                                                                  \
    {                                                                                                                  \
        static void *blocks[BATCH];                                                                                    \
        uint64_t begin = now();                                                                                        \
        for (size_t n = bench->pairs / BATCH; n--;) {                                                                  \
            for (int i = 0; i < BATCH; i++)                                                                            \
                use(blocks[i] = TAKE);                                                                                 \
            for (int i = 0; i < BATCH; i++) {                                                                          \
                void *block = blocks[i];                                                                               \
                (void)block;                                                                                           \
                GIVE;                                                                                                  \
            }                                                                                                          \
            AT_END;                                                                                                    \
        }                                                                                                              \
        return now() - begin;                                                                                          \
    }                                                                                                                  \
    static uint64_t NAME##_random(struct bench *bench)                                                                 \
    {                                                                                                                  \
        static void *blocks[BATCH];                                                                                    \
        uint64_t begin = now();                                                                                        \
        for (size_t n = bench->pairs / BATCH; n--;) {                                                                  \
            for (int i = 0; i < BATCH; i++)                                                                            \
                use(blocks[i] = TAKE);                                                                                 \
            for (int i = 0; i < BATCH; i++) {                                                                          \
                void *block = blocks[bench->order[i]];                                                                 \
                (void)block;                                                                                           \
                GIVE;                                                                                                  \
            }                                                                                                          \
            AT_END;                                                                                                    \
        }                                                                                                              \
        return now() - begin;                                                                                          \
    }

#define ROW(NAME) {#NAME, {NAME##_pairs, NAME##_batch, NAME##_random}}

/* A row for each allocator: one here, and one in ROWS. */
LOOPS(malloc, malloc(bench->size), free(block), free(block), (void)0)
LOOPS(pool, pool_take(bench->state), pool_return(bench->state, block), pool_return(bench->state, block), (void)0)
LOOPS(frame, frame_take(bench->state, bench->size, 16), frame_reset(bench->state), (void)0, frame_reset(bench->state))
LOOPS(frame_free, frame_take(bench->state, bench->size, 16), frame_release(bench->state, block),
      frame_release(bench->state, block), frame_reset(bench->state))
LOOPS(handle, handle_allocate(bench->handle, bench->size, 16), handle_release(bench->handle, block),
      handle_release(bench->handle, block), (void)0)

struct row {
    const char *name;
    uint64_t (*loops[3])(struct bench *bench);
};

static const struct row ROWS[] = {ROW(malloc), ROW(pool), ROW(frame), ROW(frame_free), ROW(handle)};

/* Nanoseconds of one loop of the row of this name. */
static inline uint64_t run_row(const char *name, int pattern, struct bench *bench)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (!strcmp(ROWS[i].name, name))
            return ROWS[i].loops[pattern](bench);
    return 0;
}

#endif
