/* The loops of cyx.patterns as anyone would write them: what the kernels are compared with. Built with gcc -O3.
 *
 * Each `plain_NAME` makes so many passes over the same operands, in one or more threads, and returns the nanoseconds.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "at_random.h" /* how offsets are drawn is no loop of ours to compare */

struct run {
    void *target;
    const void *source, *second;
    size_t size; /* bytes, or accesses where they are counted */
    size_t stride;
    uint64_t value;
    double factor;
    size_t passes;
    int fd;
    void *buffer;
    size_t block;
    const struct draw *draw;
    uint64_t answer;
};

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

#define KERNEL(NAME)                                                                                                   \
    static uint64_t NAME##_once(struct run *run);                                                                      \
    long plain_##NAME(struct run *run)                                                                                 \
    {                                                                                                                  \
        long begin = now();                                                                                            \
        for (size_t pass = 0; pass < run->passes; pass++)                                                              \
            run->answer = NAME##_once(run);                                                                            \
        return now() - begin;                                                                                          \
    }                                                                                                                  \
    __attribute__((noipa)) static uint64_t NAME##_once(struct run *run)

KERNEL(scan)
{
    const uint64_t *words = run->source;
    uint64_t sum = 0;
    for (size_t i = 0; i < run->size / 8; i++)
        sum += words[i];
    return sum;
}

/* With the arrays as arguments, so that the compiler can take `restrict` for what it says. */
#define LOOP __attribute__((noinline)) static void

LOOP write_words(uint64_t *a, uint64_t value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = value;
}

LOOP fill_words(uint64_t *a, uint64_t seed, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = random_word(seed, i);
}

KERNEL(write)
{
    write_words(run->target, run->value, run->size / 8);
    return 0;
}

KERNEL(fill)
{
    fill_words(run->target, run->value, run->size / 8);
    return 0;
}

LOOP copy(double *restrict a, const double *restrict b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = b[i];
}

LOOP scale(double *restrict a, const double *restrict b, double factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = factor * b[i];
}

LOOP add(double *restrict a, const double *restrict b, const double *restrict c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] + c[i];
}

LOOP triad(double *restrict a, const double *restrict b, const double *restrict c, double factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] + factor * c[i];
}

KERNEL(copy)
{
    copy(run->target, run->source, run->size / 8);
    return 0;
}

KERNEL(scale)
{
    scale(run->target, run->source, run->factor, run->size / 8);
    return 0;
}

KERNEL(add)
{
    add(run->target, run->source, run->second, run->size / 8);
    return 0;
}

KERNEL(triad)
{
    triad(run->target, run->source, run->second, run->factor, run->size / 8);
    return 0;
}

KERNEL(touch)
{
    const unsigned char *memory = run->source;
    size_t size = run->size, stride = run->stride;
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i += stride)
        sum += memory[i];
    return sum;
}

KERNEL(touch_write)
{
    unsigned char *memory = run->target, value = (unsigned char)run->value;
    size_t size = run->size, stride = run->stride;
    for (size_t i = 0; i < size; i += stride)
        memory[i] = value;
    return 0;
}

KERNEL(touch_random)
{
    const unsigned char *memory = run->source;
    const struct draw draw = *run->draw;
    uint64_t sum = 0;
    for (size_t i = 0; i < run->size; i++)
        sum += memory[random_word(draw.seed, i) % draw.units * draw.unit];
    return sum;
}

KERNEL(touch_once)
{
    const unsigned char *memory = run->source;
    const struct draw draw = *run->draw;
    uint64_t sum = 0;
    for (size_t i = 0; i < run->size; i++)
        sum += memory[permuted(&draw.order, i) * draw.unit];
    return sum;
}

KERNEL(touch_zipf)
{
    const unsigned char *memory = run->source;
    const struct draw draw = *run->draw;
    uint64_t sum = 0;
    for (size_t i = 0; i < run->size; i++)
        sum += memory[permuted(&draw.order, zipf_draw(&draw.law, draw.seed, i)) * draw.unit];
    return sum;
}

LOOP gather(uint64_t *restrict a, const uint64_t *restrict b, const uint64_t *restrict index, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = b[index[i]];
}

KERNEL(gather)
{
    gather(run->target, run->source, run->second, run->size / 8);
    return 0;
}

LOOP scatter(uint64_t *restrict a, const uint64_t *restrict b, const uint64_t *restrict index, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[index[i]] = b[i];
}

KERNEL(scatter)
{
    scatter(run->target, run->source, run->second, run->size / 8);
    return 0;
}

KERNEL(count)
{
    const unsigned char *memory = run->source, value = (unsigned char)run->value;
    uint64_t count = 0;
    for (size_t i = 0; i < run->size; i++)
        count += memory[i] == value;
    return count;
}

KERNEL(find_lines)
{
    const char *begin = run->source, *end = begin + run->size, *at = begin;
    uint64_t sum = 0;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        sum += (uint64_t)(at - begin);
        at++;
    }
    return sum;
}

KERNEL(checksum)
{
    const unsigned char *memory = run->source;
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < run->size;) {
        size_t end = run->size - i < 5552 ? run->size : i + 5552;
        for (; i < end; i++) {
            a += memory[i];
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    return (uint64_t)b << 16 | a;
}

#ifdef __SSE2__
#include <emmintrin.h>

KERNEL(write_nontemporal)
{
    __m128i *pairs = run->target, value = _mm_set1_epi64x((long long)run->value);
    for (size_t i = 0; i < run->size / 16; i++)
        _mm_stream_si128(&pairs[i], value);
    _mm_sfence();
    return 0;
}

KERNEL(copy_nontemporal)
{
    __m128i *restrict a = run->target;
    const __m128i *restrict b = run->source;
    for (size_t i = 0; i < run->size / 16; i++)
        _mm_stream_si128(&a[i], _mm_load_si128(&b[i]));
    _mm_sfence();
    return 0;
}
#endif

KERNEL(pread_blocks)
{
    const unsigned char *buffer = run->buffer;
    uint64_t sum = 0;
    size_t offset = 0, left;
    ssize_t got;
    while ((left = run->size - offset) > 0 &&
           (got = pread(run->fd, run->buffer, run->block < left ? run->block : left, (off_t)offset)) > 0) {
        for (ssize_t i = 0; i < got; i += (ssize_t)run->stride)
            sum += buffer[i];
        offset += (size_t)got;
    }
    return sum;
}

KERNEL(read_blocks)
{
    const unsigned char *buffer = run->buffer;
    uint64_t sum = 0;
    size_t left = run->size;
    ssize_t got;
    lseek(run->fd, 0, SEEK_SET);
    while (left > 0 && (got = read(run->fd, run->buffer, run->block < left ? run->block : left)) > 0) {
        for (ssize_t i = 0; i < got; i += (ssize_t)run->stride)
            sum += buffer[i];
        left -= (size_t)got;
    }
    return sum;
}

/* The pointers are in memory; `second` says where the chains begin, and the answer is not the kernel's checksum. */
KERNEL(chase_1)
{
    void *at = ((void **)run->second)[0];
    for (size_t step = 0; step < run->size; step++)
        at = *(void **)at;
    return (uint64_t)at;
}

KERNEL(chase_4)
{
    void **begin = (void **)run->second, *a = begin[0], *b = begin[1], *c = begin[2], *d = begin[3];
    for (size_t step = 0; step < run->size; step++) {
        a = *(void **)a;
        b = *(void **)b;
        c = *(void **)c;
        d = *(void **)d;
    }
    return (uint64_t)a + (uint64_t)b + (uint64_t)c + (uint64_t)d;
}

KERNEL(chase_16)
{
    void *at[16];
    memcpy(at, run->second, sizeof(at));
    for (size_t step = 0; step < run->size; step++)
        for (int i = 0; i < 16; i++)
            at[i] = *(void **)at[i];
    uint64_t sum = 0;
    for (int i = 0; i < 16; i++)
        sum += (uint64_t)at[i];
    return sum;
}

/* The same in several threads: each runs its own part, all begin together. */
struct member {
    long (*kernel)(struct run *run);
    struct run *run;
    pthread_barrier_t *start;
    long begin, end;
};

static void *member_main(void *argument)
{
    struct member *member = argument;
    pthread_barrier_wait(member->start);
    member->begin = now();
    member->kernel(member->run);
    member->end = now();
    return NULL;
}

long plain_threads(long (*kernel)(struct run *run), struct run *runs, int count)
{
    pthread_t threads[16];
    struct member members[16];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        members[i] = (struct member){kernel, &runs[i], &start, 0, 0};
        if (i > 0)
            pthread_create(&threads[i], NULL, member_main, &members[i]);
    }
    member_main(&members[0]);
    long begin = members[0].begin, end = members[0].end;
    for (int i = 1; i < count; i++) {
        pthread_join(threads[i], NULL);
        begin = members[i].begin < begin ? members[i].begin : begin;
        end = members[i].end > end ? members[i].end : end;
    }
    pthread_barrier_destroy(&start);
    return end - begin;
}

size_t size_of_draw(void) { return sizeof(struct draw); }

void plain_draw(struct draw *draw, int kind, uint64_t units, size_t unit, uint64_t seed, double skew)
{
    draw_init(draw, kind, units, unit, seed, skew);
}
