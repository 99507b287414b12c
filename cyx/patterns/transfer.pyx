# cython: language_level=3, embedsignature=True
"""What one pass came to."""


cdef class Transfer:
    """What one pass came to: bytes moved, accesses made, a checksum, and nanoseconds of the monotonic clock.

    The bytes are those that the program asks to be read and written, as in STREAM: what a cache fetches besides, such
    as a line before it is written, does not count. The checksum depends on the data and on nothing else.
    """

    def __repr__(self):
        return (
            f"Transfer(bytes={self.bytes}, accesses={self.accesses}, checksum={self.checksum}, "
            f"elapsed_ns={self.elapsed_ns})"
        )
