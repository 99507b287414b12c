# cython: language_level=3, embedsignature=True
"""Blocks one after the other, all taken back at once."""

from libc.stdint cimport uintptr_t
from libc.string cimport memset

from cyx.allocators.allocator cimport CHECKED_CLEARS, Allocator


cdef class Frame(Allocator):
    """Blocks of any size, one after the other; ``reset`` takes all of them back at once, however many there are.

    It grows by mappings of its own, which it keeps, unless ``memory`` (a ``cyx.region.Region`` or another writable
    buffer) is given: then it lives in that and ends with it. Each block takes its size, 8 bytes, and what its alignment
    leaves over. A block that is freed makes room at once only where it is the last one. ``checked``: wrong uses of
    blocks are found (``Corruption``); memory that is given is cleared then.
    """

    def __cinit__(self, *, memory=None, checked=False):
        cdef uintptr_t address
        cdef size_t room
        address, room = self.range_of(memory)
        if checked:
            memset(<void*>address, 0, room)
        frame_make(&self.frame, <void*>address, room)
        self.spans = &self.frame.memory
        self.adopt(&FRAME, &self.frame, 1 << 62, checked, CHECKED_CLEARS, FRAME_HEADER)

    def __dealloc__(self):
        frame_unmake(&self.frame)

    cdef int refuse_while_used(self, unsigned depth) except -1:
        Allocator.refuse_while_used(self, depth)
        if depth and self.hooked != NULL and self.hooked[0]:
            self.statistics  # what waits in checked mode is freed
            if frame_live_within(&self.frame, depth):
                raise BufferError(
                    f"{self.hooked[0]} blocks of this frame are alive in Python or NumPy, and there are live blocks in "
                    "this scope: let go of them first"
                )
        return 0

    def scope(self):
        """Return a context manager: what is allocated in it is taken back at its end. They lie in each other, 64 deep.

        BufferError at its end: a view of one of its blocks is still used. Then its blocks stay until the scope round
        it ends, or ``reset``. So they do, without an error, where an exception leaves it: its traceback may hold views.
        ValueError: too many are open, or this one was ended by the one round it, or by ``reset``.
        """
        return Scope(self)


cdef class Scope:
    """A part of a frame's life."""

    cdef Frame frame
    cdef unsigned depth  # 0: not open
    cdef unsigned long long number

    def __init__(self, Frame frame not None):
        self.frame = frame

    def __enter__(self):
        cdef Frame frame = self.frame
        if self.depth:
            raise ValueError("this scope is open already: frame.scope() makes another one")
        if not frame.handle.kind.begin(frame.handle.state):
            raise ValueError("too many scopes are open: 64 is the most")
        frame.depth += 1
        frame.begun += 1
        frame.scopes[frame.depth] = frame.begun
        self.depth = frame.depth
        self.number = frame.begun
        return frame

    def __exit__(self, kind, *_):
        cdef Frame frame = self.frame
        cdef unsigned depth = self.depth
        self.depth = 0
        if depth == 0 or depth > frame.depth or frame.scopes[depth] != self.number:
            raise ValueError("this scope has ended already: with the one round it, or by reset")
        try:
            frame.refuse_while_used(depth)
        except BufferError:
            if kind is not None:
                return
            raise
        while frame.depth >= depth:  # those in it that could not end
            frame.handle.kind.end(frame.handle.state)
            frame.depth -= 1
        frame.say()
