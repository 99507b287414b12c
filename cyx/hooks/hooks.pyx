# cython: language_level=3, embedsignature=True
"""Allocators behind NumPy's arrays and CPython's memory domains, and counts of what these allocate.

CPython has three domains (PEP 445): ``raw``, ``mem`` and ``object``; NumPy asks a data handler (NEP 49), which is a
context variable: asyncio's tasks inherit it, a new thread has it only where it runs in a copy of the context.
"""

from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from cpython.ref cimport Py_DECREF, PyObject

from cyx.allocators.allocator cimport Allocator, handle

import sys
import sysconfig
import tracemalloc

cdef extern from "<pthread.h>" nogil:
    int pthread_atfork(void (*prepare)() noexcept, void (*parent)() noexcept, void (*child)() noexcept)

cdef extern from "counting.h" nogil:
    int counting_paused
    int counting_is_on()
    int counting_begin(counts* counts)
    void counting_end(counts* counts)
    void counting_lock() noexcept
    void counting_unlock() noexcept

cdef extern from "owners.h":
    enum:
        OWNERS

    struct owner:
        int present
        PyObject* allocator
        handle handle
        size_t live
        long serving

    owner* owner_add(handle handle, PyObject* allocator)
    size_t* owner_live(owner* owner)
    owner[64] owners
    PyObject* owner_take_idle()
    void owners_after_fork() noexcept nogil

cdef extern from "domains.h":
    struct domain:
        owner* now

    domain[3] domains
    void domain_install(int which)

cdef extern from "numpy_data.h":
    enum:
        FEATURE_VERSION
        OF_1_22
        SET_HANDLER
        GET_HANDLER

    void* numpy_function(object table, int place) except NULL
    object data_source_make(owner* owner, object before)
    void data_source_set_ended(object capsule)
    object data_source_open(object capsule)

cdef extern from "Python.h" nogil:
    void* PyMem_RawMalloc(size_t size)
    void PyMem_RawFree(void* block)

cdef extern from "Python.h":
    void* PyMem_Malloc(size_t size)
    void PyMem_Free(void* block)
    void* PyObject_Malloc(size_t size)
    void PyObject_Free(void* block)

DOMAINS = ("numpy", "object", "mem", "raw")
PYTHON_DOMAINS = {"raw": 0, "mem": 1, "object": 2}

cdef void after_fork() noexcept nogil:
    owners_after_fork()
    counting_unlock()

if pthread_atfork(counting_lock, counting_unlock, after_fork):
    raise MemoryError("pthread_atfork")


cdef void pause() noexcept nogil:
    global counting_paused
    counting_paused = 1


cdef void resume() noexcept nogil:
    global counting_paused
    counting_paused = 0


cdef bint objects_are_swapped() noexcept nogil:
    """Tell whether an allocator serves Python's objects instead of its own."""
    return domains[2].now != NULL


cdef class NumPyHandler:
    """NumPy's functions that get and set the handler of this context."""

    cdef void* table_get
    cdef void* table_set

    def __cinit__(self):
        import numpy

        if int(numpy.__version__.split(".")[0]) >= 2:
            from numpy._core import _multiarray_umath as core
        else:
            from numpy.core import _multiarray_umath as core
        table = core._ARRAY_API
        if (<unsigned (*)() noexcept>numpy_function(table, FEATURE_VERSION))() < OF_1_22:
            raise ImportError("NumPy 1.22 or newer is needed: its data handlers came with that")
        self.table_get = numpy_function(table, GET_HANDLER)
        self.table_set = numpy_function(table, SET_HANDLER)

    cdef object get(self):
        return (<object (*)()>self.table_get)()

    cdef object put(self, owner* owner):
        """Put a new handler in front of the one that is there, which counts, and asks the owner, if any; return it."""
        handler = data_source_make(owner, data_source_open(self.get()))
        (<object (*)(object)>self.table_set)(handler)
        return handler

    cdef int take_away(self, handler) except -1:
        """End a handler that was put; those that ended before it go with it, and one in front of it keeps it."""
        data_source_set_ended(handler)
        now = self.get()
        wanted = data_source_open(now)
        if wanted is not now:
            (<object (*)(object)>self.table_set)(wanted)
        return 0

cdef NumPyHandler numpy_handler = None


cdef NumPyHandler handler_of_numpy():
    global numpy_handler
    if numpy_handler is None:
        numpy_handler = NumPyHandler()
    return numpy_handler


def unavailable():
    """Return why allocations can be neither counted nor sent elsewhere in this interpreter; None where they can."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded Python allocates by other ways than its memory domains: use a build with the GIL"
    if tracemalloc.is_tracing():
        return "tracemalloc is tracing, which allocates itself, and may take the hooks away at its end: stop it"
    return None


cdef require():
    """Put the hooks into their place, once. RuntimeError where they cannot be, or are not any more."""
    reason = unavailable()
    if reason is None:
        for which in range(3):
            domain_install(which)
        if not domains_are_reached():
            reason = "something that does not hand calls on took the place of the allocator hooks: stop it"
    if reason is not None:
        raise RuntimeError(reason)


cdef bint domains_are_reached():
    """Tell whether an allocation in each domain is counted."""
    cdef counts seen
    cdef void* raw
    cdef void* mem
    cdef void* block
    global counting_paused
    cdef int paused = counting_paused
    if counting_is_on():  # it was looked at then
        return True
    if not counting_begin(&seen):
        raise MemoryError("no memory to count allocations with")
    counting_paused = 0
    raw = PyMem_RawMalloc(1)
    PyMem_RawFree(raw)
    mem = PyMem_Malloc(1)
    PyMem_Free(mem)
    block = PyObject_Malloc(1)
    PyObject_Free(block)
    counting_paused = paused
    counting_end(&seen)
    return seen.allocations >= 3


cdef sweep():
    """Let go of allocators that are not needed any more."""
    cdef PyObject* idle = owner_take_idle()
    while idle != NULL:
        (<Allocator>idle).hooked = NULL
        Py_DECREF(<object>idle)
        idle = owner_take_idle()


cdef bint lies_in(Allocator inner, Allocator outer):
    """Tell whether the memory that one was given is the other's."""
    return inner.memory is not None and outer.raw.kind.owns(
        outer.raw.state, PyMemoryView_GET_BUFFER(inner.lent).buf
    )


cdef bint overlaps(Allocator allocator):
    """Tell whether it lies in the memory of another one whose blocks Python has, or the other way round."""
    cdef Allocator other
    cdef int i
    for i in range(OWNERS):
        if owners[i].present:
            other = <Allocator>owners[i].allocator
            if other is not allocator and (lies_in(allocator, other) or lies_in(other, allocator)):
                return True
    return False


cdef class Counter:
    """Counts the allocations of a stretch: NumPy's data in this context, and CPython's domains in all threads.

    A context manager, or ``cyx.probes.Interval.counter``. A ``realloc`` counts as an allocation and a free. Objects
    that Python takes from its free lists (floats, tuples ...) are no allocations. RuntimeError: see ``unavailable``.
    """

    def __init__(self):
        require()

    cdef int attach(self) except -1:
        """Count what NumPy allocates, too, where it is there; before the start."""
        if "numpy" in sys.modules:
            self.handler = handler_of_numpy().put(NULL)
        return 0

    cdef int begin(self) noexcept nogil:
        if self.running:
            return 0
        self.running = counting_begin(&self.counts) != 0
        self.counts.lost = not self.running
        return self.running

    cdef void end(self) noexcept nogil:
        if self.running:
            counting_end(&self.counts)
            self.running = False

    cdef int detach(self) except -1:
        """Undo ``attach``; after the end."""
        if self.handler is not None:
            handler_of_numpy().take_away(self.handler)
            self.handler = None
        return 0

    def __dealloc__(self):
        self.end()
        if self.handler is not None:
            data_source_set_ended(self.handler)

    def __enter__(self):
        if self.running:
            raise RuntimeError("it counts already")
        self.attach()
        if not self.begin():
            self.detach()
            raise MemoryError("no memory to count allocations with")
        return self

    def __exit__(self, kind, exception, traceback):
        self.end()
        self.detach()

    @property
    def allocations(self) -> int:
        """Blocks allocated."""
        return self.counts.allocations

    @property
    def frees(self) -> int:
        """Blocks freed of those that were allocated in between."""
        return self.counts.frees

    @property
    def allocated_bytes(self) -> int:
        """Bytes asked for, in sum."""
        return self.counts.allocated

    @property
    def live_blocks(self) -> int:
        """Blocks allocated in between that are still there."""
        return self.counts.live_blocks

    @property
    def live_bytes(self) -> int:
        """Bytes of these, as they were asked for."""
        return self.counts.live

    @property
    def peak_heap(self) -> int:
        """The most that the bytes of blocks allocated in between, and not freed yet, ever were."""
        return self.counts.peak

    @property
    def size_classes(self) -> dict:
        """Allocations by size: {2 ** n: those of more than 2 ** (n - 1) and at most 2 ** n bytes}."""
        return {1 << n: self.counts.classes[n] for n in range(COUNTING_CLASSES) if self.counts.classes[n]}

    @property
    def is_complete(self) -> bool:
        """Whether there was memory to keep all blocks in mind; else the counts are too low."""
        return not self.counts.lost


class SwapOrderError(RuntimeError):
    """A swap was to end while another one, which was entered after it, still serves one of its domains."""


cdef class Swap:
    """A context manager: while it is entered, the allocator serves the given domains; it returns the allocator.

    ``domains``: any of "numpy", "object", "mem", "raw". Sizes beyond the allocator's ``largest`` go where they went
    before. Each block goes back to the allocator that it came from, whenever it is freed; the allocator lives until the
    last one is. ValueError for unknown domains, and for an allocator that cannot serve them; RuntimeError: see
    ``unavailable``.
    """

    cdef readonly Allocator allocator
    cdef readonly tuple domains
    cdef owner* owner
    cdef void* before[3]
    cdef object handler
    cdef readonly bint entered

    def __init__(self, Allocator allocator not None, domains=("numpy",)):
        if isinstance(domains, str):
            domains = (domains,)
        names = tuple(dict.fromkeys(domains))
        for name in names:
            if name not in DOMAINS:
                raise ValueError(f"domains={domains!r}: any of {', '.join(DOMAINS)}")
        if not names:
            raise ValueError(f"domains={domains!r}: name at least one of {', '.join(DOMAINS)}")
        try:
            allocator.free(allocator.malloc(1, 16))
        except ValueError as error:
            raise ValueError(f"{error}: Python and NumPy need blocks at multiples of 16") from None
        self.allocator = allocator
        self.domains = names

    def __enter__(self):
        cdef NumPyHandler numpy = None
        if self.entered:
            raise RuntimeError("this swap is entered already: make another one")
        require()
        if "numpy" in self.domains:
            try:
                numpy = handler_of_numpy()
            except ImportError as error:
                raise ValueError(f"domains: NumPy cannot be used ({error}): pip install numpy") from None
        sweep()
        if overlaps(self.allocator):
            raise ValueError(
                "the memory of this allocator is a block of another one that serves Python, or the other way round: "
                "give it a region"
            )
        self.owner = owner_add(self.allocator.handle, <PyObject*>self.allocator)
        if self.owner == NULL:
            raise RuntimeError("64 allocators have live blocks of Python: let go of these first")
        self.allocator.hooked = owner_live(self.owner)
        self.owner.serving += 1
        self.entered = True
        if numpy is not None:
            try:
                self.handler = numpy.put(self.owner)
            except MemoryError:
                self.owner.serving -= 1
                self.entered = False
                raise
        for name in self.domains:
            if name != "numpy":
                which = PYTHON_DOMAINS[name]
                self.before[<int>which] = <void*>domains[<int>which].now
                domains[<int>which].now = self.owner
        return self.allocator

    def __exit__(self, kind, exception, traceback):
        if not self.entered:
            raise RuntimeError("this swap is not entered")
        for name in self.domains:
            if name != "numpy" and domains[<int>PYTHON_DOMAINS[name]].now != self.owner:
                raise SwapOrderError("swaps of one domain end in the opposite order of their beginning")
        self.entered = False
        for name in self.domains:
            if name != "numpy":
                which = PYTHON_DOMAINS[name]
                domains[<int>which].now = <owner*>self.before[<int>which]
        if self.handler is not None:
            handler_of_numpy().take_away(self.handler)
            self.handler = None
        self.owner.serving -= 1
        sweep()
        self.allocator.say()
