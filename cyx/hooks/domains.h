/* CPython's memory domains: functions that are put in front of what serves them once, and then switched by one pointer.
 *
 * PyMem_SetAllocator is no atomic act, and a thread may be inside the functions that it replaces ("Memory Management"
 * in the C API documentation); so ours are set once and stay, and it does no harm to find half of them: they are told
 * by no context which domain they belong to, and leave that of the original in its place. Where they find nobody
 * swapped in and nobody counting, they hand the call on. What is set after them (tracemalloc) hands its calls on to
 * them.
 */
#ifndef CYX_HOOKS_DOMAINS_H
#define CYX_HOOKS_DOMAINS_H

#include <Python.h>

#include "counting.h"
#include "owners.h"

enum { DOMAINS = 3 };

struct domain {
    PyMemAllocatorEx original; /* written once, before the functions are set */
    _Atomic(struct owner *) now; /* NULL: the original */
    int installed;
};

static struct domain domains[DOMAINS]; /* by PyMemAllocatorDomain: raw, mem, object */

/* Return who is to serve this size, with the block counted as live, or NULL. */
static inline struct owner *domain_owner(struct domain *domain, size_t size)
{
    if (__builtin_expect(!atomic_load_explicit(&domain->now, memory_order_relaxed), 1))
        return NULL;
    if (counting_inside) /* what an original takes for itself is its own: its debug layer hands out other addresses */
        return NULL;
    owners_enter(); /* so that it does not go away before its block is counted */
    struct owner *owner = atomic_load_explicit(&domain->now, memory_order_seq_cst);
    if (owner && size > owner->handle.largest)
        owner = NULL;
    if (owner)
        atomic_fetch_add_explicit(&owner->live, 1, memory_order_relaxed);
    owners_leave();
    return owner;
}

static inline void *domain_count(void *block, size_t size)
{
    if (counting_is_on() && !counting_inside)
        count_allocation(block, size);
    return block;
}

static inline void *domain_malloc(struct domain *domain, size_t size)
{
    struct owner *owner = domain_owner(domain, size);
    void *block;
    if (owner) {
        block = owner_allocate(owner, size);
    } else {
        counting_inside++;
        block = domain->original.malloc(domain->original.ctx, size);
        counting_inside--;
    }
    return domain_count(block, size);
}

static inline void *domain_calloc(struct domain *domain, size_t count, size_t each)
{
    if (each && count > (size_t)PY_SSIZE_T_MAX / each)
        return NULL;
    size_t size = count * each;
    struct owner *owner = domain_owner(domain, size);
    void *block;
    if (owner) {
        block = owner_allocate(owner, size);
        if (block)
            memset(block, 0, size);
    } else {
        counting_inside++;
        block = domain->original.calloc(domain->original.ctx, count, each);
        counting_inside--;
    }
    return domain_count(block, size);
}

static inline void domain_free(struct domain *domain, void *block)
{
    if (counting_is_on() && !counting_inside)
        count_free(block); /* before somebody else has the address */
    struct owner *owner = owner_of(block);
    if (owner) {
        owner_release(owner, block);
        return;
    }
    counting_inside++;
    domain->original.free(domain->original.ctx, block);
    counting_inside--;
}

/* A block goes on with whom it is, unless that one never gives so many bytes. */
static inline void *domain_realloc(struct domain *domain, void *block, size_t size)
{
    if (!block)
        return domain_malloc(domain, size);
    struct owner *owner = owner_of(block);
    int counted = counting_is_on() && !counting_inside;
    struct taken_out taken = counted ? counting_take_out(block) : (struct taken_out){0};
    void *moved;
    if (!owner) {
        counting_inside++;
        moved = domain->original.realloc(domain->original.ctx, block, size);
        counting_inside--;
    } else if (size <= owner->handle.largest) {
        moved = owner->handle.kind->reallocate(owner->handle.state, block, size ? size : 1);
    } else {
        size_t before = owner->handle.kind->size_of(owner->handle.state, block);
        counting_inside++;
        moved = domain->original.malloc(domain->original.ctx, size);
        counting_inside--;
        if (moved) {
            memcpy(moved, block, before < size ? before : size);
            owner_release(owner, block);
        }
    }
    if (counted)
        counting_moved(taken, moved, size);
    return moved;
}

#define DOMAIN_FUNCTIONS(name, which)                                                                                  \
    static void *name##_malloc(void *context, size_t size)                                                             \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        return domain_malloc(&domains[which], size);                                                                   \
    }                                                                                                                  \
    static void *name##_calloc(void *context, size_t count, size_t each)                                               \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        return domain_calloc(&domains[which], count, each);                                                            \
    }                                                                                                                  \
    static void *name##_realloc(void *context, void *block, size_t size)                                               \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        return domain_realloc(&domains[which], block, size);                                                           \
    }                                                                                                                  \
    static void name##_free(void *context, void *block)                                                                \
    {                                                                                                                  \
        (void)context;                                                                                                 \
        domain_free(&domains[which], block);                                                                           \
    }

DOMAIN_FUNCTIONS(raw, PYMEM_DOMAIN_RAW)
DOMAIN_FUNCTIONS(mem, PYMEM_DOMAIN_MEM)
DOMAIN_FUNCTIONS(object, PYMEM_DOMAIN_OBJ)

static const PyMemAllocatorEx domain_functions[DOMAINS] = {
    {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
    {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    {NULL, object_malloc, object_calloc, object_realloc, object_free},
};

/* With the GIL. */
static void domain_install(int which)
{
    struct domain *domain = &domains[which];
    if (domain->installed)
        return;
    PyMem_GetAllocator((PyMemAllocatorDomain)which, &domain->original);
    PyMemAllocatorEx ours = domain_functions[which];
    ours.ctx = domain->original.ctx;
    domain->installed = 1;
    PyMem_SetAllocator((PyMemAllocatorDomain)which, &ours);
}

#endif
