/* The allocators that have ever been put behind a domain, so that each block goes back to the one that it came from.
 *
 * An owner stays as long as it serves, or has live blocks. Threads look through the list without a lock and without the
 * GIL; each says so while it looks, and whoever takes an owner off the list waits until nobody does.
 */
#ifndef CYX_HOOKS_OWNERS_H
#define CYX_HOOKS_OWNERS_H

#include <Python.h>
#include <sched.h>
#include <stdatomic.h>

#include "allocator.h"

enum { OWNERS = 64 };

struct owner {
    _Atomic int present;
    struct handle handle;
    _Atomic size_t live;   /* its blocks in domains and in NumPy's arrays */
    long serving;          /* domains and handlers that it stands behind; under the GIL */
    PyObject *allocator;   /* kept alive */
};

static struct owner owners[OWNERS];
static _Atomic int owner_count;   /* rows that were ever used */
static _Atomic long owner_readers;

static inline void owners_enter(void)
{
    atomic_fetch_add_explicit(&owner_readers, 1, memory_order_seq_cst);
}

static inline void owners_leave(void)
{
    atomic_fetch_sub_explicit(&owner_readers, 1, memory_order_release);
}

/* Return the owner whose live block this is, or NULL. */
static inline struct owner *owner_of(const void *block)
{
    int count = atomic_load_explicit(&owner_count, memory_order_acquire);
    struct owner *found = NULL;
    if (!count)
        return NULL;
    owners_enter();
    for (int i = count; i-- && !found;)
        if (atomic_load_explicit(&owners[i].present, memory_order_acquire)
            && owners[i].handle.kind->owns(owners[i].handle.state, block))
            found = &owners[i];
    owners_leave();
    return found;
}

/* With the GIL: return the row of an allocator, a new one where it has none; NULL: the list is full. */
static struct owner *owner_add(struct handle handle, PyObject *allocator)
{
    struct owner *row = NULL;
    for (int i = 0; i < OWNERS; i++) {
        if (owners[i].present && owners[i].allocator == allocator)
            return &owners[i];
        if (!owners[i].present && !row)
            row = &owners[i];
    }
    if (!row)
        return NULL;
    row->handle = handle;
    row->serving = 0;
    row->live = 0;
    row->allocator = Py_NewRef(allocator);
    atomic_store_explicit(&row->present, 1, memory_order_release);
    int used = (int)(row - owners) + 1;
    if (used > owner_count)
        atomic_store_explicit(&owner_count, used, memory_order_release);
    return row;
}

/* The count of live blocks, to be read where no order matters. */
static inline size_t *owner_live(struct owner *owner)
{
    return (size_t *)&owner->live;
}

static inline int owner_is_idle(struct owner *owner)
{
    return owner->present && !owner->serving && !owner->live;
}

static inline void owners_wait(void)
{
    while (atomic_load_explicit(&owner_readers, memory_order_seq_cst))
        sched_yield();
}

/* With the GIL: take one owner off the list that neither serves nor has live blocks; return its allocator, or NULL.
 *
 * It serves nobody any more, so once all who may have found it serving have counted their blocks, none is added; and once
 * all who may have found it in the list are through, it may go.
 */
static PyObject *owner_take_idle(void)
{
    for (int i = owner_count; i--;) {
        struct owner *owner = &owners[i];
        if (!owner_is_idle(owner))
            continue;
        owners_wait();
        if (atomic_load_explicit(&owner->live, memory_order_seq_cst))
            continue;
        atomic_store_explicit(&owner->present, 0, memory_order_seq_cst);
        owners_wait();
        PyObject *allocator = owner->allocator;
        owner->allocator = NULL;
        return allocator;
    }
    return NULL;
}

/* In a forked child: nobody else is there to look. */
static void owners_after_fork(void)
{
    atomic_store(&owner_readers, 0);
}

/* Give a block of the owner back. */
static inline void owner_release(struct owner *owner, void *block)
{
    handle_release(&owner->handle, block);
    atomic_fetch_sub_explicit(&owner->live, 1, memory_order_release);
}

static inline void *owner_allocate(struct owner *owner, size_t size) /* live is counted already */
{
    void *block = handle_allocate(&owner->handle, size, 16);
    if (!block)
        atomic_fetch_sub_explicit(&owner->live, 1, memory_order_release);
    return block;
}

#endif
