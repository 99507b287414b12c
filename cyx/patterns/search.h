/* Bytes of one value, counted or looked for. */
#ifndef CYX_PATTERNS_SEARCH_H
#define CYX_PATTERNS_SEARCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Sixteen bytes at once, in the registers that every processor of its kind has. */
typedef unsigned char lanes __attribute__((vector_size(16), aligned(1), may_alias));

enum { ROW = 4 * sizeof(lanes), ROWS = 255 }; /* after so many, a count of one byte is full */

static inline uint64_t sum_of_lanes(lanes counts)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(counts); i++)
        sum += counts[i];
    return sum;
}

static inline uint64_t count_byte(const unsigned char *memory, size_t size, unsigned char value)
{
    const unsigned char *end = memory + size;
    const lanes wanted = (lanes){0} + value;
    uint64_t count = 0;

    while ((size_t)(end - memory) >= ROW) {
        lanes a = {0}, b = {0}, c = {0}, d = {0};
        size_t rows = (size_t)(end - memory) / ROW;
        for (size_t row = 0; row < rows && row < ROWS; row++, memory += ROW) {
            const lanes *at = (const lanes *)memory;
            a -= (lanes)(at[0] == wanted); /* true is -1 */
            b -= (lanes)(at[1] == wanted);
            c -= (lanes)(at[2] == wanted);
            d -= (lanes)(at[3] == wanted);
        }
        count += sum_of_lanes(a) + sum_of_lanes(b) + sum_of_lanes(c) + sum_of_lanes(d);
    }
    for (; memory < end; memory++)
        count += *memory == value;
    return count;
}

/* How many bytes of the value there are in memory[begin:end], and the sum of their offsets. */
static inline uint64_t find_byte(const unsigned char *memory, size_t begin, size_t end, unsigned char value,
                                 uint64_t *sum)
{
    const unsigned char *at = memory + begin, *behind = memory + end;
    uint64_t found = 0, offsets = 0;

    while ((at = memchr(at, value, (size_t)(behind - at))) != NULL) {
        offsets += (uint64_t)(at - memory);
        found++;
        at++;
    }
    *sum = offsets;
    return found;
}

#endif
