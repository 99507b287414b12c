# cython: language_level=3
"""Where CPython keeps the frames of Python functions."""

cdef int lay_out_frame(object function) except -1
