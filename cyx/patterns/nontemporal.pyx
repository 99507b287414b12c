# cython: language_level=3, embedsignature=True, cdivision=True
"""Non-temporal stores: memory is written past the caches, and no line is read before it is written."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport whole
from cyx.patterns.running cimport LINE, Access, Pass, count_words, sample

import errno

cdef extern from "nontemporal.h" nogil:
    int NONTEMPORAL
    void write_past_caches(unsigned char* memory, size_t size, uint64_t value)
    void copy_past_caches(unsigned char* target, const unsigned char* source, size_t size)


cdef int write_part(Access* access) noexcept nogil:
    count_words(access, access.last - access.first)
    write_past_caches(access.target + access.first, access.last - access.first, access.value)
    return 0


cdef int copy_part(Access* access) noexcept nogil:
    count_words(access, access.last - access.first, 2)
    copy_past_caches(access.target + access.first, access.source + access.first, access.last - access.first)
    return 0


cdef int known() except -1:
    """Raise OSError where this processor's non-temporal stores are not known."""
    if not NONTEMPORAL:
        raise OSError(errno.ENOTSUP, "non-temporal stores are there for x86 alone: take write or copy")
    return 0


def write_nontemporal(target, value=0, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Write one 8-byte word again and again, past the caches: otherwise as ``write``."""
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    known()
    this.access.value = whole("value", value, 0, <uint64_t>-1)
    this.write("target", target)
    return this.run(write_part, this.access.size, LINE, sample)


def copy_nontemporal(target, source, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Copy bytes, past the caches where they are written: otherwise as ``copy``."""
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    known()
    this.write("target", target)
    this.read("source", source)
    return this.run(copy_part, this.access.size, LINE, sample)
