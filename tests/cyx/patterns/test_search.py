"""Counts, searches and checksums over bytes, against those of Python."""

from __future__ import annotations

import re
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyx import patterns

few_values = st.lists(st.sampled_from([0, 10, 10, 65, 255]), max_size=2000).map(bytes)


class TestCount:
    """``count``: bytes of one value."""

    @given(few_values, st.sampled_from([0, 10, 65, 255, 7]))
    def test_counts_as_bytes_does(self, content: bytes, value: int) -> None:
        """The checksum is that of ``bytes.count``."""
        transfer = patterns.count(content, value)

        assert transfer.checksum == content.count(value)
        assert (transfer.bytes, transfer.accesses) == (len(content), len(content))

    @pytest.mark.parametrize("size", [63, 64, 65, 254 * 64, 255 * 64, 255 * 64 + 1, 256 * 64, 256 * 64 + 1, 600 * 64])
    def test_counts_beyond_a_byte(self, size: int) -> None:
        """Where everything counts, nothing overflows."""
        assert patterns.count(b"\n" * size, 10).checksum == size
        assert patterns.count(b"\n" * size, 11).checksum == 0

    @pytest.mark.parametrize("value", [-1, 256, "a", b"a", None, 1.0, True], ids=repr)
    def test_values(self, value: Any) -> None:
        """A byte is a whole number."""
        with pytest.raises(ValueError, match=r"^value="):
            patterns.count(b"x", value)
        with pytest.raises(ValueError, match=r"^end="):
            patterns.find_lines(b"x", value)

    @pytest.mark.parametrize("value", ["\n", b"a"], ids=repr)
    def test_characters(self, value: Any) -> None:
        """One character is no number, and the message tells the way to its number."""
        hint = rf"give a whole number from 0 to 255, such as {re.escape(f'ord({value!r})')}$"
        with pytest.raises(ValueError, match=hint):
            patterns.count(b"x", value)
        with pytest.raises(ValueError, match=hint):
            patterns.find_lines(b"x", value)
        with pytest.raises(ValueError, match=hint):
            patterns.touch_write(bytearray(1), value=value)

    @pytest.mark.parametrize("value", ["ab", b"", "\N{EURO SIGN}"], ids=ascii)
    def test_what_is_no_byte(self, value: Any) -> None:
        """Nothing that ord would turn into a byte."""
        with pytest.raises(ValueError, match=r"from 0 to 255$"):
            patterns.count(b"x", value)


class TestFindLines:
    """``find_lines``: from line end to line end."""

    @given(few_values)
    @example(b"")
    @example(b"\n")
    @example(b"no end")
    def test_finds_each_line_end(self, content: bytes) -> None:
        """An access is a line end, and the checksum the sum of their offsets."""
        transfer = patterns.find_lines(content)
        offsets = [i for i, value in enumerate(content) if value == 10]

        assert (transfer.bytes, transfer.accesses) == (len(content), len(offsets))
        assert transfer.checksum == sum(offsets)

    @given(few_values, st.sampled_from([0, 65, 255]))
    def test_takes_any_end(self, content: bytes, end: int) -> None:
        """Lines may end with any byte."""
        assert patterns.find_lines(content, end).accesses == content.count(end)


class TestChecksum:
    """``checksum``: Adler-32."""

    @given(st.binary(max_size=3000))
    @example(b"\xff" * 4096)
    @example(b"\xff" * 4097)
    @example(b"\xff" * 100_000)
    def test_is_that_of_zlib(self, content: bytes) -> None:
        """The checksum is that of ``zlib.adler32``."""
        transfer = patterns.checksum(content)

        assert transfer.checksum == zlib.adler32(content)
        assert (transfer.bytes, transfer.accesses) == (len(content), len(content))

    @settings(deadline=None)
    @given(st.integers(0, 200_000), st.integers(1, 20))
    @example(200_000, 20)
    def test_is_that_of_zlib_in_pieces(self, size: int, threads: int) -> None:
        """The pieces of several threads are put together as if they were one."""
        content = b"\xfe\xff" * (size // 2)

        assert patterns.checksum(content, threads=threads).checksum == zlib.adler32(content)

    def test_knows_the_order(self) -> None:
        """Other than a sum, it tells two orders apart."""
        assert patterns.checksum(b"ab").checksum != patterns.checksum(b"ba").checksum
