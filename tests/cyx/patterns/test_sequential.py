"""What goes from the beginning to the end: scan, write and fill, against NumPy and plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kernels import random_word, sample, sum_of_words

from cyx import patterns

WORD = 2**64
data = st.binary(max_size=5000)
seeds = st.integers(0, WORD - 1)


class TestScan:
    """``scan``: every byte, at the full read rate."""

    @given(data)
    @example(bytes(range(256)) * 12 + b"tail")
    def test_sums_the_words(self, content: bytes) -> None:
        """The checksum is NumPy's sum of the words, and the bytes behind the last one."""
        transfer = patterns.scan(content)

        assert (transfer.checksum, transfer.bytes) == (sum_of_words(content), len(content))
        assert transfer.accesses == -(-len(content) // 8)

    @given(st.integers(0, 9), st.integers(0, 3000))
    def test_takes_any_alignment(self, start: int, length: int) -> None:
        """Memory that begins or ends between words gives the same answer as a copy of it."""
        content = bytes(i * 7 % 256 for i in range(4000))

        piece = memoryview(content)[start : start + length]
        assert patterns.scan(piece).checksum == sum_of_words(bytes(piece))

    def test_wraps_round(self) -> None:
        """The sum is taken modulo 2**64."""
        assert patterns.scan(b"\xff" * 16).checksum == WORD - 2


class TestWrite:
    """``write``: one word again and again."""

    @given(st.integers(0, 300), seeds)
    @example(300, 0x0102030405060708)
    def test_writes_the_word(self, size: int, value: int) -> None:
        """The word is written as the machine stores it, the last one cut."""
        target = bytearray(size)
        transfer = patterns.write(target, value)

        assert target == (value.to_bytes(8, "little") * (size // 8 + 1))[:size]
        assert (transfer.bytes, transfer.accesses) == (size, -(-size // 8))
        assert transfer.checksum == sample(target)

    def test_writes_zeros_unless_told(self) -> None:
        """The word that stands is 0."""
        target = bytearray(b"x" * 20)
        patterns.write(target)

        assert target == bytes(20)

    @pytest.mark.parametrize("value", [-1, 2**64, 1.0, None, "0"], ids=repr)
    def test_names_a_wrong_value(self, value: Any) -> None:
        """A word is a whole number of 64 bits."""
        with pytest.raises(ValueError, match=r"^value="):
            patterns.write(bytearray(8), value)


class TestFill:
    """``fill``: repeatable content."""

    @given(st.integers(0, 200), seeds, st.integers(0, 1000))
    def test_writes_the_stream(self, size: int, seed: int, word: int) -> None:
        """Words of SplitMix64 from the start on, the last one cut."""
        target = bytearray(size)
        patterns.fill(target, seed, word * 8)

        expected = b"".join(random_word(seed, word + i).to_bytes(8, "little") for i in range(size // 8 + 1))
        assert target == expected[:size]

    def test_pieces_join(self) -> None:
        """What is written piece by piece equals what is written at once."""
        whole, pieces = bytearray(10_000), bytearray(10_000)
        patterns.fill(whole, 3)
        for start in range(0, 10_000, 800):
            patterns.fill(memoryview(pieces)[start : start + 800], 3, start)

        assert whole == pieces

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [((b"constant",), "target"), ((bytearray(8), -1), "seed"), ((bytearray(8), 0, 4), "start")],
    )
    def test_names_a_wrong_argument(self, arguments: tuple[Any, ...], name: str) -> None:
        """A ValueError begins with the argument's name."""
        with pytest.raises(ValueError, match=f"^{name}"):
            patterns.fill(*arguments)
