/* What the library in preload.c counts, and how it is asked: a process that it was loaded into finds it by dlsym(3). */
#ifndef CYX_PRELOAD_H
#define CYX_PRELOAD_H

#define PRELOAD_FORMAT 1
#define PRELOAD_CLASSES 48

/* Of one process. Live blocks = mallocs - frees. */
typedef struct {
    long format;
    long process;                  /* its id */
    long frees;                    /* free(3) of a block, and realloc(3) to no bytes */
    long reallocs;                 /* of a block to another size */
    long requested;                /* bytes asked for, those of reallocs too */
    long live;                     /* usable bytes (malloc_usable_size(3)) of the blocks that are held */
    long peak;                     /* the most that these ever were, since the last reset */
    long sizes[PRELOAD_CLASSES];   /* blocks asked for, by size: in place n those of 2^(n-1) < size <= 2^n, the last open */
    long told;                     /* whether the next two are there: the process has ended by exit(3) */
    long allocated;                /* at the end, by the library's own statistics; see malloc/library.py */
    long active;
} preload_counts;

/* The file that MEMPERF_MALLOC_COUNTS names: a place for each process that loads the library. */
#define PRELOAD_VARIABLE "MEMPERF_MALLOC_COUNTS"
#define PRELOAD_PLACES 4096
typedef struct {
    long taken;                    /* processes that asked for a place, those that got none too */
    long unused[7];
    preload_counts places[PRELOAD_PLACES];
} preload_file;

/* The functions, by their names. */
#define PRELOAD_READ "memperf_malloc_read"
#define PRELOAD_RESET_PEAK "memperf_malloc_reset_peak"
#define PRELOAD_PAUSE "memperf_malloc_pause"
#define PRELOAD_BEHIND "memperf_malloc_behind"
typedef void preload_read(preload_counts *into);
typedef void preload_reset_peak(void);
typedef void preload_pause(int paused);
typedef void *preload_behind(void);

#endif
