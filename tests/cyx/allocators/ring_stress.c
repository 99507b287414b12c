/* Packets of random sizes through a ring: each comes once, whole, and those of one producer in order.
 * ring_stress PACKETS PRODUCERS CONSUMERS CAPACITY [SEED]; exits with 0 and one line, or tells what is wrong. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring.h"

enum { MOST = 64 };

static struct ring ring;
static long packets; /* of each producer */
static int producers, consumers;
static size_t largest;
static uint64_t seed = 1;
static _Atomic long left;
static _Atomic unsigned char *seen; /* bits: by producer and number */

struct head {
    uint32_t producer, size;
    uint64_t number;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _Exit(1);
}

static uint64_t mixed(uint64_t number)
{
    number = (number ^ number >> 31) * 0x7FB5D329728EA185;
    number = (number ^ number >> 27) * 0x81DADEF4BC2DD44D;
    return number ^ number >> 33;
}

/* Mostly small ones; some of nearly the capacity. */
static size_t size_of_packet(uint64_t random)
{
    size_t most = random % 64 ? 200 : largest - sizeof(struct head);
    if (most > largest - sizeof(struct head))
        most = largest - sizeof(struct head);
    return sizeof(struct head) + (random >> 8) % (most + 1);
}

static void *produce(void *argument)
{
    uint32_t producer = (uint32_t)(uintptr_t)argument;
    for (long number = 0; number < packets; number++) {
        uint64_t random = mixed(seed + number * producers + producer);
        struct head head = {producer, (uint32_t)size_of_packet(random), (uint64_t)number};
        char *block;
        while (!(block = ring_reserve(&ring, head.size, 1)))
            sched_yield();
        if (random >> 60 == 0) { /* one that shall be none, then it again */
            memset(block, 0xFF, head.size);
            ring_release(&ring, block);
            while (!(block = ring_reserve(&ring, head.size, 1)))
                sched_yield();
        }
        memcpy(block, &head, sizeof head);
        memset(block + sizeof head, (int)(random >> 16 & 0xFF), head.size - sizeof head);
        ring_publish(&ring, block, head.size);
    }
    return NULL;
}

static void *consume(void *argument)
{
    (void)argument;
    int64_t last[MOST];
    memset(last, -1, sizeof last);
    while (atomic_load_explicit(&left, memory_order_relaxed) > 0) {
        size_t size;
        char *block = ring_take(&ring, &size);
        if (!block) {
            sched_yield();
            continue;
        }
        struct head head;
        memcpy(&head, block, sizeof head);
        if (head.size != size || head.producer >= (uint32_t)producers || head.number >= (uint64_t)packets)
            fail("a packet has another head or size");
        uint64_t random = mixed(seed + head.number * producers + head.producer);
        for (size_t i = sizeof head; i < size; i++)
            if ((unsigned char)block[i] != (random >> 16 & 0xFF))
                fail("a packet is torn");
        if ((int64_t)head.number <= last[head.producer])
            fail("packets of one producer come out of order");
        last[head.producer] = (int64_t)head.number;
        uint64_t index = head.producer * (uint64_t)packets + head.number;
        if (atomic_fetch_or_explicit(&seen[index / 8], 1 << index % 8, memory_order_relaxed) >> index % 8 & 1)
            fail("a packet came twice");
        ring_release(&ring, block);
        atomic_fetch_sub_explicit(&left, 1, memory_order_relaxed);
    }
    return NULL;
}

int main(int count, char **arguments)
{
    if (count < 5)
        return 2;
    producers = atoi(arguments[2]), consumers = atoi(arguments[3]);
    packets = atol(arguments[1]) / producers;
    if (count > 5)
        seed = strtoull(arguments[5], NULL, 10);
    if (producers > MOST || !ring_make(&ring, NULL, ring_units_for(strtoull(arguments[4], NULL, 10)), producers == 1, consumers == 1))
        return 2;
    largest = ring.units * RING_UNIT;
    atomic_store(&left, packets * producers);
    seen = calloc(packets * producers / 8 + 1, 1);
    pthread_t threads[2 * MOST];
    for (int i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, produce, (void *)(uintptr_t)i);
    for (int i = 0; i < consumers; i++)
        pthread_create(&threads[producers + i], NULL, consume, NULL);
    for (int i = 0; i < producers + consumers; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t index = 0; index < (uint64_t)packets * producers; index++)
        if (!(seen[index / 8] >> index % 8 & 1))
            fail("a packet was lost");
    struct statistics now = {0};
    ring_read(&ring, &now);
    if (ring_invalid(&ring))
        fail(ring_invalid(&ring));
    if (now.live_blocks || now.live)
        fail("packets are left");
    printf("%ld packets of each of %d producers, %d consumers, %zu bytes of capacity, %zu blocks\n", packets, producers, consumers,
           largest, now.allocations);
    ring_unmake(&ring);
    free((void *)seen);
    return 0;
}
