# cython: language_level=3
"""Checks of what a caller gives: each mistake is an error that begins with the argument's name."""

from libc.stdint cimport uint64_t

cdef enum:
    WORD = sizeof(uint64_t)

cdef size_t LARGEST

cdef uint64_t whole(str name, object value, uint64_t least, uint64_t most) except? 0
cdef double number(str name, object value) except? -1
cdef int descriptor(str name, object source) except -1
cdef int no_objects(str name, object memory) except -1
cdef str items(str name, object memory, str letters, str mend)
