/* Buddy beside malloc, interleaved in one run; and a ring between two threads on two processors. Loops call through function
 * pointers on both sides. Prints what tests/benchmarks/buddy_ring.py reads: a name and nanoseconds or rates, one line each. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "buddy.h"
#include "ring.h"

typedef void *allocate_function(void *, size_t, size_t);
typedef void release_function(void *, void *);

static void *slots[100000];
static uint64_t state;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* others' time slices do not count */
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void *malloc_allocate(void *none, size_t size, size_t alignment)
{
    (void)none, (void)alignment;
    return malloc(size);
}

static void malloc_release(void *none, void *block)
{
    (void)none;
    free(block);
}

/* Nanoseconds of a block freed and one allocated, at random among so many live ones. */
static double mix(allocate_function *allocate, release_function *release, void *who, size_t most, int live, long count)
{
    state = 88172645463325252;
    for (int i = 0; i < live; i++)
        slots[i] = allocate(who, 1 + next_random() % most, 16);
    double begin = now();
    for (long i = 0; i < count; i++) {
        uint64_t random = next_random();
        void **slot = &slots[(random >> 32) % live];
        release(who, *slot);
        *slot = allocate(who, 1 + (uint32_t)random % most, 16);
    }
    double time = now() - begin;
    for (int i = 0; i < live; i++)
        release(who, slots[i]);
    return time / count * 1e9;
}

static struct ring ring;
static long messages;
static double rates[1000];
static int windows;

static void stay_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void *produce(void *none)
{
    (void)none;
    char packet[16] = {0};
    stay_on(0);
    for (long i = 0; i < messages; i++) {
        memcpy(packet, &i, sizeof i);
        while (!ring_push(&ring, packet, sizeof packet))
            __builtin_ia32_pause();
    }
    return NULL;
}

/* The rate of each window of 20,000 messages: some of them nobody else disturbs. */
static void *consume(void *none)
{
    (void)none;
    struct timespec last, time;
    stay_on(1);
    clock_gettime(CLOCK_MONOTONIC, &last);
    for (long i = 0; i < messages;) {
        size_t size;
        char *packet = ring_take(&ring, &size);
        if (!packet) {
            __builtin_ia32_pause();
            continue;
        }
        if (memcmp(packet, &i, sizeof i))
            abort();
        ring_release(&ring, packet);
        if (++i % 20000 == 0) {
            clock_gettime(CLOCK_MONOTONIC, &time);
            rates[windows++] = 20000 / ((time.tv_sec - last.tv_sec) + (time.tv_nsec - last.tv_nsec) * 1e-9) / 1e6;
            last = time;
        }
    }
    return NULL;
}

/* The least that two processors can do: one line of the cache for each message, with its number in it, and nothing else. */
enum { LINES = 16384 };
static _Alignas(64) struct { _Alignas(64) _Atomic uint64_t number; } lines[LINES];
static _Alignas(64) _Atomic uint64_t consumed;

static void *produce_lines(void *none)
{
    (void)none;
    stay_on(0);
    for (long i = 0; i < messages; i++) {
        if (i % 1024 == 0)
            while (i + 1024 - (long)atomic_load_explicit(&consumed, memory_order_acquire) > LINES)
                __builtin_ia32_pause();
        atomic_store_explicit(&lines[i % LINES].number, i + 1, memory_order_release);
    }
    return NULL;
}

static void *consume_lines(void *none)
{
    (void)none;
    struct timespec last, time;
    stay_on(1);
    clock_gettime(CLOCK_MONOTONIC, &last);
    for (long i = 0; i < messages;) {
        while (atomic_load_explicit(&lines[i % LINES].number, memory_order_acquire) != (uint64_t)i + 1)
            __builtin_ia32_pause();
        if (++i % 512 == 0)
            atomic_store_explicit(&consumed, i, memory_order_release);
        if (i % 20000 == 0) {
            clock_gettime(CLOCK_MONOTONIC, &time);
            rates[windows++] = 20000 / ((time.tv_sec - last.tv_sec) + (time.tv_nsec - last.tv_nsec) * 1e-9) / 1e6;
            last = time;
        }
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(void)
{
    static const struct { size_t most; int live; } MIXES[] = {{128, 50000}, {1024, 100}, {1024, 10000}, {16384, 1000}, {100000, 100}};
    static struct buddy buddy;
    buddy_make(&buddy, NULL, 0);
    for (int round = 0; round < 7; round++)
        for (size_t i = 0; i < sizeof MIXES / sizeof *MIXES; i++)
            printf("mix up to %zu B, %d live: %.2f %.2f\n", MIXES[i].most, MIXES[i].live,
                   mix(buddy_allocate, buddy_release, &buddy, MIXES[i].most, MIXES[i].live, 300000),
                   mix(malloc_allocate, malloc_release, NULL, MIXES[i].most, MIXES[i].live, 300000));
    messages = 6000000;
    ring_make(&ring, NULL, ring_units_for(1 << 20), 1, 1);
    for (int bare = 0; bare < 2; bare++) {
        pthread_t producer, consumer;
        windows = 0;
        pthread_create(&producer, NULL, bare ? produce_lines : produce, NULL);
        pthread_create(&consumer, NULL, bare ? consume_lines : consume, NULL);
        pthread_join(producer, NULL);
        pthread_join(consumer, NULL);
        qsort(rates, windows, sizeof *rates, by_value);
        printf("%s, million messages per second, median of windows and best tenth: %.2f %.2f\n",
               bare ? "bare lines of the cache" : "ring", rates[windows / 2], rates[windows * 9 / 10]);
    }
    return 0;
}
