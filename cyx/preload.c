/* A library for LD_PRELOAD (ld.so(8)) that counts what goes through malloc(3), whichever library serves it.

   Each function calls the next one of its name, so the library that serves malloc is loaded behind this one. Counters are
   relaxed atomics in one struct: no lock that a fork could find taken. Bytes are usable ones, by malloc_usable_size(3) of
   the library behind: no size is kept beside a block, and each lies where it would without this.

   The operators new and delete of C++ are taken along and made of malloc and free: some libraries have operators of
   their own, which would pass by. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload.h"

#define EXPORTED __attribute__((visibility("default")))
#define ADD(counter, number) __atomic_fetch_add(&(counter), (number), __ATOMIC_RELAXED)
#define GET(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

static preload_counts own = {.format = PRELOAD_FORMAT};
static preload_counts *counts = &own; /* or this process's place in the file */
static preload_file *file;

/* In the block of the executable's threads, for to make room later would call malloc. */
static __thread int paused __attribute__((tls_model("initial-exec")));
static __thread int resolving __attribute__((tls_model("initial-exec")));
static __thread int inside __attribute__((tls_model("initial-exec"))); /* the library behind is at work */

/* ---- The library behind ---- */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
} next;

/* dlsym may ask for memory before it has found malloc: a little, which is never given back. */
static _Alignas(16) char first_room[16 * 1024];
static size_t first_used;

static int is_first(const void *block) {
    return (const char *)block >= first_room && (const char *)block < first_room + sizeof first_room;
}

static void *first_block(size_t size) {
    size_t needed = (size + 31) & ~(size_t)15; /* its size stands before it */
    size_t place = __atomic_fetch_add(&first_used, needed, __ATOMIC_RELAXED);
    if (size > sizeof first_room || place + needed > sizeof first_room) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(first_room + place, &size, sizeof size);
    return first_room + place + 16;
}

static size_t first_size(const void *block) {
    size_t size;
    memcpy(&size, (const char *)block - 16, sizeof size);
    return size;
}

static int same_library(void *one, void *other) {
    Dl_info first, second;
    return one && other && dladdr(one, &first) && dladdr(other, &second) && first.dli_fbase == second.dli_fbase;
}

static void *symbol(const char *name) { return dlsym(RTLD_NEXT, name); }

#define FIND(name) (found = symbol(#name), memcpy(&next.name, &found, sizeof found))

/* The C library's would take blocks that the library's free knows nothing of: jemalloc has no pvalloc. */
#define FIND_OF_ITS_OWN(name) \
    (found = symbol(#name), found = same_library(found, serving) ? found : NULL, memcpy(&next.name, &found, sizeof found))

/* Find the functions behind; several threads may do so at once, and find the same ones. malloc is the last to be set. */
static void resolve(void) {
    void *found, *serving;
    resolving = 1;
    FIND(calloc);
    FIND(realloc);
    FIND(free);
    FIND(posix_memalign);
    serving = symbol("malloc");
    FIND_OF_ITS_OWN(aligned_alloc);
    FIND_OF_ITS_OWN(memalign);
    FIND_OF_ITS_OWN(valloc);
    FIND_OF_ITS_OWN(pvalloc);
    FIND_OF_ITS_OWN(malloc_usable_size);
    found = serving;
    __atomic_store(&next.malloc, (void *(**)(size_t)) & found, __ATOMIC_RELEASE);
    resolving = 0;
}

/* Tell whether the library behind can be called; not while it is looked for. */
static inline int ready(void) {
    if (__builtin_expect(next.malloc != NULL, 1)) return 1;
    if (resolving) return 0;
    resolve();
    return next.malloc != NULL;
}

/* Call the library behind. What it takes for itself meanwhile, as tcmalloc does by operator new when it is first asked
   for a size, goes to it uncounted. */
#define BEHIND(into, call) (inside++, (into) = next.call, inside--)

/* ---- Counting ---- */

static inline long usable(void *block) {
    size_t size = 0;
    if (next.malloc_usable_size) BEHIND(size, malloc_usable_size(block));
    return (long)size;
}

static inline void live_by(long bytes) {
    long live = ADD(counts->live, bytes) + bytes;
    long peak = GET(counts->peak);
    while (live > peak &&
           !__atomic_compare_exchange_n(&counts->peak, &peak, live, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static inline int class_of(size_t size) {
    int bits = size <= 1 ? 0 : 64 - __builtin_clzll((unsigned long long)size - 1);
    return bits < PRELOAD_CLASSES ? bits : PRELOAD_CLASSES - 1;
}

static inline void *taken(void *block, size_t size) {
    if (block == NULL) return NULL;
    if (!paused) {
        ADD(counts->sizes[class_of(size)], 1);
        ADD(counts->requested, (long)size);
    }
    live_by(usable(block));
    return block;
}

static inline void given_back(long bytes) {
    if (!paused) ADD(counts->frees, 1);
    ADD(counts->live, -bytes);
}

/* ---- malloc(3) and its relatives ---- */

EXPORTED void *malloc(size_t size) {
    void *block;
    if (!ready()) return first_block(size);
    if (inside) return next.malloc(size);
    BEHIND(block, malloc(size));
    return taken(block, size);
}

EXPORTED void *calloc(size_t number, size_t size) {
    size_t bytes = 0;
    void *block;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (!ready()) return first_block(bytes); /* static memory is zero, and no block of it is given out twice */
    if (inside) return next.calloc(number, size);
    BEHIND(block, calloc(number, size));
    return taken(block, bytes);
}

EXPORTED void free(void *block) {
    int error;
    if (block == NULL || is_first(block)) return;
    if (!ready()) return;
    if (!inside) {
        error = errno;
        given_back(usable(block));
        errno = error;
    }
    inside++;
    next.free(block);
    inside--;
}

EXPORTED void *realloc(void *block, size_t size) {
    long before;
    void *moved;
    if (block == NULL) return malloc(size);
    if (is_first(block)) {
        moved = malloc(size);
        if (moved) memcpy(moved, block, first_size(block) < size ? first_size(block) : size);
        return moved;
    }
    if (!ready()) return NULL;
    if (inside) return next.realloc(block, size);
    before = usable(block);
    BEHIND(moved, realloc(block, size));
    if (moved == NULL) {
        if (size == 0) given_back(before);
        return NULL;
    }
    if (!paused) {
        ADD(counts->reallocs, 1);
        ADD(counts->requested, (long)size);
    }
    live_by(usable(moved) - before);
    return moved;
}

EXPORTED void *reallocarray(void *block, size_t number, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

EXPORTED int posix_memalign(void **into, size_t alignment, size_t size) {
    int error, nested = inside;
    if (!ready() || next.posix_memalign == NULL) return ENOMEM;
    BEHIND(error, posix_memalign(into, alignment, size));
    if (error == 0 && !nested) taken(*into, size);
    return error;
}

/* Those that a library may lack are aligned by posix_memalign, which every one has. */
static void *aligned(size_t alignment, size_t size) {
    void *block = NULL;
    int error = posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment, size);
    if (error) errno = error;
    return error ? NULL : block;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
    void *block;
    int nested;
    if (!ready() || next.aligned_alloc == NULL) return aligned(alignment, size);
    nested = inside;
    BEHIND(block, aligned_alloc(alignment, size));
    return nested ? block : taken(block, size);
}

EXPORTED void *memalign(size_t alignment, size_t size) {
    void *block;
    int nested;
    if (!ready() || next.memalign == NULL) return aligned(alignment, size);
    nested = inside;
    BEHIND(block, memalign(alignment, size));
    return nested ? block : taken(block, size);
}

EXPORTED void *valloc(size_t size) {
    void *block;
    int nested;
    if (!ready() || next.valloc == NULL) return aligned((size_t)sysconf(_SC_PAGESIZE), size);
    nested = inside;
    BEHIND(block, valloc(size));
    return nested ? block : taken(block, size);
}

EXPORTED void *pvalloc(size_t size) {
    void *block;
    int nested;
    if (!ready() || next.pvalloc == NULL) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        return aligned(page, (size + page - 1) & ~(page - 1));
    }
    nested = inside;
    BEHIND(block, pvalloc(size));
    return nested ? block : taken(block, size);
}

EXPORTED size_t malloc_usable_size(void *block) {
    if (block == NULL) return 0;
    if (is_first(block)) return first_size(block);
    return ready() ? (size_t)usable(block) : 0;
}

/* ---- The operators of C++ (Itanium C++ ABI) ---- */

/* What no memory is left for is the business of the next operator: it asks the handler of new, and throws. */
#define NEW(name)                                            \
    EXPORTED void *name(size_t size) {                       \
        void *block = malloc(size ? size : 1), *found;       \
        void *(*behind)(size_t);                             \
        if (block) return block;                             \
        found = symbol(#name);                               \
        memcpy(&behind, &found, sizeof found);               \
        return behind ? behind(size) : NULL;                 \
    }
#define NEW_NOTHROW(name)                                    \
    EXPORTED void *name(size_t size, const void *nothrow) {  \
        (void)nothrow;                                       \
        return malloc(size ? size : 1);                      \
    }
#define NEW_ALIGNED(name)                                    \
    EXPORTED void *name(size_t size, size_t alignment) {     \
        void *block = aligned(alignment, size ? size : 1), *found; \
        void *(*behind)(size_t, size_t);                     \
        if (block) return block;                             \
        found = symbol(#name);                               \
        memcpy(&behind, &found, sizeof found);               \
        return behind ? behind(size, alignment) : NULL;      \
    }
#define NEW_ALIGNED_NOTHROW(name)                            \
    EXPORTED void *name(size_t size, size_t alignment, const void *nothrow) { \
        (void)nothrow;                                       \
        return aligned(alignment, size ? size : 1);          \
    }
#define DELETE(name) EXPORTED void name(void *block) { free(block); }
#define DELETE_MORE(name, ...) EXPORTED void name(void *block, __VA_ARGS__) { free(block); }

NEW(_Znwm)
NEW(_Znam)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)
DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE_MORE(_ZdlPvm, __attribute__((unused)) size_t size)
DELETE_MORE(_ZdaPvm, __attribute__((unused)) size_t size)
DELETE_MORE(_ZdlPvRKSt9nothrow_t, __attribute__((unused)) const void *nothrow)
DELETE_MORE(_ZdaPvRKSt9nothrow_t, __attribute__((unused)) const void *nothrow)
DELETE_MORE(_ZdlPvSt11align_val_t, __attribute__((unused)) size_t alignment)
DELETE_MORE(_ZdaPvSt11align_val_t, __attribute__((unused)) size_t alignment)
DELETE_MORE(_ZdlPvmSt11align_val_t, __attribute__((unused)) size_t size, __attribute__((unused)) size_t alignment)
DELETE_MORE(_ZdaPvmSt11align_val_t, __attribute__((unused)) size_t size, __attribute__((unused)) size_t alignment)
DELETE_MORE(_ZdlPvSt11align_val_tRKSt9nothrow_t, __attribute__((unused)) size_t alignment,
            __attribute__((unused)) const void *nothrow)
DELETE_MORE(_ZdaPvSt11align_val_tRKSt9nothrow_t, __attribute__((unused)) size_t alignment,
            __attribute__((unused)) const void *nothrow)

/* ---- What a process asks ---- */

/* Copy the counters; what other threads do meanwhile may be in some of them and not yet in others. */
EXPORTED void memperf_malloc_read(preload_counts *into) {
    int i;
    into->format = PRELOAD_FORMAT;
    into->process = GET(counts->process);
    into->frees = GET(counts->frees);
    into->reallocs = GET(counts->reallocs);
    into->requested = GET(counts->requested);
    into->live = GET(counts->live);
    into->peak = GET(counts->peak);
    for (i = 0; i < PRELOAD_CLASSES; i++) into->sizes[i] = GET(counts->sizes[i]);
    into->told = into->allocated = into->active = 0;
}

/* Begin the peak anew, at what is live. */
EXPORTED void memperf_malloc_reset_peak(void) {
    __atomic_store_n(&counts->peak, GET(counts->live), __ATOMIC_RELAXED);
}

/* Count no calls of this thread from now on, or count them again; what is live is always kept. */
EXPORTED void memperf_malloc_pause(int now) { paused = now; }

/* Return the address of the malloc that serves. */
EXPORTED void *memperf_malloc_behind(void) {
    void *behind = NULL;
    if (ready()) memcpy(&behind, &next.malloc, sizeof behind);
    return behind;
}

/* ---- The file that outlives processes ---- */

/* Take a place of one's own, and go on there from what is live. */
static void take_place(void) {
    preload_counts *place;
    long number = ADD(file->taken, 1);
    if (number >= PRELOAD_PLACES) {
        counts = &own;
        return;
    }
    place = &file->places[number];
    place->process = getpid();
    place->live = counts->live;
    place->peak = counts->live;
    place->format = PRELOAD_FORMAT;
    counts = place;
}

static void in_fork(void) {
    if (file) take_place();
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv(PRELOAD_VARIABLE);
    int fd;
    void *mapped;
    ready();
    own.process = getpid();
    if (path == NULL) return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    mapped = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) return;
    file = mapped;
    take_place();
    /* What was asked for so far, by the loader and by libraries that came earlier; there is one thread. */
    memcpy(counts->sizes, own.sizes, sizeof own.sizes);
    counts->frees = own.frees;
    counts->reallocs = own.reallocs;
    counts->requested = own.requested;
    counts->peak = own.peak;
    pthread_atfork(NULL, NULL, in_fork);
}

/* ---- What the library behind says at the end ---- */

static long tcmalloc_figure(int (*ask)(const char *, size_t *), const char *name) {
    size_t value = 0;
    return ask(name, &value) ? (long)value : -1;
}

static long jemalloc_figure(int (*ask)(const char *, void *, size_t *, void *, size_t), const char *name) {
    size_t value = 0, size = sizeof value;
    return ask(name, &value, &size, NULL, 0) ? -1 : (long)value;
}

/* struct mallinfo2 of mallinfo(3), which glibc has had since 2.33. */
typedef struct {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} figures_of_glibc;

__attribute__((destructor)) static void end(void) {
    long allocated = -1, active = -1;
    void *behind = memperf_malloc_behind(), *found;
    if (file == NULL || behind == NULL) return;
    if (same_library(found = symbol("mallinfo2"), behind)) {
        figures_of_glibc (*ask)(void), told;
        memcpy(&ask, &found, sizeof found);
        told = ask();
        allocated = (long)(told.uordblks + told.hblkhd);
        active = (long)(told.arena + told.hblkhd);
    } else if (same_library(found = symbol("mallctl"), behind)) {
        int (*ask)(const char *, void *, size_t *, void *, size_t);
        uint64_t epoch = 1;
        memcpy(&ask, &found, sizeof found);
        ask("epoch", NULL, NULL, &epoch, sizeof epoch);
        allocated = jemalloc_figure(ask, "stats.allocated");
        active = jemalloc_figure(ask, "stats.active");
    } else if (same_library(found = symbol("MallocExtension_GetNumericProperty"), behind)) {
        int (*ask)(const char *, size_t *);
        memcpy(&ask, &found, sizeof found);
        allocated = tcmalloc_figure(ask, "generic.current_allocated_bytes");
        active = tcmalloc_figure(ask, "generic.heap_size") - tcmalloc_figure(ask, "tcmalloc.pageheap_free_bytes") -
                 tcmalloc_figure(ask, "tcmalloc.pageheap_unmapped_bytes");
    }
    if (allocated < 0 || active < allocated) return;
    counts->allocated = allocated;
    counts->active = active;
    counts->told = 1;
}
