/* Which cache a thread has, what becomes of it when the thread ends, and what of all of them in a fork.
 *
 * A cache is never unmapped before its heap is. A thread that ends makes an orphan of its own: the next thread without
 * a cache takes it as it is, and threads that need a slab, or free a block of it, take slabs out of it. In the child of a fork the
 * caches of all threads but one are lost: such a thread may have been anywhere. Blocks in them stay good.
 */
#ifndef CYX_ALLOCATORS_SLAB_THREAD_H
#define CYX_ALLOCATORS_SLAB_THREAD_H

#include <sys/random.h>

#include "slab_large.h"
#include "slab_page.h"

/* The caches that the thread used last, by the lowest bits of the heap's id. Each module that includes this has its own: calls
 * for one heap are to come from one module; others call through its row. */
struct slab_remembered {
    uint64_t id;
    struct slab_cache *cache;
};
enum { SLAB_REMEMBERED = 4 };
__attribute__((tls_model("initial-exec"), unused)) static _Thread_local struct slab_remembered slab_last[SLAB_REMEMBERED];

static pthread_once_t slab_once = PTHREAD_ONCE_INIT;
static pthread_key_t slab_key;
static int slab_ready;
static struct slab_heap *slab_all; /* every heap there is; locked before any heap's own lock */
static pthread_mutex_t slab_all_lock = PTHREAD_MUTEX_INITIALIZER;

/* An address that no other live thread has. */
static inline uintptr_t slab_self(void)
{
    return (uintptr_t)slab_last;
}

/* The thread's cache, if it used it lately, or NULL: no lock, no call. */
static inline struct slab_cache *slab_quick_cache(const struct slab_heap *heap)
{
    const struct slab_remembered *last = &slab_last[heap->id % SLAB_REMEMBERED];
    return __builtin_expect(last->id == heap->id, 1) ? last->cache : NULL;
}

/* ---- queues of slabs: rings, by size ---- */

static inline void slab_enqueue(struct slab_cache *cache, struct slab *slab)
{
    struct slab **queue = &cache->sizes[slab->size_class].queue, *first = *queue;
    if (!first)
        *queue = slab->next = slab->before = slab;
    else {
        slab->next = first;
        slab->before = first->before;
        first->before = slab->before->next = slab;
    }
    slab->queued = 1;
}

static inline void slab_dequeue(struct slab_cache *cache, struct slab *slab)
{
    struct slab **queue = &cache->sizes[slab->size_class].queue;
    slab->next->before = slab->before;
    slab->before->next = slab->next;
    if (*queue == slab)
        *queue = slab->next == slab ? NULL : slab->next;
    slab->queued = 0;
}

/* Give an empty slab back to its chunk, unless somebody is about to tell of it: then that call finds it empty.
 * All its blocks are home, so nobody else has a reason to come here. */
static inline int slab_give_back(struct slab_heap *heap, struct slab_cache *cache, struct slab *slab)
{
    if (slab_is_notified(slab))
        return 0;
    if (slab->queued)
        slab_dequeue(cache, slab);
    pthread_mutex_lock(&heap->lock);
    slab_return_slices(heap, slab);
    pthread_mutex_unlock(&heap->lock);
    return 1;
}

static inline void slab_collect_for(struct slab_heap *heap, struct slab_cache *cache, struct slab *slab)
{
    size_t count = slab_collect(heap, slab);
    if (count)
        slab_add(&cache->live, 0 - count * slab->size);
}

/* One empty slab of each size stays: it would be needed again at once. */
static inline int slab_is_spare(const struct slab_cache *cache, const struct slab *slab)
{
    return !slab_used(slab) && (!slab->queued || slab->next != slab || cache->sizes[slab->size_class].queue != slab);
}

/* Look at the slabs in which others freed while they were parked. Acquire: what they pushed is seen. */
static inline void slab_look_at_returned(struct slab_heap *heap, struct slab_cache *cache)
{
    if (!atomic_load_explicit(&cache->returned, memory_order_relaxed))
        return;
    struct slab *slab = atomic_exchange_explicit(&cache->returned, NULL, memory_order_acquire), *next;
    for (; slab; slab = next) {
        next = slab->returned;
        slab_unpark(slab); /* from here on others may be told to tell again, once it is parked again */
        slab_collect_for(heap, cache, slab);
        if (!slab->queued)
            slab_enqueue(cache, slab);
        if (slab_is_spare(cache, slab))
            slab_give_back(heap, cache, slab);
    }
}

/* ---- orphans ---- */

/* Acquire: what its thread did with it came before. */
static inline int slab_claim(struct slab_cache *cache, uintptr_t self)
{
    uintptr_t owner = SLAB_ORPHAN;
    return atomic_load_explicit(&cache->owner, memory_order_relaxed) == SLAB_ORPHAN
        && atomic_compare_exchange_strong_explicit(&cache->owner, &owner, self, memory_order_acquire, memory_order_relaxed);
}

/* Leave the cache to whoever wants it. Its slabs are parked, queued or not, so that who frees in them tells.
 * Sequentially consistent, here and in slab_tell: either it sees the orphan, or this sees what it tells. */
static inline void slab_abandon(struct slab_heap *heap, struct slab_cache *cache, uintptr_t self)
{
    do {
        slab_look_at_returned(heap, cache);
        for (unsigned i = 0; i < SLAB_CLASSES; i++) {
            struct slab *slab = cache->sizes[i].queue, *last = slab ? slab->before : NULL, *next;
            for (int more = slab != NULL; more; slab = next) {
                next = slab->next;
                more = slab != last;
                while (!slab_park(slab))
                    slab_collect_for(heap, cache, slab);
                if (!slab_used(slab))
                    slab_give_back(heap, cache, slab);
            }
        }
        atomic_store(&cache->owner, SLAB_ORPHAN);
    } while (atomic_load(&cache->returned) && slab_claim(cache, self));
}

/* A slab changes its owner: neither parked with somebody about to tell, nor in the queue of the old one. */
static inline void slab_adopt(struct slab_cache *from, struct slab_cache *to, struct slab *slab)
{
    size_t bytes = (size_t)slab_used(slab) * slab->size;
    slab_dequeue(from, slab);
    slab_add(&from->live, 0 - bytes);
    slab_note_live(to, bytes);
    atomic_store_explicit(&slab->cache, to, memory_order_relaxed);
    slab_enqueue(to, slab);
}

/* Take slabs of a size with free blocks from orphans (any size below 0: those that were told of). */
static inline void slab_take_from(struct slab_heap *heap, struct slab_cache *orphan, struct slab_cache *to, int size_class)
{
    uintptr_t self = atomic_load_explicit(&to->owner, memory_order_relaxed);
    if (!slab_claim(orphan, self))
        return;
    do {
        struct slab *slab = atomic_exchange_explicit(&orphan->returned, NULL, memory_order_acquire), *next;
        for (; slab; slab = next) {
            next = slab->returned;
            slab_unpark(slab);
            slab_collect_for(heap, orphan, slab);
            if (!slab->queued)
                slab_enqueue(orphan, slab);
            slab_adopt(orphan, to, slab);
            if (slab_is_spare(to, slab))
                slab_give_back(heap, to, slab);
        }
        slab = size_class < 0 ? NULL : orphan->sizes[size_class].queue;
        if (slab && slab_unpark_quietly(slab)) {
            slab_adopt(orphan, to, slab);
            size_class = -1;
        }
        atomic_store(&orphan->owner, SLAB_ORPHAN);
    } while (atomic_load(&orphan->returned) && slab_claim(orphan, self));
}

static inline void slab_take_from_orphans(struct slab_heap *heap, struct slab_cache *cache, unsigned size_class)
{
    if (!atomic_load_explicit(&heap->orphans, memory_order_relaxed))
        return;
    struct slab_cache *each = atomic_load_explicit(&heap->caches, memory_order_acquire);
    for (; each && !cache->sizes[size_class].queue; each = each->next)
        if (atomic_load_explicit(&each->owner, memory_order_relaxed) == SLAB_ORPHAN)
            slab_take_from(heap, each, cache, (int)size_class);
}

/* Tell the owner of a slab that a block in it was freed; where it has none, take the slab. */
static inline void slab_tell(struct slab_heap *heap, struct slab_cache *mine, struct slab *slab)
{
    struct slab_cache *owner = atomic_load_explicit(&slab->cache, memory_order_relaxed); /* stays, until it was told */
    struct slab *first = atomic_load_explicit(&owner->returned, memory_order_relaxed);
    do
        slab->returned = first;
    while (!atomic_compare_exchange_weak(&owner->returned, &first, slab)); /* only ever taken whole */
    if (mine && atomic_load(&owner->owner) == SLAB_ORPHAN)
        slab_take_from(heap, owner, mine, -1);
}

/* ---- threads ---- */

/* The key's destructor: before the thread's own storage goes, and maybe before other destructors that free here again. */
static void slab_thread_ends(void *unused)
{
    (void)unused;
    uintptr_t self = slab_self();
    memset(slab_last, 0, sizeof slab_last);
    pthread_mutex_lock(&slab_all_lock);
    for (struct slab_heap *heap = slab_all; heap; heap = heap->other)
        for (struct slab_cache *cache = atomic_load(&heap->caches); cache; cache = cache->next)
            if (atomic_load_explicit(&cache->owner, memory_order_relaxed) == self) {
                atomic_fetch_add_explicit(&heap->orphans, 1, memory_order_relaxed);
                slab_abandon(heap, cache, self);
            }
    pthread_mutex_unlock(&slab_all_lock);
}

/* A heap behind a lock of its own is locked by that: whoever holds the one may want the other. */
static void slab_before_fork(void)
{
    pthread_mutex_lock(&slab_all_lock);
    for (struct slab_heap *heap = slab_all; heap; heap = heap->other)
        if (!heap->guarded)
            pthread_mutex_lock(&heap->lock);
}

static void slab_after_fork(void)
{
    for (struct slab_heap *heap = slab_all; heap; heap = heap->other)
        if (!heap->guarded)
            pthread_mutex_unlock(&heap->lock);
    pthread_mutex_unlock(&slab_all_lock);
}

static void slab_after_fork_in_child(void)
{
    for (struct slab_heap *heap = slab_all; heap; heap = heap->other)
        for (struct slab_cache *cache = atomic_load(&heap->caches); cache; cache = cache->next) {
            uintptr_t owner = atomic_load_explicit(&cache->owner, memory_order_relaxed);
            if (owner != slab_self() && owner != SLAB_ORPHAN)
                atomic_store_explicit(&cache->owner, SLAB_LOST, memory_order_relaxed);
        }
    slab_after_fork();
}

static void slab_get_ready(void)
{
    slab_ready = !pthread_key_create(&slab_key, slab_thread_ends)
        && !pthread_atfork(slab_before_fork, slab_after_fork, slab_after_fork_in_child);
}

/* Return the calling thread's cache: the one it has, an orphan, or a new one; NULL: no memory. */
__attribute__((noinline, unused)) static struct slab_cache *slab_find_cache(struct slab_heap *heap)
{
    uintptr_t self = slab_self();
    struct slab_cache *first = atomic_load_explicit(&heap->caches, memory_order_acquire), *cache = first;
    while (cache && atomic_load_explicit(&cache->owner, memory_order_relaxed) != self)
        cache = cache->next;
    if (!cache) {
        if (pthread_setspecific(slab_key, heap)) /* anything but NULL: the destructor is to run */
            return NULL;
        for (cache = first; cache; cache = cache->next)
            if (slab_claim(cache, self)) {
                atomic_fetch_sub_explicit(&heap->orphans, 1, memory_order_relaxed);
                break;
            }
    }
    if (!cache) {
        size_t size = round_up(sizeof *cache, SLAB_PAGE);
        pthread_mutex_lock(&heap->lock);
        long refusals = atomic_load_explicit(&heap->memory.refusals, memory_order_relaxed);
        cache = refusals == 1 ? NULL : memory_map(size, SLAB_PAGE);
        if (cache) {
            atomic_store_explicit(&cache->owner, self, memory_order_relaxed);
            cache->next = atomic_load_explicit(&heap->caches, memory_order_relaxed);
            atomic_store_explicit(&heap->caches, cache, memory_order_release);
        }
        pthread_mutex_unlock(&heap->lock);
        if (!cache)
            return NULL;
    }
    slab_last[heap->id % SLAB_REMEMBERED] = (struct slab_remembered){heap->id, cache};
    return cache;
}

/* ---- heaps ---- */

/* Return 0 where there is no memory, or too little was given. */
static inline int slab_make(struct slab_heap *heap, void *given, size_t size, int guarded)
{
    memset(heap, 0, sizeof *heap);
    pthread_once(&slab_once, slab_get_ready);
    if (!slab_ready || getrandom(&heap->id, sizeof heap->id, 0) < 0 || getrandom(&heap->secret, sizeof heap->secret, 0) < 0)
        return 0;
    heap->id |= heap->id == 0;
    heap->guarded = guarded;
    memory_make(&heap->memory, given, size);
    heap->map_size = ((size_t)1 << SLAB_ADDRESS_BITS) / SLAB_CHUNK;
    heap->limit = given ? (uintptr_t)given + size : UINTPTR_MAX;
    if (given) {
        heap->next = heap->base = round_up((uintptr_t)given, SLAB_PAGE);
        heap->end = (uintptr_t)given + size;
        if (heap->end < heap->base + 2 * SLAB_SLICE)
            return 0;
        heap->map_size = (heap->end - heap->base + SLAB_CHUNK - 1) / SLAB_CHUNK;
    }
    heap->map = memory_map(round_up(heap->map_size, SLAB_PAGE), SLAB_PAGE);
    if (!heap->map)
        return 0;
    pthread_mutex_init(&heap->lock, NULL);
    pthread_mutex_lock(&slab_all_lock);
    heap->other = slab_all;
    slab_all = heap;
    pthread_mutex_unlock(&slab_all_lock);
    return 1;
}

/* Nobody calls it any more. A thread that ends meanwhile does not see it, or is waited for. */
static inline void slab_unmake(struct slab_heap *heap)
{
    if (!heap->map)
        return;
    pthread_mutex_lock(&slab_all_lock);
    struct slab_heap **place = &slab_all;
    while (*place != heap)
        place = &(*place)->other;
    *place = heap->other;
    pthread_mutex_unlock(&slab_all_lock);
    for (struct slab_chunk *chunk = heap->large, *next; chunk && !heap->memory.given; chunk = next) {
        next = chunk->next;
        munmap(chunk, chunk->mapped);
    }
    for (int i = 0; i < heap->kept_count; i++)
        munmap(heap->kept[i], heap->kept[i]->mapped);
    for (struct slab_cache *cache = atomic_load(&heap->caches), *next; cache; cache = next) {
        next = cache->next;
        munmap(cache, round_up(sizeof *cache, SLAB_PAGE));
    }
    memory_unmake(&heap->memory);
    munmap(heap->map, round_up(heap->map_size, SLAB_PAGE));
    pthread_mutex_destroy(&heap->lock);
    heap->map = NULL;
}

#endif
