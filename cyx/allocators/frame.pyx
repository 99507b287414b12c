# cython: language_level=3, embedsignature=True
"""Blocks one after the other, all taken back at once."""

from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport Allocator, allocator


cdef class Frame(Allocator):
    """Blocks of any size, one after the other; ``reset`` takes all of them back at once, however many there are.

    It grows by mappings of its own, which it keeps, unless ``memory`` (a ``cyx.region.Region`` or another writable buffer) is
    given: then it lives in that and ends with it. Each block takes its size, 8 bytes, and what its alignment leaves over.
    A block that is freed makes room at once only where it is the last one. ``checked``: wrong uses of blocks are found.
    """

    def __cinit__(self, *, memory=None, checked=False):
        address, room = self.range_of(memory)
        frame_make(&self.frame, <void*><uintptr_t>address, room)
        self.adopt(&FRAME, &self.frame, 1 << 62, checked, True, FRAME_HEADER)

    def __dealloc__(self):
        frame_unmake(&self.frame)

    def scope(self):
        """Return a context manager: what is allocated in it is taken back at its end. Scopes lie in each other, 64 deep.

        BufferError at its end: a view of one of its blocks is still used. Then its blocks stay until the scope round it
        ends, or ``reset``. So they do, without an error, where an exception leaves the scope: its traceback may hold views.
        """
        return Scope(self)


cdef class Scope:
    """A part of a frame's life."""

    cdef Frame frame
    cdef unsigned depth

    def __init__(self, Frame frame not None):
        self.frame = frame

    def __enter__(self):
        if not self.frame.handle.kind.begin(self.frame.handle.state):
            raise ValueError("too many scopes are open: 64 is the most")
        self.frame.depth += 1
        self.depth = self.frame.depth
        return self.frame

    def __exit__(self, kind, *_):
        if self.depth > self.frame.depth:
            raise ValueError("this scope has ended already: with the one round it, or by reset")
        try:
            self.frame.refuse_while_used(self.depth)
        except BufferError:
            if kind is not None:
                return
            raise
        while self.frame.depth >= self.depth:  # those in it that could not end
            self.frame.handle.kind.end(self.frame.handle.state)
            self.frame.depth -= 1
        self.frame.say()
