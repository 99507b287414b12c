/* What is counted of a stretch of code. */
#ifndef CYX_HOOKS_COUNTS_H
#define CYX_HOOKS_COUNTS_H

#include <stddef.h>

enum { COUNTING_CLASSES = 64 }; /* of sizes up to 2^n bytes */

struct counts {
    size_t allocations, frees; /* frees: of blocks allocated in this stretch */
    size_t allocated;          /* bytes asked for */
    size_t live_blocks, live, peak;
    size_t classes[COUNTING_CLASSES]; /* allocations by size */
    size_t number;             /* of the stretch, since the outermost one began */
    int lost;                  /* the table could not grow: the counts are too low */
    struct counts *outer;      /* the stretch that this one lies in */
};

#endif
