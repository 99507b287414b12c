# cython: language_level=3
"""Checks of what a caller gives: each mistake is an error that begins with the argument's name."""

import operator
import sys

LARGEST = <size_t>-1 >> 1  # so that an offset plus a stride never overflows


cdef uint64_t whole(str name, object value, uint64_t least, uint64_t most) except? 0:
    """Return the argument as a whole number between the two, or raise ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number <= most:
        character = most == 255 and isinstance(value, (str, bytes)) and len(value) == 1 and ord(value) <= most
        hint = f", such as ord({value!r})" if character else ""
        raise ValueError(f"{name}={value!r}: give a whole number from {least} to {most}{hint}")
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


cdef tuple kind_of(object memory):
    """Return the type of the items as in PEP 3118 and their size; those of bytes where memory does not tell."""
    try:
        with memoryview(memory) as view:
            return view.format, view.itemsize
    except (BufferError, TypeError):
        return "B", 1
    except ValueError:  # NumPy has types that a buffer cannot name
        return str(getattr(memory, "dtype", "B")), 1


cdef int no_objects(str name, object memory) except -1:
    """Raise ValueError for memory that holds Python objects: pointers, no data, and not to be overwritten."""
    # A memoryview that was cast to bytes no longer tells what its owner holds.
    for holder in (memory, memory.obj) if isinstance(memory, memoryview) else (memory,):
        held = getattr(getattr(holder, "dtype", None), "hasobject", None)
        if held is None:
            held = "O" in "".join(kind_of(holder)[0].split(":")[::2])  # without names of fields, which are in colons
        if held:
            raise ValueError(f"{name}: holds Python objects: give an array of numbers or bytes")
    return 0


cdef str items(str name, object memory, str letters, str mend):
    """Return the letter of the items' type: bytes, or of these, 8 bytes in the order of this machine. Or ValueError.

    Memory that cannot be had passes for bytes: whoever takes it says why.
    """
    no_objects(name, memory)  # first: they have no view of another type
    kind, size = kind_of(memory)
    letter = kind.lstrip("@=<>!")
    swapped = kind.startswith((">", "!") if sys.byteorder == "little" else "<")
    if letter not in tuple("Bbc") and (swapped or size != WORD or letter not in tuple(letters)):
        raise ValueError(f"{name}: its items are of type {kind!r}: {mend}")
    return letter
