/* The blocks of glibc's malloc that are in use, told by walking its main heap from the first chunk to the last.

   A chunk is its size, with three flags in the lowest bits, and what the program asked for; the next one follows it, and
   tells in its own lowest flag whether this one is in use (malloc/malloc.c of glibc, "Malloc chunks"). So it has been
   since 2001, for 64 bits. Whatever does not look like that ends the walk with -1: the heap is then not glibc's alone. */
#ifndef CYX_MALLOC_BLOCKS_H
#define CYX_MALLOC_BLOCKS_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_ALIGNMENT 16
#define SMALLEST_CHUNK_SIZE 32
#define CHUNK_FLAGS 7
#define PREVIOUS_IN_USE 1

/* Count the chunks in use between the first and the top one by their size in steps of CHUNK_ALIGNMENT; the last of the
   `classes` is of all that are larger. Returns how many there are, or -1. */
static long count_chunks(uintptr_t at, uintptr_t top, long *counts, size_t classes)
{
    long found = 0;
    if (sizeof(void *) != 8 || !at || at % CHUNK_ALIGNMENT || at >= top)
        return -1;
    while (at < top) {
        size_t size = ((const size_t *)at)[1] & ~(size_t)CHUNK_FLAGS;
        if (size < SMALLEST_CHUNK_SIZE || size % CHUNK_ALIGNMENT || size > top - at)
            return -1;
        at += size;
        if (((const size_t *)at)[1] & PREVIOUS_IN_USE) {
            size_t class = size / CHUNK_ALIGNMENT;
            found++;
            if (counts)
                counts[class < classes ? class : classes - 1]++;
        }
    }
    return found;
}

/* Blocks too large for the heap have mappings of their own. */
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
static long mapped_chunks(void) { return (long)mallinfo2().hblks; }
static long bytes_in_use(void)
{
    struct mallinfo2 found = mallinfo2();
    return (long)(found.uordblks + found.hblkhd);
}
#else
static long mapped_chunks(void) { return 0; }
static long bytes_in_use(void) { return -1; }
#endif

#endif
