# cython: language_level=3
"""Checks of what a caller gives: each mistake is an error that begins with the argument's name."""

import operator

LARGEST = <size_t>-1 >> 1  # so that an offset plus a stride never overflows


cdef uint64_t whole(str name, object value, uint64_t least, uint64_t most) except? 0:
    """Return the argument as a whole number between the two, or raise ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number <= most:
        raise ValueError(f"{name}={value!r}: give a whole number from {least} to {most}")
    return number


cdef double number(str name, object value) except? -1:
    """Return the argument as a floating-point number, or raise ValueError."""
    if isinstance(value, (bool, str, bytes)):
        raise ValueError(f"{name}={value!r}: give a number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={value!r}: give a number") from None


cdef int descriptor(str name, object source) except -1:
    """Return the descriptor of an open file. TypeError for what is no file, ValueError for one that has none."""
    number = source
    if not isinstance(source, int) and hasattr(source, "fileno"):
        try:
            number = source.fileno()
        except (OSError, ValueError) as error:  # closed, or a file that lives in Python alone
            raise ValueError(f"{name}={source!r} has no descriptor: give an open file of the system") from error
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(
            f"{name} is of type {type(source).__name__}: "
            "give an object with the buffer protocol (bytes, mmap, an array), or an open file"
        )
    if not 0 <= number <= 0x7FFFFFFF:
        raise ValueError(f"{name}={source!r} is no descriptor: give an open file")
    return number
