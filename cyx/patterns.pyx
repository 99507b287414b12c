# cython: language_level=3, embedsignature=True
"""Access patterns over memory or a file: one loop in C for each, without the GIL.

A source is any object with the buffer protocol (bytes, mmap, a NumPy array in C order), or a file: its descriptor, or
an object with ``fileno()``. Memory is read in place. A file is read with pread(2), from its start, and keeps its
position, so that every call gives the same answer. A checksum is a sum of what was read modulo 2**64: it does not
depend on whether the same bytes were reached through memory or through a file.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cyx cimport clock
from cyx.linux cimport pread

import mmap
import operator
import os
import stat

cdef enum:
    WORD = sizeof(uint64_t)
    LANE = 256               # bytes
    FILE_BLOCK = 256 * 1024  # bytes of a call by which scan reads a file: whole words, and little enough for L2

cdef size_t LARGEST = <size_t>-1 >> 1  # so that an offset plus a stride never overflows


cdef class Transfer:
    """What one pass came to: bytes read, accesses made, checksum over them, and nanoseconds of the monotonic clock."""

    def __repr__(self):
        return (
            f"Transfer(bytes={self.bytes}, accesses={self.accesses}, checksum={self.checksum}, "
            f"elapsed_ns={self.elapsed_ns})"
        )


cdef uint64_t random_word(uint64_t seed, uint64_t index) noexcept nogil:
    """Return word number ``index`` of the stream that the seed names (SplitMix64: Steele, Lea and Flood, 2014)."""
    cdef uint64_t word = seed + (index + 1) * <uint64_t>0x9E3779B97F4A7C15
    word = (word ^ (word >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    word = (word ^ (word >> 27)) * <uint64_t>0x94D049BB133111EB
    return word ^ (word >> 31)


# --- the loops -------------------------------------------------------------------------------------------------------

cdef int read_at(int fd, unsigned char* buffer, size_t wanted, size_t offset, size_t* got) noexcept nogil:
    """Read until the buffer is full or the file ends; a signal or a short read in between is gone on from."""
    cdef long length
    got[0] = 0
    while got[0] < wanted:
        length = pread(fd, buffer + got[0], wanted - got[0], <long>(offset + got[0]))
        if length == 0:
            break
        if length > 0:
            got[0] += <size_t>length
        elif errno != EINTR:
            return errno
    return 0


cdef int touch_memory(Access* access) noexcept nogil:
    cdef size_t offset = 0
    cdef uint64_t checksum = 0
    while offset < access.size:
        checksum += access.memory[offset]
        offset += access.stride
    access.checksum = checksum
    access.bytes = access.accesses = (access.size + access.stride - 1) // access.stride
    return 0


cdef int touch_file(Access* access) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t got
    cdef unsigned char value
    cdef int error
    while offset < access.size:
        error = read_at(access.fd, &value, 1, offset, &got)
        if error:
            return error
        if got == 0:
            break
        access.checksum += value
        access.accesses += 1
        offset += access.stride
    access.bytes = access.accesses
    return 0


cdef int touch_random_memory(Access* access) noexcept nogil:
    cdef size_t i
    cdef uint64_t checksum = 0
    for i in range(access.count):
        checksum += access.memory[random_word(access.seed, i) % access.size]
    access.checksum = checksum
    access.bytes = access.accesses = access.count
    return 0


cdef int touch_random_file(Access* access) noexcept nogil:
    cdef size_t i
    cdef size_t got
    cdef unsigned char value
    cdef int error
    for i in range(access.count):
        error = read_at(access.fd, &value, 1, random_word(access.seed, i) % access.size, &got)
        if error:
            return error
        access.checksum += value * got
        access.accesses += got
    access.bytes = access.accesses
    return 0


cdef void take_block(Access* access, size_t offset, size_t length) noexcept nogil:
    """Add the bytes of the block whose offset in the source is a multiple of the stride."""
    cdef size_t i = (access.stride - offset % access.stride) % access.stride
    cdef uint64_t checksum = 0
    while i < length:
        checksum += access.buffer[i]
        i += access.stride
    access.checksum += checksum
    access.bytes += length
    access.accesses += 1


cdef int read_blocks_memory(Access* access) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t length
    while offset < access.size:
        length = min(access.block, access.size - offset)
        memcpy(access.buffer, access.memory + offset, length)
        take_block(access, offset, length)
        offset += length
    return 0


cdef int read_blocks_file(Access* access) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t got
    cdef int error
    while True:
        error = read_at(access.fd, access.buffer, access.block, offset, &got)
        if error or got == 0:
            return error
        take_block(access, offset, got)
        offset += got


cdef uint64_t word_at(const unsigned char* place) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, place, WORD)  # becomes a plain load, whatever the alignment
    return word


cdef uint64_t sum_of_words(const unsigned char* memory, size_t size) noexcept nogil:
    """Return the sum of the 8-byte words, and of the bytes that are left over behind the last one."""
    # Four sums over four lanes of a row: one sum is a chain of additions, and stops at 27 GB/s where memory gives 30
    # and L2 115. Lanes of words that lie side by side were slower (16 GB/s), rows of 4 KiB too: the lanes alias.
    cdef uint64_t a = 0
    cdef uint64_t b = 0
    cdef uint64_t c = 0
    cdef uint64_t d = 0
    cdef const unsigned char* row = memory
    cdef const unsigned char* end = memory + size
    cdef size_t i
    cdef size_t words = LANE // WORD
    while end - row >= 4 * LANE:
        for i in range(words):
            a += word_at(row + i * WORD)
            b += word_at(row + LANE + i * WORD)
            c += word_at(row + 2 * LANE + i * WORD)
            d += word_at(row + 3 * LANE + i * WORD)
        row += 4 * LANE
    a += b + c + d
    while end - row >= WORD:
        a += word_at(row)
        row += WORD
    while row < end:
        a += row[0]
        row += 1
    return a


cdef int scan_memory(Access* access) noexcept nogil:
    access.checksum = sum_of_words(access.memory, access.size)
    access.bytes = access.size
    access.accesses = (access.size + WORD - 1) // WORD
    return 0


cdef int scan_file(Access* access) noexcept nogil:
    cdef size_t offset = 0
    cdef size_t got
    cdef int error
    while True:
        error = read_at(access.fd, access.buffer, access.block, offset, &got)
        if error or got == 0:
            access.bytes = offset
            access.accesses = (offset + WORD - 1) // WORD
            return error
        access.checksum += sum_of_words(access.buffer, got)
        offset += got


# One row for each pattern.
cdef Pattern TOUCH = Pattern(touch_memory, touch_file)
cdef Pattern TOUCH_RANDOM = Pattern(touch_random_memory, touch_random_file)
cdef Pattern READ_BLOCKS = Pattern(read_blocks_memory, read_blocks_file)
cdef Pattern SCAN = Pattern(scan_memory, scan_file)


# --- arguments, and the one place where a kernel runs ----------------------------------------------------------------

cdef uint64_t whole(str name, object value, uint64_t least, uint64_t most) except? 0:
    """Return the argument as a whole number between the two, or raise the ValueError that names it."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number <= most:
        raise ValueError(f"{name}={value!r}: give a whole number from {least} to {most}")
    return number


cdef int descriptor(object source) except -1:
    """Return the descriptor of an open file, or raise the ValueError that names the argument."""
    number = source
    if not isinstance(source, int) and hasattr(source, "fileno"):
        try:
            number = source.fileno()
        except (OSError, ValueError) as error:  # closed, or a file that lives in Python alone
            raise ValueError(f"source={source!r} has no descriptor: give an open file of the system") from error
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 0x7FFFFFFF:
        raise ValueError(f"source={source!r}: give an object with the buffer protocol, or an open file")
    return number


cdef Transfer run(Pattern pattern, object source, Access* access):
    """Run the pattern over the source and return what came of it.

    Another thread may run meanwhile: the GIL is released, the buffer stays locked and the file is read by offset.
    """
    cdef Py_buffer view
    cdef bint is_memory = PyObject_CheckBuffer(source)
    cdef Kernel kernel = pattern.over_memory if is_memory else pattern.over_file
    cdef int error
    cdef long begin
    cdef long end
    if is_memory:
        try:
            PyObject_GetBuffer(source, &view, PyBUF_SIMPLE)
        except (BufferError, ValueError) as failure:
            raise ValueError(f"source: its memory cannot be read as one piece ({failure})") from failure
        access.memory = <const unsigned char*>view.buf
        access.size = view.len
    else:
        access.fd = descriptor(source)
        access.memory = NULL
        try:
            status = os.fstat(access.fd)
        except OSError as failure:
            raise ValueError(f"source={source!r}: no open file has this descriptor") from failure
        if not stat.S_ISREG(status.st_mode):  # pipes, devices and folders have no size to go through
            raise ValueError(f"source={source!r} is not a regular file")
        access.size = status.st_size
    try:
        if access.size == 0 and access.count:
            raise ValueError("source is empty: there is no byte to touch at random")
        if access.block:
            access.buffer = <unsigned char*>malloc(access.block)
            if access.buffer == NULL:
                raise MemoryError(f"block={access.block}")
        with nogil:
            begin = clock.now()
            error = kernel(access)
            end = clock.now()
    finally:
        free(access.buffer)
        access.buffer = NULL
        if is_memory:
            PyBuffer_Release(&view)
    if error:
        raise OSError(error, os.strerror(error))
    transfer = Transfer()
    transfer.bytes = access.bytes
    transfer.accesses = access.accesses
    transfer.checksum = access.checksum
    transfer.elapsed_ns = end - begin
    return transfer


def touch(source, stride=mmap.PAGESIZE):
    """Read one byte at every multiple of the stride, in order; the checksum is the sum of these bytes.

    Args:
        source: memory or a file.
        stride: bytes from one access to the next, 1 or more; as it stands, one access a page.
    """
    cdef Access access
    memset(&access, 0, sizeof(access))
    access.stride = whole("stride", stride, 1, LARGEST)
    return run(TOUCH, source, &access)


def touch_random(source, count, seed=0):
    """Read one byte at each of ``count`` random offsets; the checksum is the sum of these bytes.

    The offsets depend on the seed and on the size of the source alone: the same on every machine, in the same order.

    Args:
        source: memory or a file that is not empty.
        count: accesses, 0 or more.
        seed: 0 to 2**64 - 1.
    """
    cdef Access access
    memset(&access, 0, sizeof(access))
    access.count = whole("count", count, 0, LARGEST)
    access.seed = whole("seed", seed, 0, <uint64_t>-1)
    return run(TOUCH_RANDOM, source, &access)


def read_blocks(source, block=64 * 1024, stride=mmap.PAGESIZE):
    """Copy the source, block by block, into one buffer, and read a byte at every multiple of the stride there.

    A file is copied with one pread(2) a block, memory with memcpy(3). The checksum is that of ``touch`` with this
    stride; an access is a block.

    Args:
        source: memory or a file.
        block: bytes of the buffer, 1 or more.
        stride: bytes of the source from one byte read to the next, 1 or more.
    """
    cdef Access access
    memset(&access, 0, sizeof(access))
    access.block = whole("block", block, 1, LARGEST)
    access.stride = whole("stride", stride, 1, LARGEST)
    return run(READ_BLOCKS, source, &access)


def scan(source):
    """Read every byte in order, as fast as one thread can; the checksum is the sum of the 8-byte words.

    The bytes behind the last whole word are added one by one; an access is a word.

    Args:
        source: memory or a file, which is read in blocks.
    """
    cdef Access access
    memset(&access, 0, sizeof(access))
    if not PyObject_CheckBuffer(source):
        access.block = FILE_BLOCK
    return run(SCAN, source, &access)


def fill(target, seed=0, start=0):
    """Fill memory with the bytes from ``start`` on of the random stream that the seed names.

    The stream is the same on every machine, and does not compress. ``start`` lets it be written piece by piece.

    Args:
        target: memory that can be written.
        seed: 0 to 2**64 - 1.
        start: offset of the first byte in the stream, a multiple of 8.
    """
    cdef Py_buffer view
    cdef uint64_t key = whole("seed", seed, 0, <uint64_t>-1)
    cdef uint64_t index = whole("start", start, 0, LARGEST)
    cdef uint64_t word
    cdef size_t offset = 0
    cdef size_t size
    if index % WORD:
        raise ValueError(f"start={start}: give a multiple of {WORD}")
    index //= WORD
    try:
        PyObject_GetBuffer(target, &view, PyBUF_WRITABLE)
    except (BufferError, TypeError, ValueError) as failure:
        raise ValueError(f"target: its memory cannot be written as one piece ({failure})") from failure
    size = view.len
    with nogil:
        while offset < size:
            word = random_word(key, index)
            memcpy(<unsigned char*>view.buf + offset, &word, min(<size_t>WORD, size - offset))
            offset += WORD
            index += 1
    PyBuffer_Release(&view)
