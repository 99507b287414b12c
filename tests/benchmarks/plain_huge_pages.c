/* A pointer chase over huge pages as anyone would write it. Built with gcc -O3. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define LINE 64
#define HUGE (2UL << 20)

struct line {
    struct line *next;
    char rest[LINE - sizeof(void *)];
};

static uint64_t state = 88172645463325252;

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

/* Memory, aligned to huge pages where the kernel does not do it, and the faults of its first touch. */
struct line *plain_map(size_t size, int flags, int advice, size_t page, long *found)
{
    size_t more = flags ? 0 : HUGE;
    char *memory = mmap(NULL, size + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (more) {
        size_t before = -(uintptr_t)memory & (HUGE - 1);
        if (before)
            munmap(memory, before);
        if (before != more)
            munmap(memory + before + size, more - before);
        memory += before;
        madvise(memory, size, advice);
    }
    long begin = faults();
    for (size_t i = 0; i < size; i += page)
        *(volatile char *)(memory + i) = 1;
    *found = faults() - begin;
    return (struct line *)memory;
}

/* One cycle through all lines in random order: Sattolo's shuffle. */
int plain_link(struct line *lines, size_t size)
{
    size_t count = size / LINE;
    uint32_t *order = malloc(count * sizeof(*order));
    if (order == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = random_number() % i;
        uint32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i < count; i++)
        lines[order[i]].next = &lines[order[i + 1 < count ? i + 1 : 0]];
    free(order);
    return 0;
}

/* The nanoseconds of so many steps from the first line on. */
long plain_steps(struct line *at, size_t steps)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (size_t step = 0; step < steps; step++)
        at = at->next;
    __asm__ volatile("" : : "r"(at)); /* or there would be no reason to go there */
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec;
}

void plain_unmap(struct line *memory, size_t size) { munmap(memory, size); }
