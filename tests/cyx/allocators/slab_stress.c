/* Random calls of slab by several threads: blocks change hands, and what is in them is checked. Arguments: threads, operations of all,
 * generations (threads end and new ones go on). Prints "valid", or what is wrong. */
#include <stdio.h>
#include <stdlib.h>

#include "slab.h"

enum { EXCHANGE = 512, HELD = 300 };

static struct slab_heap heap;
static _Atomic(unsigned char *) exchange[EXCHANGE];
static _Atomic int wrong;
static long operations;

static unsigned next(unsigned *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}

/* A block begins with its size and a byte, which fills it. */
static void fill(unsigned char *block, size_t size, unsigned char byte)
{
    memcpy(block, &size, sizeof size);
    memset(block + sizeof size, byte, size - sizeof size > 512 ? 512 : size - sizeof size);
    block[size - 1] = byte;
}

static void look(const unsigned char *block)
{
    size_t size;
    memcpy(&size, block, sizeof size);
    unsigned char byte = block[size - 1];
    for (size_t i = sizeof size; i < size && i < sizeof size + 512; i++)
        if (block[i] != byte) {
            wrong = 1;
            return;
        }
}

static size_t some_size(unsigned *seed)
{
    unsigned kind = next(seed) % 1000;
    size_t most = kind < 900 ? 1024 : kind < 990 ? 40000 : kind < 999 ? 300000 : 5000000;
    return 16 + next(seed) % most;
}

static void *work(void *argument)
{
    unsigned seed = (unsigned)(size_t)argument * 2654435761u | 1;
    unsigned char *held[HELD] = {0};
    for (long i = 0; i < operations && !wrong; i++) {
        unsigned at = next(&seed) % HELD, act = next(&seed) % 8;
        if (!held[at]) {
            size_t size = some_size(&seed), alignment = (size_t)1 << next(&seed) % (next(&seed) % 512 ? 8 : 21);
            unsigned char *block = SLAB.allocate(&heap, size, alignment);
            if (!block)
                continue;
            if ((uintptr_t)block % alignment || SLAB.size_of(&heap, block) < size || !SLAB.owns(&heap, block))
                wrong = 2;
            fill(block, size, (unsigned char)next(&seed));
            held[at] = block;
        } else if (act < 4) /* another thread may have it, and this one some other's */
            held[at] = atomic_exchange(&exchange[next(&seed) % EXCHANGE], held[at]);
        else if (act < 7) {
            look(held[at]);
            SLAB.release(&heap, held[at]);
            held[at] = NULL;
        } else {
            look(held[at]);
            size_t size = some_size(&seed);
            unsigned char byte = (unsigned char)next(&seed), *block = SLAB.reallocate(&heap, held[at], size);
            if (!block)
                continue;
            fill(block, size, byte);
            held[at] = block;
        }
    }
    for (int i = 0; i < HELD; i++)
        if (held[i]) {
            look(held[i]);
            SLAB.release(&heap, held[i]);
        }
    return NULL;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 8;
    long all = count > 2 ? atol(arguments[2]) : 1000000;
    int generations = count > 3 ? atoi(arguments[3]) : 4;
    pthread_t running[64];
    if (threads < 1 || threads > 64 || !slab_make(&heap, NULL, 0, 0))
        return 2;
    operations = all / threads / generations;
    for (int generation = 0; generation < generations; generation++) {
        for (int i = 0; i < threads; i++)
            if (pthread_create(&running[i], NULL, work, (void *)(size_t)(generation * threads + i + 1)))
                return 2;
        for (int i = 0; i < threads; i++)
            pthread_join(running[i], NULL);
    }
    for (int i = 0; i < EXCHANGE; i++)
        if (exchange[i]) {
            look(exchange[i]);
            SLAB.release(&heap, exchange[i]);
        }
    struct statistics now;
    slab_trim(&heap);
    SLAB.read(&heap, &now);
    const char *invalid = SLAB.invalid(&heap);
    if (!invalid && (now.live || now.live_blocks))
        invalid = "blocks are live after all were freed";
    if (!invalid && wrong)
        invalid = wrong == 1 ? "bytes of a block were overwritten" : "a block is not as it was asked for";
    size_t cut = 0; /* nothing is live: no slab may be left, whosever it was */
    struct size_class rows[SLAB_CLASSES];
    for (int i = SLAB.classes(&heap, rows, SLAB_CLASSES); i--;)
        cut += rows[i].free_blocks;
    if (!invalid && cut)
        invalid = "slabs without blocks are left after a trim";
    slab_unmake(&heap);
    puts(invalid ? invalid : "valid");
    return invalid != NULL;
}
