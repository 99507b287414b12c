"""What all kernels share: offsets, lengths, threads, the first touch, and the errors of their arguments."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernels import (
    BYTE_KERNELS,
    FILE_READERS,
    KERNELS,
    READERS,
    WORD_KERNELS,
    WORD_WRITERS,
    WRITERS,
    content,
    figures,
    sample,
)

from cyx import patterns


def in_memory(content: bytes) -> tuple[mmap.mmap, tempfile._TemporaryFileWrapper[bytes]]:
    """Return a file that holds the content, and its mapping."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(content)
    file.flush()
    return mmap.mmap(file.fileno(), len(content)), file


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None)
@given(content=st.binary(min_size=9, max_size=3000), numbers=st.tuples(st.integers(0, 3000), st.integers(0, 3000)))
@example(content=b"x" * 100, numbers=(100, 0))
def test_an_extent_is_a_slice_for_readers(name: str, content: bytes, numbers: tuple[int, int]) -> None:
    """Offset and length give what the slice gives, whether it is memory or a file."""
    begin = min(numbers[0], len(content) - 1)
    length = min(numbers[1], len(content) - begin)
    if name.startswith("touch_random"):
        begin = min(begin, len(content) - 9)
        length = min(max(numbers[1], 9), len(content) - begin)
    expected = figures(KERNELS[name](content[begin : begin + length]))
    memory, file = in_memory(content)

    with memory, file:
        assert figures(KERNELS[name](content, offset=begin, length=length)) == expected
        assert figures(KERNELS[name](memory, offset=begin, length=length)) == expected
        if name in FILE_READERS:
            assert figures(KERNELS[name](file, offset=begin, length=length)) == expected
        if begin + length == len(content):
            assert figures(KERNELS[name](memory, offset=begin)) == expected


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None)
@given(size=st.integers(1, 3000), numbers=st.tuples(st.integers(0, 3000), st.integers(0, 3000)))
def test_an_extent_is_a_slice_for_writers(name: str, size: int, numbers: tuple[int, int]) -> None:
    """Offset and length write what the slice is written with, and not a byte beside it."""
    begin = min(numbers[0], size)
    length = min(numbers[1], size - begin)
    background = b"\xaa" * size
    whole, piece = bytearray(background), bytearray(background[begin : begin + length])

    if name.startswith("copy"):  # from the same place of a source
        expected = (2 * length, -(-length // 8), sample(content(size)[begin : begin + length]))
        piece[:] = content(size)[begin : begin + length]
    else:
        expected = figures(KERNELS[name](piece))
    assert figures(KERNELS[name](whole, offset=begin, length=length)) == expected
    assert whole == background[:begin] + piece + background[begin + length :]


@pytest.mark.parametrize("name", [*BYTE_KERNELS, *WORD_KERNELS])
@pytest.mark.parametrize("first_touch", [False, True])
@settings(deadline=None)
@given(size=st.integers(1, 5000), threads=st.integers(2, 9))
@example(size=1, threads=9)
def test_threads_change_nothing(name: str, first_touch: bool, size: int, threads: int) -> None:
    """Whatever the number of threads, the same bytes are read and written."""
    if name in WORD_KERNELS or name.startswith("touch_random"):
        size *= 9 - (name in WORD_KERNELS)
    alone, together = bytearray(os.urandom(size)), bytearray(size)
    together[:] = alone
    expected = figures(KERNELS[name](alone))
    transfer = KERNELS[name](together, threads=threads, first_touch=first_touch)

    if name == "read_blocks":  # each thread has blocks of its own
        assert (transfer.bytes, transfer.checksum) == (expected[0], expected[2])
    else:
        assert figures(transfer) == expected
    assert alone == together


@pytest.mark.parametrize("name", KERNELS)
def test_passes(name: str) -> None:
    """All passes count; the checksum is that of one."""
    alone, often = bytearray(content(4096)), bytearray(content(4096))
    transfer, five = KERNELS[name](alone), KERNELS[name](often, passes=5, threads=2)

    assert five.bytes == 5 * transfer.bytes
    assert five.accesses == 5 * transfer.accesses
    assert five.checksum == transfer.checksum
    assert alone == often


def test_passes_over_a_file() -> None:
    """Each pass begins where the first one did."""
    memory, file = in_memory(content(5000))
    with memory, file:
        for name, kernel in FILE_READERS.items():
            transfer, five = kernel(file, offset=8), kernel(file, offset=8, passes=5)
            assert figures(five) == (5 * transfer.bytes, 5 * transfer.accesses, transfer.checksum), name
        for call in ("pread", "read"):
            assert patterns.read_blocks(file, 1000, 1, call=call, passes=3, offset=2).bytes == 3 * 4998
        assert file.tell() == 5000


def test_threads_read_a_file() -> None:
    """A file is shared out as memory is."""
    content = os.urandom(1_000_003)
    memory, file = in_memory(content)
    with memory, file:
        for name, kernel in FILE_READERS.items():
            assert kernel(file, threads=3).checksum == kernel(content).checksum, name


@pytest.mark.parametrize("write", [False, True])
def test_the_first_touch_has_all_pages(write: bool) -> None:
    """Each page is there before the kernel runs, whatever the number of threads, and what they held stays."""
    import numpy as np

    pages = 64
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    memory[5] = 7
    with memory:
        kernel = patterns.touch_write if write else patterns.touch
        kernel(memory, 2**40, threads=3, first_touch=True)
        present = [entry >> 63 for entry in page_map(np.frombuffer(memory, np.uint8).ctypes.data, pages)]
        assert memory[5] == 7

    assert present == [1] * pages


def page_map(address: int, pages: int) -> list[int]:
    """Return the kernel's entries for pages of this process."""
    with open("/proc/self/pagemap", "rb") as file:
        file.seek(address // mmap.PAGESIZE * 8)
        entries = file.read(pages * 8)
    return [int.from_bytes(entries[i : i + 8], "little") for i in range(0, len(entries), 8)]


def test_threads_end_with_the_call() -> None:
    """No thread is left over."""
    before = len(os.listdir("/proc/self/task"))
    patterns.scan(bytes(100_000), threads=8)

    assert len(os.listdir("/proc/self/task")) == before


def test_signals_go_to_threads_of_python() -> None:
    """The threads of a kernel take no signals, so that a handler in Python runs at once after the call."""
    import signal

    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))

    def send() -> None:
        for _ in range(10):
            os.kill(os.getpid(), signal.SIGUSR1)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        for _ in range(100):
            patterns.scan(bytes(100_000), threads=4)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen


class TestMistakes:
    """A wrong argument is an error that begins with its name."""

    @pytest.mark.parametrize("name", KERNELS)
    @pytest.mark.parametrize("value", [-1, 1.5, "8", True, 2**63, 101], ids=repr)
    def test_extent(self, name: str, value: Any) -> None:
        """Offsets and lengths are whole numbers within the operand."""
        with pytest.raises(ValueError, match=r"^offset="):
            KERNELS[name](bytearray(96), offset=value)
        with pytest.raises(ValueError, match=r"^length="):
            KERNELS[name](bytearray(96), length=value)
        with pytest.raises(ValueError, match=r"^length=49: \w+ has 48 bytes from offset 48 on"):
            KERNELS[name](bytearray(96), offset=48, length=49)

    @pytest.mark.parametrize("name", KERNELS)
    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True, 1025], ids=repr)
    def test_threads(self, name: str, value: Any) -> None:
        """There is a thread at least, and not more than anyone has processors for."""
        with pytest.raises(ValueError, match=r"^threads="):
            KERNELS[name](bytearray(8), threads=value)

    @pytest.mark.parametrize("name", KERNELS)
    @pytest.mark.parametrize("value", [0, -1, 1.5, None], ids=repr)
    def test_passes(self, name: str, value: Any) -> None:
        """There is a pass at least."""
        with pytest.raises(ValueError, match=r"^passes="):
            KERNELS[name](bytearray(96), passes=value)

    @pytest.mark.parametrize("value", [1, None, "yes"], ids=repr)
    def test_first_touch(self, value: Any) -> None:
        """It is True or False."""
        with pytest.raises(ValueError, match=r"^first_touch="):
            patterns.scan(b"x", first_touch=value)

    @pytest.mark.parametrize("name", [*WRITERS, *WORD_WRITERS])
    def test_memory_that_cannot_be_written(self, name: str) -> None:
        """Bytes and mappings for reading are refused before a signal tells."""
        memory, file = in_memory(b"contents")
        with memory, file, mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ) as read_only:
            for target in (b"constant", read_only, memoryview(b"constant")):
                with pytest.raises(ValueError, match=r"^target: its memory cannot be written"):
                    KERNELS[name](target)

    @pytest.mark.parametrize("target", [3, "abc", None], ids=repr)
    def test_what_is_no_memory(self, target: Any) -> None:
        """A file cannot be written by a kernel: its type is named, and what to give."""
        for kernel in (patterns.write, patterns.fill, patterns.touch_write, patterns.write_nontemporal):
            with pytest.raises(TypeError, match=rf"^target is of type {type(target).__name__}: give .*bytearray"):
                kernel(target)

    @pytest.mark.parametrize("kernel", [patterns.copy, patterns.copy_nontemporal, patterns.scale])
    def test_operands_that_overlap(self, kernel: Any) -> None:
        """The target and the source share no byte; neighbours are fine."""
        memory = memoryview(bytearray(64))
        for begin in (0, 8, 31):
            with pytest.raises(ValueError, match=r"^source overlaps target"):
                kernel(memory[:32], memory[begin : begin + 32])
        assert kernel(memory[:32], memory[32:]).accesses == 4
        with pytest.raises(ValueError, match=r"^source overlaps target"):
            kernel(memory, memory, offset=8, length=8)

    @pytest.mark.parametrize("kernel", [patterns.copy, patterns.copy_nontemporal, patterns.scale])
    def test_operands_of_two_sizes(self, kernel: Any) -> None:
        """They must be equal, unless a length says how much of them is meant."""
        with pytest.raises(ValueError, match=r"^source has 16 bytes where 8 are wanted"):
            kernel(bytearray(8), bytes(16))
        assert kernel(bytearray(8), bytes(16), length=8).accesses == 1

    @pytest.mark.parametrize("name", WORD_KERNELS)
    def test_parts_of_words(self, name: str) -> None:
        """Kernels of words take whole ones."""
        with pytest.raises(ValueError, match=r" has 9 bytes: give a multiple of 8|^length=9"):
            KERNELS[name](bytearray(16), length=9)
