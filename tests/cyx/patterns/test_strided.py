"""One byte at each multiple of a stride, against slices of Python."""

from __future__ import annotations

import mmap
import os
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cyx import patterns

data = st.binary(max_size=5000)


class TestTouch:
    """``touch``: one byte at every multiple of the stride."""

    @given(data, st.integers(1, 6000))
    @example(b"", 1)
    @example(bytes(range(256)) * 16, 4096)
    def test_sums_the_bytes_at_the_stride(self, content: bytes, stride: int) -> None:
        """The checksum is Python's sum over a slice with that step, and there is one access for each."""
        transfer = patterns.touch(content, stride)

        touched = content[::stride]
        assert (transfer.checksum, transfer.accesses, transfer.bytes) == (sum(touched), len(touched), len(touched))

    def test_steps_by_a_page_unless_told(self) -> None:
        """The stride that stands is the page size."""
        content = os.urandom(3 * mmap.PAGESIZE + 1)

        assert patterns.touch(content).checksum == sum(content[:: mmap.PAGESIZE])

    def test_takes_the_largest_stride(self) -> None:
        """A stride near the end of the address space does not wrap round."""
        assert patterns.touch(b"ab", 2**63 - 1).accesses == 1


class TestTouchWrite:
    """``touch_write``: one byte there, without reading what is there."""

    @given(st.integers(0, 3000), st.integers(1, 3500), st.integers(0, 255))
    def test_writes_the_bytes_at_the_stride(self, size: int, stride: int, value: int) -> None:
        """A slice with that step is written, and nothing beside it; the checksum samples what was written."""
        target = bytearray(b"\x55" * size)
        transfer = patterns.touch_write(target, stride, value)

        expected = bytearray(b"\x55" * size)
        touched = len(expected[::stride])
        expected[::stride] = bytes([value]) * touched
        assert target == expected
        assert (transfer.accesses, transfer.bytes) == (touched, touched)
        assert transfer.checksum == (64 * value if touched else 0)

    def test_touches_each_page_once(self) -> None:
        """Fresh memory takes one fault a page: it is not read before, nor sampled elsewhere."""
        import resource

        pages = 256
        with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            patterns.touch_write(memory, length=mmap.PAGESIZE)  # what the call itself needs is there
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            patterns.touch_write(memory)
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        assert pages - 1 <= faults <= pages + 8

    @pytest.mark.parametrize("value", [-1, 256, 1.0, None, "a"], ids=repr)
    def test_names_a_wrong_value(self, value: Any) -> None:
        """A byte is a whole number of 8 bits."""
        with pytest.raises(ValueError, match=r"^value="):
            patterns.touch_write(bytearray(8), 1, value)
