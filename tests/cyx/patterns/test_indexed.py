"""Gather and scatter, against NumPy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import content, sample

from cyx import patterns

ITEMS = 200
indexes = st.lists(st.integers(0, ITEMS - 1), max_size=300).map(lambda items: np.array(items, np.int64))
Index = np.ndarray[Any, np.dtype[np.int64]]


def words(count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return so many words, always the same."""
    return np.frombuffer(content(8 * count), np.uint64)


@settings(deadline=None)
@given(indexes, st.integers(1, 4))
def test_gather(index: Index, threads: int) -> None:
    """Each word is that of its index; the index, what is read and what is written count."""
    source, target = words(ITEMS), np.zeros(index.size, np.uint64)
    transfer = patterns.gather(target, source, index, threads=threads)

    assert np.array_equal(target, source[index])
    assert (transfer.bytes, transfer.accesses) == (24 * index.size, index.size)
    assert transfer.checksum == sample(target)


@given(indexes)
def test_scatter(index: Index) -> None:
    """Each word comes to its index, the later one where two come to one."""
    source, target = words(index.size), np.zeros(ITEMS, np.uint64)
    transfer = patterns.scatter(target, source, index)

    expected = np.zeros(ITEMS, np.uint64)
    for place, word in zip(index, source, strict=True):
        expected[place] = word
    assert np.array_equal(target, expected)
    assert (transfer.bytes, transfer.accesses) == (24 * index.size, index.size)
    places = [index[(index.size - 1) * i // 63] for i in range(64)] if index.size else []
    assert transfer.checksum == sum(int(target[place]) for place in places) % 2**64


@settings(deadline=None)
@given(st.permutations(range(50)), st.integers(2, 4))
def test_scatter_by_threads(order: list[int], threads: int) -> None:
    """Where each place comes once, threads do not matter."""
    index = np.array(order)
    source, target = words(50), np.zeros(50, np.uint64)
    patterns.scatter(target, source, index, threads=threads)

    expected = np.zeros(50, np.uint64)
    expected[index] = source
    assert np.array_equal(target, expected)


def test_extents_are_those_of_the_index() -> None:
    """Offset and length speak of the index and what is as long; the table is always whole."""
    index = np.array([9, 3, 4, 9])
    target = np.zeros(4, np.uint64)
    patterns.gather(target, words(10), index, offset=8, length=16)
    assert np.array_equal(target, [0, words(10)[3], words(10)[4], 0])

    table = np.zeros(10, np.uint64)
    patterns.scatter(table, words(4), index, offset=8, length=16)
    assert np.array_equal(np.flatnonzero(table), [3, 4])


def test_the_rest_behind_the_last_word_is_no_word() -> None:
    """A table need not end with a whole word."""
    with pytest.raises(ValueError, match=r"^index: item 0 is 1: give numbers below 1,"):
        patterns.gather(bytearray(8), bytes(15), np.array([1]))


@pytest.mark.parametrize("item", [10, -1, 2**62, -(2**63)])
def test_indexes_beyond_the_table(item: int) -> None:
    """The first one is named and shown, and nothing is written."""
    found = rf"^index: item 2 is {item}{', which is negative' if item < 0 else ''}: give numbers below 10, the words of"
    index = np.array([0, 9, item, item])
    target, source = np.zeros(4, np.uint64), words(10)
    with pytest.raises(ValueError, match=rf"{found} source$"):
        patterns.gather(target, source, index)
    with pytest.raises(ValueError, match=rf"{found} target$"):
        patterns.scatter(np.zeros(10), source[:4], index)
    assert not target.any()


def test_numbers_without_a_sign() -> None:
    """Where the type has no negative numbers, none is spoken of."""
    index = np.array([2**64 - 1], np.uint64)
    for kind in (index, index.tobytes()):
        with pytest.raises(ValueError, match=r"^index: item 0 is 18446744073709551615: give numbers below 1,"):
            patterns.gather(bytearray(8), bytes(8), kind)


@pytest.mark.parametrize("kind", ["f8", "i4", ">i8", "c16", "M8[s]", "?"])
def test_indexes_of_another_type(kind: str) -> None:
    """Whole numbers of 8 bytes in the order of this machine, and no other."""
    for count in (8, 64 // np.dtype(kind).itemsize):  # as many as wanted, or as large: the type is told first
        with pytest.raises(ValueError, match=r"^index: its items are of type '.*': give whole numbers of 8 bytes$"):
            patterns.gather(bytearray(64), bytes(8), np.zeros(count, kind))


@pytest.mark.parametrize(
    "index",
    [np.array([1, 0]), np.array([1, 0], np.uint64), np.array([1, 0]).tobytes(), (ctypes.c_int64 * 2)(1, 0)],
    ids=["int64", "uint64", "bytes", "ctypes"],
)
def test_indexes_of_all_kinds(index: Any) -> None:
    """Signed, unsigned, as plain bytes, or an array of C."""
    target = np.zeros(2, np.uint64)
    patterns.gather(target, words(2), index)

    assert np.array_equal(target, words(2)[::-1])


def test_overlaps() -> None:
    """The target is apart from the source and from the index."""
    memory = np.zeros(8, np.int64)
    with pytest.raises(ValueError, match=r"^source overlaps target"):
        patterns.gather(memory[:4], memory[3:], np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"^index overlaps target"):
        patterns.gather(memory[:4], words(4), memory[2:6])
    with pytest.raises(ValueError, match=r"^index overlaps target"):
        patterns.scatter(memory, words(4), memory[2:6])
