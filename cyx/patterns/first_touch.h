/* The first access to each page, by which the kernel decides where the page lies. */
#ifndef CYX_PATTERNS_FIRST_TOUCH_H
#define CYX_PATTERNS_FIRST_TOUCH_H

#include <stddef.h>
#include <stdint.h>

/* Touch the pages that begin in memory[begin:end], and the first one of all. What they hold stays, also where another
 * thread writes to them: the write is of a value that was found, in one step. */
static inline void first_touch(unsigned char *memory, size_t begin, size_t end, size_t page, int write)
{
    size_t behind = ((uintptr_t)memory + begin) % page;
    size_t at = begin == 0 || behind == 0 ? begin : begin + page - behind;

    while (at < end) {
        unsigned char found = 0;
        if (write)
            __atomic_compare_exchange_n(&memory[at], &found, found, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        else
            (void)*(volatile unsigned char *)&memory[at];
        at += page - ((uintptr_t)memory + at) % page;
    }
}

#endif
