# cython: language_level=3, embedsignature=True
"""A line of JSON taken apart: its numbers, and the line without them, its skeleton.

Lines that differ in their numbers alone have one skeleton: what is known of one of them is known of all.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.math cimport isfinite
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    double PyOS_string_to_double(const char *text, char **end, PyObject *overflow_exception) except? -1.0

cdef enum:
    DIGITS = 15  # significant ones that a double keeps, whichever they are
    SCALES = 22  # powers of ten up to this one are doubles themselves: one division by them is rounded once

cdef double[SCALES + 1] POWERS
for power in range(SCALES + 1):
    POWERS[power] = 10.0 ** power


cdef inline bint is_digit(unsigned char character) noexcept nogil:
    return c"0" <= character <= c"9"


cdef Py_ssize_t number(const char *text, double *value) except -1:
    """Read the number that a text begins with, which ends in 0; return its length, 0 where it is none that fits."""
    cdef const char *here = text
    cdef long long digits = 0
    cdef int significant = 0, fraction = 0
    cdef bint negative = here[0] == c"-"
    if negative:
        here += 1
    if not is_digit(here[0]):
        return 0
    if here[0] == c"0":
        here += 1
    else:
        while is_digit(here[0]):
            if significant < DIGITS:
                digits = digits * 10 + (here[0] - c"0")
            significant += 1
            here += 1
    cdef bint whole = here[0] not in (c".", c"e", c"E")
    if whole:
        if significant > DIGITS:
            return 0
        value[0] = -<double>digits if negative else <double>digits
        return here - text
    if here[0] == c".":
        here += 1
        if not is_digit(here[0]):
            return 0
        while is_digit(here[0]):
            if significant < DIGITS:
                digits = digits * 10 + (here[0] - c"0")
            if significant or here[0] != c"0":
                significant += 1
            fraction += 1
            here += 1
    cdef bint simple = here[0] not in (c"e", c"E") and significant <= DIGITS and fraction <= SCALES
    if simple:
        value[0] = digits / POWERS[fraction]
        if negative:
            value[0] = -value[0]
        return here - text
    if here[0] in (c"e", c"E"):
        here += 1
        if here[0] in (c"+", c"-"):
            here += 1
        if not is_digit(here[0]):
            return 0
        while is_digit(here[0]):
            here += 1
    cdef char *end = NULL
    value[0] = PyOS_string_to_double(text, &end, NULL)  # infinite where it is too large
    return here - text if end == here and isfinite(value[0]) else 0


def split(bytes line not None, Py_ssize_t start=0, dict known=None):
    """Return the skeleton of a line from ``start`` on, with a ``#`` for each number, and its numbers, 8 bytes each.

    Numbers in strings belong to the skeleton. None where a double does not hold a number as it is (a whole one of more
    than 15 digits, one beyond all doubles), and where there is a number that JSON does not know, or a ``#``. So
    of one skeleton's lines all are JSON, or none is.

    Args:
        known: skeletons by their lengths; one that is the line's is returned itself: it was hashed before.
    """
    cdef Py_ssize_t size = len(line)
    if not 0 <= start <= size:
        raise ValueError("start lies beyond the line")
    cdef const char *here = <const char *>line + start
    cdef const char *end = <const char *>line + size
    cdef const char *run = here  # what is not copied yet begins here
    # A number takes at least one character, and one more parts it from the next.
    cdef char *skeleton = <char *>PyMem_Malloc(size - start + 1)
    cdef double *numbers = <double *>PyMem_Malloc(((size - start) // 2 + 1) * sizeof(double))
    cdef Py_ssize_t written = 0, count = 0, length
    cdef bytes like
    try:
        if skeleton == NULL or numbers == NULL:
            raise MemoryError()
        while here < end:
            if here[0] == c'"':
                here += 1
                while here < end and here[0] != c'"':
                    here += 2 if here[0] == c"\\" else 1
                here += 1
            elif here[0] == c"-" or is_digit(here[0]):
                length = number(here, &numbers[count])
                # A number right behind another is none of JSON's, and there is no room for it.
                if length == 0 or (count and run == here):
                    return None
                memcpy(skeleton + written, run, here - run)
                written += here - run
                skeleton[written] = c"#"
                written += 1
                count += 1
                here += length
                run = here
            elif here[0] == c"#":
                return None
            else:
                here += 1
        if run < end:
            memcpy(skeleton + written, run, end - run)
            written += end - run
        like = None if known is None else known.get(written)
        if like is None or len(like) != written or memcmp(<const char *>like, skeleton, written) != 0:
            like = PyBytes_FromStringAndSize(skeleton, written)
        return like, PyBytes_FromStringAndSize(<char *>numbers, count * <Py_ssize_t>sizeof(double))
    finally:
        PyMem_Free(skeleton)
        PyMem_Free(numbers)
