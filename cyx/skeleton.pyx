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
    RECENT = 8   # forms that are kept
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


cdef struct Form:
    # A skeleton that was seen, and the lengths of its pieces before, between and behind the numbers.
    const char *text
    const char *end
    Py_ssize_t *pieces
    Py_ssize_t numbers


cdef inline bint may_be(const Form *form, const char *here, const char *end) noexcept:
    """Tell whether a text ends as this form does: lines of several forms often differ near their end."""
    cdef Py_ssize_t last = form.pieces[form.numbers]
    return end - here >= last and memcmp(end - last, form.end - last, last) == 0


cdef bint follow(const Form *form, const char *here, const char *end, double *numbers) except -1:
    """Read the numbers of a text that has this form; False where it has another one."""
    cdef const char *text = form.text
    cdef Py_ssize_t place, length
    for place in range(form.numbers + 1):
        length = form.pieces[place]
        if end - here < length or memcmp(here, text, length) != 0:
            return False
        here += length
        text += length + 1  # and the "#"
        if place < form.numbers:
            length = number(here, &numbers[place])
            if length == 0:
                return False
            here += length
    return here == end


cdef class Splitter:
    """Takes lines apart; first it tries the forms of the last few, piece by piece, which is faster."""

    cdef Form forms[RECENT]
    cdef list skeletons
    cdef int kept, oldest

    def __cinit__(self):
        self.skeletons = [None] * RECENT

    def __dealloc__(self):
        cdef int each
        for each in range(self.kept):
            PyMem_Free(self.forms[each].pieces)

    def split(self, bytes line not None, Py_ssize_t start=0):
        """Return the skeleton of a line from ``start`` on, with a ``#`` for each number, and its numbers, 8 bytes each.

        Numbers in strings belong to the skeleton. None where a double does not hold a number as it is (a whole one of
        more than 15 digits, one beyond all doubles), and where there is a number that JSON does not know, or a ``#``.
        So of one skeleton's lines all are JSON, or none is. ValueError where the start lies beyond the line.
        """
        cdef Py_ssize_t size = len(line)
        if not 0 <= start <= size:
            raise ValueError("start lies beyond the line")
        cdef const char *here = <const char *>line + start
        cdef const char *end = <const char *>line + size
        return self.as_before(here, end) or self.take_apart(here, end)

    def split_all(self, list lines not None, Py_ssize_t first, bytes before not None):
        """Return (string, (skeleton, numbers)) of the lines from ``first`` on, up to one that is not like the last few.

        Each is ``before``, a string of printable ASCII without escapes that begins there, the rest, which is taken
        apart, and a comma with the end of the line. ValueError where ``first`` is negative.
        """
        if first < 0:
            raise ValueError("first is negative")
        cdef list apart = []
        cdef Py_ssize_t place, size, length = len(before)
        cdef const char *start = <const char *>before
        cdef const char *text
        cdef const char *here
        cdef const char *end
        cdef bytes line
        cdef tuple rest
        for place in range(first, len(lines)):
            line = lines[place]
            size = len(line)
            text = <const char *>line
            if size < length + 2 or memcmp(text, start, length) != 0 or memcmp(text + size - 2, b",\n", 2) != 0:
                break
            text += length
            here = text
            while c" " <= here[0] <= c"~" and here[0] != c'"' and here[0] != c"\\":
                here += 1
            end = <const char *>line + size - 2
            if here[0] != c'"':  # which is before the comma, for the end of the line stops this
                break
            rest = self.as_before(here + 1, end)
            if rest is None:
                break
            apart.append((text[: here - text].decode("ascii"), rest))
        return apart

    cdef tuple as_before(self, const char *here, const char *end):
        """Take a text apart that has one of the forms that are kept; None where it has another one."""
        cdef bytes numbers
        cdef int each
        for each in range(self.kept):
            if may_be(&self.forms[each], here, end):
                numbers = PyBytes_FromStringAndSize(NULL, self.forms[each].numbers * <Py_ssize_t>sizeof(double))
                if follow(&self.forms[each], here, end, <double *><char *>numbers):
                    return self.skeletons[each], numbers
        return None

    cdef tuple take_apart(self, const char *here, const char *end):
        """Do what ``split`` does, for a line of any form, and keep its form."""
        cdef const char *run = here  # what is not copied yet begins here
        # A number takes at least one character, and one more parts it from the next.
        cdef Py_ssize_t most = (end - here) // 2 + 1
        cdef char *skeleton = <char *>PyMem_Malloc(end - here + 1)
        cdef double *numbers = <double *>PyMem_Malloc(most * sizeof(double))
        cdef Py_ssize_t *pieces = <Py_ssize_t *>PyMem_Malloc((most + 1) * sizeof(Py_ssize_t))
        cdef Py_ssize_t written = 0, count = 0, length
        try:
            if skeleton == NULL or numbers == NULL or pieces == NULL:
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
                    pieces[count] = here - run
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
            # A string that does not end takes this beyond the end.
            pieces[count] = max(end - run, 0)
            memcpy(skeleton + written, run, pieces[count])
            apart = (
                PyBytes_FromStringAndSize(skeleton, written + pieces[count]),
                PyBytes_FromStringAndSize(<char *>numbers, count * <Py_ssize_t>sizeof(double)),
            )
            self.keep(apart[0], pieces, count)
            pieces = NULL
            return apart
        finally:
            PyMem_Free(skeleton)
            PyMem_Free(numbers)
            PyMem_Free(pieces)

    cdef int keep(self, bytes skeleton, Py_ssize_t *pieces, Py_ssize_t numbers) except -1:
        """Keep a form in the place of the oldest; the pieces are this object's to free."""
        cdef int place = self.oldest
        if place < self.kept:
            PyMem_Free(self.forms[place].pieces)
        else:
            self.kept += 1
        self.skeletons[place] = skeleton
        cdef const char *text = <const char *>skeleton
        self.forms[place] = Form(text, text + len(skeleton), pieces, numbers)
        self.oldest = (place + 1) % RECENT
        return 0
