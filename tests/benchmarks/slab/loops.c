/* Loops over an allocator behind function pointers: ours, or the malloc that this process was started with. Prints one number. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "slab.h"

static void *(*volatile allocate)(void *state, size_t size, size_t alignment);
static void (*volatile release)(void *state, void *block);
static void *(*volatile reallocate)(void *state, void *block, size_t size);
static void *state;

static void *malloc_allocate(void *unused, size_t size, size_t alignment)
{
    (void)unused;
    (void)alignment;
    return malloc(size);
}

static void malloc_release(void *unused, void *block)
{
    (void)unused;
    free(block);
}

static void *malloc_reallocate(void *unused, void *block, size_t size)
{
    (void)unused;
    return realloc(block, size);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static unsigned next(unsigned *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}

static size_t resident(void)
{
    char line[128];
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || !fgets(line, sizeof line, file) || sscanf(line, "%*d %ld", &pages) != 1)
        exit(3);
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A million blocks of 1,024 B: all allocated, then all freed. */
static double million(void)
{
    enum { COUNT = 1000000 };
    static void *blocks[COUNT];
    memset(blocks, 1, sizeof blocks);
    double begin = now();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = allocate(state, 1024, 16);
    for (int i = 0; i < COUNT; i++)
        release(state, blocks[i]);
    return now() - begin;
}

/* 16 threads, 16 + random 1,024 B, memset; a thousand live in each. */
static void *one_of_sixteen(void *argument)
{
    enum { LIVE = 1000, ROUNDS = 200000 };
    void *blocks[LIVE] = {0};
    unsigned seed = 12345 + (unsigned)(size_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned at = next(&seed) % LIVE;
        size_t size = 16 + next(&seed) % 1024;
        release(state, blocks[at]);
        blocks[at] = allocate(state, size, 16);
        memset(blocks[at], i, size);
    }
    for (int i = 0; i < LIVE; i++)
        release(state, blocks[i]);
    return NULL;
}

static double sixteen(void)
{
    pthread_t threads[16];
    double begin = now();
    for (size_t i = 0; i < 16; i++)
        pthread_create(&threads[i], NULL, one_of_sixteen, (void *)i);
    for (size_t i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    return now() - begin;
}

/* One thread allocates, another one frees. */
enum { RING = 4096, PAIRED = 3000000 };
static void *ring[RING];
static _Alignas(64) _Atomic size_t pushed;
static _Alignas(64) _Atomic size_t popped;

static void *consumer(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < PAIRED; i++) {
        while (atomic_load_explicit(&pushed, memory_order_acquire) == i)
            sched_yield();
        release(state, ring[i % RING]);
        atomic_store_explicit(&popped, i + 1, memory_order_release);
    }
    return NULL;
}

static double pair(void)
{
    pthread_t thread;
    unsigned seed = 1;
    double begin = now();
    pthread_create(&thread, NULL, consumer, NULL);
    for (size_t i = 0; i < PAIRED; i++) {
        while (i - atomic_load_explicit(&popped, memory_order_acquire) == RING)
            sched_yield();
        size_t size = 16 + next(&seed) % 1024;
        char *block = allocate(state, size, 16);
        block[0] = block[size - 1] = 1;
        ring[i % RING] = block;
        atomic_store_explicit(&pushed, i + 1, memory_order_release);
    }
    pthread_join(thread, NULL);
    return now() - begin;
}

/* Two blocks of 1.6 MB at a time, written to, as NumPy's temporaries are. */
static double temporaries(void)
{
    double begin = now();
    for (int i = 0; i < 400; i++) {
        char *one = allocate(state, 1600000, 16), *two = allocate(state, 1600000, 16);
        for (size_t at = 0; at < 1600000; at += 4096)
            one[at] = two[at] = 1;
        release(state, one);
        release(state, two);
    }
    return now() - begin;
}

/* A block is freed and had again at once. */
static double lifo(void)
{
    double begin = now();
    for (int i = 0; i < 30000000; i++)
        release(state, allocate(state, 64, 16));
    return now() - begin;
}

/* Blocks of all small sizes, freed and had at random. */
static double mix(void)
{
    enum { LIVE = 20000 };
    static void *blocks[LIVE];
    unsigned seed = 7;
    double begin = now();
    for (int i = 0; i < 5000000; i++) {
        unsigned at = next(&seed) % LIVE;
        release(state, blocks[at]);
        blocks[at] = allocate(state, 16 + next(&seed) % 1024, 16);
    }
    return now() - begin;
}

/* A block that grows from 1 MiB to 1 GiB by half. */
static double growth(void)
{
    double begin = now();
    size_t size = 1 << 20;
    char *block = allocate(state, size, 16);
    for (; size < (size_t)1 << 30; size += size / 2) {
        block = reallocate(state, block, size);
        block[size - 1] = 1;
    }
    release(state, block);
    return now() - begin;
}

/* 100,000 messages of mixed sizes, 90 % freed at random: bytes resident afterwards. */
static double messages(void)
{
    enum { COUNT = 100000 };
    static char *blocks[COUNT];
    static int order[COUNT];
    unsigned seed = 99;
    for (int i = 0; i < COUNT; i++)
        order[i] = i;
    memset(blocks, 1, sizeof blocks);
    size_t before = resident();
    for (int i = 0; i < COUNT; i++) {
        size_t size = 16 + next(&seed) % (next(&seed) % 10 ? 1024 : 16384);
        blocks[i] = allocate(state, size, 16);
        memset(blocks[i], 1, size);
    }
    for (int i = COUNT - 1; i > 0; i--) {
        int other = (int)(next(&seed) % (unsigned)(i + 1)), was = order[i];
        order[i] = order[other];
        order[other] = was;
    }
    for (int i = 0; i < COUNT / 10 * 9; i++)
        release(state, blocks[order[i]]);
    return (double)(resident() - before);
}

static const struct {
    const char *name;
    double (*run)(void);
} LOOPS[] = {
    {"million", million}, {"sixteen", sixteen}, {"pair", pair}, {"temporaries", temporaries},
    {"lifo", lifo},       {"mix", mix},         {"growth", growth}, {"messages", messages},
};

int main(int count, char **arguments)
{
    static struct slab_heap heap;
    if (count != 3)
        return 2;
    if (!strcmp(arguments[1], "slab")) {
        if (!slab_make(&heap, NULL, 0, 0))
            return 3;
        state = &heap;
        allocate = SLAB.allocate;
        release = SLAB.release;
        reallocate = SLAB.reallocate;
    } else {
        allocate = malloc_allocate;
        release = malloc_release;
        reallocate = malloc_reallocate;
    }
    for (size_t i = 0; i < sizeof LOOPS / sizeof LOOPS[0]; i++)
        if (!strcmp(arguments[2], LOOPS[i].name)) {
            printf("%.9g\n", LOOPS[i].run());
            return 0;
        }
    return 2;
}
