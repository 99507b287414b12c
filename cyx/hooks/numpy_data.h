/* NumPy's handler of array data: the layout of numpy/ndarraytypes.h, and of its table of C functions, both kept stable
 * since 1.22 (NEP 49). The table is asked for when it is needed, so that nobody needs NumPy to build or to import this.
 *
 * An array keeps the handler that it was made with, and so does what stands behind that.
 */
#ifndef CYX_HOOKS_NUMPY_DATA_H
#define CYX_HOOKS_NUMPY_DATA_H

#include <Python.h>

#include "counting.h"
#include "owners.h"

typedef struct {
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t count, size_t each);
    void *(*realloc)(void *ctx, void *block, size_t size);
    void (*free)(void *ctx, void *block, size_t size);
} data_allocator;

typedef struct {
    char name[127];
    uint8_t version;
    data_allocator allocator;
} data_handler;

enum { FEATURE_VERSION = 211, SET_HANDLER = 304, GET_HANDLER = 305 };
enum { OF_1_22 = 0xf }; /* NPY_1_22_API_VERSION */
static const char HANDLER_NAME[] = "mem_handler";

struct data_source {
    data_handler handler;   /* whose context is this structure */
    struct owner *owner;    /* NULL: only counts */
    PyObject *before;       /* the capsule that was in its place: what the owner cannot serve goes there */
    data_allocator *behind;
    int ended;              /* nobody wants it in its place any more, though it may still be there */
};

/* Return the function of NumPy's table, or NULL with an exception. */
static void *numpy_function(PyObject *table, int place)
{
    void **functions = PyCapsule_GetPointer(table, NULL);
    return functions ? functions[place] : NULL;
}

/* Calls of the handler behind, which may take its memory from the raw domain. */
static void *behind_malloc(const data_allocator *behind, size_t size)
{
    counting_inside++;
    void *block = behind->malloc(behind->ctx, size);
    counting_inside--;
    return block;
}

static void *behind_calloc(const data_allocator *behind, size_t count, size_t each)
{
    counting_inside++;
    void *block = behind->calloc(behind->ctx, count, each);
    counting_inside--;
    return block;
}

static void *behind_realloc(const data_allocator *behind, void *block, size_t size)
{
    counting_inside++;
    void *moved = behind->realloc(behind->ctx, block, size);
    counting_inside--;
    return moved;
}

static void behind_free(const data_allocator *behind, void *block, size_t size)
{
    counting_inside++;
    behind->free(behind->ctx, block, size);
    counting_inside--;
}

static inline struct owner *data_owner(struct data_source *source, size_t size)
{
    if (source->ended || !source->owner || size > source->owner->handle.largest)
        return NULL;
    atomic_fetch_add_explicit(&source->owner->live, 1, memory_order_relaxed);
    return source->owner;
}

static inline void *data_count(void *block, size_t size)
{
    if (counting_is_on() && !counting_inside)
        count_allocation(block, size);
    return block;
}

static void *data_malloc(void *context, size_t size)
{
    struct data_source *source = context;
    struct owner *owner = data_owner(source, size);
    return data_count(owner ? owner_allocate(owner, size) : behind_malloc(source->behind, size), size);
}

static void *data_calloc(void *context, size_t count, size_t each)
{
    struct data_source *source = context;
    if (each && count > PTRDIFF_MAX / each)
        return NULL;
    struct owner *owner = data_owner(source, count * each);
    if (!owner)
        return data_count(behind_calloc(source->behind, count, each), count * each);
    void *block = owner_allocate(owner, count * each);
    if (block)
        memset(block, 0, count * each);
    return data_count(block, count * each);
}

static inline int data_is_owned(struct data_source *source, void *block)
{
    return source->owner && source->owner->handle.kind->owns(source->owner->handle.state, block);
}

static void data_free(void *context, void *block, size_t size)
{
    struct data_source *source = context;
    if (counting_is_on() && !counting_inside)
        count_free(block);
    if (!block)
        return;
    if (data_is_owned(source, block))
        owner_release(source->owner, block);
    else
        behind_free(source->behind, block, size);
}

static void *data_realloc(void *context, void *block, size_t size)
{
    struct data_source *source = context;
    if (!block)
        return data_malloc(context, size);
    int counted = counting_is_on() && !counting_inside;
    struct taken_out taken = counted ? counting_take_out(block) : (struct taken_out){0};
    void *moved;
    if (!data_is_owned(source, block)) {
        moved = behind_realloc(source->behind, block, size);
    } else if (size <= source->owner->handle.largest) {
        moved = source->owner->handle.kind->reallocate(source->owner->handle.state, block, size ? size : 1);
    } else {
        size_t before = source->owner->handle.kind->size_of(source->owner->handle.state, block);
        moved = behind_malloc(source->behind, size);
        if (moved) {
            memcpy(moved, block, before < size ? before : size);
            owner_release(source->owner, block);
        }
    }
    if (counted)
        counting_moved(taken, moved, size);
    return moved;
}

static void data_source_end(PyObject *capsule)
{
    struct data_source *source = PyCapsule_GetContext(capsule);
    if (source->owner)
        source->owner->serving--;
    Py_XDECREF(source->before);
    PyMem_RawFree(source);
}

static struct data_source *data_source_of(PyObject *capsule)
{
    if (PyCapsule_GetDestructor(capsule) != data_source_end) { /* not one of ours */
        PyErr_Clear();
        return NULL;
    }
    return PyCapsule_GetContext(capsule);
}

static void data_source_set_ended(PyObject *capsule)
{
    data_source_of(capsule)->ended = 1;
}

/* Return the capsule, or the first one behind it that has not ended: sources may end in any order. */
static PyObject *data_source_open(PyObject *capsule)
{
    struct data_source *source;
    while ((source = data_source_of(capsule)) && source->ended)
        capsule = source->before;
    return Py_NewRef(capsule);
}

/* Return a new capsule of a handler in front of the one in another capsule, or NULL with an exception. */
static PyObject *data_source_make(struct owner *owner, PyObject *before)
{
    data_handler *behind = PyCapsule_GetPointer(before, HANDLER_NAME);
    if (!behind)
        return NULL;
    struct data_source *source = PyMem_RawCalloc(1, sizeof *source);
    if (!source)
        return PyErr_NoMemory();
    const char *name = owner ? owner->handle.kind->name : "counting";
    PyOS_snprintf(source->handler.name, sizeof source->handler.name, "cyx.%s", name);
    source->handler.version = 1;
    source->handler.allocator = (data_allocator){source, data_malloc, data_calloc, data_realloc, data_free};
    source->behind = &behind->allocator;
    PyObject *capsule = PyCapsule_New(source, HANDLER_NAME, NULL);
    if (!capsule || PyCapsule_SetContext(capsule, source)) {
        Py_XDECREF(capsule);
        PyMem_RawFree(source);
        return NULL;
    }
    source->owner = owner;
    source->before = Py_NewRef(before);
    if (owner)
        owner->serving++;
    PyCapsule_SetDestructor(capsule, data_source_end);
    return capsule;
}

#endif
