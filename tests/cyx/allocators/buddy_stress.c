/* Random blocks of a buddy allocator by several threads: each holds what was written, and the allocator its invariants.
 * buddy_stress OPERATIONS THREADS [SEED]; exits with 0 and one line, or tells what is wrong. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "buddy.h"
#include "lock.h"

enum { SLOTS = 2000 };

static struct buddy buddy;
static struct locked locked;
static long operations;

struct worker {
    pthread_t thread;
    uint64_t random;
    long done;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _Exit(1);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Mostly small ones, now and then one of up to 1 MiB. */
static size_t random_size(uint64_t random)
{
    unsigned bits = random % 100 < 95 ? 1 + random / 100 % 11 : 1 + random / 100 % 20;
    return (random >> 32) % ((size_t)1 << bits) + 1;
}

static void mark(char *block, size_t size, char value)
{
    block[0] = block[size / 2] = block[size - 1] = value;
}

static void look(const char *block, size_t size, char value)
{
    if (block[0] != value || block[size / 2] != value || block[size - 1] != value)
        fail("a block does not hold what was written");
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    static _Thread_local char *blocks[SLOTS];
    static _Thread_local size_t sizes[SLOTS];
    static _Thread_local char values[SLOTS];
    for (; worker->done < operations; worker->done++) {
        uint64_t random = next_random(&worker->random);
        unsigned slot = random % SLOTS;
        size_t size = random_size(next_random(&worker->random)), alignment = random >> 20 & 15 ? 1 : 1 << (random >> 24 & 15);
        if (blocks[slot])
            look(blocks[slot], sizes[slot], values[slot]);
        if (!blocks[slot]) {
            blocks[slot] = LOCKED.allocate(&locked, size, alignment);
            if (!blocks[slot])
                fail("no memory");
            if ((uintptr_t)blocks[slot] % alignment)
                fail("a block is not aligned");
        } else if (random >> 40 & 3) {
            LOCKED.release(&locked, blocks[slot]);
            blocks[slot] = NULL;
            continue;
        } else {
            char *moved = LOCKED.reallocate(&locked, blocks[slot], size);
            if (!moved)
                fail("no memory");
            if (moved[0] != values[slot])
                fail("a block that was moved does not begin as before");
            blocks[slot] = moved;
        }
        if (LOCKED.size_of(&locked, blocks[slot]) < size)
            fail("a block is too small");
        sizes[slot] = size;
        values[slot] = (char)(random >> 48);
        mark(blocks[slot], size, values[slot]);
        if (worker->done % (operations / 20 + 1) == 0 && LOCKED.invalid(&locked))
            fail(LOCKED.invalid(&locked));
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (blocks[slot])
            look(blocks[slot], sizes[slot], values[slot]), LOCKED.release(&locked, blocks[slot]);
    return NULL;
}

/* Refuse every nth piece of memory, of seven spans and their tags for 64 MiB: NULL, and everything is as before. */
static void refuse(void)
{
    for (long nth = 1; nth <= 14; nth++) {
        static struct buddy small;
        static void *blocks[64];
        int count = 0;
        buddy_make(&small, NULL, 0);
        atomic_store(&small.memory.refusals, nth);
        while (count < 64 && (blocks[count] = buddy_allocate(&small, (size_t)1 << 20, 1)))
            memset(blocks[count], count, 64), count++;
        if (count == 64)
            fail("memory was not refused");
        if (buddy_invalid(&small))
            fail(buddy_invalid(&small));
        if (count && buddy_reallocate(&small, blocks[0], (size_t)1 << 30))
            fail("memory was not refused to reallocate");
        for (int i = 0; i < count; i++)
            if (*(char *)blocks[i] != i)
                fail("a block changed when there was no memory");
        atomic_store(&small.memory.refusals, 0);
        void *more = buddy_allocate(&small, (size_t)1 << 20, 1);
        if (!more || buddy_invalid(&small))
            fail("it does not go on when there is memory again");
        if (small.spans != atomic_load(&small.memory.count))
            fail("a span was left without tags");
        buddy_unmake(&small);
    }
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    int threads = atoi(arguments[2]);
    struct worker *workers = calloc(threads, sizeof *workers);
    operations = atol(arguments[1]) / threads;
    refuse();
    buddy_make(&buddy, NULL, 0);
    locked_make(&locked, (struct handle){&BUDDY, &buddy, 0});
    for (int i = 0; i < threads; i++) {
        workers[i].random = (count > 3 ? strtoull(arguments[3], NULL, 10) : 1) * 0x9E3779B97F4A7C15 + i + 1;
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    struct statistics now = {0};
    LOCKED.read(&locked, &now);
    if (LOCKED.invalid(&locked))
        fail(LOCKED.invalid(&locked));
    if (now.live || now.live_blocks || now.free != now.reserved)
        fail("blocks are live at the end");
    printf("%ld operations by each of %d threads, %zu blocks, peak %zu, reserved %zu\n", operations, threads, now.allocations,
           now.peak, now.reserved);
    locked_unmake(&locked);
    buddy_unmake(&buddy);
    free(workers);
    return 0;
}
